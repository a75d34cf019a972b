//! `backfill` and `sync`: days from the API into the lake.

use clap::Args;

use crate::calendar::Clock;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::jobs::fetch::FetchJob;
use crate::settings::groups::{ApiLayer, BackfillLayer, FetchLayer, SettleLayer, ShardLayer, SyncLayer};
use crate::settings::{ApiSettings, FetchRange, RawSettings, RunSettings, SettingsError, check};

use super::options::GlobalArgs;
use super::run::{ApiArgs, Prepared, RunArgs, Unprepared};
use super::session::{Session, Unopened};

/// Flags of the commands that fetch.
#[derive(Debug, Args)]
struct FetchArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    fetch: FetchLayer,
    #[command(flatten)]
    shard: ShardLayer,
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
        let command = self.fetch.run.command(Command::Backfill, global, range.as_ref().ok().copied());
        let flags = RawSettings { backfill: self.backfill.clone(), ..self.fetch.flags() };
        command.run(flags, async |raw, clock| self.fetch.prepare(raw, FetchRange::backfill(range?, raw), clock).await).await
    }
}

impl SyncArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.fetch.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let command = self.fetch.run.command(Command::Sync, global, None);
        let flags = RawSettings { sync: self.sync.clone(), settle: self.settle.clone(), ..self.fetch.flags() };
        command.run(flags, async |raw, clock| self.fetch.prepare(raw, FetchRange::sync(raw, clock)?, clock).await).await
    }
}

impl FetchArgs {
    fn flags(&self) -> RawSettings {
        self.run.with(RawSettings {
            api: self.api.api.clone(),
            fetch: self.fetch.clone(),
            shard: self.shard.clone(),
            ..RawSettings::default()
        })
    }

    async fn prepare(&self, raw: &RawSettings, range: FetchRange, clock: &Clock) -> Result<Prepared<FetchJob>, Unprepared> {
        let RunSettings { dest, concurrency, reading, allow_empty_replacement, delta } = RunSettings::new(raw)?;
        let api = ApiSettings::new(raw, &self.api.simulator, check::shard(&raw.shard)?)?;
        let session = match Session::open(api, clock).await {
            Ok(session) => session,
            Err(Unopened::Settings(message)) => return Err(SettingsError::Setting(message).into()),
            Err(Unopened::Internal(message)) => return Err(Unprepared::Internal { dest, message }),
        };
        let Session { merchants, environment, source_url, simulator, .. } = session;
        if merchants.is_empty() {
            tracing::info!(shard = raw.shard.shard, "the shard has no merchants: there is nothing to do");
        }
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
        Ok(Prepared { job, dest, concurrency, delta, needs_lake: false, simulator })
    }
}
