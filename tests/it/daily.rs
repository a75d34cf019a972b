//! The daily job, with the clock advanced day by day.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{day_file, files, redate, rows};
use crate::support::{Ran, Run, loopback_client};
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use cookiepay_etl::calendar::Clock;
use cookiepay_etl::command::Command;
use cookiepay_etl::cookiepay::client::{Client, ClientConfig};
use cookiepay_etl::cookiepay::credentials::Credentials;
use cookiepay_etl::cookiepay::throttle::Throttle;
use cookiepay_etl::engine::outcome::{DayOutcome, Observer};
use cookiepay_etl::engine::result::RunResult;
use cookiepay_etl::engine::{RunOptions, execute};
use cookiepay_etl::jobs::Reading;
use cookiepay_etl::jobs::fetch::{FetchJob, MerchantClient};
use cookiepay_etl::lake::destination::Destination;
use cookiepay_etl::lake::merchant::MerchantName;
use cookiepay_etl::lake::publish::BadRows;
use cookiepay_etl::lake::record::Environment;
use cookiepay_etl::lake::store::Lake;
use cookiepay_etl::plan::{Daily, Mode, SettleWindow};
use cookiepay_etl::simulator::{Options, Simulator, SimulatorArgs, restated_on};
use tokio::sync::watch;

const MERCHANT: &str = "simulator";

struct Unseen;

impl Observer for Unseen {
    fn planned(&self, _: u64) {}
    fn day(&self, _: &DayOutcome) {}
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A simulator whose today is `today`.
async fn simulator(seed: u64, today: NaiveDate) -> Simulator {
    let args =
        SimulatorArgs { sim_seed: Some(seed), sim_today: Some(today.to_string()), sim_rows: Some("6".into()), ..SimulatorArgs::default() };
    Simulator::start(Options::try_from(&args).unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// A `sync` at noon in Seoul of `today`.
async fn sync(simulator: &Simulator, lake: &Path, since: NaiveDate, today: NaiveDate) -> RunResult {
    let noon_in_seoul = today.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(3);
    let (id, key) = simulator.credentials();
    let config = ClientConfig {
        base_url: simulator.base_url().parse().unwrap(),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        retries: 2,
        pace: Throttle::new(0),
        max_response_bytes: 1 << 20,
        clock: Arc::new(move || noon_in_seoul),
    };
    let client =
        Client::new(config, Credentials { api_id: id.to_owned(), key: key.to_owned().into(), key_source: "the test".into() }).unwrap();
    let dest = Destination::parse(lake.to_str().unwrap()).unwrap();
    let lake = Lake::open(&dest, false).await.unwrap().unwrap();
    let clock: Clock = Arc::new(move || noon_in_seoul);
    let options = RunOptions {
        command: Command::Sync,
        run_id: uuid::Uuid::now_v7().to_string(),
        dest: dest.to_string(),
        concurrency: 4,
        clock: clock.clone(),
        delta: true,
    };
    let job = FetchJob {
        merchants: vec![MerchantClient { client, merchant: MerchantName::new(id).unwrap(), since: None }],
        from: Some(since),
        to: today + Days::new(7),
        mode: Mode::Sync(Daily { today, lookback_days: 21, recheck_days: 365, settle_window: SettleWindow { today, days: 60 } }),
        environment: Environment::Simulator,
        source_url: "embedded simulator".into(),
        reading: Reading { empty_codes: vec!["E008".into()], bad_rows: BadRows::Fail },
        allow_empty_replacement: false,
        keep_raw: false,
        clock,
    };
    let (_quiet, signals) = watch::channel(None);
    execute(&job, &lake, &options, &Unseen, signals).await
}

/// A day's rows as the simulator serves them, and as the lake holds them: transaction, status, amount
/// and payout status.
async fn served(http: &reqwest::Client, simulator: &Simulator, day: NaiveDate) -> Vec<[String; 4]> {
    let url = format!("{}/_simulator/rows?date={day}&merchant={MERCHANT}", simulator.base_url());
    let response_body: serde_json::Value = serde_json::from_slice(&http.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap();
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = response_body["DATA"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| ["TRXID", "PAYMENTSTATUS", "AUTHAMT", "STATUS_CD"].map(|field| text(row, field))).collect()
}

fn landed(lake: &Path, day: NaiveDate) -> Vec<[String; 4]> {
    let path = lake.join(format!("settlements/pay_date={day}/{MERCHANT}.parquet"));
    let columns = ["transaction_id", "payment_status", "auth_amount", "payoff_status"];
    rows(&path).iter().map(|row| columns.map(|column| row[column].trim_end_matches(".00").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_synced_daily_always_equals_the_api() {
    let lake = tempfile::tempdir().unwrap();
    let since = date("2024-01-01");
    let last = since + Days::new(90);
    let http = loopback_client();
    let restated = |seed: u64| -> Vec<NaiveDate> {
        since.iter_days().take(91).filter(|day| restated_on(seed, MERCHANT, *day).is_some_and(|on| on <= last)).collect()
    };
    // few days are restated: with this seed some of these are
    let seed = (1..1000).find(|seed| restated(*seed).len() >= 3).unwrap();
    let mut reported = BTreeSet::new();
    for today in since.iter_days().take(91) {
        let simulator = simulator(seed, today).await;
        let result = sync(&simulator, lake.path(), since, today).await;
        assert_eq!(result.exit_code.number(), 0, "{today}: {result:?}");
        reported.extend(result.restated.iter().map(|day| day.pay_date));
        // older days no longer change; all of them are compared on the last day
        let from = if today == last { since } else { since.max(today - Days::new(24)) };
        for day in from.iter_days().take_while(|day| *day <= today + Days::new(7)) {
            assert_eq!(landed(lake.path(), day), served(&http, &simulator, day).await, "{day}, as of {today}");
        }
        let again = sync(&simulator, lake.path(), since, today).await;
        assert_eq!((again.exit_code.number(), again.tally.dates.published), (0, 0), "{today}: {again:?}");
        simulator.stop().await;
    }
    let history = files(lake.path());
    for day in restated(seed) {
        assert!(reported.contains(&day), "{day} was not reported");
        assert!(history.iter().any(|file| file.starts_with(&format!("history/pay_date={day}/"))), "{day} is not kept");
    }
}

fn sync_command(api: &Api, lake: &Path, more: &[&str]) -> Ran {
    Run::sync(api).into(lake).args(more).ran()
}

/// Pay dates in Seoul, from so many days before today to so many after.
fn days(before: u64, after: u64) -> (NaiveDate, Vec<String>) {
    let today = (chrono::Utc::now() + TimeDelta::hours(9)).date_naive();
    let first = today - Days::new(before);
    (first, first.iter_days().take(usize::try_from(before + after + 1).unwrap()).map(|day| day.format("%Y%m%d").to_string()).collect())
}

fn fetched_dates(api: &Api) -> Vec<String> {
    let mut dates: Vec<String> = api.settlements().iter().map(|request| request.date().to_owned()).collect();
    dates.sort();
    dates
}

#[test]
fn sync_into_an_empty_lake_needs_a_first_day() {
    let (api, lake) = (Api::one_row(), tempfile::tempdir().unwrap());
    let ran = sync_command(&api, lake.path(), &[]).exits(2);
    assert!(ran.stderr.contains("--since"), "{ran:?}");
    assert_eq!(api.tokens(), 0);
}

#[test]
fn a_second_sync_fetches_only_open_days() {
    let api = Api::one_row();
    let lake = tempfile::tempdir().unwrap();
    let (first, all) = days(20, 7);
    sync_command(&api, lake.path(), &["--since", &first.to_string()]).ok();
    assert_eq!(fetched_dates(&api), all);
    let ran = sync_command(&api, lake.path(), &["-q"]).ok();
    assert_eq!(fetched_dates(&api)[..].len(), all.len() + 8, "today and the seven days after it are open");
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.result()["command"], "sync");
}

#[test]
fn closed_days_are_rechecked_in_turn() {
    let api = Api::one_row();
    let lake = tempfile::tempdir().unwrap();
    let (first, _) = days(70, 0);
    let since = first.to_string();
    let ahead = ["--ahead", "0"];
    sync_command(&api, lake.path(), &[&ahead[..], &["--since", &since]].concat()).ok();
    let today = first + Days::new(70);
    // as if they had been fetched the day before; the others were written today, and wait
    let ages = [60, 59, 31, 30, 29, 8];
    for age in ages {
        redate(&day_file(lake.path(), &(today - Days::new(age)).to_string()), chrono::Utc::now() - TimeDelta::days(1));
    }
    let fetched = |more: &[&str]| {
        let plan = sync_command(&api, lake.path(), &[&ahead[..], &["--dry-run"], more].concat()).ok().result();
        let planned = plan["days"].as_array().unwrap().iter().filter(|day| day["action"] == "fetch");
        let ages = planned.map(|day| (today - day["pay_date"].as_str().unwrap().parse::<NaiveDate>().unwrap()).num_days());
        ages.filter(|age| *age > 7).collect::<Vec<_>>()
    };
    assert_eq!(fetched(&[]), [60, 30]);
    assert_eq!(fetched(&["--recheck", "59"]), [30]);
    assert_eq!(fetched(&["--recheck", "0"]), [0i64; 0]);
    assert_eq!(fetched(&["--since", &(today - Days::new(40)).to_string()]), [30]);
    // and a restatement that a rechecked day shows is reported
    let restating = Api::new(|request| Reply::json(envelope(&[row(request.date(), &[("FEE", "231")])])));
    let ran = sync_command(&restating, lake.path(), &[&ahead[..], &["--lookback", "0"]].concat()).ok();
    let result = ran.result();
    let restated = result["restated"].as_array().unwrap().iter().map(|day| day["pay_date"].as_str().unwrap());
    let restated: Vec<&str> = restated.collect();
    assert_eq!(restated, [(today - Days::new(60)).to_string(), (today - Days::new(30)).to_string()]);
}

#[test]
fn days_open_for_too_long_are_left_to_a_backfill() {
    let api = Api::new(|request| Reply::json(envelope(&[row(request.date(), &[("STATUS_CD", r#""01""#)])])));
    let lake = tempfile::tempdir().unwrap();
    let (first, all) = days(10, 0);
    let since = first.to_string();
    let ahead = ["--since", &since, "--ahead", "0"];
    sync_command(&api, lake.path(), &ahead).ok();
    assert_eq!(fetched_dates(&api).len(), all.len());
    let plan = sync_command(&api, lake.path(), &[&ahead[..], &["--settle-window", "4", "--dry-run"]].concat()).ok().result();
    let fetched: Vec<&str> = plan["days"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|day| day["action"] == "fetch")
        .map(|day| day["pay_date"].as_str().unwrap())
        .collect();
    assert_eq!(fetched.len(), 5, "{plan}");
    assert!(plan["days"][0]["reason"].as_str().unwrap().contains("overdue"), "{plan}");
}

#[test]
fn days_dated_ahead_are_refetched_whatever_their_age() {
    let api = Api::one_row();
    let lake = tempfile::tempdir().unwrap();
    let (first, all) = days(10, 0);
    let since = first.to_string();
    sync_command(&api, lake.path(), &["--since", &since, "--ahead", "0"]).ok();
    redate(&day_file(lake.path(), &since), chrono::Utc::now() + TimeDelta::days(400));
    let daily = ["--lookback", "0", "--settle-window", "4", "--ahead", "0"];
    let ran = sync_command(&api, lake.path(), &daily).ok();
    assert_eq!(fetched_dates(&api).iter().filter(|date| **date == all[0]).count(), 2, "{ran:?}");
    sync_command(&api, lake.path(), &daily).ok();
    assert_eq!(fetched_dates(&api).iter().filter(|date| **date == all[0]).count(), 2);
}
