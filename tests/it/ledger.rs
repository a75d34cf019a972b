//! The ledger index: a copy of the day records that makes plans and `status` cheap. Whatever happens to it, or to the files that it
//! is about, only the time differs.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::day_file;
use crate::support::s3::{S3, S3Reply, S3Request};
use crate::support::{KEY, Run};
use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::Value as Json;

const DAYS: [&str; 3] = ["2024-01-05", "2024-01-06", "2024-01-07"];

fn index(lake: &Path) -> std::path::PathBuf {
    lake.join("ledger/m1.parquet")
}

/// The text of these columns of an index, row by row.
fn rows_of(path: &Path, columns: &[&str]) -> Vec<Vec<String>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader.map(Result::unwrap) {
        for row in 0..batch.num_rows() {
            let cell = |name: &&str| {
                let array = arrow_cast(batch.column_by_name(name).unwrap());
                array.as_string::<i32>().value(row).to_owned()
            };
            rows.push(columns.iter().map(cell).collect());
        }
    }
    rows
}

/// An array as text.
fn arrow_cast(array: &arrow_array::ArrayRef) -> arrow_array::ArrayRef {
    use arrow_array::types::{Date32Type, Decimal128Type, Int64Type};
    use arrow_array::{Array as _, StringArray};
    let text = |row: usize| match array.data_type() {
        _ if array.is_null(row) => "NULL".to_owned(),
        arrow_schema::DataType::Boolean => array.as_boolean().value(row).to_string(),
        arrow_schema::DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        arrow_schema::DataType::Date32 => array.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
        arrow_schema::DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        _ => array.as_string::<i32>().value(row).to_owned(),
    };
    Arc::new(StringArray::from_iter_values((0..array.len()).map(text)))
}

fn backfill(api: &Api, lake: &Path) -> Run {
    Run::backfill(api).days(DAYS[0], DAYS[2]).into(lake).args(["--refetch", "all"])
}

#[test]
fn the_index_holds_every_version_of_every_day() {
    let api = Api::new(|request| {
        let (day, pending) = (request.date(), [("STATUS_CD", r#""01""#)]);
        Reply::json(match (day, request.earlier) {
            ("20240105", 0) => envelope(&[row(day, &[])]),
            ("20240105", _) => envelope(&[row(day, &[("FEE", "231")]), row(day, &[("PAYMENTSTATUS", r#""22""#), ("AUTHAMT", "-1000")])]),
            ("20240106", _) => envelope(&[]),
            _ => envelope(&[row(day, &pending)]),
        })
    });
    let lake = tempfile::tempdir().unwrap();
    backfill(&api, lake.path()).ok();
    backfill(&api, lake.path()).ok();
    let found =
        rows_of(&index(lake.path()), &["pay_date", "current", "state", "open_because", "rows", "pending_rows", "auth_amount", "path"]);
    let told: Vec<Vec<&str>> = found.iter().map(|row| row[..7].iter().map(String::as_str).collect()).collect();
    assert_eq!(
        told,
        [
            ["2024-01-05", "false", "closed", "NULL", "1", "0", "10000.00"],
            ["2024-01-05", "true", "closed", "NULL", "2", "0", "9000.00"],
            ["2024-01-06", "true", "closed", "NULL", "0", "0", "0.00"],
            ["2024-01-07", "true", "open", "pending_rows", "1", "1", "10000.00"],
        ]
    );
    for row in &found {
        assert!(lake.path().join(&row[7]).is_file(), "{row:?}");
    }
    let record: Json = serde_json::from_str(&rows_of(&index(lake.path()), &["record"])[1][0]).unwrap();
    let groups = record["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let sums: Vec<(&str, u64, &str)> =
        groups.iter().map(|group| (group[0].as_str().unwrap(), group[4].as_u64().unwrap(), group[5][0].as_str().unwrap())).collect();
    assert_eq!(sums, [("11", 1, "10000.00"), ("22", 1, "-1000.00")]);
    // nothing to do, nothing written
    let before = std::fs::metadata(index(lake.path())).unwrap().modified().unwrap();
    backfill(&api, lake.path()).ok();
    assert_eq!(std::fs::metadata(index(lake.path())).unwrap().modified().unwrap(), before);
    Run::new("verify").into(lake.path()).ok();
}

#[test]
fn a_current_index_saves_every_request_but_the_listing() {
    let api = Api::new(|request| Reply::json(envelope(&[row(request.date(), &[])])));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let s3 = S3::new(move |request: &S3Request| {
        log.lock().unwrap().push(format!("{} {}", request.method, if request.key.is_empty() { "list" } else { &request.key }));
        None
    });
    for id in ["m1", "m2"] {
        let run = Run::new("backfill").args(["--base-url", &api.url, "--api-id", id, "--rate-limit", "0"]).env("COOKIEPAY_API_KEY", KEY);
        s3.lake(run).days("2024-01-01", "2024-02-15").ok();
    }
    let requests = |run: Run| {
        seen.lock().unwrap().clear();
        s3.lake(run).ok();
        let mut requests = seen.lock().unwrap().clone();
        requests.sort();
        requests
    };
    let indexes = ["GET lake/ledger/m1.parquet", "GET lake/ledger/m2.parquet", "GET list"];
    assert_eq!(requests(Run::new("status")), indexes);
    let plan = Run::backfill(&api).days("2024-01-01", "2024-02-15").arg("--dry-run");
    // the newest day's file shows whose lake it is only if no record does
    assert_eq!(requests(plan), ["GET lake/ledger/m1.parquet", "GET list"]);
    // a day that somebody replaced is read, and only that
    let key = "lake/settlements/pay_date=2024-01-09/m1.parquet";
    let other = s3.objects.lock().unwrap()["lake/settlements/pay_date=2024-01-09/m2.parquet"].clone();
    s3.objects.lock().unwrap().insert(key.to_owned(), other);
    let found = requests(Run::new("status"));
    assert!(found.contains(&format!("GET {key}")), "{found:?}");
}

#[test]
fn a_wrong_index_is_a_difference_and_a_stale_or_damaged_one_is_not() {
    let api = Api::one_row();
    let lake = tempfile::tempdir().unwrap();
    backfill(&api, lake.path()).ok();
    let whole = std::fs::read(index(lake.path())).unwrap();
    let verify = || Run::new("verify").into(lake.path()).args(["--output", "json"]);
    // damaged, in every way: one log line
    for bytes in [&b"x"[..], &whole[..whole.len() / 2], &[]] {
        std::fs::write(index(lake.path()), bytes).unwrap();
        assert_eq!(verify().ok().stderr.matches("the ledger index cannot be used").count(), 1);
        let status = Run::new("status").into(lake.path()).args(["--output", "json"]).ok();
        assert_eq!(status.stderr.matches("the ledger index cannot be used").count(), 1, "{status:?}");
        assert_eq!(status.result()["counts"]["closed"], 3);
    }
    // the next run writes it again
    backfill(&api, lake.path()).ok();
    let again = rows_of(&index(lake.path()), &["path", "digest"]);
    assert_eq!(again.len(), 3);
    // stale: the file changed, and the index does not know yet
    std::fs::remove_file(day_file(lake.path(), DAYS[1])).unwrap();
    let result = verify().exits(5).result();
    assert_eq!(result["differences"].as_array().unwrap().len(), 1, "the day, and not the index: {result}");
    backfill(&api, lake.path()).ok();
    // wrong: the file is the one that the index knows, and it states something else
    let bytes = std::fs::read(index(lake.path())).unwrap();
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![99; 3]));
    let replaced: ArrayRef = Arc::new(BooleanArray::from(vec![false; 3]));
    let bytes_stated: ArrayRef = Arc::new(Int64Array::from(vec![1; 3]));
    let long_ago: ArrayRef = Arc::new(Date32Array::from(vec![1; 3]));
    for (forged, times) in [
        (Some(("rows", rows)), 1),
        (Some(("current", replaced)), 1),
        (Some(("bytes", bytes_stated)), 1),
        (Some(("pay_date", long_ago)), 1),
        (None, 2),
    ] {
        std::fs::write(index(lake.path()), forge(bytes.clone(), forged.as_ref(), times)).unwrap();
        let result = verify().exits(5).result();
        assert_eq!(result["differences"].as_array().unwrap().len(), 3, "{result}");
        assert!(result["differences"][0]["path"] == "ledger/m1.parquet", "{result}");
        assert!(result["differences"][0]["what"].as_str().unwrap().contains("remove the index"), "{result}");
    }
}

#[test]
fn a_row_of_a_version_that_is_gone_is_a_difference() {
    let api = Api::new(|request| {
        Reply::json(match request.earlier {
            0 => envelope(&[row(request.date(), &[])]),
            _ => envelope(&[row(request.date(), &[("FEE", "231")])]),
        })
    });
    let lake = tempfile::tempdir().unwrap();
    backfill(&api, lake.path()).ok();
    backfill(&api, lake.path()).ok();
    let verify = || Run::new("verify").into(lake.path()).args(["--output", "json"]);
    verify().ok();
    std::fs::remove_dir_all(lake.path().join(format!("history/pay_date={}", DAYS[1]))).unwrap();
    let result = verify().exits(5).result();
    let differences = result["differences"].as_array().unwrap();
    assert_eq!((differences.len(), &differences[0]["path"]), (1, &"ledger/m1.parquet".into()), "{result}");
    assert!(differences[0]["what"].as_str().unwrap().contains("has no such file: remove the index"), "{result}");
    // of another day, it is none of this verification's
    verify().args(["--from", DAYS[0], "--to", DAYS[0]]).ok();
    // and what is to be done cures it
    std::fs::remove_file(index(lake.path())).unwrap();
    verify().ok();
}

/// The same index with another column, and each row so many times.
fn forge(bytes: Vec<u8>, forged: Option<&(&str, ArrayRef)>, times: usize) -> Vec<u8> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
    for batch in batches.iter().cycle().take(batches.len() * times) {
        let mut columns = batch.columns().to_vec();
        if let Some((name, column)) = forged {
            columns[schema.index_of(name).unwrap()] = Arc::clone(column);
        }
        writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn an_archived_day_whose_digest_agrees_is_unchanged() {
    let restated = Arc::new(AtomicBool::new(false));
    let serving = Arc::clone(&restated);
    let api = Api::new(move |request| {
        let fee = if serving.load(Ordering::Relaxed) { "231" } else { "230" };
        Reply::json(envelope(&[row(request.date(), &[("FEE", fee)])]))
    });
    let archived = Arc::new(AtomicBool::new(false));
    let is_archived = Arc::clone(&archived);
    let s3 = S3::new(move |request: &S3Request| {
        let reads = request.method == "GET" && request.key.starts_with("lake/settlements/pay_date=2024-01-06");
        (reads && is_archived.load(Ordering::Relaxed)).then(|| S3Reply::error(403, "InvalidObjectState", "archived"))
    });
    let run = || s3.lake(Run::backfill(&api).days(DAYS[0], DAYS[2])).args(["--refetch", "all"]);
    run().ok();
    archived.store(true, Ordering::Relaxed);
    let ran = run().ok();
    assert_eq!(ran.result()["dates"]["unchanged"], 3);
    assert!(ran.stderr.contains("unchanged, by the ledger index alone"), "{ran:?}");
    assert_eq!(s3.lake(Run::new("status")).args(["--output", "json"]).ok().result()["counts"]["closed"], 3);
    // what would replace it needs it
    restated.store(true, Ordering::Relaxed);
    let ran = run().exits(3);
    assert!(ran.failure("storage").contains("restore it first"), "{ran:?}");
    assert_eq!(ran.result()["restated"].as_array().unwrap().len(), 2);
}

#[test]
fn runs_that_write_the_index_at_once_lose_no_version_of_it() {
    let served = Arc::new(Mutex::new(0u32));
    let api = Api::new(move |request| {
        let mut fee = served.lock().unwrap();
        *fee += 1;
        Reply::json(envelope(&[row(request.date(), &[("FEE", &fee.to_string())])]))
    });
    let lake = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| backfill(&api, lake.path()).ok());
            }
        });
    }
    let kept = crate::support::lake::files(lake.path()).iter().filter(|file| file.starts_with("history/")).count();
    backfill(&api, lake.path()).ok();
    let rows = rows_of(&index(lake.path()), &["current"]);
    let history = rows.iter().filter(|row| row[0] == "false").count();
    assert_eq!(history, kept + 3, "one more of each day, by the last run");
    Run::new("verify").into(lake.path()).ok();
}

/// One step of a sequence.
#[derive(Debug, Clone)]
enum Step {
    Restate(usize, Vec<u16>),
    Run,
    Rebuild,
    /// A run that is killed after this many milliseconds.
    Kill(u64),
    RemoveDay(usize),
    /// A byte of a day's file changes.
    Damage(usize),
    RemoveIndex,
    DamageIndex,
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = prop::collection::vec(0u16..4, 0..4);
    prop_oneof![
        4 => (0..DAYS.len(), amounts).prop_map(|(day, amounts)| Step::Restate(day, amounts)),
        3 => Just(Step::Run),
        1 => Just(Step::Rebuild),
        2 => (0u64..200).prop_map(Step::Kill),
        1 => (0..DAYS.len()).prop_map(Step::RemoveDay),
        1 => (0..DAYS.len()).prop_map(Step::Damage),
        1 => Just(Step::RemoveIndex),
        1 => Just(Step::DamageIndex),
    ]
}

/// An API, and the approved amounts that it serves on each day.
fn serving() -> (Api, Arc<Mutex<[Vec<u16>; 3]>>) {
    let served: Arc<Mutex<[Vec<u16>; 3]>> = Arc::default();
    let serving = Arc::clone(&served);
    let api = Api::new(move |request| {
        let day = DAYS.iter().position(|day| day.replace('-', "") == request.date()).unwrap();
        let amounts = &serving.lock().unwrap()[day];
        let rows: Vec<String> = amounts.iter().map(|amount| row(request.date(), &[("AUTHAMT", &amount.to_string())])).collect();
        Reply::json(envelope(&rows))
    });
    (api, served)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_and_status_are_the_same_with_and_without_the_index(steps in prop::collection::vec(step(), 1..8)) {
        let (api, served) = serving();
        let root = tempfile::tempdir().unwrap();
        let lake = root.path().join("lake");
        let run = || backfill(&api, &lake).args(["--keep-raw", "--allow-empty-replacement"]);
        for step in [Step::Run].into_iter().chain(steps) {
            match &step {
                Step::Restate(day, amounts) => served.lock().unwrap()[*day].clone_from(amounts),
                Step::Run => drop(run().ran()),
                Step::Rebuild => drop(Run::rebuild().days(DAYS[0], DAYS[2]).into(&lake).ran()),
                Step::Kill(after) => {
                    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
                    command.args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", DAYS[0], "--to", DAYS[2], "--refetch", "all", "--dest"]);
                    let mut child = command.arg(&lake).env("COOKIEPAY_API_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                    std::thread::sleep(Duration::from_millis(*after));
                    child.kill().unwrap();
                    child.wait().unwrap();
                }
                Step::RemoveDay(day) => drop(std::fs::remove_file(day_file(&lake, DAYS[*day]))),
                Step::Damage(day) => {
                    if let Ok(mut bytes) = std::fs::read(day_file(&lake, DAYS[*day])) {
                        let at = bytes.len() / 2;
                        bytes[at] ^= 1;
                        std::fs::write(day_file(&lake, DAYS[*day]), bytes).unwrap();
                    }
                }
                Step::RemoveIndex => drop(std::fs::remove_file(index(&lake))),
                Step::DamageIndex => {
                    if index(&lake).exists() {
                        std::fs::write(index(&lake), "PAR1").unwrap();
                    }
                }
            }
            let found = || {
                let status = Run::new("status").into(&lake).args(["--output", "json", "--require-complete", "--from", DAYS[0], "--to", DAYS[2]]).ran();
                let plan = Run::backfill(&api).days(DAYS[0], DAYS[2]).into(&lake).args(["--dry-run", "--output", "json"]).ran();
                (status.stdout, plan.stdout)
            };
            let with = found();
            let aside = root.path().join("index");
            let moved = std::fs::rename(index(&lake), &aside).is_ok();
            let without = found();
            if moved {
                std::fs::rename(&aside, index(&lake)).unwrap();
            }
            prop_assert_eq!(with, without, "after {:?}", step);
        }
    }

    #[test]
    fn results_are_the_same_with_and_without_the_index(steps in prop::collection::vec(step(), 1..8)) {
        let (api, served) = serving();
        let root = tempfile::tempdir().unwrap();
        let lakes = ["with", "without"].map(|name| root.path().join(name));
        for step in [Step::Run].into_iter().chain(steps).chain([Step::Run]) {
            let results = lakes.each_ref().map(|lake| {
                if lake.ends_with("without") {
                    let _ = std::fs::remove_file(index(lake));
                }
                let result = match &step {
                    Step::Restate(day, amounts) => {
                        served.lock().unwrap()[*day].clone_from(amounts);
                        return Json::Null;
                    }
                    // what a killed run leaves depends on the moment
                    Step::Run | Step::Kill(_) => backfill(&api, lake).ran(),
                    Step::Rebuild => Run::rebuild().days(DAYS[0], DAYS[2]).into(lake).ran(),
                    Step::RemoveDay(day) => {
                        let _ = std::fs::remove_file(day_file(lake, DAYS[*day]));
                        return Json::Null;
                    }
                    Step::Damage(day) => {
                        if let Ok(bytes) = std::fs::read(day_file(lake, DAYS[*day])) {
                            std::fs::write(day_file(lake, DAYS[*day]), &bytes[..bytes.len() - 20]).unwrap();
                        }
                        return Json::Null;
                    }
                    Step::RemoveIndex | Step::DamageIndex => {
                        if index(lake).exists() {
                            std::fs::write(index(lake), "PAR1").unwrap();
                        }
                        return Json::Null;
                    }
                };
                let mut result = result.result();
                for key in ["run_id", "dest", "duration_ms", "bytes_written", "merchants"] {
                    result.as_object_mut().unwrap().remove(key);
                }
                result
            });
            prop_assert_eq!(&results[0], &results[1], "after {:?}", step);
        }
    }
}
