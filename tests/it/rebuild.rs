//! `rebuild`: days rebuilt from saved responses and files, without the API.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{day_file, files, record, rows};
use crate::support::{KEY, Ran, Run, binary, finish};
use cookiepay_etl::settlement::columns::{hex, schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::KeyValue;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

const DAY: &str = "2024-01-05";

/// A rebuild of `days`; it has no credentials and no API.
fn rebuild(lake: &Path, days: (&str, &str), more: &[&str]) -> Ran {
    Run::rebuild().days(days.0, days.1).into(lake).args(more).ran()
}

/// A lake of `DAY` whose responses are saved.
fn kept(bodies: Vec<String>) -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    let runs = bodies.len();
    let api = Api::in_turn(bodies);
    for _ in 0..runs {
        Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--keep-raw", "--refetch", "all"]).ran();
    }
    lake
}

fn below(lake: &Path, folder: &str) -> Vec<PathBuf> {
    files(lake).iter().filter(|file| file.starts_with(folder)).map(|file| lake.join(file)).collect()
}

fn verified(lake: &Path) {
    Run::new("verify").into(lake).ok();
}

#[test]
fn unchanged_days_stay_untouched_without_a_request() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).arg("--keep-raw").ok();
    let before: Vec<Vec<u8>> = files(lake.path()).iter().map(|file| std::fs::read(lake.path().join(file)).unwrap()).collect();
    let requests = api.settlements().len();
    let result = rebuild(lake.path(), (DAY, "2024-01-07"), &[]).ok().result();
    assert_eq!(result["command"], "rebuild");
    assert_eq!(
        result["dates"],
        json!({ "planned": 3, "published": 0, "unchanged": 3, "skipped": 0, "failed": 0, "not_attempted": 0, "empty": 0, "updated": 0 })
    );
    assert_eq!((&result["rows"], &result["requests"], &result["merchants"][0]["merchant_id"]), (&3.into(), &0.into(), &"m1".into()));
    let after: Vec<Vec<u8>> = files(lake.path()).iter().map(|file| std::fs::read(lake.path().join(file)).unwrap()).collect();
    assert_eq!((before, requests), (after, api.settlements().len()));
}

#[test]
fn a_lost_day_is_rebuilt_from_its_newest_response() {
    let body = |fee: &str| envelope(&[row("20240105", &[("FEE", fee)]), row("20240105", &[("TRXID", r#""쿠키""#)])]);
    let lake = kept(vec![body("230"), body("231")]);
    let was = record(&day_file(lake.path(), DAY));
    std::fs::remove_file(day_file(lake.path(), DAY)).unwrap();
    let result = rebuild(lake.path(), (DAY, DAY), &[]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["rows"]), (&1.into(), &2.into()));
    let is = record(&day_file(lake.path(), DAY));
    assert_eq!(rows(&day_file(lake.path(), DAY))[0]["fee"], "231.00");
    // the whole record except the run that wrote it
    for (key, value) in was.as_object().unwrap() {
        match key.as_str() {
            "run_id" => assert_eq!(is[key], result["run_id"]),
            "seal" => assert_ne!(is[key], *value),
            _ => assert_eq!(is[key], *value, "{key}"),
        }
    }
    verified(lake.path());
}

#[test]
fn responses_in_another_charset_or_compressed_are_rebuilt() {
    let (korean, _, _) = encoding_rs::EUC_KR.encode(r#"{"RESULTCODE":"0000","RESULTMSG":"정상","DATA":[ROW]}"#);
    let rows_of = row("20240105", &[("NEW", r#""쿠키""#)]);
    let (rows_of, _, _) = encoding_rs::EUC_KR.encode(&rows_of);
    let at = memchr::memmem::find(&korean, b"ROW").unwrap();
    let body = [&korean[..at], &rows_of, &korean[at + 3..]].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &body).unwrap();
    let reply =
        Reply::new(200, &[("Content-Type", "application/json; charset=euc-kr"), ("Content-Encoding", "gzip")], gzip.finish().unwrap());
    let api = Api::new(move |_| reply.clone());
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).arg("--keep-raw").ok();
    let was = rows(&day_file(lake.path(), DAY));
    std::fs::remove_file(day_file(lake.path(), DAY)).unwrap();
    rebuild(lake.path(), (DAY, DAY), &[]).ok();
    let is = rows(&day_file(lake.path(), DAY));
    assert_eq!(is[0]["extra"], r#"{"NEW":"쿠키"}"#);
    assert_eq!((is[0]["extra"].clone(), is[0]["extracted_at"].clone()), (was[0]["extra"].clone(), was[0]["extracted_at"].clone()));
}

#[test]
fn a_refused_day_is_refused_again_unless_bad_rows_may_be_rejected() {
    let lake = kept(vec![envelope(&[row("20240105", &[]), row("20240105", &[("FEE", r#""x""#)])])]);
    assert!(!day_file(lake.path(), DAY).exists());
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("contract").contains("FEE"));
    let result = rebuild(lake.path(), (DAY, DAY), &["--bad-rows", "reject"]).exits(3).result();
    assert_eq!((&result["rows"], &result["rejected_rows"]), (&1.into(), &1.into()));
    verified(lake.path());
}

#[test]
fn an_empty_response_does_not_replace_rows_here_either() {
    let lake = kept(vec![envelope(&[row("20240105", &[])]), r#"{"RESULTCODE":"E008"}"#.into()]);
    let ran = rebuild(lake.path(), (DAY, DAY), &[]).ok();
    assert!(ran.result()["dates"]["unchanged"] == 1 && ran.stderr.contains("from which the day was built"), "{ran:?}");
    assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 1);
    let result = rebuild(lake.path(), (DAY, DAY), &["--allow-empty-replacement"]).ok().result();
    assert_eq!(result["restated"][0]["removed"], 1);
    verified(lake.path());
}

#[test]
fn a_lost_day_is_not_rebuilt_from_a_refused_empty_response() {
    let lake = kept(vec![envelope(&[row("20240105", &[])]), r#"{"RESULTCODE":"E008"}"#.into()]);
    std::fs::remove_file(day_file(lake.path(), DAY)).unwrap();
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard").contains("--allow-empty-replacement"));
    assert!(!day_file(lake.path(), DAY).exists());
    rebuild(lake.path(), (DAY, DAY), &["--allow-empty-replacement"]).ok();
    assert_eq!(rows(&day_file(lake.path(), DAY)).len(), 0);
}

#[test]
fn a_damaged_file_is_rebuilt_and_kept_as_evidence() {
    for at in [8, 300, 1500] {
        let lake = kept(vec![envelope(&[row("20240105", &[])])]);
        let path = day_file(lake.path(), DAY);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let ran = rebuild(lake.path(), (DAY, DAY), &[]).ok();
        assert_eq!(ran.result()["dates"]["published"], 1, "{ran:?}");
        assert!(ran.stderr.contains("damaged"), "{ran:?}");
        let history = below(lake.path(), "history/");
        assert!(history.len() == 1 && history[0].to_str().unwrap().ends_with("-00000000.parquet"), "{history:?}");
        assert_eq!(std::fs::read(&history[0]).unwrap(), bytes);
        verified(lake.path());
    }
}

#[test]
fn a_lost_day_is_not_rebuilt_from_a_response_older_than_its_history() {
    let fee = |fee: &str| envelope(&[row("20240105", &[("FEE", fee)])]);
    let lake = kept(vec![fee("230")]);
    let unkept = Api::in_turn(vec![fee("231"), fee("232")]);
    for _ in 0..2 {
        Run::backfill(&unkept).days(DAY, DAY).into(lake.path()).args(["--refetch", "all"]).ok();
    }
    std::fs::remove_file(day_file(lake.path(), DAY)).unwrap();
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard").contains("later response"));
}

#[test]
fn an_error_code_is_no_failure_of_the_api() {
    let (api, lake) = (Api::responding(r#"{"RESULTCODE":"E999"}"#), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-12").into(lake.path()).args(["--keep-raw", "--empty-code", "E999"]).ok();
    let ran = rebuild(lake.path(), (DAY, "2024-01-12"), &[]).exits(5);
    let result = ran.result();
    assert_eq!((&result["dates"]["failed"], &result["failures"][0]["kind"]), (&8.into(), &"contract".into()), "{ran:?}");
    assert!(ran.stderr.contains("--empty-code"));
    assert_eq!(rebuild(lake.path(), (DAY, "2024-01-12"), &["--empty-code", "E999"]).ok().result()["dates"]["unchanged"], 8);
}

#[test]
fn responses_of_another_environment_are_refused() {
    let lake = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.args(["backfill", "--env", "simulator", "--api-id", "m1", "--keep-raw", "--from", DAY, "--to", DAY, "--dest"]).arg(lake.path());
    finish(&mut command).ok();
    std::fs::remove_dir_all(lake.path().join("settlements")).unwrap();
    Run::backfill(&Api::one_row()).days("2024-01-06", "2024-01-06").into(lake.path()).ok();
    let ran = rebuild(lake.path(), (DAY, DAY), &[]).exits(5);
    assert!(ran.failure("guard").contains("simulator") && !day_file(lake.path(), DAY).exists(), "{ran:?}");
}

#[test]
fn a_response_that_contains_a_secret_is_not_kept() {
    let api = Api::new(|request| {
        let token = &request.headers["token"];
        let body = format!(r#"{{"RESULTCODE":"0000","DATA":[{}],"RESULTMSG":"{KEY} {token}"}}"#, row(request.date(), &[]));
        Reply::json(body)
    });
    let lake = tempfile::tempdir().unwrap();
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).arg("--keep-raw").ok();
    assert!(ran.stderr.contains("was not kept"), "{ran:?}");
    assert_eq!(files(lake.path()), [format!("settlements/pay_date={DAY}/m1.parquet")]);
    assert!(record(&day_file(lake.path(), DAY)).get("raw").is_none());
}

/// The only response that was kept: its header, and its bytes as received.
fn saved(lake: &Path) -> (String, Json, Vec<u8>) {
    let kept = below(lake, "raw/");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let bytes = std::fs::read(&kept[0]).unwrap();
    let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let name = kept[0].strip_prefix(lake).unwrap().to_str().unwrap().to_owned();
    (name, serde_json::from_slice(&bytes[8..8 + length]).unwrap(), zstd::decode_all(&bytes[..]).unwrap())
}

#[test]
fn a_refused_response_is_kept_and_named() {
    let html = "<html><body>점검 중입니다</body></html>";
    for (body, kind) in [
        (r#"{"RESULTCODE":"0000","ROWS":[{"TRXID":"A"}]}"#, "contract"),
        (r#"{"RESULTCODE":"E999","RESULTMSG":"system error"}"#, "upstream"),
        (html, "upstream"),
        (r#"{"RESULTCODE":"0000","DATA":[{"TRXID":"#, "upstream"),
    ] {
        let (api, lake) = (Api::responding(body), tempfile::tempdir().unwrap());
        let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--keep-raw", "--retries", "1"]).ran();
        let message = ran.failure(kind);
        let (name, header, received) = saved(lake.path());
        assert!(message.ends_with(&format!("what was received is kept as {name}")), "{message}");
        assert_eq!(String::from_utf8(received).unwrap(), body);
        assert!(message.starts_with(header["refused"].as_str().unwrap()), "{header}");
        // without --keep-raw, nothing is
        let bare = tempfile::tempdir().unwrap();
        Run::backfill(&api).days(DAY, DAY).into(bare.path()).args(["--retries", "0"]).ran().failure(kind);
        assert_eq!(files(bare.path()), [""; 0]);
    }
}

#[test]
fn a_refused_response_that_contains_a_secret_is_not_kept() {
    for compressed in [false, true] {
        let api = Api::new(move |request| {
            let body = format!("<html>{} {KEY} {}</html>", "x".repeat(100), request.headers["token"]);
            if !compressed {
                return Reply::new(200, &[], body);
            }
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, body.as_bytes()).unwrap();
            Reply::new(200, &[("Content-Encoding", "gzip")], gzip.finish().unwrap())
        });
        let lake = tempfile::tempdir().unwrap();
        let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--keep-raw", "--retries", "0"]).exits(6);
        assert_eq!(files(lake.path()), [""; 0], "{ran:?}");
        assert!(!ran.prints(KEY));
    }
}

#[test]
fn a_refused_response_does_not_stand_in_the_way_of_a_rebuild() {
    let good = envelope(&[row("20240105", &[])]);
    let lake = kept(vec![good, r#"{"RESULTCODE":"E999","RESULTMSG":"system error"}"#.to_owned()]);
    assert_eq!(below(lake.path(), "raw/").len(), 2);
    let ran = rebuild(lake.path(), (DAY, DAY), &[]).ok();
    assert_eq!(ran.result()["dates"]["unchanged"], 1);
    assert!(ran.stderr.contains("it was refused when it arrived"), "{ran:?}");
    std::fs::remove_file(day_file(lake.path(), DAY)).unwrap();
    assert_eq!(rebuild(lake.path(), (DAY, DAY), &[]).ok().result()["dates"]["published"], 1);
    verified(lake.path());
    // with nothing but refused ones, a missing day is not repaired
    let lake = kept(vec![r#"{"RESULTCODE":"E999","RESULTMSG":"system error"}"#.to_owned()]);
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard").contains("had been refused"));
}

#[test]
fn an_older_response_never_replaces_a_later_day() {
    let lake = kept(vec![envelope(&[row("20240105", &[])])]);
    let later = Api::responding(envelope(&[row("20240105", &[("FEE", "231")])]));
    Run::backfill(&later).days(DAY, DAY).into(lake.path()).args(["--refetch", "all"]).ok();
    let ran = rebuild(lake.path(), (DAY, DAY), &[]).ok();
    assert_eq!(ran.result()["dates"]["skipped"], 1);
    assert!(ran.stderr.contains("their files are intact"), "{ran:?}");
    assert_eq!(rows(&day_file(lake.path(), DAY))[0]["fee"], "231.00");
}

#[test]
fn a_damaged_or_swapped_response_is_refused() {
    let lake = kept(vec![envelope(&[row("20240105", &[])])]);
    let raw = below(lake.path(), "raw/").remove(0);
    let whole = std::fs::read(&raw).unwrap();
    let before = std::fs::read(day_file(lake.path(), DAY)).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&raw, flipped).unwrap();
        rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard");
    }
    for cut in [0, 7, whole.len() - 1] {
        std::fs::write(&raw, &whole[..cut]).unwrap();
        assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard").contains("damaged"));
    }
    assert_eq!(std::fs::read(day_file(lake.path(), DAY)).unwrap(), before);
    let other = raw.to_str().unwrap().replace("pay_date=2024-01-05", "pay_date=2024-01-06");
    std::fs::create_dir_all(Path::new(&other).parent().unwrap()).unwrap();
    std::fs::write(&other, &whole).unwrap();
    std::fs::remove_file(&raw).unwrap();
    assert!(rebuild(lake.path(), ("2024-01-06", "2024-01-06"), &[]).exits(5).failure("guard").contains("for 2024-01-05"));
}

#[test]
fn a_dry_run_prints_what_each_day_would_be_rebuilt_from() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).arg("--keep-raw").ok();
    Run::backfill(&api).days("2024-01-06", "2024-01-06").into(lake.path()).ok();
    let before = files(lake.path());
    let plan = rebuild(lake.path(), (DAY, "2024-01-07"), &["--dry-run"]).ok().result();
    assert_eq!(plan["dates"], json!({ "planned": 3, "skip": 1, "rebuild": 2 }));
    let actions: Vec<&Json> = plan["days"].as_array().unwrap().iter().map(|day| &day["action"]).collect();
    assert_eq!(actions, ["rebuild", "skip", "rebuild"]);
    assert!(plan["days"][2]["reason"].as_str().unwrap().contains("fetch the day with backfill"), "{plan}");
    assert_eq!(files(lake.path()), before);
}

#[test]
fn every_merchant_is_rebuilt_unless_one_is_named() {
    let lake = tempfile::tempdir().unwrap();
    for id in ["가게", "m2"] {
        let mut command = binary();
        command
            .args(["backfill", "--env", "simulator", "--api-id", id, "--keep-raw", "--from", DAY, "--to", DAY, "--dest"])
            .arg(lake.path());
        finish(&mut command).ok();
    }
    let result = rebuild(lake.path(), (DAY, DAY), &[]).ok().result();
    let of: Vec<(&Json, &Json)> =
        result["merchants"].as_array().unwrap().iter().map(|part| (&part["merchant_id"], &part["dates"]["unchanged"])).collect();
    assert_eq!(of, [(&json!("가게"), &json!(1)), (&json!("m2"), &json!(1))]);
    assert_eq!(result["dates"]["planned"], 2);
    assert_eq!(result["rows"], result["merchants"][0]["rows"].as_u64().unwrap() + result["merchants"][1]["rows"].as_u64().unwrap());
    assert_eq!(rebuild(lake.path(), (DAY, DAY), &["--api-id", "m2"]).ok().result()["dates"]["planned"], 1);
}

#[test]
fn an_absent_lake_and_an_empty_one() {
    let lake = tempfile::tempdir().unwrap();
    rebuild(&lake.path().join("no"), (DAY, DAY), &[]).exits(2);
    assert!(!lake.path().join("no").exists());
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(2).stderr.contains("holds no day"));
    rebuild(lake.path(), (DAY, "2024-01-04"), &[]).exits(2);
    let unsaid = finish(binary().args(["rebuild", "--from", DAY, "--dest"]).arg(lake.path())).exits(2).result();
    assert!(unsaid["error"].as_str().unwrap().contains("--to <DATE>"), "{unsaid}");
    assert!(rebuild(lake.path(), (DAY, DAY), &["--api-id", "m9"]).exits(2).stderr.contains("no day"));
}

#[test]
fn days_that_cannot_be_rebuilt_are_failures() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    Run::backfill(&api).days(DAY, "2024-01-09").into(lake.path()).ok();
    let damaged = |day: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = day_file(lake.path(), day);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    };
    // one day is missing, one has no record, and one has a flipped bit that only its seal shows
    std::fs::remove_file(day_file(lake.path(), "2024-01-06")).unwrap();
    damaged("2024-01-07", &|bytes| bytes.truncate(100));
    damaged("2024-01-08", &|bytes| bytes[10] ^= 1);
    let ran = rebuild(lake.path(), (DAY, "2024-01-09"), &[]).exits(3);
    let result = ran.result();
    assert_eq!((&result["dates"]["skipped"], &result["dates"]["failed"]), (&2.into(), &3.into()));
    let failures = result["failures"].as_array().unwrap();
    for (failure, day) in failures.iter().zip(["2024-01-06", "2024-01-07", "2024-01-08"]) {
        assert_eq!((&failure["pay_date"], &failure["kind"]), (&day.into(), &"guard".into()));
        assert!(failure["message"].as_str().unwrap().contains("fetch the day with backfill"), "{failure}");
    }
    // nothing but failures
    rebuild(lake.path(), ("2024-01-06", "2024-01-08"), &[]).exits(5);
}

/// Rewrites a day's file as a version with other columns would have written it: without `drop`, and with its own
/// fingerprint and seal.
fn as_other_version(path: &Path, drop: &[&str]) {
    let bytes = bytes::Bytes::from(std::fs::read(path).unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, ArrowReaderOptions::new().with_schema(schema())).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let keep: Vec<usize> = (0..schema().fields().len()).filter(|index| !drop.contains(&schema().field(*index).name().as_str())).collect();
    let mut stated = record(path);
    let printed = String::from_utf8(binary().args(["schema", "--format", "json"]).output().unwrap().stdout).unwrap();
    let printed: Json = serde_json::from_str(&printed).unwrap();
    let mut hash = Sha256::new();
    hash.update("v1\n");
    for column in printed["columns"].as_array().unwrap() {
        let name = column["name"].as_str().unwrap();
        if !drop.contains(&name) {
            hash.update(format!("{name} {} {}\n", column["type"].as_str().unwrap(), column["nullable"]));
        }
    }
    stated["schema_fingerprint"] = hex(&hash.finalize()[..8]).into();
    for name in drop {
        stated["nulls"].as_object_mut().unwrap().remove(*name);
    }
    stated["seal"] = "0".repeat(64).into();
    let part = Arc::new(schema().project(&keep).unwrap());
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), part, options).unwrap();
    for batch in batches {
        writer.write(&batch.project(&keep).unwrap()).unwrap();
    }
    writer.append_key_value_metadata(KeyValue::new("cookiepay_etl.day".to_owned(), stated.to_string()));
    let mut bytes = writer.into_inner().unwrap();
    let seal = hex(&Sha256::digest(&bytes));
    let at = memchr::memmem::rfind(&bytes, &[b'0'; 64]).unwrap();
    bytes[at..at + 64].copy_from_slice(seal.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn days_of_a_narrower_schema_stop_a_run_and_are_carried_over() {
    let api = Api::responding(envelope(&[row("20240105", &[("FEE", r#""-""#)]), row("20240105", &[])]));
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
    let whole = record(&day_file(lake.path(), DAY));
    as_other_version(&day_file(lake.path(), DAY), &["cpid", "extra"]);
    let requests = api.settlements().len();
    let ran = Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).exits(7);
    assert!(ran.result()["error"].as_str().unwrap().contains("rebuild"), "{ran:?}");
    assert_eq!((api.settlements().len(), &ran.result()["dates"]["not_attempted"]), (requests, &2.into()));
    assert!(Run::new("verify").into(lake.path()).exits(5).stdout.contains("rebuild"));

    let result = rebuild(lake.path(), (DAY, DAY), &[]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["restated"], &result["rows"]), (&1.into(), &json!([]), &2.into()));
    let (is, landed) = (record(&day_file(lake.path(), DAY)), rows(&day_file(lake.path(), DAY)));
    assert_eq!((&is["sums"], &is["extracted_at"], &is["run_id"]), (&whole["sums"], &whole["extracted_at"], &result["run_id"]));
    assert_eq!(is["nulls"]["cpid"], json!({ "missing": 2 }));
    assert!(landed.iter().all(|row| !row.contains_key("cpid") && row["order_no"] == "ORD-1" && row["run_id"] == is["run_id"]));
    assert_eq!(below(lake.path(), "history/").len(), 1);
    verified(lake.path());
    Run::backfill(&api).days(DAY, DAY).into(lake.path()).ok();
}

#[test]
fn days_of_another_schema_are_rebuilt_from_their_response_or_not_at_all() {
    let lake = kept(vec![envelope(&[row("20240105", &[])])]);
    let was = std::fs::read(day_file(lake.path(), DAY)).unwrap();
    // a column that may not be NULL is missing: the file cannot be carried over
    as_other_version(&day_file(lake.path(), DAY), &["source_row"]);
    let result = rebuild(lake.path(), (DAY, DAY), &[]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["restated"]), (&1.into(), &json!([])));
    assert_eq!(rows(&day_file(lake.path(), DAY))[0]["source_row"], "1");
    verified(lake.path());

    std::fs::write(day_file(lake.path(), DAY), was).unwrap();
    as_other_version(&day_file(lake.path(), DAY), &["source_row"]);
    std::fs::remove_file(&below(lake.path(), "raw/")[0]).unwrap();
    let before = std::fs::read(day_file(lake.path(), DAY)).unwrap();
    assert!(rebuild(lake.path(), (DAY, DAY), &[]).exits(5).failure("guard").contains("cannot be converted"));
    assert_eq!(std::fs::read(day_file(lake.path(), DAY)).unwrap(), before);
}
