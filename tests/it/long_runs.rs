//! A long run against the simulator, compared with what it serves row by row.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::lake::{Row, files, rows};
use crate::support::{loopback_client, peak_kib, run};
use cookiepay_etl::simulator::{Options, Simulator, SimulatorArgs};

const RANGE: [&str; 4] = ["--from", "2024-01-01", "--to", "2024-12-31"];

/// A lake's rows by file, without the columns that differ between runs.
fn content(lake: &Path) -> BTreeMap<String, Vec<Row>> {
    let without_run = |mut row: Row| {
        row.remove("run_id");
        row.remove("extracted_at");
        row
    };
    files(lake).into_iter().map(|file| (file.clone(), rows(&lake.join(&file)).into_iter().map(without_run).collect())).collect()
}

#[test]
fn a_year_with_one_request_in_five_failing_lands_whole() {
    let (good, bad) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backfill = |lake: &Path, more: &[&str]| {
        let common =
            ["backfill", "--env", "simulator", "--rate-limit", "0", "--concurrency", "8", "--sim-rows", "12", "--sim-today", "2026-06-30"];
        run(&[&common[..], &RANGE, &["--dest", lake.to_str().unwrap()], more].concat()).ok().result()
    };
    let served = backfill(good.path(), &[]);
    let faults = ["500:0.04", "429:0.04", "cut:0.04", "html:0.02", "reset:0.02", "code=E999:0.02", "expire:0.02"];
    let faults: Vec<&str> = faults.iter().flat_map(|fault| ["--sim-fault", fault]).collect();
    let survived = backfill(bad.path(), &faults);
    assert_eq!(survived["dates"]["published"], 366);
    assert!(survived["retries"].as_u64().unwrap() > 50, "{survived}");
    for key in ["rows", "totals", "dates"] {
        assert_eq!(survived[key], served[key]);
    }
    assert!(served["rows"].as_u64().unwrap() > 2000, "{served}");
    let (good, bad) = (content(good.path()), content(bad.path()));
    assert_eq!(good.len(), 366);
    for (file, rows) in good {
        assert_eq!(bad[&file], rows, "{file}");
    }
}

/// Compares the lake with the rows that the simulator serves, parsed from its JSON.
#[tokio::test(flavor = "multi_thread")]
async fn every_row_served_is_in_the_lake_exactly_once() {
    let args = SimulatorArgs { sim_today: Some("2026-06-30".into()), sim_rows: Some("30".into()), ..SimulatorArgs::default() };
    let simulator = Simulator::start(Options::try_from(&args).unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    let (id, key) = simulator.credentials();
    let lake = tempfile::tempdir().unwrap();
    let mut command = crate::support::binary();
    command.args([
        "backfill",
        "--base-url",
        &simulator.base_url(),
        "--api-id",
        id,
        "--rate-limit",
        "0",
        "--from",
        "2024-01-01",
        "--to",
        "2024-01-31",
    ]);
    command.arg("--dest").arg(lake.path()).env("COOKIEPAY_API_KEY", key);
    let ran = tokio::task::spawn_blocking(move || crate::support::finish(&mut command)).await.unwrap().ok();
    let http = loopback_client();
    let mut served_rows = 0;
    for day in 1..=31 {
        let url = format!("{}/_simulator/rows?date=2024-01-{day:02}&merchant={id}", simulator.base_url());
        let response_body = http.get(url).send().await.unwrap().bytes().await.unwrap();
        let response_body: serde_json::Value = serde_json::from_slice(&response_body).unwrap();
        let served = response_body["DATA"].as_array().cloned().unwrap_or_default();
        let landed = rows(&lake.path().join(format!("settlements/pay_date=2024-01-{day:02}/{id}.parquet")));
        assert_eq!(landed.len(), served.len());
        served_rows += served.len();
        for (landed, served) in landed.iter().zip(&served) {
            for (column, field) in
                [("transaction_id", "TRXID"), ("order_no", "ORDERNO"), ("payment_status", "PAYMENTSTATUS"), ("acquirer_code", "ACQUIRER")]
            {
                assert_eq!(landed.get(column).map_or("", String::as_str), served[field].as_str().unwrap().trim(), "{landed:?}");
            }
            for (column, field) in [("auth_amount", "AUTHAMT"), ("fee", "FEE"), ("vat", "VAT"), ("payment_amount", "PAYMENTAMT")] {
                let expected = match served[field].as_str().unwrap() {
                    "-" => None,
                    amount if amount.contains('.') => Some(amount.to_owned()),
                    amount => Some(format!("{amount}.00")),
                };
                assert_eq!(landed.get(column).cloned(), expected, "{landed:?}");
            }
        }
    }
    assert!(served_rows > 300);
    assert_eq!(ran.result()["rows"], served_rows);
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Memory does not grow with the day: the bound is far below the size of the response.
#[test]
fn a_large_day_is_never_in_memory_as_a_whole() {
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"))
        .args(["simulate", "--port", "0", "--sim-rows", "=150000"])
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let mut lines = BufReader::new(simulator.0.stdout.take().unwrap()).lines();
    let url = lines.next().unwrap().unwrap().split_once('=').unwrap().1.to_owned();
    let lake = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"))
        .args(["backfill", "--base-url", &url, "--api-id", "simulator", "--from", "2024-01-06", "--to", "2024-01-06", "--dest"])
        .arg(lake.path())
        .env("COOKIEPAY_API_KEY", "simulator-key")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let code = loop {
        peak = peak.max(peak_kib(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(code, Some(0));
    // the response has 48 MB
    assert!(peak > 0 && peak < 80 * 1024, "{peak} KiB");
    assert_eq!(rows(&lake.path().join("settlements/pay_date=2024-01-06/simulator.parquet")).len(), 150_000);
}
