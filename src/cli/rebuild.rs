//! `rebuild`: days from what was saved of the API's responses.

use clap::Args;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::jobs::rebuild::RebuildJob;
use crate::settings::groups::ApiLayer;
use crate::settings::{RawSettings, RebuildSettings, RunSettings, check, env};

use super::options::GlobalArgs;
use super::run::{Prepared, RunArgs, RunCommand};

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    /// Only the merchant with this API id [default: every merchant in the lake]
    #[arg(long, env = env::API_ID, value_name = "ID", hide_env_values = true)]
    api_id: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

impl RebuildArgs {
    pub(super) async fn run(&self, global: &GlobalArgs) -> ExitCode {
        let range = check::range(&self.from, &self.to);
        let command = RunCommand { command: Command::Rebuild, args: &self.run, global, range: range.as_ref().ok().copied() };
        let api = ApiLayer { api_id: self.api_id.clone(), ..ApiLayer::default() };
        let flags = RawSettings { api, ..RawSettings::default() };
        let prepare = async |raw: &RawSettings, _: &_| {
            let range = range?;
            let RunSettings { dest, concurrency, reading, allow_empty_replacement } = RunSettings::new(raw)?;
            let RebuildSettings { merchants, max_response_bytes } = RebuildSettings::new(raw)?;
            let job = RebuildJob { merchants, range, reading, max_response_bytes, allow_empty_replacement };
            Ok(Prepared { job, dest, concurrency, needs_lake: true, simulator: None })
        };
        command.run(flags, prepare).await
    }
}
