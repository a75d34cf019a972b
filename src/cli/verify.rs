//! `verify`: is what is in the lake as it was written, and is it all there?

use clap::Args;
use serde::Serialize;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::verify::{Difference, verify};

use super::options::{GlobalArgs, LakeArgs, OutputFormat, output_format};
use super::output::{self, Each};
use super::scope::{ScopeArgs, read_lake};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Form of the findings on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl VerifyArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let verified = match read_lake(&self.lake, &self.scope, global, verify).await {
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
