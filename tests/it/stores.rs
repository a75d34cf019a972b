//! What stores really do: foreign names, objects that cannot be read, servers without conditional writes. A run, and `check`
//! before it, must report each, and no day may be lost by another's trouble.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::day_file;
use crate::support::s3::{S3, S3Reply, S3Request};
use crate::support::{KEY, Run};

const DAY: &str = "2024-01-05";

fn check(api: &Api) -> Run {
    let flags = ["--base-url", &api.url, "--api-id", "m1", "--date", DAY, "--retries", "0"];
    Run::new("check").args(flags).env("COOKIEPAY_API_KEY", KEY)
}

#[test]
fn a_lake_on_a_server_that_works() {
    let (api, s3) = (Api::one_row(), S3::new(|_| None));
    let checked = s3.lake(check(&api)).ok();
    assert!(checked.stdout.contains("ok    lake: wrote, replaced and read") && !checked.stdout.contains("note:"), "{checked:?}");
    assert_eq!(s3.keys(), [""; 0], "a check leaves nothing");
    s3.lake(Run::backfill(&api)).days(DAY, "2024-01-07").ok();
    s3.lake(Run::new("verify")).ok();
    s3.lake(check(&api)).ok();
}

#[test]
fn a_server_that_refuses_conditional_writes_fails_the_check_and_names_the_cure() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument"), (412, "PreconditionFailed")] {
        let api = Api::one_row();
        let s3 = S3::new(move |request: &S3Request| request.is_conditional().then(|| S3Reply::error(status, code, "no conditions here")));
        let checked = s3.lake(check(&api)).exits(7);
        assert!(checked.stdout.contains("FAIL  lake") && checked.stdout.contains("AWS_CONDITIONAL_PUT=disabled"), "{status}: {checked:?}");
        let ran = s3.lake(Run::backfill(&api)).days(DAY, DAY).exits(7);
        assert!(ran.failure("storage").contains("AWS_CONDITIONAL_PUT=disabled"), "{status}: {ran:?}");
        // and the cure works
        let cured = s3.lake(check(&api)).env("AWS_CONDITIONAL_PUT", "disabled").ok();
        assert!(cured.stdout.contains("two runs at once are not kept apart"), "{cured:?}");
        s3.lake(Run::backfill(&api)).days(DAY, DAY).env("AWS_CONDITIONAL_PUT", "disabled").ok();
        s3.lake(Run::new("verify")).ok();
    }
}

#[test]
fn a_server_that_only_creates_under_a_condition_fails_the_check() {
    let api = Api::one_row();
    let s3 = S3::new(|request: &S3Request| request.headers.contains_key("if-match").then(|| S3Reply::error(501, "NotImplemented", "no")));
    assert!(s3.lake(check(&api)).exits(7).stdout.contains("AWS_CONDITIONAL_PUT=disabled"));
}

#[test]
fn a_bucket_that_demands_checksums_names_the_setting() {
    let api = Api::one_row();
    let message = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters";
    let s3 = S3::new(move |request: &S3Request| {
        let bare = request.method == "PUT" && !request.headers.keys().any(|name| name.starts_with("x-amz-checksum"));
        bare.then(|| S3Reply::error(400, "InvalidRequest", message))
    });
    assert!(s3.lake(check(&api)).exits(7).stdout.contains("AWS_CHECKSUM_ALGORITHM=sha256"));
    let ran = s3.lake(Run::backfill(&api)).days(DAY, DAY).exits(7);
    assert!(ran.failure("storage").contains("AWS_CHECKSUM_ALGORITHM=sha256"), "{ran:?}");
    s3.lake(check(&api)).env("AWS_CHECKSUM_ALGORITHM", "sha256").ok();
}

#[test]
fn a_check_needs_no_right_to_delete() {
    let api = Api::one_row();
    let s3 = S3::new(|request: &S3Request| {
        let deletes = request.method == "DELETE" || request.query.contains_key("delete");
        deletes.then(|| S3Reply::error(403, "AccessDenied", "Access Denied"))
    });
    let checked = s3.lake(check(&api)).ok();
    assert!(checked.stdout.contains("note: cannot remove .staging/"), "{checked:?}");
}

#[test]
fn a_wrong_bucket_is_one_line() {
    let api = Api::one_row();
    let s3 = S3::new(|_| Some(S3Reply::error(404, "NoSuchBucket", "The specified bucket does not exist")));
    let ran = s3.lake(Run::backfill(&api)).days(DAY, DAY).exits(7);
    let error = ran.result()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("NoSuchBucket: The specified bucket does not exist: check the bucket's name") && !error.contains('<'),
        "{error}"
    );
    assert_eq!(api.settlements().len(), 0);
}

#[test]
fn a_check_refuses_a_lake_of_another_environment() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::new("backfill").args(["--env", "simulator", "--from", DAY, "--to", DAY]).into(lake.path()).ok();
    let checked = check(&api).into(lake.path()).exits(2);
    assert!(checked.stdout.contains("FAIL  lake: the lake holds days of the simulator API"), "{checked:?}");
}

#[test]
fn an_archived_object_fails_its_day_alone() {
    let api = Api::one_row();
    let archived = Arc::new(AtomicBool::new(false));
    let is_archived = Arc::clone(&archived);
    let s3 = S3::new(move |request: &S3Request| {
        let reads = request.method == "GET" && request.key == "lake/settlements/pay_date=2024-01-06/m1.parquet";
        (reads && is_archived.load(Ordering::Relaxed))
            .then(|| S3Reply::error(403, "InvalidObjectState", "The operation is not valid for the object's storage class"))
    });
    s3.lake(Run::backfill(&api)).days(DAY, "2024-01-08").ok();
    archived.store(true, Ordering::Relaxed);
    // the index would know the day
    s3.objects.lock().unwrap().remove("lake/ledger/m1.parquet");
    let status = s3.lake(Run::new("status")).args(["--output", "json"]).ok().result();
    assert!(status["days"][1]["unreadable"].as_str().unwrap().contains("restore it first"), "{status}");
    assert_eq!(status["counts"]["closed"], 3);
    let verified = s3.lake(Run::new("verify")).args(["--output", "json"]).exits(5).result();
    assert_eq!((&verified["checked"], verified["differences"].as_array().unwrap().len()), (&4.into(), 1));
    let again = s3.lake(Run::backfill(&api)).days(DAY, "2024-01-08").args(["--refetch", "all"]).exits(3);
    assert_eq!(again.result()["dates"]["unchanged"], 3);
    assert!(again.failure("storage").contains("archived"), "{again:?}");
}

#[test]
fn keys_that_are_not_days_are_passed_over() {
    let (api, s3) = (Api::one_row(), S3::new(|_| None));
    s3.lake(Run::backfill(&api)).days(DAY, "2024-01-06").ok();
    for key in [
        "settlements//x.parquet",
        "settlements/_SUCCESS",
        "settlements/pay_date=2024-01-05/notes.txt",
        "settlements/pay_date=soon/m1.parquet",
    ] {
        s3.objects.lock().unwrap().insert(format!("lake/{key}"), b"x".to_vec());
    }
    let verified = s3.lake(Run::new("verify")).args(["--output", "json"]).ok();
    assert_eq!(verified.result()["checked"], 2);
    assert_eq!(verified.stderr.matches("passed over").count(), 1, "one warning: {verified:?}");
    let again = s3.lake(Run::backfill(&api)).days(DAY, "2024-01-06").ok();
    assert_eq!(again.result()["dates"]["skipped"], 2);
}

#[test]
fn names_on_disk_that_are_not_days_are_passed_over() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).ok();
    let table = lake.path().join("settlements");
    std::fs::create_dir(table.join("lost+found")).unwrap();
    std::fs::create_dir(table.join("pay_date=2024-13-01")).unwrap();
    std::fs::write(table.join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "x").unwrap();
    std::fs::write(table.join("pay_date=2024-01-05").join(std::ffi::OsStr::from_bytes(b"m\xff.parquet")), "x").unwrap();
    std::fs::write(table.join("pay_date=2024-01-05/a b.parquet"), "x").unwrap();
    let verified = Run::new("verify").into(lake.path()).args(["--output", "json"]).ok();
    assert_eq!(verified.result()["checked"], 2);
    assert_eq!(verified.stderr.matches("passed over").count(), 1, "{verified:?}");
    assert_eq!(Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).ok().result()["dates"]["skipped"], 2);
}

#[test]
fn a_file_that_cannot_be_read_fails_its_day_alone() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).ok();
    // root can read any file: a folder in its place is as unreadable for everybody
    let path = day_file(lake.path(), "2024-01-06");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let status = Run::new("status").into(lake.path()).args(["--output", "json"]).ok().result();
    assert!(status["days"][1]["unreadable"].is_string(), "{status}");
    let verified = Run::new("verify").into(lake.path()).args(["--output", "json"]).exits(5).result();
    assert_eq!(verified["differences"].as_array().unwrap().len(), 1);
    let ran = Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).exits(3);
    assert_eq!((&ran.result()["dates"]["skipped"], &ran.result()["dates"]["failed"]), (&2.into(), &1.into()));
    ran.failure("storage");
}

#[test]
fn a_file_of_another_merchant_is_never_replaced() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    let own = day_file(lake.path(), DAY);
    let other = own.with_file_name("m2.parquet");
    std::fs::rename(&own, &other).unwrap();
    let before = std::fs::read(&other).unwrap();
    let second = Run::new("backfill").args(["--base-url", &api.url, "--api-id", "m2", "--refetch", "all"]).env("COOKIEPAY_API_KEY", KEY);
    let ran = second.days(DAY, DAY).into(lake.path()).exits(5);
    assert!(ran.failure("guard").contains("is the file of merchant m1"), "{ran:?}");
    assert_eq!(std::fs::read(&other).unwrap(), before);
    // another day's file is replaced, and kept
    std::fs::remove_file(&other).unwrap();
    std::fs::create_dir_all(lake.path().join("settlements/pay_date=2024-01-06")).unwrap();
    std::fs::write(day_file(lake.path(), "2024-01-06"), before).unwrap();
    let ran = Run::backfill(&api).days("2024-01-06", "2024-01-06").into(lake.path()).ok();
    assert_eq!(ran.result()["dates"]["published"], 1);
    assert!(ran.stderr.contains("it is the file of 2024-01-05"), "{ran:?}");
    assert!(lake.path().join("history/pay_date=2024-01-06").read_dir().unwrap().next().is_some());
}

#[test]
fn ids_that_look_alike_are_refused_before_any_request() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    let requests = api.settlements().len();
    for (id, reason) in
        [("M1", "differ only in letter case"), ("m1 ", "white space around it"), ("m1\r", "white space"), (" M1", "white space")]
    {
        let ran = Run::new("backfill")
            .args(["--base-url", &api.url, "--api-id", id, "--from", DAY, "--to", DAY])
            .env("COOKIEPAY_API_KEY", KEY)
            .into(lake.path())
            .exits(2);
        assert!(ran.stderr.contains(reason), "{id:?}: {ran:?}");
    }
    assert_eq!(api.settlements().len(), requests);
    // a lake that holds both has a problem that every reader reports
    std::fs::copy(day_file(lake.path(), DAY), day_file(lake.path(), DAY).with_file_name("M1.parquet")).unwrap();
    for command in ["verify", "status"] {
        assert!(Run::new(command).into(lake.path()).exits(2).stderr.contains("differ only in letter case"));
    }
}

#[test]
fn a_check_counts_a_large_day_without_holding_it() {
    let api = Api::new(|request| {
        let rows: Vec<String> = (0..3).map(|_| row(request.date(), &[])).collect();
        Reply::json(envelope(&rows))
    });
    let lake = tempfile::tempdir().unwrap();
    assert!(check(&api).into(lake.path()).ok().stdout.contains("ok    settlement: 3 rows for 2024-01-05"));
}
