//! `verify`: checks that the lake's files are as they were written, and that none is missing.

use clap::Args;
use serde::Serialize;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::verify::{Difference, verify};

use crate::settings::RawSettings;
use crate::settings::groups::{OutputFormat, OutputLayer};

use super::figures::counted;
use super::options::{GlobalArgs, read_format};
use super::output::{self, Each, write_json};
use super::scope::{Absence, By, ScopeArgs};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Format of the differences on stdout [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl VerifyArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let flags = RawSettings { output: OutputLayer { output: self.output, ..OutputLayer::default() }, ..RawSettings::default() };
        let read = match self.scope.settings(flags, global) {
            Ok(raw) => self.scope.read(&raw, Absence::IsAnError, By::Listings, verify).await.map(|verified| (verified, read_format(&raw))),
            Err(code) => Err(code),
        };
        let (verified, format) = match read {
            Ok(read) => read,
            Err(code) => return code,
        };
        let (checked, different) = (verified.checked, verified.different());
        let status = if different == 0 { "ok" } else { "differs" };
        let code = if different == 0 { ExitCode::Success } else { ExitCode::Refused };
        output::print(code, |out| match format {
            OutputFormat::Json => {
                let differences = Each(|| verified.differences());
                write_json(&Report { command: Command::Verify, status, checked, differences }, out)
            }
            OutputFormat::Text => {
                for Difference { path, what, .. } in verified.differences() {
                    writeln!(out, "{path}: {what}")?;
                }
                writeln!(out, "{status}: {} checked, {}", counted(checked, "file"), counted(different, "difference"))
            }
        })
    }
}

#[derive(Serialize)]
struct Report<Differences> {
    command: Command,
    status: &'static str,
    checked: u64,
    differences: Differences,
}
