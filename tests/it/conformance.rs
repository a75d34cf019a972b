//! What every destination must do, the same on local disk and on S3. The S3 half is run by `.ci/run`,
//! with `--ignored`, a server, and a bucket that `COOKIEPAY_TEST_BUCKET` names.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{record_of, rows_of};
use crate::support::store::Dest;
use crate::support::{Ran, Run, run};
use cookiepay_etl::settlement::columns::hex;
use sha2::{Digest as _, Sha256};

const DAY: &str = "2024-01-05";
const FILE: &str = "settlements/pay_date=2024-01-05/m1.parquet";

/// Runs a suite against a destination of each available kind.
macro_rules! conforms {
    ($($suite:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread")] async fn $suite() { super::$suite(super::Dest::local()).await; })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a bucket: set COOKIEPAY_TEST_BUCKET and the AWS_* variables"]
            async fn $suite() { super::$suite(super::Dest::s3()).await; })*
        }
    };
}

conforms!(
    days_land_under_their_keys,
    a_replaced_day_is_kept,
    a_large_day_goes_up_in_parts,
    an_empty_response_does_not_replace_rows,
    unusual_ids_are_read_back,
    rejects_are_kept,
    a_damaged_file_is_replaced,
    runs_at_once_lose_no_version,
    a_lost_day_is_rebuilt,
    the_index_costs_only_time,
    check_leaves_nothing
);

fn fetch(api: &Api, dest: &Dest, more: &[&str]) -> Ran {
    Run::backfill(api).days(DAY, DAY).into(Path::new(&dest.url)).args(more).ran()
}

async fn days_land_under_their_keys(dest: Dest) {
    let api = Api::one_row();
    let days = || Run::backfill(&api).days(DAY, "2024-01-07").into(Path::new(&dest.url)).ok().result();
    assert_eq!(days()["dates"]["published"], 3);
    let names = dest.names().await;
    assert_eq!(names, ["05", "06", "07"].map(|day| format!("settlements/pay_date=2024-01-{day}/m1.parquet")));
    assert_eq!(rows_of(dest.get(FILE).await).len(), 1);
    assert_eq!(days()["dates"]["skipped"], 3);
    assert_eq!(dest.names().await, names);
}

async fn a_replaced_day_is_kept(dest: Dest) {
    let (old, new) = (row("20240105", &[]), row("20240105", &[("FEE", "231")]));
    let api = Api::in_turn(vec![envelope(std::slice::from_ref(&old)), envelope(&[new]), envelope(&[old])]);
    fetch(&api, &dest, &["--refetch", "all"]).ok();
    let before = dest.get(FILE).await;
    let result = fetch(&api, &dest, &["--refetch", "all"]).ok().result();
    assert_eq!(result["restated"][0]["changed"], 1);
    let kept: Vec<String> = dest.names().await.into_iter().filter(|name| name.starts_with("history/")).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(dest.get(&kept[0]).await, before);
    assert_eq!(rows_of(dest.get(FILE).await)[0]["fee"], "231.00");
    fetch(&api, &dest, &["--refetch", "all"]).ok();
    assert_eq!(dest.names().await.len(), 3);
}

async fn a_large_day_goes_up_in_parts(dest: Dest) {
    // incompressible enough to be more than one part of 8 MiB
    let rows: Vec<String> = (0..100_000u64)
        .map(|index| {
            let noise = |salt: u64| hex(&Sha256::digest(format!("{index} {salt}")));
            row("20240105", &[("TRXID", &format!("\"{}\"", noise(1))), ("ORDERNO", &format!("\"{}{}\"", noise(2), noise(3)))])
        })
        .collect();
    let mut shuffled = rows.clone();
    shuffled.reverse();
    let api = Api::in_turn(vec![envelope(&rows), envelope(&shuffled)]);
    let result = fetch(&api, &dest, &[]).ok().result();
    let written = result["bytes_written"].as_u64().unwrap();
    let bytes = dest.get(FILE).await;
    assert_eq!(bytes.len() as u64, written);
    assert!(written > 8 << 20, "a day of {written} bytes goes up in one part");
    let landed = rows_of(bytes);
    assert_eq!(landed.len(), rows.len());
    assert!(rows[777].contains(&landed[777]["order_no"]));
    // the upload of an unchanged day is discarded
    assert_eq!(fetch(&api, &dest, &["--refetch", "all"]).ok().result()["dates"]["unchanged"], 1);
    assert_eq!(dest.names().await, [FILE]);
}

async fn an_empty_response_does_not_replace_rows(dest: Dest) {
    let api = Api::in_turn(vec![envelope(&[row("20240105", &[])]), envelope(&[])]);
    fetch(&api, &dest, &[]).ok();
    fetch(&api, &dest, &["--refetch", "all"]).exits(5).failure("guard");
    assert_eq!(dest.names().await, [FILE]);
    fetch(&api, &dest, &["--refetch", "all", "--allow-empty-replacement"]).ok();
    assert_eq!(record_of(dest.get(FILE).await)["rows"], 0);
}

async fn unusual_ids_are_read_back(dest: Dest) {
    for (id, name) in [("../x", "%2E.%2Fx"), ("가 나", "%EA%B0%80%20%EB%82%98"), ("a%2Fb", "a%252Fb")] {
        let arguments = ["backfill", "--env", "simulator", "--api-id", id, "--from", DAY, "--to", DAY, "--dest", &dest.url];
        run(&arguments).ok();
        assert!(dest.names().await.contains(&format!("settlements/pay_date={DAY}/{name}.parquet")), "{:?}", dest.names().await);
        assert_eq!(run(&arguments).ok().result()["dates"]["skipped"], 1, "{id}");
    }
}

async fn rejects_are_kept(dest: Dest) {
    let api = Api::in_turn(vec![envelope(&[row("20240105", &[("FEE", r#""x""#)])])]);
    let ran = fetch(&api, &dest, &[]).exits(5);
    let name = format!("rejects/pay_date={DAY}/m1-{}.jsonl", ran.result()["run_id"].as_str().unwrap());
    assert_eq!(dest.names().await, [name.as_str()]);
    assert!(String::from_utf8(dest.get(&name).await).unwrap().contains("\"position\":1"));
}

async fn a_damaged_file_is_replaced(dest: Dest) {
    let api = Api::in_turn(vec![envelope(&[row("20240105", &[])])]);
    dest.put(FILE, b"PAR1 and no more".to_vec()).await;
    fetch(&api, &dest, &[]).ok();
    assert_eq!(rows_of(dest.get(FILE).await).len(), 1);
    assert_eq!(dest.names().await.len(), 2);
}

async fn runs_at_once_lose_no_version(dest: Dest) {
    const DAYS: u64 = 3;
    let bodies = AtomicUsize::new(0);
    let api = Api::new(move |request| {
        // no two responses are the same
        let order = format!("\"{}\"", bodies.fetch_add(1, Ordering::SeqCst));
        Reply::json(envelope(&[row(request.date(), &[("ORDERNO", &order)])]))
    });
    let (api, url) = (&api, Path::new(&dest.url));
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let run = || Run::backfill(api).days(DAY, "2024-01-07").into(url).args(["--refetch", "all", "--concurrency", "3"]).ran();
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().unwrap().ok()).collect()
    });
    let published: u64 = ran.iter().map(|ran| ran.result()["dates"]["published"].as_u64().unwrap()).sum();
    let restated: usize = ran.iter().map(|ran| ran.result()["restated"].as_array().unwrap().len()).sum();
    let names = dest.names().await;
    let (table, history): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| name.starts_with("settlements/"));
    assert_eq!(table.len() as u64, DAYS, "{names:?}");
    // each version that was replaced is kept, once, and was reported by the run that replaced it
    assert_eq!((history.len() as u64, restated as u64), (published - DAYS, published - DAYS), "{names:?}");
    for name in table {
        let day = name.split('/').nth(1).unwrap();
        let now = record_of(dest.get(name).await)["extracted_at"].as_str().unwrap().to_owned();
        for kept in history.iter().filter(|kept| kept.contains(day)) {
            let before = record_of(dest.get(kept).await)["extracted_at"].as_str().unwrap().to_owned();
            assert!(before <= now, "{kept} is later than what is in the table");
        }
    }
    run(&["verify", "--dest", &dest.url]).ok();
}

async fn a_lost_day_is_rebuilt(dest: Dest) {
    let api = Api::in_turn(vec![envelope(&[row("20240105", &[]), row("20240105", &[("TRXID", r#""B""#)])])]);
    fetch(&api, &dest, &["--keep-raw"]).ok();
    let before = rows_of(dest.get(FILE).await);
    dest.put(FILE, b"PAR1 and no more".to_vec()).await;
    let result = run(&["rebuild", "--from", DAY, "--to", DAY, "--dest", &dest.url]).ok().result();
    assert_eq!((&result["dates"]["published"], &result["requests"]), (&1.into(), &0.into()));
    let after = rows_of(dest.get(FILE).await);
    assert_eq!((before.len(), &before[1]["transaction_id"]), (after.len(), &after[1]["transaction_id"]));
    run(&["verify", "--dest", &dest.url]).ok();
}

async fn check_leaves_nothing(dest: Dest) {
    run(&["check", "--env", "simulator", "--dest", &dest.url, "--date", DAY]).ok();
    assert_eq!(dest.names().await, Vec::<String>::new());
}

async fn the_index_costs_only_time(dest: Dest) {
    const INDEX: &str = "ledger/m1.parquet";
    let api = Api::in_turn(vec![envelope(&[row("20240105", &[])]), envelope(&[row("20240105", &[("FEE", "231")])])]);
    let fetch = || Run::backfill(&api).days(DAY, DAY).into(&dest.url).args(["--refetch", "all"]).ok();
    let status = || Run::new("status").into(&dest.url).args(["--output", "json"]).ok().stdout;
    fetch();
    fetch();
    let (index, shown) = (dest.get(INDEX).await, status());
    assert!(shown.contains(r#""restated":true"#), "{shown}");
    dest.put(INDEX, b"PAR1".to_vec()).await;
    assert_eq!(status(), shown);
    dest.delete(INDEX).await;
    assert_eq!(status(), shown);
    // a run that changes nothing writes it again, as it was
    fetch();
    assert_eq!(status(), shown);
    assert_eq!(dest.get(INDEX).await.len(), index.len());
    Run::new("verify").into(&dest.url).ok();
}
