//! The Delta table's files: what they are made of, and what they cost. Readers of other makers judge the table in `tests/engines`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::api::{Api, Reply, envelope, one_row, row};
use crate::support::lake::files;
use crate::support::s3::S3;
use crate::support::{Ran, Run};

/// The table's data files, by name.
fn packed(lake: &Path) -> BTreeMap<String, Vec<u8>> {
    let delta = lake.join("delta");
    let names = files(&delta).into_iter().filter(|name| !name.starts_with("_delta_log"));
    names.map(|name| (name.clone(), fs::read(delta.join(name)).unwrap())).collect()
}

/// The files that a table made from the day files alone consists of.
fn packed_anew(lake: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::remove_dir_all(lake.join("delta")).unwrap();
    Run::new("delta").into(lake).ok();
    packed(lake)
}

/// What happens to a file.
type Damage = fn(&Path);

fn verified(lake: &Path) -> Ran {
    Run::new("verify").into(lake).ok()
}

#[test]
fn a_file_is_the_same_wherever_its_days_are_taken_from() {
    // as many rows as make pages of several sizes, row groups that end within a day, and days that share a batch
    for rows in ["3", "6000"] {
        let lake = tempfile::tempdir().unwrap();
        let run = |from: &str, to: &str, seed: &str| {
            let simulated = ["--env", "simulator", "--sim-rows", rows, "--rate-limit", "0", "--sim-seed", seed];
            let run = Run::new("backfill").days(from, to).into(lake.path()).args(simulated);
            run.args(["--refetch", "all", "--allow-empty-replacement", "--delta", "--output", "json"]).ok().result()
        };
        run("2024-01-08", "2024-02-02", "1");
        // the first and the last day, days in the middle, one that is new
        for (seed, day) in ["2024-01-08", "2024-01-31", "2024-01-17", "2024-01-18", "2024-01-07"].into_iter().enumerate() {
            let result = run(day, day, &(seed + 2).to_string());
            assert_eq!(result["delta"]["days"], 1, "{result}");
        }
        verified(lake.path());
        let (before, anew) = (packed(lake.path()), packed_anew(lake.path()));
        assert_eq!(anew.len(), 2);
        for (name, bytes) in anew {
            assert!(before.get(&name) == Some(&bytes), "{name} differs, with {rows} rows a day");
        }
    }
}

#[test]
fn a_daily_run_reads_no_day_file_that_the_table_holds() {
    let api = Api::new(|request| match (request.date(), request.earlier) {
        ("20240120", 1..) => Reply::json(envelope(&[row("20240120", &[("FEE", "231")])])),
        _ => one_row(request),
    });
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let s3 = S3::new(move |request| {
        seen.lock().unwrap().push((request.method.clone(), request.key.clone()));
        None
    });
    let backfill = |from: &str, to: &str| s3.lake(Run::backfill(&api).days(from, to).args(["--refetch", "all", "--delta"])).ok();
    backfill("2024-01-01", "2024-01-31");
    requests.lock().unwrap().clear();
    backfill("2024-01-20", "2024-01-20");
    let requests = requests.lock().unwrap();
    let read: Vec<&String> =
        requests.iter().filter(|(method, key)| method == "GET" && key.contains("settlements/")).map(|(_, key)| key).collect();
    assert!(read.iter().all(|key| key.contains("2024-01-20")), "{read:?}");
    assert_eq!(requests.iter().filter(|(method, key)| method == "GET" && key.contains("delta/2024-01/")).count(), 1, "{requests:?}");
}

#[test]
fn a_damaged_file_of_the_table_is_replaced_from_the_day_files() {
    let damages: [(&str, Damage); 5] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("cut", |path| fs::write(path, &fs::read(path).unwrap()[..900]).unwrap()),
        ("a bit in its rows", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[300] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("another month's", |path| {
            let others = path.parent().unwrap().parent().unwrap().join("2024-02");
            fs::copy(fs::read_dir(others).unwrap().next().unwrap().unwrap().path(), path).map(drop).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let api = Api::new(|request| match request.earlier {
            0 => one_row(request),
            _ => Reply::json(envelope(&[row(request.date(), &[("FEE", "231")])])),
        });
        let lake = tempfile::tempdir().unwrap();
        let backfill = |from: &str, to: &str| {
            Run::backfill(&api).days(from, to).into(lake.path()).args(["--refetch", "all", "--delta"]).ok();
        };
        backfill("2024-01-20", "2024-02-10");
        let january = packed(lake.path()).into_keys().find(|name| name.starts_with("2024-01")).unwrap();
        damage(&lake.path().join("delta").join(january));
        backfill("2024-01-25", "2024-01-25");
        verified(lake.path());
        let (before, anew) = (packed(lake.path()), packed_anew(lake.path()));
        assert!(anew.iter().all(|(name, bytes)| before.get(name) == Some(bytes)), "after a file that was {name}");
    }
}

#[test]
fn a_run_that_loses_a_commit_does_not_undo_the_days_of_the_other() {
    let api = Api::new(|request| match request.earlier {
        0 => one_row(request),
        _ => Reply::json(envelope(&[row(request.date(), &[("FEE", "231")])])),
    });
    let other = Arc::new(Mutex::new(None::<Run>));
    let to_run = Arc::clone(&other);
    // the other run does all of its work at the moment of this one's commit
    let s3 = S3::new(move |request| {
        if request.method == "PUT" && request.key.ends_with(&format!("{:020}.json", 1)) {
            let other = to_run.lock().unwrap().take();
            if let Some(other) = other {
                other.ok();
            }
        }
        None
    });
    let backfill = |from: &str, to: &str| s3.lake(Run::backfill(&api).days(from, to).args(["--refetch", "all", "--delta"]));
    backfill("2024-01-01", "2024-01-10").ok();
    *other.lock().unwrap() = Some(backfill("2024-01-07", "2024-01-07"));
    backfill("2024-01-05", "2024-01-05").ok();
    assert!(other.lock().unwrap().is_none(), "the other run has run");
    let status = s3.lake(Run::new("status").args(["--output", "json"])).ok().result();
    assert_eq!(status["delta"]["lag"], 0, "{status}");
}

#[test]
fn a_new_table_receives_the_merchants_that_were_named() {
    let lake = tempfile::tempdir().unwrap();
    let backfill = |id: &str, flags: &[&str]| {
        let simulated = ["--env", "simulator", "--api-id", id, "--rate-limit", "0", "--output", "json"];
        let merchants = ["--sim-merchant", "m1=k1", "--sim-merchant", "m2=k2"];
        let run = Run::new("backfill").days("2024-01-08", "2024-01-10").into(lake.path());
        run.env("COOKIEPAY_API_KEY", if id == "m1" { "k1" } else { "k2" }).args(simulated).args(merchants).args(flags).ok().result()
    };
    let delta = |flags: &[&str]| Run::new("delta").into(lake.path()).args(["--output", "json"]).args(flags).ok().result()["delta"].clone();
    backfill("m1", &[]);
    backfill("m2", &[]);
    assert_eq!(delta(&["--api-id", "m1"])["days"], 3);
    assert!(packed(lake.path()).keys().all(|name| name.contains("/m1-")));
    // all of them, unless some are named
    assert_eq!(delta(&[])["days"], 3);
    // a run has no say in which merchants the table has
    fs::remove_dir_all(lake.path().join("delta")).unwrap();
    assert_eq!(backfill("m1", &["--refetch", "all", "--delta"])["delta"]["days"], 6);
}
