//! Several merchants in one run: the settings file's tables, each with its own key, token and part of
//! the result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::api::{Api, Reply, Request, envelope, row};
use crate::support::lake::{files, rows};
use crate::support::{Ran, binary, finish};
use assert_cmd::Command;
use serde_json::Value as Json;

const FIRST: &str = "first-K3y-0123456789";
const SECOND: &str = "second-K3y-9876543210";

/// A folder with a settings file of two merchants, and a lake.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("second.key"), format!("{SECOND}\n")).unwrap();
        let settings = format!(
            "{more}\n\
             [[merchant]]\nname = \"seoul\"\napi_id = \"m1\"\napi_key_env = \"SEOUL_KEY\"\n\n\
             [[merchant]]\nname = \"busan\"\napi_id = \"m2\"\napi_key_file = \"{}\"\n",
            folder.path().join("second.key").display()
        );
        std::fs::write(folder.path().join("etl.toml"), settings).unwrap();
        Self { folder }
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("etl.toml")
    }

    fn add(&self, more: &str) {
        let settings = std::fs::read_to_string(self.settings()).unwrap() + more;
        std::fs::write(self.settings(), settings).unwrap();
    }

    fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = binary();
        command.args(words).arg("--config").arg(self.settings()).arg("--dest").arg(self.lake()).env("SEOUL_KEY", FIRST);
        command
    }

    fn backfill(&self, api: &Api, more: &[&str]) -> Ran {
        let mut command = self.command(&["backfill", "--from", "2024-01-05", "--to", "2024-01-07", "--retries", "1"]);
        finish(command.args(["--base-url", &api.url]).args(more))
    }
}

/// A row that names its merchant, so that a day of the wrong merchant would be noticed.
fn both(request: &Request) -> Reply {
    Reply::json(envelope(&[row(request.date(), &[("ORDERNO", &format!("\"of {}\"", merchant(request)))])]))
}

fn merchant(request: &Request) -> &str {
    request.body["API_ID"].as_str().unwrap_or_default()
}

fn parts(ran: &Ran) -> Vec<(String, Json)> {
    let parts = ran.result()["merchants"].as_array().cloned().unwrap_or_default();
    parts.into_iter().map(|part| (part["merchant_id"].as_str().unwrap().to_owned(), part["dates"].clone())).collect()
}

#[test]
fn all_of_the_tables_land_in_one_lake() {
    let (api, shop) = (Api::new(both), Shop::new(""));
    let ran = shop.backfill(&api, &[]).ok();
    let result = ran.result();
    assert_eq!((&result["dates"]["planned"], &result["dates"]["published"], &result["rows"]), (&6.into(), &6.into(), &6.into()));
    assert_eq!(result["token_requests"], 2, "a token each");
    let published = |part: &(String, Json)| (part.0.clone(), part.1["published"].clone());
    assert_eq!(parts(&ran).iter().map(published).collect::<Vec<_>>(), [("m1".into(), 3.into()), ("m2".into(), 3.into())]);
    for merchant in ["m1", "m2"] {
        let rows = rows(&shop.lake().join(format!("settlements/pay_date=2024-01-06/{merchant}.parquet")));
        assert_eq!((rows[0]["merchant_id"].as_str(), rows[0]["order_no"].clone()), (merchant, format!("of {merchant}")));
    }
    // each key was sent to the token endpoint once, and nowhere else
    let keys = api.requests("/payAuth/token").into_iter().filter_map(|request| request.body["pay2_key"].as_str().map(str::to_owned));
    assert_eq!(keys.collect::<Vec<_>>(), [FIRST, SECOND]);
    for secret in [FIRST, SECOND] {
        assert!(!ran.prints(secret));
    }
    assert_eq!(shop.backfill(&api, &[]).ok().result()["dates"]["skipped"], 6);
}

#[test]
fn one_merchants_refusal_does_not_stop_the_other() {
    // the first table's key is not used
    let api = Api::scripted(|request| match request.body["pay2_key"].as_str() {
        Some(FIRST) => Reply::json(r#"{"RTN_CD":"E101","RTN_MSG":"no such key"}"#),
        Some(_) => Reply::json(r#"{"RTN_CD":"0000","RTN_MSG":"ok","TOKEN":"t0ken"}"#),
        None => both(request),
    });
    let shop = Shop::new("");
    let ran = shop.backfill(&api, &[]).exits(3);
    let result = ran.result();
    assert_eq!((&result["status"], &result["dates"]["published"]), (&"partial".into(), &3.into()));
    let [(_, first), (_, second)] = parts(&ran).try_into().unwrap();
    assert_eq!((&first["published"], &second["published"]), (&0.into(), &3.into()));
    for failure in result["failures"].as_array().unwrap() {
        assert_eq!((&failure["merchant_id"], &failure["kind"]), (&"m1".into(), &"auth".into()));
    }
    assert!(ran.stderr.lines().any(|line| line.contains("m1") && line.contains("failed")), "a log line says whose day failed: {ran:?}");
    // nothing of another merchant landed in this run: the credentials are what is wrong
    let alone = shop.backfill(&api, &["--merchant", "seoul"]).exits(4).result();
    assert_eq!(alone["status"], "failed");
}

#[test]
fn a_merchant_is_named_with_merchant() {
    let (api, shop) = (Api::new(both), Shop::new(""));
    shop.backfill(&api, &["--merchant", "busan"]).ok();
    assert!(api.settlements().iter().all(|request| merchant(request) == "m2"));
    assert!(files(&shop.lake()).iter().all(|file| file.ends_with("m2.parquet")));

    // what the settings name is not what the lake holds: only a merchant that is named must be there
    finish(&mut shop.command(&["status", "--require-complete"])).ok();
    let missing = finish(&mut shop.command(&["status", "--require-complete", "--merchant", "seoul"])).exits(3);
    assert!(missing.stdout.contains("merchant m1: no day in the lake"), "{missing:?}");
    for command in ["status", "verify"] {
        let absent = finish(&mut shop.command(&[command, "--merchant", "seoul"])).exits(2);
        assert!(absent.stderr.contains("no day of merchant m1: it holds days of m2"), "{absent:?}");
    }

    shop.backfill(&api, &["--merchant", "busan", "--merchant", "seoul"]).ok();
    let of = |words: &[&str]| finish(shop.command(words).args(["--output", "json"])).ok().result();
    assert_eq!(of(&["status"])["counts"]["closed"], 6);
    assert_eq!(of(&["status", "--merchant", "seoul"])["days"].as_array().unwrap().len(), 3);
    assert_eq!(of(&["verify", "--merchant", "busan"])["checked"], 3);
    let rebuilt = of(&["rebuild", "--from", "2024-01-05", "--to", "2024-01-07", "--merchant", "seoul"]);
    assert_eq!((&rebuilt["merchants"][0]["merchant_id"], &rebuilt["merchants"][1]), (&"m1".into(), &Json::Null));

    let lookup = |more: &[&str]| {
        let mut command = binary();
        command.args(["lookup", "--date", "2024-01-05", "--base-url", &api.url, "--config"]).arg(shop.settings()).env("SEOUL_KEY", FIRST);
        finish(command.args(more))
    };
    assert!(lookup(&[]).exits(2).stderr.contains("name it with --merchant"));
    assert!(lookup(&["--merchant", "busan"]).ok().stdout.contains("of m2"));
}

#[test]
fn check_has_lines_for_each() {
    let (api, shop) = (Api::new(both), Shop::new(""));
    let ran = finish(shop.command(&["check", "--base-url", &api.url, "--date", "2024-01-05"]).args(["--output", "text"])).ok();
    for line in
        ["ok    token: m1: ", "ok    settlement: m1: 1 row for", "ok    token: m2: ", "ok    settlement: m2: 1 row for", "ok    lake: "]
    {
        assert!(ran.stdout.contains(line), "{line}: {ran:?}");
    }
}

#[test]
fn a_new_merchant_fails_alone_until_it_has_a_first_day() {
    let (api, shop) = (Api::new(both), Shop::new("ahead = 0\nrecheck = 0\n"));
    let sync = |more: &[&str]| finish(shop.command(&["sync", "--base-url", &api.url, "--rate-limit", "0"]).args(more));
    // nobody has a first day: the settings are wrong
    assert!(sync(&[]).exits(2).stderr.contains("holds no day of merchant m1 yet: set --since"));
    assert_eq!(api.tokens(), 0);
    let today = (chrono::Utc::now() + chrono::TimeDelta::hours(9)).date_naive();
    let since = (today - chrono::Days::new(3)).to_string();
    sync(&["--merchant", "busan", "--since", &since]).ok();
    // now one has, and the other fails alone
    let ran = sync(&[]).exits(3);
    let result = ran.result();
    let failure = &result["failures"][0];
    assert_eq!((&failure["merchant_id"], &failure["pay_date"], &failure["kind"]), (&"m1".into(), &Json::Null, &"guard".into()));
    let [(first, none), (second, some)] = parts(&ran).try_into().unwrap();
    assert_eq!((first.as_str(), &none["planned"]), ("m1", &0.into()));
    assert_eq!(second, "m2");
    assert!(some["planned"].as_u64().unwrap() > 0);
    let planned = sync(&["--dry-run"]).exits(3).result();
    assert_eq!((&planned["failures"][0], planned["failures"].as_array().unwrap().len()), (failure, 1));
    // a first day of its own takes precedence over the general one, with or without quotes
    for own in [since.clone(), format!("\"{}\"", since.replace('-', ""))] {
        let shop = Shop::new("ahead = 0\n");
        shop.add(&format!("since = {own}\n"));
        let ran =
            finish(shop.command(&["sync", "--base-url", &api.url, "--dry-run", "--since", "2020-01-01"]).args(["--merchant", "busan"]))
                .ok();
        assert_eq!(ran.result()["from"], since, "{ran:?}");
    }
    let shop = Shop::new("");
    shop.add("since = \"soon\"\n");
    assert!(finish(&mut shop.command(&["sync", "--base-url", &api.url])).exits(2).stderr.contains("[[merchant]] busan: since"));
}

#[test]
fn a_rate_limit_of_one_merchant_applies_to_it_alone() {
    let (api, shop) = (Api::new(both), Shop::new("rate_limit = 0"));
    shop.add("rate_limit = 4\n");
    let began = Instant::now();
    shop.backfill(&api, &[]).ok();
    // the second merchant's four requests, one every 250 ms, the first at once
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    let times: Vec<Instant> = api.settlements().iter().filter(|request| merchant(request) == "m2").map(|request| request.at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(200)), "{times:?}");
}

#[test]
fn the_example_settings_are_valid() {
    let (api, folder) = (Api::new(both), tempfile::tempdir().unwrap());
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/merchants.toml")).unwrap();
    let here = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("key"), FIRST).unwrap();
    // only the paths are those of a production machine
    let fitted = example
        .replace("/run/secrets/cookiepay-seoul", &here("key"))
        .replace("/var/lib/prometheus/node-exporter/cookiepay.prom", &here("cookiepay.prom"));
    std::fs::write(folder.path().join("merchants.toml"), fitted).unwrap();
    let mut command = binary();
    command.args(["sync", "--since", "2024-01-05", "--base-url", &api.url, "--dry-run", "--dest", &here("lake"), "--config"]);
    let ran = finish(command.arg(folder.path().join("merchants.toml")).env("BUSAN_KEY", SECOND)).ok();
    assert_eq!(ran.result()["days"][0]["merchant_id"], "your-first-api-id");
}

#[test]
fn the_simulator_accepts_every_merchant_of_the_file() {
    let shop = Shop::new("env = \"simulator\"");
    let ran = finish(&mut shop.command(&["backfill", "--from", "2024-01-05", "--to", "2024-01-05", "--sim-rows", "=2"])).ok();
    assert_eq!((ran.result()["dates"]["published"].as_u64(), ran.result()["rows"].as_u64()), (Some(2), Some(4)));
}

#[test]
fn wrong_merchant_settings_are_refused_before_any_request() {
    let api = Api::new(both);
    let refuses = |shop: &Shop, more: &[&str], reason: &str| {
        let ran = shop.backfill(&api, more).exits(2);
        let error = ran.result()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(reason), "{reason}: {ran:?}");
    };
    let table = |rest: &str| {
        let shop = Shop::new("");
        shop.add(&format!("\n[[merchant]]\n{rest}"));
        shop
    };
    refuses(&Shop::new(""), &["--merchant", "daegu"], "--merchant daegu: the settings file has seoul, busan");
    refuses(&Shop::new(""), &["--api-id", "m1"], "choose among them with --merchant");
    refuses(&Shop::new("api_key_file = \"key\""), &[], "api_key_file is outside");
    refuses(&table("name = \"busan\"\napi_id = \"m3\"\n"), &[], "a unique name");
    refuses(&table("name = \"daegu\"\napi_id = \"m1\"\n"), &[], "another merchant has the same API id");
    refuses(&table("name = \"daegu\"\napi_id = \"m3\"\n"), &[], "no key for [[merchant]] daegu");
    refuses(&table("name = \"daegu\"\napi_id = \"m3\"\napi_key_env = \"NOT_SET\"\n"), &[], "the variable NOT_SET is not set");
    refuses(&table("name = \"d\"\napi_id = \"m3\"\napi_key_env = \"A\"\napi_key_file = \"b\"\n"), &[], "not both");
    refuses(&table("name = \"d\"\napi_id = \"m3\"\napi_key = \"k\"\n"), &[], "unknown key `api_key`");
    let ran = finish(binary().args(["status", "--merchant", "seoul", "--dest", "."])).exits(2);
    assert!(ran.stderr.contains("there is none: see --config"), "{ran:?}");
    assert_eq!((api.tokens(), api.settlements().len()), (0, 0));
}
