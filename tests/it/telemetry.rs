//! Who is notified of a run: the metrics file, the lineage collector, the webhook.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::files;
use crate::support::{KEY, Ran, Run};
use serde_json::Value as Json;

const DAYS: (&str, &str) = ("2024-01-05", "2024-01-07");
const HOOK: &str = "/services/T0/h00k-Secret";

/// A receiver of events and messages that responds to everything in the same way.
fn receiver(status: u16) -> Api {
    Api::scripted(move |_| Reply::new(status, &[], ""))
}

fn run(api: &Api, lake: &Path, more: &[&str], env: &[(&str, &str)]) -> Ran {
    Run::backfill(api).days(DAYS.0, DAYS.1).into(lake).args(["--retries", "0"]).args(more).envs(env.iter().copied()).ran()
}

fn metric(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_report_the_last_run_and_keep_the_last_success() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    let (lake, file) = (folder.path().join("lake"), folder.path().join("etl.prom"));
    let read = || std::fs::read_to_string(&file).unwrap();
    run(&api, &lake, &["--metrics-file", file.to_str().unwrap()], &[]).ok();
    let first = read();
    let labels = format!("command=\"backfill\",lake=\"{}\"", lake.display());
    let of = |text: &str, name: &str| metric(text, &format!("cookiepay_etl_{name}{{{labels}}}"));
    let days =
        |text: &str, state: &str| metric(text, &format!("cookiepay_etl_last_run_days{{{labels},merchant_id=\"m1\",state=\"{state}\"}}"));
    assert_eq!((days(&first, "published"), days(&first, "failed"), of(&first, "last_run_exit_code")), (Some(3.0), Some(0.0), Some(0.0)));
    assert_eq!(metric(&first, &format!("cookiepay_etl_last_run_rows{{{labels},merchant_id=\"m1\"}}")), Some(3.0));
    assert_eq!(of(&first, "last_run_requests"), Some(4.0));
    let success = of(&first, "last_success_timestamp_seconds").unwrap();
    let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - success;
    assert!((0.0..60.0).contains(&age), "{age}");

    let down = Api::new(|_| Reply::new(500, &[], "down"));
    run(&down, &lake, &["--metrics-file", file.to_str().unwrap(), "--refetch", "all"], &[]).exits(6);
    let second = read();
    assert_eq!((days(&second, "failed"), of(&second, "last_run_exit_code")), (Some(3.0), Some(6.0)));
    assert_eq!(of(&second, "last_success_timestamp_seconds"), Some(success), "a failure does not hide when a run last succeeded");
    assert!(of(&second, "last_run_timestamp_seconds").unwrap() > success);
    assert_eq!(files(folder.path()).iter().filter(|file| !file.starts_with("lake/")).count(), 1, "nothing else is left beside it");
}

#[test]
fn one_metrics_file_serves_several_commands_and_lakes() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    let file = folder.path().join("etl.prom");
    let read = || std::fs::read_to_string(&file).unwrap();
    let metrics = ["--metrics-file", file.to_str().unwrap()];
    let [first, second] = ["first", "second \"lake\""].map(|name| folder.path().join(name));
    run(&api, &first, &metrics, &[]).ok();
    Run::sync(&api).into(&first).args(metrics).args(["--since", "2024-01-05", "--ahead", "0", "--recheck", "0"]).ok();
    run(&api, &second, &metrics, &[]).ok();
    // a failure of one is not a failure of the others, and hides no success
    let down = Api::new(|_| Reply::new(500, &[], "down"));
    run(&down, &first, &[&metrics[..], &["--refetch", "all"]].concat(), &[]).exits(6);
    let text = read();
    let escaped = second.display().to_string().replace('"', "\\\"");
    for (command, lake, exit) in
        [("backfill", &first.display().to_string(), 6.0), ("sync", &first.display().to_string(), 0.0), ("backfill", &escaped, 0.0)]
    {
        let labels = format!("command=\"{command}\",lake=\"{lake}\"");
        let of = |name: &str| metric(&text, &format!("cookiepay_etl_{name}{{{labels}}}"));
        assert_eq!(of("last_run_exit_code"), Some(exit), "{labels}: {text}");
        assert!(of("last_success_timestamp_seconds").is_some(), "{labels}: {text}");
    }
    // each metric is one block under one help line, and each series is there once
    let helps: Vec<&str> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
    let names: std::collections::BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('{').next().unwrap()).collect();
    assert_eq!(helps.len(), names.len(), "{text}");
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.iter().collect::<std::collections::BTreeSet<_>>().len(), series.len(), "{text}");
    let blocks = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('{').next().unwrap()).collect::<Vec<_>>();
    let mut changes = blocks.clone();
    changes.dedup();
    assert_eq!(changes.len(), names.len(), "{text}");
}

#[test]
fn a_metrics_file_that_no_collector_would_read_is_refused() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    for (name, reason) in [("etl.txt", "must end in .prom"), ("no/such/folder/etl.prom", "an existing folder")] {
        let file = folder.path().join(name);
        let ran = run(&api, &folder.path().join("lake"), &["--metrics-file", file.to_str().unwrap()], &[]).exits(2);
        assert!(ran.result()["error"].as_str().unwrap().contains(reason), "{ran:?}");
    }
    assert_eq!(api.tokens(), 0);
}

#[test]
fn lineage_begins_and_completes_with_what_was_written() {
    let (api, collector, folder) = (Api::one_row(), receiver(201), tempfile::tempdir().unwrap());
    let parent = "airflow/daily.sync/0199f0a0-0000-7000-8000-000000000001";
    let env = [
        ("OPENLINEAGE_URL", collector.url.as_str()),
        ("OPENLINEAGE_API_KEY", "lineage-Secret"),
        ("OPENLINEAGE_NAMESPACE", "finance"),
        ("OPENLINEAGE_PARENT_ID", parent),
    ];
    let ran = run(&api, folder.path(), &[], &env).ok();
    let events = collector.requests("/api/v1/lineage");
    assert_eq!(events.iter().map(|event| event.body["eventType"].as_str().unwrap()).collect::<Vec<_>>(), ["START", "COMPLETE"]);
    for event in &events {
        assert_eq!(event.headers["authorization"], "Bearer lineage-Secret");
        assert_eq!(event.body["run"]["runId"], ran.result()["run_id"]);
        assert_eq!((&event.body["job"]["namespace"], &event.body["job"]["name"]), (&"finance".into(), &"cookiepay-etl.backfill".into()));
        let facet = &event.body["run"]["facets"]["parent"];
        assert_eq!((&facet["job"]["namespace"], &facet["job"]["name"]), (&"airflow".into(), &"daily.sync".into()));
    }
    let table = &events[1].body["outputs"][0];
    assert_eq!(
        (table["namespace"].as_str(), table["name"].as_str().unwrap()),
        (Some("file"), &*format!("{}/settlements", folder.path().display()))
    );
    let written = &table["outputFacets"]["outputStatistics"];
    assert_eq!((&written["rowCount"], &written["fileCount"], &written["size"]), (&3.into(), &3.into(), &ran.result()["bytes_written"]));
    let fields = table["facets"]["schema"]["fields"].as_array().unwrap();
    assert_eq!((fields.len(), &fields[7]["name"], &fields[7]["type"]), (22, &"auth_amount".into(), &"decimal(18,2)".into()));
    assert!(!ran.prints("lineage-Secret"));

    // the days that were written, without those that were unchanged
    run(&api, folder.path(), &["--refetch", "all"], &env).ok();
    let again = &collector.requests("/api/v1/lineage")[3].body["outputs"][0]["outputFacets"]["outputStatistics"];
    assert_eq!((&again["rowCount"], &again["fileCount"]), (&0.into(), &0.into()));

    let disabled = [env[0], ("OPENLINEAGE_DISABLED", "true")];
    run(&api, folder.path(), &[], &disabled).ok();
    assert_eq!(collector.requests("/api/v1/lineage").len(), 4);
}

#[test]
fn lineage_fails_with_the_reason() {
    let (collector, folder) = (receiver(200), tempfile::tempdir().unwrap());
    let api = Api::new(|request| match request.date() {
        "20240106" => Reply::json(r#"{"RESULTCODE":"E999","RESULTMSG":"closed"}"#),
        date => Reply::json(envelope(&[row(date, &[])])),
    });
    let root = format!("{}/marquez/", collector.url);
    run(&api, folder.path(), &[], &[("OPENLINEAGE_URL", &root)]).exits(3);
    let events = collector.requests("/marquez/api/v1/lineage");
    assert_eq!(events[1].body["eventType"], "FAIL");
    let message = events[1].body["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.starts_with("2024-01-06 of m1: ") && message.contains("E999"), "{message}");
    assert_eq!(events[1].body["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 2);
}

fn messages(receiver: &Api) -> Vec<Json> {
    receiver.requests(HOOK).into_iter().map(|request| request.body).collect()
}

#[test]
fn the_webhook_is_called_for_restatements_and_failures_only() {
    let (api, hook, folder) = (Api::one_row(), receiver(200), tempfile::tempdir().unwrap());
    let url = format!("{}{HOOK}", hook.url);
    let env = [("COOKIEPAY_NOTIFY_URL", url.as_str())];
    run(&api, folder.path(), &[], &env).ok();
    assert_eq!(messages(&hook), Vec::<Json>::new(), "all is well");

    let restated = Api::new(|request| match request.date() {
        "20240106" => Reply::json(envelope(&[row(request.date(), &[("PAYMENTAMT", "\"9748\"")])])),
        date => Reply::json(envelope(&[row(date, &[])])),
    });
    run(&restated, folder.path(), &["--refetch", "all"], &env).ok();
    let [message] = messages(&hook).try_into().unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("restated 2024-01-06 of m1: 1 rows, now 1 (0 added, 0 removed, 1 changed), payment_amount 1.00"), "{text}");
    assert_eq!((&message["exit_code"], &message["restated"][0]["pay_date"]), (&0.into(), &"2024-01-06".into()));

    // in Korean if the locale is, or if --lang is given; keys and statuses stay
    let korean = [("COOKIEPAY_NOTIFY_URL", url.as_str()), ("LC_ALL", ""), ("LC_MESSAGES", "ko_KR.UTF-8"), ("LANG", "en_US.UTF-8")];
    run(&api, folder.path(), &["--refetch", "all"], &korean).ok();
    run(&restated, folder.path(), &["--refetch", "all", "--lang", "ko"], &env).ok();
    let [.., by_locale, by_flag] = &messages(&hook)[..] else { panic!("two more messages") };
    for (message, change) in [(by_locale, "-1.00"), (by_flag, "1.00")] {
        let text = message["text"].as_str().unwrap();
        let restated = format!("저장 1일, 실패 0일, 정정 1일\n정정 2024-01-06 m1: 1건 → 1건 (추가 0, 삭제 0, 변경 1), 지급금액 {change}");
        assert!(text.ends_with(&restated), "{text}");
        assert_eq!((&message["status"], &message["command"]), (&"success".into(), &"backfill".into()));
    }
    run(&api, folder.path(), &["--refetch", "all", "--lang", "en"], &korean).ok();
    assert!(messages(&hook).last().unwrap()["text"].as_str().unwrap().contains("1 restated"));

    let down = Api::new(|_| Reply::new(500, &[], "<html>down</html>"));
    let ran = run(&down, folder.path(), &["--refetch", "all"], &env).exits(6);
    let message = messages(&hook).pop().unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.starts_with("cookiepay-etl backfill: exit 6, pay dates 2024-01-05 to 2024-01-07: 0 published, 3 failed"), "{text}");
    assert!(!text.contains('<'), "Slack would take it as its own: {text}");
    assert_eq!(message["failures"].as_array().unwrap().len(), 3);
    assert_eq!(message["run_id"], ran.result()["run_id"]);

    // unusable settings also fail a run
    run(&api, folder.path(), &["--timeout", "0s"], &env).exits(2);
    assert!(messages(&hook).pop().unwrap()["text"].as_str().unwrap().contains("--timeout must be greater than zero"));
    assert!(!serde_json::to_string(&messages(&hook)).unwrap().contains(KEY));
}

#[test]
fn an_unreachable_receiver_does_not_change_the_run() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    run(&api, folder.path(), &[], &[]).ok();
    // the kernel accepts connections, and nobody responds
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    for root in [receiver(500).url, silent, Api::nowhere().url] {
        let (url, began) = (format!("{root}{HOOK}"), Instant::now());
        let restate = Api::new(|request| {
            let order = format!("\"{:?}\"", Instant::now());
            Reply::json(envelope(&[row(request.date(), &[("ORDERNO", &order)])]))
        });
        let env = [("COOKIEPAY_NOTIFY_URL", url.as_str()), ("OPENLINEAGE_URL", &root)];
        let ran = run(&restate, folder.path(), &["--refetch", "all"], &env).ok();
        assert_eq!((&ran.result()["status"], &ran.result()["dates"]["published"]), (&"success".into(), &3.into()));
        assert!(!ran.prints("h00k-Secret"), "the URL is a secret: {ran:?}");
        assert!(ran.stderr.contains("--notify-url could not be notified of the run"), "{ran:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        run(&api, folder.path(), &["--refetch", "all"], &[]).ok();
    }
}

#[test]
fn a_dry_run_notifies_nobody() {
    let (api, hook, folder) = (Api::one_row(), receiver(200), tempfile::tempdir().unwrap());
    let (url, file) = (format!("{}{HOOK}", hook.url), folder.path().join("etl.prom"));
    let env = [("COOKIEPAY_NOTIFY_URL", url.as_str()), ("OPENLINEAGE_URL", &hook.url)];
    run(&api, &folder.path().join("lake"), &["--dry-run", "--metrics-file", file.to_str().unwrap()], &env).ok();
    assert!(messages(&hook).is_empty() && hook.requests("/api/v1/lineage").is_empty() && !file.exists());
}

#[test]
fn a_webhook_is_never_called_over_plain_http() {
    let (api, folder) = (Api::one_row(), tempfile::tempdir().unwrap());
    for url in ["http://hooks.example.com/services/h00k-Secret", "h00k-Secret"] {
        let ran = run(&api, folder.path(), &[], &[("COOKIEPAY_NOTIFY_URL", url)]).exits(2);
        assert!(ran.result()["error"].as_str().unwrap().contains("--notify-url"), "{ran:?}");
        assert!(!ran.prints("h00k"), "{ran:?}");
    }
}
