//! `verify`: is what is in the lake as it was written, and is it all there?

use clap::Args;
use serde_json::json;

use crate::verify::{Difference, verify};

use super::options::{GlobalArgs, LakeArgs, OutputFormat, output_format};
use super::output;
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
    pub(super) async fn run(self, global: &GlobalArgs) -> u8 {
        let verified = match read_lake(&self.lake, &self.scope, global, verify).await {
            Ok(verified) => verified,
            Err(code) => return code,
        };
        let (checked, differences) = (verified.checked, verified.differences);
        let status = if differences.is_empty() { "ok" } else { "differs" };
        match output_format(self.output) {
            OutputFormat::Json => {
                output::line(json!({ "command": "verify", "status": status, "checked": checked, "differences": differences }));
            }
            OutputFormat::Text => {
                for Difference { path, what, .. } in &differences {
                    output::line(format_args!("{path}: {what}"));
                }
                output::line(format_args!("{status}: {checked} files checked, {} differences", differences.len()));
            }
        }
        if differences.is_empty() { 0 } else { 5 }
    }
}
