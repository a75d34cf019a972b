//! What the commands share that run a job: from flags to the printed result.

use std::sync::Arc;

use chrono::Utc;
use clap::Args;
use uuid::Uuid;

use crate::calendar::{Clock, DateRange};
use crate::command::Command;
use crate::engine::job::Job;
use crate::engine::result::{RunResult, Stop, StopReason};
use crate::engine::{RunOptions, execute};
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::settings::groups::{ApiLayer, LakeLayer, OutputLayer, ResponseLayer, RunLayer, TelemetryLayer};
use crate::settings::{OutputSettings, RawSettings, SettingsError, TelemetrySettings};
use crate::simulator::{Simulator, SimulatorArgs};
use crate::telemetry::Telemetry;

use super::options::GlobalArgs;
use super::output;
use super::progress::Progress;
use super::session::signals;

/// Flags of every command that runs a job.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    lake: LakeLayer,
    #[command(flatten)]
    responses: ResponseLayer,
    #[command(flatten)]
    run: RunLayer,
    /// Print what would be done for each day and why; change nothing
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    #[command(flatten)]
    output: OutputLayer,
    #[command(flatten)]
    telemetry: TelemetryLayer,
}

/// Flags of the commands that call the API.
#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    #[command(flatten)]
    pub(super) api: ApiLayer,
    /// What the simulator serves
    #[command(flatten)]
    pub(super) simulator: SimulatorArgs,
}

/// A run whose settings are valid.
pub(super) struct Prepared<J> {
    pub(super) job: J,
    pub(super) dest: Destination,
    pub(super) concurrency: usize,
    /// Whether the lake must exist.
    pub(super) needs_lake: bool,
    /// Serves the job until the run ends.
    pub(super) simulator: Option<Simulator>,
}

/// Why a run could not be prepared.
pub(super) enum Unprepared {
    /// Its settings cannot be used.
    Settings(SettingsError),
    /// What it needs could not be opened.
    Internal {
        /// The lake's root.
        dest: Destination,
        message: String,
    },
}

impl From<SettingsError> for Unprepared {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

/// What became of a command that runs a job.
enum Outcome {
    /// It ran, or could not begin.
    Ended(Box<RunResult>),
    /// Its plan was printed.
    Planned(ExitCode),
}

/// A command that runs a job.
pub(super) struct RunCommand<'a> {
    pub(super) command: Command,
    pub(super) args: &'a RunArgs,
    pub(super) global: &'a GlobalArgs,
    /// The days that were named, for the result of a run that cannot begin.
    pub(super) range: Option<DateRange>,
}

impl RunCommand<'_> {
    /// Runs the command: `flags` are those that only this command has, and `prepare` makes a job of the settings.
    pub(super) async fn run<J: Job>(
        &self,
        flags: RawSettings,
        prepare: impl AsyncFnOnce(&RawSettings, &Clock) -> Result<Prepared<J>, Unprepared>,
    ) -> ExitCode {
        let mut output = OutputSettings { format: self.args.output.output, result_file: self.args.output.result_file.clone() };
        let mut telemetry = Telemetry::default();
        let clock: Clock = Arc::new(Utc::now);
        let prepared = match self.settings(flags, &mut output, &mut telemetry) {
            Ok(raw) => prepare(&raw, &clock).await,
            Err(error) => Err(error.into()),
        };
        let outcome = match prepared {
            Ok(prepared) => self.execute(prepared, clock, &output, &mut telemetry).await,
            Err(Unprepared::Settings(error)) => {
                self.not_begun(self.args.lake.dest.as_deref(), Stop { reason: StopReason::Settings, message: chain(&error) })
            }
            Err(Unprepared::Internal { dest, message }) => {
                self.not_begun(Some(&dest.to_string()), Stop { reason: StopReason::Internal, message })
            }
        };
        match outcome {
            Outcome::Ended(result) => output::result(*result, &output, telemetry).await,
            Outcome::Planned(exit_code) => exit_code,
        }
    }

    /// Merges the settings, and checks first where the run is reported, so that what is wrong with the others is reported, too.
    fn settings(&self, flags: RawSettings, output: &mut OutputSettings, telemetry: &mut Telemetry) -> Result<RawSettings, SettingsError> {
        let RunArgs { lake, responses, run, output: output_layer, telemetry: telemetry_layer, .. } = self.args;
        let flags = RawSettings {
            lake: lake.clone(),
            responses: responses.clone(),
            run: run.clone(),
            output: output_layer.clone(),
            telemetry: telemetry_layer.clone(),
            ..flags
        };
        let raw = self.global.settings(flags)?;
        *output = OutputSettings::new(&raw)?;
        if !self.args.dry_run {
            *telemetry = Telemetry::new(TelemetrySettings::new(&raw.telemetry)?);
        }
        Ok(raw)
    }

    async fn execute<J: Job>(&self, prepared: Prepared<J>, clock: Clock, output: &OutputSettings, telemetry: &mut Telemetry) -> Outcome {
        let Prepared { job, dest, concurrency, needs_lake, simulator } = prepared;
        // a plan has no result to write, and ends as signals end a process
        let signals = (!self.args.dry_run).then(signals);
        let shown = dest.to_string();
        let lake = match open(&dest, self.args.dry_run, needs_lake).await {
            Ok(lake) => lake,
            Err(error) => return self.not_begun(Some(&shown), Stop { reason: StopReason::Lake, message: chain(&error) }),
        };
        let outcome = match (lake.as_ref(), signals) {
            (Some(lake), Some(signals)) => {
                let run_id = Uuid::now_v7().to_string();
                telemetry.run_started(self.command, &run_id);
                let options = RunOptions { command: self.command, run_id, dest: shown, concurrency, clock };
                let progress = Progress::new(self.global.quiet);
                let result = execute(&job, lake, &options, &progress, signals).await;
                Progress::finish();
                Outcome::Ended(Box::new(result))
            }
            (lake, _) => match job.plans(lake).await {
                Ok(plans) => Outcome::Planned(output::plan(self.command, &shown, &plans, output)),
                Err(error) => self.not_begun(Some(&shown), error.stop(&shown)),
            },
        };
        drop(simulator);
        outcome
    }

    fn not_begun(&self, dest: Option<&str>, stop: Stop) -> Outcome {
        Outcome::Ended(Box::new(RunResult::not_begun(self.command, self.range, dest, stop)))
    }
}

async fn open(dest: &Destination, dry_run: bool, needs_lake: bool) -> Result<Option<Lake>, LakeError> {
    if needs_lake { Lake::open_existing(dest).await.map(Some) } else { Lake::open(dest, dry_run).await }
}
