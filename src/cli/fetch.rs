//! What the commands that fetch days into the lake share: from settings to the result.

use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use clap::Args;
use uuid::Uuid;

use crate::calendar::{Clock, DateRange};
use crate::command::Command;
use crate::engine::job::Job;
use crate::engine::result::{Stop, StopReason};
use crate::engine::{RunOptions, execute};
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::Reading;
use crate::jobs::fetch::FetchJob;
use crate::lake::destination::Destination;
use crate::lake::store::Lake;
use crate::plan::Mode;
use crate::settings::{self, ApiSettings, RawSettings, SettingsError};
use crate::telemetry::Reporting;

use super::options::{ApiArgs, GlobalArgs, LakeArgs, OutputArgs, ReportingArgs, RunArgs};
use super::output::{self, Outcome};
use super::progress::Progress;
use super::session::{Session, signals};

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    pub(super) api: ApiArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Keep each answer as received, under raw/
    #[arg(long, help_heading = "Run")]
    keep_raw: bool,
    /// Print what would be done for each day and why; ask and write nothing
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    reporting: ReportingArgs,
}

/// Which days a command wants.
pub(super) struct Wanted {
    /// None: from the lake's first day on.
    pub(super) from: Option<NaiveDate>,
    pub(super) to: NaiveDate,
    /// None: a backfill as the settings have it.
    pub(super) mode: Option<Mode>,
}

impl FetchArgs {
    /// Runs `command` for the days wanted, and reports them where they cannot be told.
    pub(super) async fn run(&self, command: Command, wanted: Result<Wanted, SettingsError>, global: &GlobalArgs) -> ExitCode {
        let mut reporting = Reporting::default();
        let outcome = self.outcome(command, wanted, global, &mut reporting).await;
        outcome.told(&self.output, reporting).await
    }

    async fn outcome(
        &self,
        command: Command,
        wanted: Result<Wanted, SettingsError>,
        global: &GlobalArgs,
        reporting: &mut Reporting,
    ) -> Outcome {
        let range = wanted.as_ref().ok().and_then(|wanted| wanted.from.map(|from| DateRange { from, to: wanted.to }));
        let settings = self.settings(global, reporting).and_then(|settings| Ok((wanted?, settings)));
        let (Wanted { from, to, mode }, Settings { raw, api, dest, concurrency }) = match settings {
            Ok(settings) => settings,
            Err(error) => {
                return Outcome::not_begun(
                    command,
                    range,
                    self.lake.dest.as_deref(),
                    Stop { reason: StopReason::Settings, message: chain(&error) },
                );
            }
        };
        // a plan has no result to write, and ends as signals end a process
        let signals = (!self.dry_run).then(signals);
        let shown = dest.to_string();
        let failed = |reason, message| Outcome::not_begun(command, range, Some(&shown), Stop { reason, message });
        let session = match Session::open(api).await {
            Ok(session) => session,
            Err(message) => return failed(StopReason::Internal, message),
        };
        let clock: Clock = Arc::new(Utc::now);
        let options = RunOptions { command, run_id: Uuid::now_v7().to_string(), dest: shown.clone(), concurrency, clock: clock.clone() };
        let job = FetchJob {
            merchants: session.merchants,
            from,
            to,
            mode: mode.unwrap_or(Mode::Backfill(raw.refetch.unwrap_or_default())),
            environment: session.environment,
            source_url: session.source_url,
            reading: Reading { empty_codes: session.empty_codes, bad_rows: raw.bad_rows.unwrap_or_default() },
            allow_empty_replacement: raw.allow_empty_replacement.unwrap_or_default(),
            keep_raw: raw.keep_raw.unwrap_or_default(),
            clock,
        };
        let lake = match Lake::open(&dest, self.dry_run).await {
            Ok(lake) => lake,
            Err(error) => return failed(StopReason::Lake, chain(&error)),
        };
        let Some((lake, signals)) = lake.as_ref().zip(signals) else {
            return match job.plans(lake.as_ref()).await {
                Ok(plans) => Outcome::Planned(output::plan((command, &shown), &plans, &self.output)),
                Err(error) => Outcome::not_begun(command, range, Some(&shown), error.stop(&shown)),
            };
        };
        reporting.begins(command, &options.run_id);
        let progress = Progress::new(global.quiet);
        let result = execute(&job, lake, &options, &progress, signals).await;
        Progress::finish();
        Outcome::Ended(Box::new(result))
    }

    fn settings(&self, global: &GlobalArgs, reporting: &mut Reporting) -> Result<Settings, SettingsError> {
        self.output.check()?;
        let flags =
            RawSettings { dest: self.lake.dest.clone(), keep_raw: self.keep_raw.then_some(true), ..self.run.over(self.api.settings()) };
        let raw = global.settings(self.reporting.over(flags))?;
        if !self.dry_run {
            // first, so that what is wrong with the others is told, too
            *reporting = Reporting::new(&raw)?;
        }
        let dest = settings::destination(&raw)?;
        let api = ApiSettings::new(&raw, &self.api.simulator)?;
        let concurrency = settings::concurrency(&raw)?;
        Ok(Settings { raw, api, dest, concurrency })
    }
}

struct Settings {
    raw: RawSettings,
    api: ApiSettings,
    dest: Destination,
    concurrency: usize,
}
