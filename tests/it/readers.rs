//! The commands that only read the lake: `status` and `verify`.

use std::path::Path;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{day_file, files};
use crate::support::{Run, run};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const FROM: &str = "2024-01-05";

/// A lake of a closed day, an empty one, an open one and a restated one.
fn lake() -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    let api = Api::new(|request| {
        let day = request.date();
        Reply::json(match (day, request.earlier) {
            ("20240106", _) => envelope(&[]),
            ("20240107", _) => envelope(&[row(day, &[("STATUS_CD", r#""01""#), ("FEE", r#""-""#)])]),
            ("20240108", 0) => envelope(&[row(day, &[])]),
            _ => envelope(&[row(day, &[]), row(day, &[("TRXID", r#""B""#)])]),
        })
    });
    for refetch in ["open", "all"] {
        Run::backfill(&api).days(FROM, "2024-01-08").into(lake.path()).args(["--refetch", refetch]).ok();
    }
    lake
}

fn status(lake: &Path, more: &[&str], code: i32) -> Json {
    run(&[&["status", "--output", "json", "--dest", lake.to_str().unwrap()], more].concat()).exits(code).result()
}

fn verify(lake: &Path, more: &[&str], code: i32) -> Json {
    run(&[&["verify", "--output", "json", "--dest", lake.to_str().unwrap()], more].concat()).exits(code).result()
}

#[test]
fn status_shows_each_day() {
    let lake = lake();
    let found = status(lake.path(), &["--to", "2024-01-09"], 0);
    let days: Vec<Json> = found["days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| json!([day["pay_date"], day["state"], day["rows"], day["pending_rows"], day["restated"], day["overdue"]]))
        .collect();
    assert_eq!(
        days,
        [
            json!(["2024-01-05", "closed", 2, 0, false, false]),
            json!(["2024-01-06", "closed_empty", 0, 0, false, false]),
            json!(["2024-01-07", "open", 1, 1, false, true]),
            json!(["2024-01-08", "closed", 2, 0, true, false]),
            json!(["2024-01-09", "missing", null, null, false, false]),
        ]
    );
    assert_eq!(found["days"][0]["merchant_id"], "m1");
    assert_eq!(found["days"][0]["totals"]["auth_amount"], "20000.00");
    assert_eq!(found["counts"], json!({ "closed": 2, "closed_empty": 1, "open": 1, "missing": 1, "restated": 1, "overdue": 1 }));
}

#[test]
fn an_open_day_is_overdue_when_its_time_is_over() {
    let lake = lake();
    let window = ["--from", "2024-01-07", "--to", "2024-01-07", "--settle-window"];
    assert_eq!(status(lake.path(), &[&window[..], &["100000"]].concat(), 0)["counts"]["overdue"], 0);
    assert_eq!(status(lake.path(), &[&window[..], &["10"]].concat(), 0)["counts"]["overdue"], 1);
}

#[test]
fn status_fails_if_days_are_missing() {
    let lake = lake();
    status(lake.path(), &["--require-complete"], 0);
    status(lake.path(), &["--require-complete", "--from", FROM, "--to", "2024-01-08"], 0);
    status(lake.path(), &["--require-complete", "--from", "2024-01-04"], 3);
    status(lake.path(), &["--require-complete", "--api-id", "m2", "--from", FROM, "--to", FROM], 3);
    let empty = tempfile::tempdir().unwrap();
    status(empty.path(), &["--require-complete"], 3);
    run(&["status", "--require-complete", "--dest", "/nowhere/at/all"]).exits(3);
    run(&["status", "--dest", "x", "--from", "2024-02-01", "--to", "2024-01-01"]).exits(2);
}

#[test]
fn a_command_that_finds_nothing_to_read_fails_and_names_what_it_looked_for() {
    let lake = lake();
    let root = lake.path().to_str().unwrap().to_owned();
    let empty = tempfile::tempdir().unwrap();
    let table = format!("{root}/settlements");
    for command in ["status", "verify"] {
        let failed = |more: &[&str]| run(&[&[command], more].concat()).exits(2).stderr;
        assert!(failed(&["--dest", &root, "--api-id", "m11"]).contains("no day of merchant m11: it holds days of m1"));
        assert!(failed(&["--dest", &root, "--api-id", "m1", "--api-id", "m2"]).contains("no day of merchant m2"));
        assert!(failed(&["--dest", &table]).contains(&format!("use --dest {root}")));
        assert!(failed(&["--dest", empty.path().to_str().unwrap()]).contains("holds no day"));
        assert!(failed(&["--dest", "/nowhere/at/all"]).contains("there is no folder /nowhere/at/all"));
        // the variable that names the merchant to fetch does not hide the others
        Run::new(command).into(&root).env("COOKIEPAY_API_ID", "m9").ok();
    }
    // a range without days is missing, and does not count as nothing
    let missing = verify(lake.path(), &["--from", "2023-01-01", "--to", "2023-01-02"], 5);
    assert_eq!(missing["differences"].as_array().unwrap().len(), 2);
}

#[test]
fn a_destination_that_is_no_folder_or_lies_inside_the_lake() {
    let lake = lake();
    let day = lake.path().join(format!("settlements/pay_date={FROM}"));
    Run::rebuild().days(FROM, FROM).into(day.join("m1.parquet")).exits(2);
    for command in ["status", "verify"] {
        let ran = Run::new(command).into(&day).exits(2);
        assert!(ran.stderr.trim_end().ends_with(&format!("use --dest {}", lake.path().display())), "{ran:?}");
        let ran = Run::new(command).into(day.join("m1.parquet")).exits(2);
        assert!(ran.stderr.contains("not a directory"), "{ran:?}");
    }
}

#[test]
fn the_calendar_names_the_files_that_cannot_be_read() {
    let lake = lake();
    let file = day_file(lake.path(), FROM);
    std::fs::remove_file(&file).unwrap();
    // to read a pipe would wait for somebody who writes to it
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let ran = Run::new("status").into(lake.path()).ok();
    assert!(ran.stdout.contains(&format!("{FROM}: its file cannot be read: ")), "{ran:?}");
    verify(lake.path(), &[], 5);
}

#[test]
fn status_is_a_calendar_for_people() {
    let lake = lake();
    let shown = run(&["status", "--output", "text", "--dest", lake.path().to_str().unwrap(), "--to", "2024-01-10"]).ok().stdout;
    insta::assert_snapshot!(shown.replace(lake.path().to_str().unwrap(), "LAKE"));
}

#[test]
fn an_untouched_lake_verifies() {
    let lake = lake();
    // four days, and the version that was replaced
    assert_eq!(verify(lake.path(), &[], 0), json!({ "command": "verify", "status": "ok", "checked": 5, "differences": [] }));
}

#[test]
fn a_lost_table_is_reported_if_its_history_remains() {
    let lake = lake();
    std::fs::remove_dir_all(lake.path().join("settlements")).unwrap();
    assert_eq!(verify(lake.path(), &[], 5)["differences"][0]["what"], "it is missing");
    assert_eq!(status(lake.path(), &["--require-complete"], 3)["counts"]["missing"], 1);
}

#[test]
fn a_lake_of_two_environments_is_found() {
    let (ours, other) = (lake(), tempfile::tempdir().unwrap());
    run(&[
        "backfill",
        "--env",
        "simulator",
        "--api-id",
        "m1",
        "--from",
        "2024-01-09",
        "--to",
        "2024-01-09",
        "--dest",
        other.path().to_str().unwrap(),
    ])
    .ok();
    let theirs = day_file(ours.path(), "2024-01-09");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::copy(day_file(other.path(), "2024-01-09"), theirs).unwrap();
    let found = verify(ours.path(), &[], 5);
    assert!(found["differences"][0]["what"].as_str().unwrap().contains("simulator"), "{found}");
}

#[test]
fn a_replaced_version_is_verified_too() {
    let lake = lake();
    let kept = files(lake.path()).into_iter().find(|file| file.starts_with("history/")).unwrap();
    let mut bytes = std::fs::read(lake.path().join(&kept)).unwrap();
    bytes[100] ^= 4;
    std::fs::write(lake.path().join(&kept), &bytes).unwrap();
    let found = verify(lake.path(), &[], 5);
    assert_eq!((&found["differences"][0]["path"], &found["differences"][0]["pay_date"]), (&kept.into(), &"2024-01-08".into()));
    assert_eq!(found["differences"].as_array().unwrap().len(), 1);
}

#[test]
fn any_flipped_bit_is_found() {
    let lake = lake();
    let path = day_file(lake.path(), FROM);
    let whole = std::fs::read(&path).unwrap();
    // every part of the file, and each of the last bytes, which state the footer's length
    for at in (0..whole.len()).step_by(101).chain(whole.len() - 8..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, flipped).unwrap();
        let found = verify(lake.path(), &[], 5);
        let differences = found["differences"].as_array().unwrap();
        assert_eq!(differences.len(), 1, "byte {at}: {found}");
        assert_eq!(differences[0]["path"], "settlements/pay_date=2024-01-05/m1.parquet", "byte {at}");
        assert_eq!(differences[0]["pay_date"], FROM);
    }
    for cut in [0, 3, 11, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        verify(lake.path(), &[], 5);
    }
    std::fs::write(&path, &whole).unwrap();
    verify(lake.path(), &[], 0);
}

#[derive(Debug, Clone)]
enum Harm {
    Flip { file: usize, byte: prop::sample::Index, bit: u8 },
    Cut { file: usize, length: prop::sample::Index },
    Remove { file: usize },
    Swap { file: usize, with: usize },
}

fn harm() -> impl Strategy<Value = Harm> {
    // the first and the last day bound the range: without them no day is missing
    let file = 0..4usize;
    prop_oneof![
        4 => (file.clone(), any::<prop::sample::Index>(), 0..8u8).prop_map(|(file, byte, bit)| Harm::Flip { file, byte, bit }),
        2 => (file.clone(), any::<prop::sample::Index>()).prop_map(|(file, length)| Harm::Cut { file, length }),
        1 => (1..3usize).prop_map(|file| Harm::Remove { file }),
        2 => (file.clone(), 1..4usize).prop_map(|(file, more)| Harm::Swap { file, with: (file + more) % 4 }),
    ]
}

#[test]
fn verify_names_the_file_that_was_damaged() {
    let lake = lake();
    let days: Vec<String> = (5..=8).map(|day| format!("2024-01-{day:02}")).collect();
    let paths: Vec<_> = days.iter().map(|day| day_file(lake.path(), day)).collect();
    let whole: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    proptest!(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }, |(harm in harm())| {
        let harmed = match &harm {
            Harm::Flip { file, byte, bit } => {
                let mut bytes = whole[*file].clone();
                bytes[byte.index(whole[*file].len())] ^= 1 << bit;
                std::fs::write(&paths[*file], bytes).unwrap();
                vec![*file]
            }
            Harm::Cut { file, length } => {
                std::fs::write(&paths[*file], &whole[*file][..length.index(whole[*file].len())]).unwrap();
                vec![*file]
            }
            Harm::Remove { file } => {
                std::fs::remove_file(&paths[*file]).unwrap();
                vec![*file]
            }
            Harm::Swap { file, with } => {
                std::fs::write(&paths[*file], &whole[*with]).unwrap();
                std::fs::write(&paths[*with], &whole[*file]).unwrap();
                vec![*file.min(with), *file.max(with)]
            }
        };
        let found = verify(lake.path(), &[], 5);
        let named: Vec<&str> = found["differences"].as_array().unwrap().iter().map(|found| found["pay_date"].as_str().unwrap()).collect();
        for (path, bytes) in paths.iter().zip(&whole) {
            std::fs::write(path, bytes).unwrap();
        }
        prop_assert_eq!(named, harmed.iter().map(|file| days[*file].as_str()).collect::<Vec<_>>());
    });
    verify(lake.path(), &[], 0);
}

#[test]
fn a_missing_day_and_swapped_days_are_found() {
    let lake = lake();
    std::fs::remove_file(day_file(lake.path(), "2024-01-06")).unwrap();
    let found = verify(lake.path(), &[], 5);
    assert_eq!((&found["differences"][0]["pay_date"], &found["differences"][0]["what"]), (&"2024-01-06".into(), &"it is missing".into()));
    verify(lake.path(), &["--from", "2024-01-07"], 0);

    let (a, b) = (day_file(lake.path(), FROM), day_file(lake.path(), "2024-01-08"));
    let swap = lake.path().join("swap");
    std::fs::rename(&a, &swap).unwrap();
    std::fs::rename(&b, &a).unwrap();
    std::fs::rename(&swap, &b).unwrap();
    let found = verify(lake.path(), &["--from", FROM, "--to", "2024-01-08"], 5);
    let paths: Vec<&str> = found["differences"].as_array().unwrap().iter().map(|difference| difference["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["05", "06", "08"].map(|day| format!("settlements/pay_date=2024-01-{day}/m1.parquet")));
}

#[test]
fn raw_responses_are_kept_as_received_and_verified() {
    let body = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, envelope(&vec![row("20240105", &[]); 3000]).as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let reply = Reply::new(200, &[("Content-Type", "application/json; charset=utf-8"), ("Content-Encoding", "gzip")], &body);
    let api = Api::new(move |_| reply.clone());
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&api).days(FROM, FROM).into(lake.path()).arg("--keep-raw").ok();
    let raw: Vec<String> = files(lake.path()).into_iter().filter(|file| file.starts_with("raw/pay_date=2024-01-05/m1-")).collect();
    assert_eq!(raw.len(), 1, "{raw:?}");
    let kept = std::fs::read(lake.path().join(&raw[0])).unwrap();
    // a decoder skips the first frame, which describes the bytes after it
    assert_eq!(zstd::decode_all(&kept[..]).unwrap(), body);
    let length = usize::try_from(u32::from_le_bytes(kept[4..8].try_into().unwrap())).unwrap();
    let header: Json = serde_json::from_slice(&kept[8..8 + length]).unwrap();
    assert_eq!((&header["merchant_id"], &header["content_encoding"]), (&"m1".into(), &"gzip".into()));
    let record = crate::support::lake::record(&day_file(lake.path(), FROM));
    assert_eq!((&record["raw"]["name"], &header["extracted_at"]), (&raw[0].clone().into(), &record["extracted_at"]));
    verify(lake.path(), &[], 0);
    std::fs::write(lake.path().join(&raw[0]), &kept[..kept.len() - 1]).unwrap();
    assert!(verify(lake.path(), &[], 5)["differences"][0]["what"].as_str().unwrap().contains("has changed"));
    std::fs::remove_file(lake.path().join(&raw[0])).unwrap();
    assert!(verify(lake.path(), &[], 5)["differences"][0]["what"].as_str().unwrap().contains("missing"));
}

#[test]
fn the_response_of_a_refused_day_is_kept_too() {
    let api = Api::responding(envelope(&[row("20240105", &[("FEE", r#""x""#)])]));
    let lake = tempfile::tempdir().unwrap();
    Run::backfill(&api).days(FROM, FROM).into(lake.path()).arg("--keep-raw").exits(5);
    let kept = files(lake.path());
    assert_eq!(kept.iter().filter(|file| file.starts_with("raw/")).count(), 1, "{kept:?}");
    assert!(!lake.path().join(".staging").exists());
}

#[test]
fn neither_command_writes_to_the_lake() {
    let lake = lake();
    let before = files(lake.path());
    status(lake.path(), &[], 0);
    verify(lake.path(), &[], 0);
    assert_eq!(files(lake.path()), before);
}
