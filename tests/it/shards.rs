//! Several runs that share the merchants: `--shard I/N`. Of five shards, m1 belongs to the first, m2 to the last.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::support::api::Api;
use crate::support::lake::files;
use crate::support::{KEY, Ran, Run};

const DAY: &str = "2024-01-05";

/// A settings file of two merchants, each with a key file, and a lake.
struct Shops {
    folder: tempfile::TempDir,
    api: Api,
}

impl Shops {
    fn new(more: &str) -> Self {
        let shops = Self { folder: tempfile::tempdir().unwrap(), api: Api::one_row() };
        let mut settings = format!("{more}\nrate_limit = 0\n");
        for (name, id) in [("seoul", "m1"), ("busan", "m2")] {
            let key = shops.path(&format!("{id}.key"));
            std::fs::write(&key, KEY).unwrap();
            settings = format!("{settings}[[merchant]]\nname = \"{name}\"\napi_id = \"{id}\"\napi_key_file = \"{}\"\n", key.display());
        }
        std::fs::write(shops.path("etl.toml"), settings).unwrap();
        shops
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, command: &str) -> Run {
        let run = Run::new(command).args(["--base-url", &self.api.url, "--config"]).arg(self.path("etl.toml"));
        run.into(self.path("lake"))
    }

    fn backfill(&self) -> Run {
        self.run("backfill").days(DAY, DAY)
    }
}

fn merchants(ran: &Ran) -> Vec<String> {
    let parts = ran.result()["merchants"].as_array().cloned().unwrap_or_default();
    parts.iter().map(|part| part["merchant_id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_shards_of_a_run_add_up_to_it() {
    let shops = Shops::new("");
    let nothing: [&str; 0] = [];
    for (shard, expected) in [("1/5", &["m1"][..]), ("2/5", &nothing), ("3/5", &nothing), ("4/5", &nothing), ("5/5", &["m2"])] {
        let ran = shops.backfill().args(["--shard", shard]).ok();
        assert_eq!(merchants(&ran), expected, "{shard}");
        let result = ran.result();
        assert_eq!((&result["status"], &result["from"], &result["to"]), (&"success".into(), &DAY.into(), &DAY.into()), "{shard}");
        assert_eq!(result["dates"]["planned"], expected.len(), "{shard}");
        assert_eq!(result["requests"], 2 * expected.len(), "{shard}: a token and a day for each");
    }
    let days = files(&shops.path("lake")).into_iter().filter(|file| file.starts_with("settlements/")).count();
    assert_eq!(days, 2);
    // without the flag, and as 1/1, a run is about all of them
    for all in [&[][..], &["--shard", "1/1"]] {
        let ran = shops.backfill().args(all).ok();
        assert_eq!((merchants(&ran), &ran.result()["dates"]["skipped"]), (vec!["m1".into(), "m2".into()], &2.into()));
    }
}

#[test]
fn the_flag_precedes_the_variable_and_that_the_file() {
    let shops = Shops::new("shard = \"2/5\"");
    assert!(merchants(&shops.backfill().ok()).is_empty());
    assert_eq!(merchants(&shops.backfill().env("COOKIEPAY_SHARD", "1/5").ok()), ["m1"]);
    assert_eq!(merchants(&shops.backfill().env("COOKIEPAY_SHARD", "1/5").args(["--shard", "5/5"]).ok()), ["m2"]);
    // a blank variable is not set, and white space of a file of variables is no part of a value
    assert!(merchants(&shops.backfill().env("COOKIEPAY_SHARD", "").ok()).is_empty());
    assert_eq!(merchants(&shops.backfill().env("COOKIEPAY_SHARD", " 1/5\r").ok()), ["m1"]);
    let since = (chrono::Utc::now() - chrono::TimeDelta::days(2)).date_naive().to_string();
    assert_eq!(merchants(&shops.run("sync").args(["--since", &since, "--shard", "5/5"]).ok()), ["m2"]);
}

#[test]
fn other_commands_are_about_all_merchants() {
    let shops = Shops::new("shard = \"1/5\"");
    shops.backfill().args(["--shard", "1/1"]).ok();
    let shard = [("COOKIEPAY_SHARD", "1/5")];
    let check = shops.run("check").args(["--date", DAY]).envs(shard).ok();
    assert!(check.prints("token: m1") && check.prints("token: m2"), "{check:?}");
    let read = |command: &str| {
        let run = Run::new(command).arg("--config").arg(shops.path("etl.toml")).into(shops.path("lake"));
        run.args(["--output", "json"]).envs(shard)
    };
    assert_eq!(read("status").ok().result()["days"].as_array().map(Vec::len), Some(2));
    assert_eq!(read("verify").ok().result()["checked"], 2);
    for command in ["status", "verify", "check", "lookup", "rebuild"] {
        assert!(Run::new(command).args(["--shard", "1/5"]).exits(2).prints("--shard"), "{command}");
    }
}

#[test]
fn only_the_keys_of_the_shard_are_read() {
    let shops = Shops::new("");
    std::fs::remove_file(shops.path("m2.key")).unwrap();
    shops.backfill().args(["--shard", "1/5"]).ok();
    shops.backfill().args(["--shard", "2/5"]).ok();
    assert!(shops.backfill().args(["--shard", "5/5"]).exits(2).prints("m2.key"));
}

#[test]
fn a_merchant_that_is_named_is_processed_by_its_shard_alone() {
    let shops = Shops::new("");
    let busan = |shard: &str| shops.backfill().args(["--merchant", "busan", "--shard", shard]).ok();
    assert!(merchants(&busan("1/5")).is_empty());
    assert_eq!(merchants(&busan("5/5")), ["m2"]);

    let lake = shops.path("other");
    let alone = |shard: &str| Run::backfill(&shops.api).days(DAY, DAY).into(&lake).args(["--shard", shard]);
    assert!(merchants(&alone("5/5").ok()).is_empty());
    // not even its key
    assert!(merchants(&alone("5/5").env("COOKIEPAY_API_KEY", "").ok()).is_empty());
    assert_eq!(merchants(&alone("1/5").ok()), ["m1"]);
    assert!(alone("1/5").env("COOKIEPAY_API_KEY", "").exits(2).prints("no key for merchant m1"));

    let simulated =
        |shard: &str| Run::new("backfill").args(["--env", "simulator", "--shard", shard]).days(DAY, DAY).into(shops.path("third"));
    assert!(merchants(&simulated("1/5").ok()).is_empty());
    assert_eq!(merchants(&simulated("2/5").ok()), ["simulator"]);
}

#[test]
fn a_plan_is_the_shards() {
    let shops = Shops::new("");
    let planned = |shard: &str| {
        let result = shops.backfill().args(["--dry-run", "--output", "json", "--shard", shard]).ok().result();
        let days = result["days"].as_array().cloned().unwrap_or_default();
        days.iter().map(|day| day["merchant_id"].clone()).collect::<Vec<Json>>()
    };
    assert_eq!((planned("1/5"), planned("3/5")), (vec!["m1".into()], Vec::new()));
    assert!(!shops.path("lake").exists());
    assert_eq!((shops.api.tokens(), shops.api.settlements().len()), (0, 0));
}

#[test]
fn what_is_wrong_for_one_shard_is_wrong_for_all() {
    let shops = Shops::new("");
    shops.backfill().ok();
    let before = files(&shops.path("lake"));
    for shard in ["1/5", "2/5"] {
        // the lake holds another environment
        let other = Run::new("backfill").args(["--env", "simulator", "--config"]).arg(shops.path("etl.toml"));
        let refused = other.args(["--shard", shard]).days(DAY, DAY).into(shops.path("lake")).exits(2);
        assert!(refused.result()["error"].as_str().is_some_and(|error| error.contains("simulator")), "{refused:?}");
    }
    assert_eq!(files(&shops.path("lake")), before);
    let settings = std::fs::read_to_string(shops.path("etl.toml")).unwrap();
    for (table, reason) in [
        ("[[merchant]]\nname = \"x\"\napi_id = \"M1\"\n", "differ only in letter case"),
        ("[[merchant]]\nname = \"x\"\napi_id = \" m3\"\n", "white space"),
        ("[[merchant]]\nname = \"x\"\napi_id = \"m3\"\nsince = \"soon\"\n", "[[merchant]] x: since"),
    ] {
        std::fs::write(shops.path("etl.toml"), format!("{settings}{table}")).unwrap();
        for shard in ["1/5", "2/5"] {
            let refused = shops.backfill().args(["--shard", shard]).exits(2);
            assert!(refused.prints(reason), "{reason}: {refused:?}");
        }
    }
}

#[test]
fn shards_that_cannot_be_meant_are_refused_with_what_to_do() {
    let shops = Shops::new("");
    for (shard, what_to_do) in
        [("0/3", "add 1 to an index"), ("4/3", "I from 1 to N"), ("a/b", "must be I/N"), ("3", "must be I/N"), ("'1/3'", "write it as 1/3")]
    {
        let flag = shops.backfill().arg(format!("--shard={shard}")).exits(2);
        let variable = shops.backfill().env("COOKIEPAY_SHARD", shard).exits(2);
        for refused in [flag, variable] {
            let error = refused.result()["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.contains("--shard") && error.contains(what_to_do), "{shard}: {error}");
        }
    }
    let wrong = Shops::new("shard = 1");
    assert!(wrong.backfill().exits(2).prints("shard must be text in quotes"));
    assert_eq!((shops.api.tokens(), wrong.api.tokens()), (0, 0));
}
