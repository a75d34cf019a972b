//! `sync`: the daily job; no dates needed.

use chrono::{Days, Utc};
use clap::Args;

use crate::calendar::seoul_date;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::plan::{Daily, Mode, SettleWindow};
use crate::settings::{self, SettingsError};

use super::fetch::{FetchArgs, Wanted};
use super::options::{ApiArgs, GlobalArgs};

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// First pay date to look at [default: the lake's first]
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// Days after today in Seoul to ask for as well: payouts that are announced
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(..=3660))]
    ahead: u32,
    /// Closed days up to this old are asked for again, for restatements
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    lookback: u32,
    /// Days still open this long after their pay date are no longer asked for
    #[arg(long, value_name = "DAYS", default_value_t = 60)]
    settle_window: u32,
    #[command(flatten)]
    fetch: FetchArgs,
}

impl SyncArgs {
    pub(super) fn api(&mut self) -> &mut ApiArgs {
        &mut self.fetch.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let wanted = self.wanted();
        self.fetch.run(Command::Sync, wanted, global).await
    }

    fn wanted(&self) -> Result<Wanted, SettingsError> {
        let today = seoul_date(Utc::now());
        let from = self.since.as_deref().map(|since| settings::pay_date("--since", since)).transpose()?;
        let to = today.checked_add_days(Days::new(self.ahead.into())).unwrap_or(today);
        if let Some(since) = from.filter(|since| *since > to) {
            return Err(SettingsError::Setting(format!("--since {since} is after {to}, the last day that is asked for (--ahead)")));
        }
        let daily = Daily { today, lookback_days: self.lookback, settle_window: SettleWindow { today, days: self.settle_window } };
        Ok(Wanted { from, to, mode: Some(Mode::Sync(daily)) })
    }
}
