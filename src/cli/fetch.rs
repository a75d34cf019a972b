//! `backfill` and `sync`: days from the API into the lake.

use clap::Args;

use crate::calendar::Clock;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::jobs::fetch::FetchJob;
use crate::settings::groups::{ApiLayer, BackfillLayer, FetchLayer, SettleLayer, SyncLayer};
use crate::settings::{ApiSettings, FetchRange, RawSettings, RunSettings, SettingsError, check};

use super::options::GlobalArgs;
use super::run::{ApiArgs, Prepared, RunArgs, RunCommand, Unprepared};
use super::session::Session;

/// Flags of the commands that fetch.
#[derive(Debug, Args)]
struct FetchArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    fetch: FetchLayer,
}

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    #[command(flatten)]
    backfill: BackfillLayer,
    #[command(flatten)]
    fetch: FetchArgs,
}

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    sync: SyncLayer,
    #[command(flatten)]
    settle: SettleLayer,
    #[command(flatten)]
    fetch: FetchArgs,
}

impl BackfillArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.fetch.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let range = check::range(&self.from, &self.to);
        let command = RunCommand { command: Command::Backfill, args: &self.fetch.run, global, range: range.as_ref().ok().copied() };
        let flags = RawSettings { backfill: self.backfill.clone(), ..self.fetch.flags() };
        command.run(flags, async |raw, clock| self.fetch.prepare(raw, FetchRange::backfill(range?, raw), clock).await).await
    }
}

impl SyncArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.fetch.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let command = RunCommand { command: Command::Sync, args: &self.fetch.run, global, range: None };
        let flags = RawSettings { sync: self.sync.clone(), settle: self.settle.clone(), ..self.fetch.flags() };
        command.run(flags, async |raw, clock| self.fetch.prepare(raw, FetchRange::sync(raw, clock)?, clock).await).await
    }
}

impl FetchArgs {
    fn flags(&self) -> RawSettings {
        RawSettings { api: self.api.api.clone(), fetch: self.fetch.clone(), ..RawSettings::default() }
    }

    async fn prepare(&self, raw: &RawSettings, range: FetchRange, clock: &Clock) -> Result<Prepared<FetchJob>, Unprepared> {
        let RunSettings { dest, concurrency, reading, allow_empty_replacement } = RunSettings::new(raw)?;
        let api: Result<ApiSettings, SettingsError> = ApiSettings::new(raw, &self.api.simulator);
        let session = match Session::open(api?, clock).await {
            Ok(session) => session,
            Err(message) => return Err(Unprepared::Internal { dest, message }),
        };
        let Session { merchants, environment, source_url, simulator, .. } = session;
        let FetchRange { from, to, mode } = range;
        let job = FetchJob {
            merchants,
            from,
            to,
            mode,
            environment,
            source_url,
            reading,
            allow_empty_replacement,
            keep_raw: raw.fetch.keep_raw.unwrap_or_default(),
            clock: clock.clone(),
        };
        Ok(Prepared { job, dest, concurrency, needs_lake: false, simulator })
    }
}
