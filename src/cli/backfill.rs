//! `backfill`: a range of pay dates into the lake.

use clap::Args;

use crate::command::Command;
use crate::exit::ExitCode;
use crate::plan::{Mode, Refetch};
use crate::settings::{self, SettingsError};

use super::fetch::{FetchArgs, Wanted};
use super::options::{ApiArgs, GlobalArgs};

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    /// Which days to ask for: missing or not closed, only missing, or all [default: open]
    #[arg(long, value_name = "WHICH")]
    refetch: Option<Refetch>,
    #[command(flatten)]
    fetch: FetchArgs,
}

impl BackfillArgs {
    pub(super) fn api(&mut self) -> &mut ApiArgs {
        &mut self.fetch.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let wanted = self.wanted();
        self.fetch.run(Command::Backfill, wanted, global).await
    }

    fn wanted(&self) -> Result<Wanted, SettingsError> {
        let range = settings::range(&self.from, &self.to)?;
        Ok(Wanted { from: Some(range.from), to: range.to, mode: self.refetch.map(Mode::Backfill) })
    }
}
