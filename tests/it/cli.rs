//! What a user sees: help, errors, schema, and the small commands.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::{Ran, Run, binary, finish, run};

#[test]
fn help_is_unchanged() {
    insta::assert_snapshot!("help", run(&["--help"]).ok().stdout);
    for command in ["backfill", "check", "delta", "lookup", "reconcile", "report", "schema", "simulate"] {
        insta::assert_snapshot!(format!("help_{command}"), run(&[command, "--help"]).ok().stdout);
    }
}

/// Stderr without the time of its lines.
fn message(ran: &Ran) -> String {
    let line = ran.stderr.lines().next().unwrap_or_default();
    line.split_once(" ERROR ").map_or(line, |(_, message)| message).to_owned()
}

/// A name, flags, and variables.
type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn errors_about_settings_state_what_to_do() {
    let settings = tempfile::tempdir().unwrap();
    let toml = settings.path().join("etl.toml");
    std::fs::write(&toml, "concurency = 4\n").unwrap();
    std::fs::write(settings.path().join("none.toml"), "concurrency = 0\n").unwrap();
    let toml = toml.to_str().unwrap();
    let days = ["--from", "2024-01-01", "--to", "2024-01-02"];
    let cases: &[Case<'_>] = &[
        ("no credentials", &["--dest", "x"], &[]),
        ("no key", &["--dest", "x", "--api-id", "m1"], &[]),
        ("no destination", &["--env", "simulator"], &[]),
        ("destination of no kind", &["--env", "simulator", "--dest", "gs://b"], &[]),
        ("plain http", &["--dest", "x", "--base-url", "http://example.org"], &[]),
        ("key file that is not there", &["--dest", "x", "--api-id", "m1"], &[("COOKIEPAY_API_KEY_FILE", "/nowhere/key")]),
        ("id too long", &["--dest", "x", "--api-id", "가나다라마바사아자차카타파하"], &[("COOKIEPAY_API_KEY", "k")]),
        ("misspelt key in the settings file", &["--dest", "x", "--env", "simulator", "--config", toml], &[]),
        ("no such day", &["--dest", "x", "--env", "simulator", "--to", "2024-02-30"], &[]),
        ("backwards", &["--dest", "x", "--env", "simulator", "--to", "2023-12-31"], &[]),
        ("no wait", &["--dest", "x", "--env", "simulator", "--timeout", "0s"], &[]),
        ("bad duration", &["--dest", "x", "--env", "simulator", "--timeout", "60"], &[]),
        ("no days in flight", &["--dest", "x", "--env", "simulator", "--config", "none.toml"], &[]),
        ("no such destination", &["--dest", "s3:/bucket/x", "--env", "simulator"], &[]),
        ("a query in the destination", &["--dest", "s3://bucket/x?region=eu", "--env", "simulator"], &[]),
        ("a step up in the destination", &["--dest", "s3://bucket/x/../y", "--env", "simulator"], &[]),
        ("an empty folder in the destination", &["--dest", "s3://bucket/x//y", "--env", "simulator"], &[]),
        ("bad fault", &["--dest", "x", "--env", "simulator", "--sim-fault", "boom"], &[]),
    ];
    let mut seen = String::new();
    for (name, arguments, environment) in cases {
        let mut command = binary();
        let days = if arguments.contains(&"--to") { &days[..2] } else { &days[..] };
        command.current_dir(settings.path()).arg("backfill").args(days).args(*arguments).envs(environment.iter().copied());
        let ran = finish(&mut command).exits(2);
        assert_eq!(ran.result()["exit_code"], 2, "{ran:?}");
        seen += &[name, ":\n  ", &message(&ran).replace(toml, "etl.toml"), "\n"].concat();
    }
    assert_eq!(std::fs::read_dir(settings.path()).unwrap().count(), 2, "something was written");
    insta::assert_snapshot!(seen);
}

#[test]
fn flags_override_variables_which_override_the_file() {
    let root = tempfile::tempdir().unwrap();
    let toml = root.path().join("etl.toml");
    let dest = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(&toml, format!("env = \"simulator\"\ndest = \"{}\"\ntimeout = \"5s\"\n", dest("file"))).unwrap();
    let ran = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = binary();
        command.args(["backfill", "--dry-run", "--from", "2024-01-01", "--to", "2024-01-01", "--config"]).arg(&toml);
        command.args(flag.into_iter().flat_map(|flag| ["--dest", flag]));
        command.envs(variable.map(|variable| ("COOKIEPAY_DEST", variable)));
        finish(&mut command).ok().result()["dest"].as_str().unwrap().to_owned()
    };
    let (flag, variable) = (dest("flag"), dest("variable"));
    assert_eq!(ran(Some(&flag), Some(&variable)), flag);
    assert_eq!(ran(None, Some(&variable)), variable);
    assert_eq!(ran(None, None), dest("file"));
    // an empty variable counts as absent
    assert_eq!(ran(None, Some("")), dest("file"));
}

#[test]
fn the_example_settings_are_valid() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etl.toml");
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("key"), "simulator-key").unwrap();
    let mut command = binary();
    command.current_dir(root.path()).args(["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-02", "--config"]);
    let ran = finish(command.arg(example).env("COOKIEPAY_API_KEY_FILE", "key")).ok();
    assert_eq!((&ran.result()["dest"], &ran.result()["merchants"][0]["merchant_id"]), (&"./lake".into(), &"your-api-id".into()));
}

#[test]
fn the_simulator_environment_never_contacts_another_api() {
    let lake = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.args(["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-02", "--dest"]).arg(lake.path());
    command.envs([("COOKIEPAY_BASE_URL", "http://127.0.0.1:1"), ("COOKIEPAY_API_ID", "m1"), ("COOKIEPAY_API_KEY", "k")]);
    assert_eq!(finish(&mut command).ok().result()["dates"]["published"], 1);
    let mut unset = binary();
    unset.args(["lookup", "--date", "2024-01-02"]).env("COOKIEPAY_ENV", "");
    assert!(finish(&mut unset).exits(2).stderr.contains("no credentials"));
}

#[test]
fn the_key_may_come_from_a_file() {
    let root = tempfile::tempdir().unwrap();
    let key = root.path().join("key");
    std::fs::write(&key, "simulator-key\n").unwrap();
    let mut command = binary();
    command.args(["lookup", "--env", "simulator", "--api-id", "m1", "--date", "2024-01-05"]).env("COOKIEPAY_API_KEY_FILE", &key);
    finish(&mut command).ok();
}

#[test]
fn check_prints_one_line_per_requirement() {
    let lake = tempfile::tempdir().unwrap();
    let dest = lake.path().to_str().unwrap();
    let good = run(&["check", "--env", "simulator", "--dest", dest, "--date", "2024-01-05", "--output", "text"]).ok();
    assert_eq!(good.stdout.lines().filter(|line| line.starts_with("ok ")).count(), 4, "{good:?}");
    assert_eq!(std::fs::read_dir(lake.path()).unwrap().count(), 0);

    let refused = run(&["check", "--env", "simulator", "--dest", dest, "--sim-fault", "token-refused", "--output", "json"]).exits(4);
    let checks = refused.result()["checks"].clone();
    assert_eq!((&checks[1]["name"], &checks[1]["ok"]), (&"token".into(), &false.into()), "{refused:?}");
    // the lake is checked nevertheless
    assert_eq!((&checks[2]["name"], &checks[2]["ok"]), (&"lake".into(), &true.into()), "{refused:?}");
    run(&["check", "--env", "simulator", "--dest", "/dev/null/x", "--output", "json"]).exits(7);
    run(&["check", "--env", "simulator"]).exits(2);
    let file = lake.path().join("checks.json");
    let written = run(&["check", "--env", "simulator", "--dest", dest, "--output", "json", "--result-file", file.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(file).unwrap(), written.stdout);
}

#[test]
fn lookup_prints_rows_in_each_form() {
    let lookup = |more: &[&str]| {
        let base = ["lookup", "--env", "simulator", "--date", "2024-01-05"];
        run(&[&base[..], more].concat()).ok().stdout
    };
    let json = lookup(&["--output", "json"]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let tid = first["transaction_id"].as_str().unwrap();
    assert!(first["auth_amount"].as_str().unwrap().ends_with(".00"));
    let mut csv = csv::Reader::from_reader(std::io::Cursor::new(lookup(&["--output", "csv"])));
    assert_eq!((csv.headers().unwrap().len(), &csv.headers().unwrap()[0]), (22, "pay_date"));
    assert_eq!(csv.records().map(Result::unwrap).count(), json.lines().count());
    let one = lookup(&["--output", "json", "--tid", tid]);
    assert!(!one.is_empty() && one.lines().all(|line| line.contains(tid)));
    assert!(lookup(&["--output", "text"]).contains("transaction_id"));
    let unknown = run(&["lookup", "--env", "simulator", "--date", "2024-01-05", "--tid", "none"]).exits(3);
    assert!(unknown.stderr.contains("pay date 2024-01-05 has no transaction none"), "{unknown:?}");
    let text = lookup(&["--output", "text"]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("11 approved") && text.contains("03 paid"), "{text}");
    run(&["lookup", "--env", "simulator", "--date", "2024-01-05", "--sim-fault", "404"]).exits(6);
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let lake = tempfile::tempdir().unwrap();
    let dest = lake.path().to_str().unwrap();
    run(&["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-03", "--dest", dest]).ok();
    let day = ["--env", "simulator", "--date", "2024-01-02"];
    let commands: [&[&str]; 8] = [
        &[&["lookup", "--output", "csv"][..], &day].concat(),
        &[&["lookup", "--output", "json"][..], &day].concat(),
        &["status", "--dest", dest],
        &["verify", "--dest", dest, "--output", "json"],
        &["schema", "--format", "duckdb"],
        &["completions", "bash"],
        &["--help"],
        &["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-03", "--dest", dest],
    ];
    for arguments in commands {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.args(arguments).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("cannot write to stdout"), "{arguments:?}: {stderr}");
        // a reader that has seen enough is no failure
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_text_of_a_result_is_for_people() {
    let api = Api::new(|request| match (request.date(), request.earlier) {
        ("20240106" | "20240107" | "20240108", _) => Reply::new(404, &[], "closed"),
        (date, 0) => Reply::json(envelope(&[row(date, &[])])),
        (date, _) => Reply::json(envelope(&[row(date, &[("PAYMENTAMT", "1234567")])])),
    });
    let lake = tempfile::tempdir().unwrap();
    let backfill = || Run::backfill(&api).days("2024-01-05", "2024-01-08").into(lake.path()).args(["--retries", "0", "--refetch", "all"]);
    backfill().exits(3);
    let ran = backfill().args(["--output", "text"]).exits(3);
    let shown = ran.stdout.lines().filter(|line| !line.contains(" run ")).collect::<Vec<_>>().join("\n");
    let of_this_build = |line: &str| if line.trim_start().starts_with("written") { String::new() } else { line.trim_end().to_owned() };
    insta::assert_snapshot!(shown.lines().map(of_this_build).collect::<Vec<_>>().join("\n"));
    // a failure is shown once, whatever stderr is
    assert_eq!(ran.stdout.matches("HTTP 404").count() + ran.stderr.matches("HTTP 404").count(), 1, "{ran:?}");
}

#[test]
fn delta_states_for_people_what_it_changed() {
    let root = tempfile::tempdir().unwrap();
    let lake = root.path().join("lake").to_str().unwrap().to_owned();
    let days = ["--env", "simulator", "--from", "2024-01-30", "--to", "2024-02-02", "--rate-limit", "0"];
    run(&[&["backfill", "--dest", &lake][..], &days].concat()).ok();
    // stdout is a pipe, and yet no JSON
    let first = run(&["delta", "--dest", &lake]).ok().stdout;
    assert!(first.starts_with("Delta table: version 0, 4 days added or replaced, 2 files added, 0 removed\nsuccess (exit 0)"), "{first}");
    let again = run(&["delta", "--dest", &lake]).ok().stdout;
    assert!(again.starts_with("Delta table: version 0, nothing to do\n"), "{again}");
    let json: serde_json::Value = serde_json::from_str(&run(&["delta", "--dest", &lake, "--output", "json"]).ok().stdout).unwrap();
    assert_eq!(json["delta"]["version"], 0);
    // a run that writes the table states it, too
    let run =
        run(&[&["backfill", "--dest", &lake, "--delta", "--output", "text", "--refetch", "all", "--sim-seed", "2"][..], &days].concat())
            .ok();
    assert!(run.stdout.contains("\nDelta table: version 1, "), "{run:?}");
}

#[test]
fn a_command_that_could_not_begin_prints_no_table_of_zeros() {
    let ran =
        run(&["backfill", "--env", "simulator", "--from", "2024-01-02", "--to", "2024-01-01", "--dest", "x", "--output", "text"]).exits(2);
    assert!(!ran.stdout.contains("published") && ran.stdout.contains("failed (exit 2)"), "{ran:?}");
    assert_eq!(ran.stderr.matches("2024-01-02").count(), 1, "{ran:?}");
    let ran = run(&["backfill", "--output", "text", "--bogus"]).exits(2);
    assert_eq!(ran.stdout, "");
}

#[test]
fn the_settings_file_holds_every_setting() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let settings = format!(
        "env = \"simulator\"\ndest = {:?}\nsince = 2024-01-02\nahead = 0\nlookback = 3\nrecheck = 10\nsettle_window = 9\nlog_format = \"json\"\noutput = \"json\"\nresult_file = {:?}\nempty_codes = [\"E008\"]\nlang = \"ko\"\n",
        path("lake"),
        path("result.json")
    );
    std::fs::write(path("etl.toml"), settings).unwrap();
    let config = path("etl.toml");
    run(&["sync", "--config", &config, "--sim-today", "2024-01-05", "--dry-run"]).ok();
    let ran = run(&["backfill", "--config", &config, "--from", "2024-01-02", "--to", "2024-01-02"]).ok();
    assert!(ran.stderr.lines().all(|line| line.starts_with('{')), "{ran:?}");
    let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path("result.json")).unwrap()).unwrap();
    assert_eq!(written, ran.result());
    for command in ["status", "verify"] {
        assert_eq!(run(&[command, "--config", &config]).ok().result()["command"], command);
    }
    // flags that name one run's range, input or output are none of the file's
    for key in ["from", "to", "date", "dry_run"] {
        std::fs::write(path("other.toml"), format!("{key} = \"2024-01-01\"\n")).unwrap();
        let ran = run(&["sync", "--config", &path("other.toml"), "--env", "simulator", "--dest", "x"]).exits(2);
        assert!(ran.stderr.contains(&format!("unknown key `{key}`")), "{ran:?}");
    }
}

#[test]
fn manual_pages_are_written_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    run(&["man", folder.path().to_str().unwrap()]).ok();
    let page = std::fs::read_to_string(folder.path().join("cookiepay-etl-sync.1")).unwrap();
    assert!(page.contains("Fetch closed days again if their pay date"));
    assert!(folder.path().join("cookiepay-etl.1").exists());
    assert!(run(&["man", "/no/such/folder"]).exits(2).stderr.contains("/no/such/folder"));
}

#[test]
fn only_a_run_that_was_meant_has_a_result_if_its_flags_are_wrong() {
    let printed = |arguments: &[&str]| run(arguments).exits(2).stdout;
    assert_eq!(printed(&["status", "--dest", "sync", "--bogus"]), "");
    assert_eq!(printed(&["verify", "--dest", "x", "--api-id", "backfill", "--bogus"]), "");
    let result = |arguments: &[&str]| run(arguments).exits(2).result()["command"].clone();
    assert_eq!(result(&["-v", "sync", "--dest", "rebuild", "--bogus"]), "sync");
    assert_eq!(result(&["rebuild", "--from", "2024-01-01", "--dest", "backfill"]), "rebuild");
}

#[test]
fn completions_are_printed() {
    assert!(run(&["completions", "bash"]).ok().stdout.contains("cookiepay-etl"));
}

#[test]
fn the_simulator_serves_until_it_is_stopped() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"))
        .args(["simulate", "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let settings: Vec<(String, String)> = lines
        .take(3)
        .map(|line| {
            let line = line.unwrap();
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let lake = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.args(["backfill", "--from", "2024-01-02", "--to", "2024-01-03", "--dest"]).arg(lake.path()).envs(settings);
    let ran = finish(&mut command);
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(ran.ok().result()["dates"]["published"], 2);
}
