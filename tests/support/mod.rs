//! What the integration tests share: the binary as a user runs it, an API that answers as scripted,
//! and a reader of what landed.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part")]

pub mod api;
pub mod lake;
pub mod store;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;

use serde_json::Value as Json;

/// The key every test uses; nothing but the API may ever see it.
pub const KEY: &str = "k3y-Secret-0123456789";

/// How the binary ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The result: the last line of stdout.
    pub fn result(&self) -> Json {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no result ({error}):\n{self:#?}"))
    }

    /// The same run, which must have ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The only failure's message, whose kind must be `kind`.
    #[track_caller]
    pub fn failure(&self, kind: &str) -> String {
        let result = self.result();
        let failures = result["failures"].as_array().cloned().unwrap_or_default();
        assert_eq!(failures.len(), 1, "{self:#?}");
        assert_eq!(failures[0]["kind"], kind, "{self:#?}");
        failures[0]["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The binary, with an environment of its own.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.timeout(Duration::from_mins(2));
    for (name, _) in std::env::vars_os() {
        if ["COOKIEPAY_", "OPENLINEAGE_"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary with `arguments`.
pub fn run(arguments: &[&str]) -> Ran {
    binary().args(arguments).output().expect("the binary starts").into()
}

/// A `backfill` of `api` into `dest`, from and to `days`.
pub fn backfill(api: &api::Api, dest: &Path, days: (&str, &str)) -> Command {
    let mut command = binary();
    command
        .args(["backfill", "--base-url", &api.url, "--api-id", "m1", "--from", days.0, "--to", days.1, "--rate-limit", "0", "--dest"])
        .arg(dest)
        .env("COOKIEPAY_API_KEY", KEY);
    command
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Ran {
    command.output().expect("the binary starts").into()
}
