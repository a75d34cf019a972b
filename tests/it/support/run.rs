//! Runs of the binary, as a user types them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value as Json;

use super::KEY;
use super::api::Api;
use super::lake::files;

/// A run that has not started yet.
pub struct Run {
    command: Command,
    lake: Option<PathBuf>,
}

impl Run {
    /// A command without any of this process's settings.
    pub fn new(command: &str) -> Self {
        let mut binary = binary();
        binary.arg(command);
        Self { command: binary, lake: None }
    }

    /// `backfill` for merchant `m1` from `api`, as fast as it goes.
    pub fn backfill(api: &Api) -> Self {
        Self::fetch("backfill", api)
    }

    /// `sync` for merchant `m1` from `api`, as fast as it goes.
    pub fn sync(api: &Api) -> Self {
        Self::fetch("sync", api)
    }

    fn fetch(command: &str, api: &Api) -> Self {
        Self::new(command).args(["--base-url", &api.url, "--api-id", "m1", "--rate-limit", "0"]).env("COOKIEPAY_API_KEY", KEY)
    }

    /// `rebuild`, which has neither an API nor credentials.
    pub fn rebuild() -> Self {
        Self::new("rebuild")
    }

    /// The pay dates, both inclusive.
    pub fn days(self, from: &str, to: &str) -> Self {
        self.args(["--from", from, "--to", to])
    }

    /// The lake.
    pub fn into(self, lake: impl AsRef<Path>) -> Self {
        let run = self.arg("--dest").arg(lake.as_ref());
        Self { lake: Some(lake.as_ref().to_owned()), ..run }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// A variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// Runs it to its end.
    pub fn ran(mut self) -> Ran {
        Ran { lake: self.lake, ..finish(&mut self.command) }
    }

    /// Runs it to its end, which must be this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        self.ran().exits(code)
    }

    /// Runs it to its end, which must be a success.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.exits(0)
    }
}

/// How a run ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    command: String,
    lake: Option<PathBuf>,
}

impl Ran {
    /// The result: the last line of stdout.
    #[track_caller]
    pub fn result(&self) -> Json {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no result ({error}):\n{self:#?}"))
    }

    /// The same run, which must have ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "the exit code differs: {self:#?}");
        self
    }

    /// The same run, which must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Whether the run printed `text`, on stdout or stderr.
    pub fn prints(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// The only failure's message; its kind must be `kind`.
    #[track_caller]
    pub fn failure(&self, kind: &str) -> String {
        let result = self.result();
        let failures = result["failures"].as_array().cloned().unwrap_or_default();
        assert_eq!(failures.len(), 1, "one failure is expected: {self:#?}");
        assert_eq!(failures[0]["kind"], kind, "the failure's kind differs: {self:#?}");
        failures[0]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// All that a failing test should show.
impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, command, lake } = self;
        write!(f, "exit {code}\n--- command\n{command}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")?;
        match lake {
            Some(lake) => write!(f, "\n--- files of the lake\n{}", files(lake).join("\n")),
            None => Ok(()),
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: String::new(),
            lake: None,
        }
    }
}

/// The binary, without any of this process's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cookiepay-etl"));
    command.timeout(Duration::from_mins(2)).env("LC_ALL", "C");
    for (name, _) in std::env::vars_os() {
        if ["COOKIEPAY_", "OPENLINEAGE_"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary with `arguments`.
pub fn run(arguments: &[&str]) -> Ran {
    finish(binary().args(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary starts");
    Ran { command: format!("{command:?}"), ..output.into() }
}

/// The peak memory of a run in progress, in KiB; 0 before it has started or when it has ended.
pub fn peak_kib(pid: u32) -> u64 {
    // for a moment, a child that was just started still shows the memory of the process that started it
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    if exe.file_name() != Path::new(env!("CARGO_BIN_EXE_cookiepay-etl")).file_name() {
        return 0;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
