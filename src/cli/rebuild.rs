//! `rebuild`: days from what was saved of the API's responses.

use clap::Args;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::jobs::rebuild::RebuildJob;
use crate::settings::{RawSettings, RebuildSettings, RunSettings, check};

use super::options::GlobalArgs;
use super::run::{Prepared, RunArgs};
use super::scope::HeldMerchants;

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    #[command(flatten)]
    merchants: HeldMerchants,
    #[command(flatten)]
    run: RunArgs,
}

impl RebuildArgs {
    pub(super) async fn run(&self, global: &GlobalArgs) -> ExitCode {
        let range = check::range(&self.from, &self.to);
        let command = self.run.command(Command::Rebuild, global, range.as_ref().ok().copied());
        let flags = self.run.with(RawSettings { held: self.merchants.api_id.clone(), ..RawSettings::default() });
        let prepare = async |raw: &RawSettings, _: &_| {
            let range = range?;
            let RunSettings { dest, concurrency, reading, allow_empty_replacement, delta } = RunSettings::new(raw)?;
            let RebuildSettings { merchants, max_response_bytes } = RebuildSettings::new(raw)?;
            let job = RebuildJob { merchants, range, reading, max_response_bytes, allow_empty_replacement };
            Ok(Prepared { job, dest, concurrency, delta, needs_lake: true, simulator: None })
        };
        command.run(flags, prepare).await
    }
}
