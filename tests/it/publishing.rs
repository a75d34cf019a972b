//! What is stored and how: layout, records, digests, seals, re-runs, restatements, guards, interruptions.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::api::{Api, Reply, Request, envelope, one_row, row};
use crate::support::lake::{day_file, files, record, redate, rows};
use crate::support::{KEY, Ran, Run, binary, finish, run};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

const DAY: &str = "2024-01-05";

/// Bytes of all files of the lake.
fn written(lake: &Path) -> u64 {
    files(lake).iter().map(|file| std::fs::metadata(lake.join(file)).unwrap().len()).sum()
}

/// Backfills `DAY`, whether it is stored or not.
fn again(api: &Api, lake: &Path) -> Ran {
    Run::backfill(api).days(DAY, DAY).into(lake).args(["--refetch", "all"]).ran()
}

#[test]
fn the_layout_is_the_contracts_and_holds_nothing_else() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days("2024-01-05", "2024-01-06").into(lake.path()).ok();
    assert_eq!(files(lake.path()), ["settlements/pay_date=2024-01-05/m1.parquet", "settlements/pay_date=2024-01-06/m1.parquet"]);
    assert!(!lake.path().join(".staging").exists());
}

#[test]
fn the_day_record_describes_the_day() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let result = Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok().result();
    let mut record = record(&day_file(lake.path(), DAY));
    assert_eq!(record["run_id"], result["run_id"]);
    assert_eq!(record["source_url"], format!("{}/", api.url));
    for (key, value) in [("run_id", "[run]"), ("source_url", "[url]"), ("extracted_at", "[time]"), ("seal", "[seal]")] {
        record[key] = value.into();
    }
    insta::assert_json_snapshot!(record);
}

#[test]
fn the_seal_is_the_hash_of_the_file_without_it() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    let path = day_file(lake.path(), DAY);
    let seal = record(&path)["seal"].as_str().unwrap().to_owned();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = memchr::memmem::rfind(&bytes, seal.as_bytes()).unwrap();
    bytes[at..at + 64].fill(b'0');
    assert_eq!(cookiepay_etl::settlement::columns::hex(&Sha256::digest(&bytes)), seal);
}

#[test]
fn a_closed_day_is_not_refetched() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).ok();
    let requests = api.settlements().len();
    let result = Run::backfill(&api).days(DAY, "2024-01-08").into(lake.path()).ok().result();
    assert_eq!((&result["dates"]["skipped"], &result["dates"]["published"]), (&3.into(), &1.into()));
    assert_eq!(api.settlements().len(), requests + 1);
}

#[test]
fn an_open_day_is_refetched_unless_only_missing_days_are() {
    let pending = Api::new(|request| Reply::json(envelope(&[row(request.date(), &[("STATUS_CD", r#""01""#)])])));
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&pending).days(DAY, DAY).into(lake.path()).ok();
    assert_eq!(record(&day_file(lake.path(), DAY))["open_because"], serde_json::json!(["pending_rows"]));
    let missing = Run::backfill(&pending).days(DAY, DAY).into(lake.path()).args(["--refetch", "missing"]).ok().result();
    assert_eq!(missing["dates"]["skipped"], 1);
    let open = Run::backfill(&pending).days(DAY, DAY).into(lake.path()).ok().result();
    assert_eq!(open["dates"]["unchanged"], 1);
}

#[test]
fn an_unchanged_day_is_not_written_whatever_the_order_of_its_rows() {
    let (a, b) = (row("20240105", &[]), row("20240105", &[("TRXID", r#""B""#), ("NEW", "1")]));
    let api = Api::in_turn(vec![envelope(&[a.clone(), b.clone()]), envelope(&[b, a])]);
    let lake = tempfile::tempdir().unwrap();
    again(&api, lake.path()).ok();
    let before = std::fs::read(day_file(lake.path(), DAY)).unwrap();
    let result = again(&api, lake.path()).ok().result();
    assert_eq!((&result["dates"]["unchanged"], &result["bytes_written"], &result["rows"]), (&1.into(), &0.into(), &2.into()));
    assert_eq!(std::fs::read(day_file(lake.path(), DAY)).unwrap(), before);
    assert_eq!(files(lake.path()).len(), 1);
}

#[test]
fn replacing_one_pair_of_equal_rows_by_another_is_a_restatement() {
    let pair = |id: &str| vec![row("20240105", &[("TRXID", id)]); 2];
    let api = Api::in_turn(vec![envelope(&pair(r#""A""#)), envelope(&pair(r#""B""#))]);
    let lake = tempfile::tempdir().unwrap();
    again(&api, lake.path()).ok();
    let result = again(&api, lake.path()).ok().result();
    assert_eq!((&result["restated"][0]["added"], &result["restated"][0]["removed"]), (&2.into(), &2.into()));
}

#[test]
fn what_was_open_is_updated_and_what_was_closed_is_restated() {
    let day = "20240105";
    let pending = row(day, &[("STATUS_CD", r#""01""#)]);
    let second = row(day, &[("TRXID", r#""B""#), ("STATUS_CD", r#""01""#)]);
    let paid = [row(day, &[]), row(day, &[("TRXID", r#""B""#)])];
    let restated = [row(day, &[]), row(day, &[("TRXID", r#""B""#), ("PAYMENTAMT", "9000")])];
    let api = Api::in_turn(vec![
        envelope(std::slice::from_ref(&pending)),
        envelope(&[pending, second]),
        envelope(&paid),
        envelope(&paid),
        envelope(&restated),
    ]);
    let lake = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let result = again(&api, lake.path()).ok().result();
        let status = Run::new("status").into(lake.path()).args(["--output", "json"]).ok().result();
        let updated = result["updated"].as_array().unwrap();
        assert_eq!(result["dates"]["updated"], updated.len());
        assert_eq!(result["merchants"][0]["dates"]["updated"], updated.len());
        seen.push((updated.clone(), result["restated"].as_array().unwrap().len(), status["days"][0]["restated"].clone()));
    }
    let updated = |before: u64, after: u64| {
        vec![serde_json::json!({ "merchant_id": "m1", "pay_date": DAY, "rows_before": before, "rows_after": after })]
    };
    let no = serde_json::json!(false);
    assert_eq!(
        seen,
        [
            (vec![], 0, no.clone()),
            (updated(1, 2), 0, no.clone()),
            (updated(2, 2), 0, no.clone()),
            (vec![], 0, no),
            (vec![], 1, true.into())
        ]
    );
    let kept = files(lake.path()).iter().filter(|file| file.starts_with("history/")).count();
    assert_eq!(kept, 3, "each replaced version is kept, whether it was open or closed");
    let shown = Run::new("status").into(lake.path()).ok().stdout;
    assert!(shown.contains("R restated 1"), "{shown}");
}

#[test]
fn a_restated_day_is_replaced_and_reported_and_its_old_version_kept() {
    let day = "20240105";
    let same = row(day, &[]);
    let fee = |fee: &str| row(day, &[("TRXID", r#""B""#), ("FEE", fee), ("PAYMENTAMT", r#""1""#)]);
    let gone = row(day, &[("TRXID", r#""C""#)]);
    let new = row(day, &[("TRXID", r#""D""#)]);
    // of two equal rows, one goes: rows are a multiset
    let before = envelope(&[same.clone(), same.clone(), fee("230"), gone]);
    let after = envelope(&[same, new.clone(), new, fee("231")]);
    let api = Api::in_turn(vec![before, after]);
    let lake = tempfile::tempdir().unwrap();
    again(&api, lake.path()).ok();
    let old = std::fs::read(day_file(lake.path(), DAY)).unwrap();
    let old_record = record(&day_file(lake.path(), DAY));
    let ran = again(&api, lake.path()).ok();
    assert_eq!(
        ran.result()["restated"],
        serde_json::json!([{
            "merchant_id": "m1", "pay_date": DAY, "rows_before": 4, "rows_after": 4, "added": 2, "removed": 2, "changed": 1,
            "delta": { "fee": "1.00" },
        }])
    );
    assert!(ran.stderr.contains("restated"), "{ran:?}");
    let history: Vec<String> = files(lake.path()).into_iter().filter(|file| file.starts_with("history/")).collect();
    let time: String = old_record["extracted_at"].as_str().unwrap().chars().filter(|c| !"-:.".contains(*c)).collect();
    let run_id = old_record["run_id"].as_str().unwrap();
    assert_eq!(history, [format!("history/pay_date={DAY}/m1-{time}-{}.parquet", &run_id[run_id.len() - 8..])]);
    assert_eq!(std::fs::read(lake.path().join(&history[0])).unwrap(), old);
    assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 4);
}

#[test]
fn a_day_with_rows_is_not_replaced_by_an_empty_one_without_permission() {
    for (before, protected) in [(r#""03""#, true), (r#""01""#, false)] {
        let rows_of = envelope(&[row("20240105", &[("STATUS_CD", before)])]);
        let api = Api::in_turn(vec![rows_of, r#"{"RESULTCODE":"E008"}"#.into()]);
        let lake = tempfile::tempdir().unwrap();
        again(&api, lake.path()).ok();
        let ran = again(&api, lake.path());
        if protected {
            let ran = ran.exits(5);
            assert!(ran.failure("guard").contains("--allow-empty-replacement"));
            assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 1);
            Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--refetch", "all", "--allow-empty-replacement"]).ok();
        } else {
            ran.ok();
        }
        assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 0);
    }
}

#[test]
fn days_empty_by_code_close_once_the_merchant_has_a_day_with_rows() {
    let api = Api::new(|request| match request.date() {
        "20240107" => one_row(request),
        _ => Reply::json(r#"{"RESULTCODE":"E008","RESULTMSG":"none"}"#),
    });
    let lake = tempfile::tempdir().unwrap();
    let ran = Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).ok();
    assert!(ran.stderr.contains("no row for any day"), "{ran:?}");
    let first = record(&day_file(lake.path(), DAY));
    assert_eq!(first["open_because"], serde_json::json!(["empty_unproven"]));
    // the run itself finds the rows after the empty days
    let result = Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).args(["--concurrency", "1"]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["restated"]), (&3.into(), &serde_json::json!([])));
    assert_eq!(result["bytes_written"], written(lake.path()));
    let closed = record(&day_file(lake.path(), DAY));
    assert_eq!((&closed["state"], &closed["result_message"]), (&"closed".into(), &"none".into()));
    assert!(closed["extracted_at"].as_str() > first["extracted_at"].as_str(), "{closed}");
    assert!(!lake.path().join("history").exists());
    // the lake already has rows
    Run::backfill(&api).days("2024-02-01", "2024-02-01").into(lake.path()).ok();
    assert_eq!(record(&day_file(lake.path(), "2024-02-01"))["state"], "closed");
}

#[test]
fn days_empty_by_code_are_in_the_lake_before_the_run_ends() {
    let api = Api::new(|request| match request.date() {
        "20240107" => one_row(request).stalled(),
        _ => Reply::json(r#"{"RESULTCODE":"E008","RESULTMSG":"none"}"#),
    });
    let lake = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", DAY, "--to", "2024-01-07", "--dest"]);
    let mut child = command.arg(lake.path()).env("COOKIEPAY_API_KEY", KEY).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let empty = [DAY, "2024-01-06"].map(|day| day_file(lake.path(), day));
    while !empty.iter().all(|file| file.exists()) && began.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for file in empty {
        assert_eq!(record(&file)["open_because"], serde_json::json!(["empty_unproven"]));
    }
}

/// Replaces a day's file, as soon as it exists, by something that is not a file.
fn obstruct(file: &Path) {
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(file).unwrap();
    std::fs::create_dir(file).unwrap();
}

#[test]
fn a_lake_that_fails_while_days_are_closed_is_reported_and_stops_the_run() {
    let lake = tempfile::tempdir().unwrap();
    let root = lake.path().to_owned();
    let api = Api::new(move |request| match request.date() {
        "20240112" => {
            (5..12).for_each(|day| obstruct(&day_file(&root, &format!("2024-01-{day:02}"))));
            one_row(request)
        }
        _ => Reply::json(r#"{"RESULTCODE":"E008"}"#),
    });
    let ran = Run::backfill(&api).days(DAY, "2024-01-12").into(lake.path()).args(["--concurrency", "1"]).exits(7);
    let result = ran.result();
    let dates = &result["dates"];
    assert_eq!((&dates["published"], &dates["failed"], &dates["empty"]), (&3.into(), &5.into(), &2.into()), "{result}");
    assert!(result["error"].as_str().unwrap().contains("the lake failed 5 days in a row"), "{result}");
    let message = result["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("the day is in the lake, without rows and as open, and could not be closed; run again"), "{message}");
}

#[test]
fn another_runs_later_rows_are_not_replaced_by_a_response_that_is_empty_by_code() {
    let (lake, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Run::backfill(&Api::one_row()).days(DAY, DAY).into(other.path()).ok();
    redate(&day_file(other.path(), DAY), Utc::now() + TimeDelta::minutes(2));
    let (ours, theirs) = (day_file(lake.path(), DAY), day_file(other.path(), DAY));
    let api = Api::new(move |request| {
        if request.date() == "20240105" {
            std::fs::create_dir_all(ours.parent().unwrap()).unwrap();
            std::fs::copy(&theirs, &ours).unwrap();
            return Reply::json(r#"{"RESULTCODE":"E008"}"#);
        }
        // until the day before is stored
        std::thread::sleep(Duration::from_millis(500));
        obstruct(&ours);
        one_row(request)
    });
    let ran = Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).args(["--concurrency", "1"]).ok();
    let result = ran.result();
    let dates = &result["dates"];
    assert_eq!((&dates["published"], &dates["unchanged"], &dates["empty"], &result["rows"]), (&1.into(), &1.into(), &0.into(), &2.into()));
}

#[test]
fn a_day_empty_by_code_whose_pay_date_has_not_passed_stays_open_for_that_reason_only() {
    let api = Api::new(|request| match request.date() {
        "29991230" => Reply::json(r#"{"RESULTCODE":"E008"}"#),
        _ => one_row(request),
    });
    let lake = tempfile::tempdir().unwrap();
    let result = Run::backfill(&api).days("2999-12-30", "2999-12-31").into(lake.path()).args(["--concurrency", "1"]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["dates"]["empty"]), (&2.into(), &1.into()));
    assert_eq!(result["bytes_written"], written(lake.path()));
    let written = record(&day_file(lake.path(), "2999-12-30"));
    assert_eq!((&written["open_because"], &written["result_code"]), (&serde_json::json!(["pay_date_not_passed"]), &"E008".into()));
}

#[test]
fn a_pay_date_that_has_not_passed_stays_open() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let future = "2999-12-31";
    Run::backfill(&api).days(future, future).into(lake.path()).ok();
    assert_eq!(record(&day_file(lake.path(), future))["open_because"], serde_json::json!(["pay_date_not_passed"]));
}

#[test]
fn a_lake_holds_one_environment() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let dest = lake.path().to_str().unwrap();
    let simulated = ["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-02", "--dest", dest];
    run(&simulated).ok();
    let ran = Run::backfill(&api).days("2024-03-01", "2024-03-02").into(lake.path()).exits(2);
    assert!(ran.stderr.contains("simulator") && ran.stderr.contains("custom"), "{ran:?}");
    assert_eq!((api.tokens(), &ran.result()["dates"]["not_attempted"]), (0, &2.into()));
}

#[test]
fn a_damaged_file_does_not_hide_the_lakes_environment() {
    let lake = tempfile::tempdir().unwrap();
    let dest = lake.path().to_str().unwrap();
    run(&["backfill", "--env", "simulator", "--api-id", "m1", "--from", DAY, "--to", "2024-01-07", "--dest", dest]).ok();
    std::fs::write(day_file(lake.path(), "2024-01-07"), "PAR1").unwrap();
    let api = Api::one_row();
    Run::backfill(&api).days("2024-03-01", "2024-03-02").into(lake.path()).exits(2);
    assert_eq!(api.tokens(), 0);
}

#[test]
fn a_lake_that_fails_day_after_day_stops_the_run() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    for day in 6..=28 {
        std::fs::write(lake.path().join(format!("settlements/pay_date=2024-01-{day:02}")), "in the way").unwrap();
    }
    let ran = Run::backfill(&api).days(DAY, "2024-01-28").into(lake.path()).args(["--refetch", "all", "--concurrency", "1"]).exits(7);
    let dates = &ran.result()["dates"];
    assert_eq!((&dates["unchanged"], &dates["failed"], &dates["not_attempted"]), (&1.into(), &5.into(), &18.into()));
}

#[test]
fn a_later_response_in_the_lake_stays_and_its_figures_are_reported() {
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&Api::one_row()).days(DAY, DAY).into(lake.path()).ok();
    let path = day_file(lake.path(), DAY);
    // another run's, which requested it after this one, or whose machine's clock is slightly ahead
    let later = redate(&path, Utc::now() + TimeDelta::minutes(2));
    let second = Api::responding(envelope(&[row("20240105", &[]), row("20240105", &[("TRXID", r#""B""#)])]));
    let ran = again(&second, lake.path()).ok();
    assert_eq!((&ran.result()["rows"], &ran.result()["dates"]["unchanged"]), (&1.into(), &1.into()));
    assert!(ran.stderr.contains("later response"), "{ran:?}");
    assert_eq!(std::fs::read(&path).unwrap(), later);
}

#[test]
fn a_day_dated_ahead_is_refetched_and_replaced() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    let path = day_file(lake.path(), DAY);
    redate(&path, Utc::now() + TimeDelta::days(400));
    // closed, and yet
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    assert_eq!((&ran.result()["dates"]["published"], &ran.result()["restated"]), (&1.into(), &serde_json::json!([])));
    assert!(ran.stderr.contains("check the clocks"), "{ran:?}");
    let dated: DateTime<Utc> = record(&path)["extracted_at"].as_str().unwrap().parse().unwrap();
    assert!(dated <= Utc::now(), "{dated}");
    assert_eq!(Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok().result()["dates"]["skipped"], 1);
}

#[test]
fn a_clock_that_differs_from_the_apis_is_warned_of_once() {
    let apart = |date: &'static str| {
        let api = Api::new(move |request| Reply::new(200, &[("Date", date)], envelope(&[row(request.date(), &[])])));
        let lake = tempfile::tempdir().unwrap();
        let ran = Run::backfill(&api).days(DAY, "2024-01-08").into(lake.path()).ok();
        ran.stderr.matches("clock differs from the API's").count()
    };
    assert_eq!([apart("Fri, 05 Jan 2024 00:00:00 GMT"), apart("whenever")], [1, 0]);
}

#[test]
fn a_damaged_file_is_refetched_and_kept_as_evidence() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    std::fs::write(day_file(lake.path(), DAY), b"PAR1 not any more").unwrap();
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    assert_eq!(ran.result()["dates"]["published"], 1);
    assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 1);
    assert!(files(lake.path()).iter().any(|file| file.starts_with("history/") && file.ends_with("-00000000.parquet")));
}

#[test]
fn a_flipped_bit_is_repaired_by_a_refetch_although_the_record_is_readable() {
    for (second, restated) in [(envelope(&[row("20240105", &[])]), false), (envelope(&[row("20240105", &[("FEE", "231")])]), true)] {
        let api = Api::in_turn(vec![envelope(&[row("20240105", &[])]), second]);
        let lake = tempfile::tempdir().unwrap();
        Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
        let mut bytes = std::fs::read(day_file(lake.path(), DAY)).unwrap();
        bytes[100] ^= 1;
        std::fs::write(day_file(lake.path(), DAY), &bytes).unwrap();
        let ran = again(&api, lake.path()).ok();
        assert_eq!(ran.result()["dates"]["published"], 1, "{restated}: {ran:?}");
        assert!(ran.stderr.contains("replacing a damaged file"), "{ran:?}");
        let history: Vec<String> = files(lake.path()).into_iter().filter(|file| file.starts_with("history/")).collect();
        assert!(history.len() == 1 && history[0].ends_with("-00000000.parquet"), "{history:?}");
        assert_eq!(std::fs::read(lake.path().join(&history[0])).unwrap(), bytes);
        Run::new("verify").into(lake.path()).ok();
    }
}

#[test]
fn a_dry_run_touches_nothing() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let dest = lake.path().join("not there");
    let plan = Run::backfill(&api).days(DAY, "2024-01-06").into(&dest).arg("--dry-run").ok().result();
    assert_eq!(
        plan["days"][1],
        serde_json::json!({ "merchant_id": "m1", "pay_date": "2024-01-06", "action": "fetch", "reason": "missing" })
    );
    assert!(!dest.exists() && api.tokens() == 0);
}

#[test]
fn ids_and_folders_of_any_kind_stay_inside_the_lake() {
    for (id, name) in [("../x", "%2E.%2Fx"), ("a b'\"", "a%20b%27%22"), ("쿠키", "%EC%BF%A0%ED%82%A4"), ("_a.b", "%5Fa.b")] {
        let root = tempfile::tempdir().unwrap();
        let dest = root.path().join("내 lake #1%20");
        let mut command = binary();
        command.args(["backfill", "--env", "simulator", "--api-id", id, "--from", DAY, "--to", DAY, "--dest"]).arg(&dest);
        finish(&mut command).ok();
        assert_eq!(files(root.path()), [format!("내 lake #1%20/settlements/pay_date={DAY}/{name}.parquet")]);
        assert_eq!(finish(&mut command).ok().result()["dates"]["skipped"], 1, "{id} is not found again");
    }
}

#[test]
fn an_unusable_lake_is_reported_before_any_request() {
    let api = Api::one_row();
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    for dest in [file.clone(), file.join("below")] {
        let ran = Run::backfill(&api).days(DAY, DAY).into(&dest).exits(7);
        assert!(ran.stderr.contains("cannot open the lake"), "{ran:?}");
    }
    assert_eq!(api.tokens(), 0);
}

/// Starts a slow run, ends it with `signal` after some days, and returns how it ended.
fn interrupted(api: &Api, lake: &Path, signal: &str) -> (std::process::Output, Duration) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", "2024-01-01", "--to", "2024-12-31", "--dest"]);
    command.arg(lake).args(["--rate-limit", "0"]).env("COOKIEPAY_API_KEY", KEY);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while api.settlements().len() < 20 {
        assert!(began.elapsed() < Duration::from_mins(1), "the run does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let began = Instant::now();
    (child.wait_with_output().unwrap(), began.elapsed())
}

fn slow_rows(request: &Request) -> Reply {
    std::thread::sleep(Duration::from_millis(30));
    one_row(request)
}

#[test]
fn a_signal_ends_a_run_with_its_days_whole_and_its_result() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let (api, lake) = (Api::new(slow_rows), tempfile::tempdir().unwrap());
        let (output, took) = interrupted(&api, lake.path(), signal);
        let ran = Ran::from(output).exits(code);
        assert!(took < Duration::from_secs(5), "{took:?}");
        let result = ran.result();
        assert_eq!((&result["status"], &result["exit_code"]), (&"interrupted".into(), &code.into()));
        let published = files(lake.path());
        assert_eq!(result["dates"]["published"], published.len());
        assert!(published.iter().all(|file| file.starts_with("settlements/") && rows(&lake.path().join(file)).len() == 1));
        assert_eq!(result["dates"]["planned"], 366);
    }
}

#[test]
fn a_killed_run_leaves_whole_days_and_the_next_run_cleans_up() {
    let (api, lake) = (Api::new(slow_rows), tempfile::tempdir().unwrap());
    interrupted(&api, lake.path(), "-KILL");
    for file in files(lake.path()).iter().filter(|file| file.starts_with("settlements/")) {
        assert_eq!(rows(&lake.path().join(file)).len(), 1);
    }
    assert!(lake.path().join(".staging").exists(), "the run was to leave something");
    Run::backfill(&api).days("2024-01-01", "2024-01-02").into(lake.path()).ok();
    assert!(!lake.path().join(".staging").exists());
}

#[test]
fn a_clean_up_leaves_the_files_of_a_running_run() {
    let api = Api::new(|request| {
        if request.date() == "20240101" {
            std::thread::sleep(Duration::from_secs(2));
        }
        one_row(request)
    });
    let lake = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| Run::backfill(&api).days("2024-01-01", "2024-01-01").into(lake.path()).ran());
        while api.settlements().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Run::backfill(&api).days("2024-01-02", "2024-01-02").into(lake.path()).ok();
        assert!(lake.path().join(".staging").exists());
        slow.join().unwrap().ok();
    });
    assert_eq!(files(lake.path()).len(), 2);
    assert!(!lake.path().join(".staging").exists());
}

#[test]
fn the_result_is_also_written_to_a_file_however_the_run_ends() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let path = lake.path().join("result.json");
    let read = || serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path().join("lake")).arg("--result-file").arg(&path).ok();
    assert_eq!(read(), ran.result());
    let ran = Run::backfill(&api).days(DAY, DAY).into(&path).arg("--result-file").arg(&path).exits(7);
    assert_eq!((read(), &read()["exit_code"]), (ran.result(), &7.into()));
    let plan = Run::backfill(&api).days(DAY, DAY).into(lake.path().join("lake")).args(["--dry-run", "--result-file"]).arg(&path).ok();
    assert_eq!(read(), plan.result());
    let requests = api.settlements().len();
    Run::backfill(&api)
        .days(DAY, DAY)
        .into(lake.path().join("lake"))
        .args(["--refetch", "all", "--result-file", "/no/such/folder/x"])
        .exits(2);
    assert_eq!(api.settlements().len(), requests);
    let file = path.to_str().unwrap();
    run(&["backfill", "--from", DAY, "--to", "soon", "--dest", "x", "--result-file", file]).exits(2);
    assert_eq!(read()["status"], "failed");
    run(&["backfill", "--form", DAY, "--result-file", file]).exits(2);
    assert!(read()["error"].as_str().unwrap().contains("--form"));
}
