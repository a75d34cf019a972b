//! Random sequences of restatements, runs and kills: at the end the lake holds what was served last.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{day_file, files, rows};
use crate::support::{KEY, Run};
use proptest::prelude::*;

const DAYS: [(&str, &str); 2] = [("2024-01-04", "20240104"), ("2024-01-05", "20240105")];

/// One step of a sequence.
#[derive(Debug, Clone)]
enum Step {
    /// The API restates a day's amounts.
    Restate(usize, Vec<u16>),
    /// A complete run.
    Run,
    /// A run that is killed after this many milliseconds.
    Kill(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = prop::collection::vec(0u16..4, 0..5);
    prop_oneof![
        3 => (0..DAYS.len(), amounts).prop_map(|(day, amounts)| Step::Restate(day, amounts)),
        1 => Just(Step::Run),
        2 => (0u64..250).prop_map(Step::Kill),
    ]
}

fn run(api: &Api, lake: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", DAYS[0].0, "--to", DAYS[1].0, "--refetch", "all"]);
    command.args(["--rate-limit", "0", "--keep-raw", "--allow-empty-replacement", "--dest"]).arg(lake).env("COOKIEPAY_API_KEY", KEY);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lake_ends_with_what_was_served_last(steps in prop::collection::vec(step(), 1..7)) {
        let served: Arc<Mutex<[Vec<u16>; 2]>> = Arc::default();
        let serving = Arc::clone(&served);
        let api = Api::new(move |request| {
            let day = DAYS.iter().position(|(_, date)| *date == request.date()).unwrap();
            let rows: Vec<String> = serving.lock().unwrap()[day].iter().map(|amount| row(request.date(), &[("AUTHAMT", &amount.to_string())])).collect();
            Reply::json(envelope(&rows))
        });
        let root = tempfile::tempdir().unwrap();
        let lake = root.path().join("lake");
        for step in steps.into_iter().chain([Step::Run]) {
            match step {
                Step::Restate(day, amounts) => served.lock().unwrap()[day] = amounts,
                Step::Run => prop_assert!(run(&api, &lake).status().unwrap().success()),
                Step::Kill(after) => {
                    let mut child = run(&api, &lake).spawn().unwrap();
                    std::thread::sleep(Duration::from_millis(after));
                    child.kill().unwrap();
                    child.wait().unwrap();
                }
            }
        }
        for ((day, _), amounts) in DAYS.iter().zip(served.lock().unwrap().iter()) {
            // the same rows in another order are the same content
            let mut landed: Vec<String> = rows(&day_file(&lake, day)).iter().map(|row| row["auth_amount"].clone()).collect();
            let mut expected: Vec<String> = amounts.iter().map(|amount| format!("{amount}.00")).collect();
            landed.sort();
            expected.sort();
            prop_assert_eq!(landed, expected);
        }
        prop_assert!(!files(&lake).iter().any(|file| file.starts_with(".staging") && !file.ends_with("lock")), "{:?}", files(&lake));
        Run::new("verify").into(&lake).ok();
    }
}
