//! `verify`: checks that the lake's files are as they were written, and that none is missing.

use clap::Args;
use serde::Serialize;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::verify::{Difference, verify};

use crate::settings::RawSettings;
use crate::settings::groups::OutputFormat;

use super::options::{GlobalArgs, output_format};
use super::output::{self, Each};
use super::scope::ScopeArgs;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Format of the differences on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl VerifyArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let verified = match self.scope.settings(RawSettings::default(), global) {
            Ok(raw) => self.scope.read(&raw, verify).await,
            Err(code) => Err(code),
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(code) => return code,
        };
        let (checked, different) = (verified.checked, verified.different());
        let status = if different == 0 { "ok" } else { "differs" };
        match output_format(self.output) {
            OutputFormat::Json => {
                let differences = Each(|| verified.differences());
                output::json_line(&Report { command: Command::Verify, status, checked, differences });
            }
            OutputFormat::Text => {
                for Difference { path, what, .. } in verified.differences() {
                    output::line(format_args!("{path}: {what}"));
                }
                output::line(format_args!("{status}: {checked} files checked, {different} differences"));
            }
        }
        if different == 0 { ExitCode::Success } else { ExitCode::Refused }
    }
}

#[derive(Serialize)]
struct Report<Differences> {
    command: Command,
    status: &'static str,
    checked: u64,
    differences: Differences,
}
