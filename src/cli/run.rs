//! What the commands share that run a job: from flags to the printed result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::Utc;
use clap::Args;
use futures::FutureExt as _;
use uuid::Uuid;

use crate::calendar::{Clock, DateRange};
use crate::command::Command;
use crate::engine::job::Job;
use crate::engine::result::{RunResult, Stop, StopReason};
use crate::engine::{RunOptions, execute, execute_delta};
use crate::errors::{chain, panic_text};
use crate::exit::ExitCode;
use crate::lake::destination::Destination;
use crate::lake::holdings::NotHeld;
use crate::lake::merchant::Merchants;
use crate::lake::store::Lake;
use crate::settings::groups::{
    ApiLayer, LakeLayer, LangLayer, LogFormat, OutputFormat, OutputLayer, ResponseLayer, RunLayer, TelemetryLayer,
};
use crate::settings::{OutputSettings, RawSettings, SettingsError, TelemetrySettings};
use crate::simulator::{Simulator, SimulatorArgs};
use crate::telemetry::Telemetry;

use super::options::{GlobalArgs, run_format};
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
    lang: LangLayer,
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
    /// Whether the Delta table is brought up to date.
    pub(super) delta: bool,
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
pub(super) enum Outcome {
    /// It ran, or could not begin.
    Ended(Box<RunResult>),
    /// Its plan was printed.
    Planned(ExitCode),
}

/// A command that has a run's result.
pub(super) struct RunCommand<'a> {
    pub(super) command: Command,
    pub(super) lake: &'a LakeLayer,
    pub(super) output: &'a OutputLayer,
    pub(super) lang: &'a LangLayer,
    pub(super) telemetry: &'a TelemetryLayer,
    pub(super) global: &'a GlobalArgs,
    /// Whether only a plan is printed.
    pub(super) dry_run: bool,
    /// The days that were named, for the result of a run that cannot begin.
    pub(super) range: Option<DateRange>,
}

/// What a run works with.
pub(super) struct Setting<'s> {
    pub(super) raw: RawSettings,
    pub(super) clock: Clock,
    pub(super) output: OutputSettings,
    pub(super) telemetry: &'s mut Telemetry,
}

impl RunArgs {
    /// The command of these flags.
    pub(super) fn command<'a>(&'a self, command: Command, global: &'a GlobalArgs, range: Option<DateRange>) -> RunCommand<'a> {
        let Self { lake, output, lang, telemetry, dry_run, .. } = self;
        RunCommand { command, lake, output, lang, telemetry, global, dry_run: *dry_run, range }
    }

    /// These flags with those that only the command has.
    pub(super) fn with(&self, flags: RawSettings) -> RawSettings {
        RawSettings { responses: self.responses.clone(), run: self.run.clone(), ..flags }
    }
}

impl RunCommand<'_> {
    /// Runs a job: `flags` are those that not every run has, and `prepare` makes a job of the settings.
    pub(super) async fn run<J: Job>(
        &self,
        flags: RawSettings,
        prepare: impl AsyncFnOnce(&RawSettings, &Clock) -> Result<Prepared<J>, Unprepared>,
    ) -> ExitCode {
        let work = async |setting: Setting<'_>| match prepare(&setting.raw, &setting.clock).await {
            Ok(prepared) => Ok(self.execute(prepared, setting).await),
            Err(unprepared) => Err(unprepared),
        };
        self.conduct(flags, work).await
    }

    /// Does any work that has a run's result, and prints that result, whatever happens.
    pub(super) async fn conduct(&self, flags: RawSettings, work: impl AsyncFnOnce(Setting<'_>) -> Result<Outcome, Unprepared>) -> ExitCode {
        let mut output = OutputSettings { format: self.output.output, result_file: self.output.result_file.clone() };
        let mut telemetry = Telemetry::default();
        let run = async {
            let done = match self.settings(flags, &mut output, &mut telemetry) {
                Ok(raw) => work(Setting { raw, clock: Arc::new(Utc::now), output: output.clone(), telemetry: &mut telemetry }).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(outcome) => outcome,
                Err(Unprepared::Settings(error)) => {
                    self.not_begun(self.lake.dest.as_deref(), Stop { reason: StopReason::Settings, message: chain(&error) })
                }
                Err(Unprepared::Internal { dest, message }) => {
                    self.not_begun(Some(&dest.to_string()), Stop { reason: StopReason::Internal, message })
                }
            }
        };
        // whoever waits for the result receives one, whatever happens
        let outcome = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
            let message = format!("a defect: the run panicked: {}; some days may have been published: see status", panic_text(&*panic));
            self.not_begun(self.lake.dest.as_deref(), Stop { reason: StopReason::Internal, message })
        });
        match outcome {
            Outcome::Ended(result) => output::result(*result, &output, telemetry).await,
            Outcome::Planned(exit_code) => exit_code,
        }
    }

    /// Merges the settings, and checks first where the run is reported, so that what is wrong with the others is reported, too.
    fn settings(&self, flags: RawSettings, output: &mut OutputSettings, telemetry: &mut Telemetry) -> Result<RawSettings, SettingsError> {
        let flags = RawSettings {
            lake: self.lake.clone(),
            output: self.output.clone(),
            lang: self.lang.clone(),
            telemetry: self.telemetry.clone(),
            ..flags
        };
        let raw = self.global.settings(flags)?;
        *output = OutputSettings::new(&raw)?;
        if !self.dry_run {
            *telemetry = Telemetry::new(TelemetrySettings::new(&raw.telemetry, raw.lang.lang())?);
        }
        Ok(raw)
    }

    async fn execute<J: Job>(&self, prepared: Prepared<J>, mut setting: Setting<'_>) -> Outcome {
        let Prepared { job, dest, concurrency, delta, needs_lake, simulator } = prepared;
        // a plan has no result to write, and ends as signals end a process
        let signals = (!self.dry_run).then(signals);
        let shown = dest.to_string();
        let lake = match open(&dest, self.dry_run, needs_lake).await {
            Ok(lake) => lake,
            Err(stop) => return self.not_begun(Some(&shown), stop),
        };
        let outcome = match (lake.as_ref(), signals) {
            (Some(lake), Some(signals)) => {
                let options = self.begin(shown, concurrency, delta, &mut setting);
                let listed =
                    run_format(self.command, setting.output.format) == OutputFormat::Text && self.global.log_format() == LogFormat::Text;
                let progress = Progress::new(self.global.quiet, listed);
                let result = execute(&job, lake, &options, &progress, signals).await;
                Progress::finish();
                Outcome::Ended(Box::new(result))
            }
            (lake, _) => match job.plans(lake).await {
                Ok(plans) => Outcome::Planned(output::plan(self.command, &shown, plans, &setting.output)),
                Err(error) => self.not_begun(Some(&shown), error.stop(&shown)),
            },
        };
        drop(simulator);
        outcome
    }

    /// Brings the Delta table of a lake up to date.
    pub(super) async fn update_delta(&self, dest: &Destination, merchants: &Merchants, mut setting: Setting<'_>) -> Outcome {
        let signals = signals();
        let shown = dest.to_string();
        let lake = match open(dest, false, true).await {
            Ok(Some(lake)) => lake,
            Ok(None) => return self.not_begun(Some(&shown), no_folder(dest)),
            Err(stop) => return self.not_begun(Some(&shown), stop),
        };
        let options = self.begin(shown, 1, true, &mut setting);
        Outcome::Ended(Box::new(execute_delta(merchants, &lake, &options, signals).await))
    }

    /// Gives the run its id, and reports that it begins.
    fn begin(&self, dest: String, concurrency: usize, delta: bool, setting: &mut Setting<'_>) -> RunOptions {
        let run_id = Uuid::now_v7().to_string();
        setting.telemetry.run_started(self.command, &run_id);
        RunOptions { command: self.command, run_id, dest, concurrency, clock: setting.clock.clone(), delta }
    }

    fn not_begun(&self, dest: Option<&str>, stop: Stop) -> Outcome {
        Outcome::Ended(Box::new(RunResult::not_begun(self.command, self.range, dest, stop)))
    }
}

async fn open(dest: &Destination, dry_run: bool, needs_lake: bool) -> Result<Option<Lake>, Stop> {
    let opened = Lake::open(dest, dry_run || needs_lake).await;
    let lake = opened.map_err(|error| {
        let is_a_slip = error.is_a_setting() || needs_lake && error.is_no_folder();
        let reason = if is_a_slip { StopReason::Settings } else { StopReason::Lake };
        Stop { reason, message: chain(&error) }
    })?;
    if needs_lake && lake.is_none() { Err(no_folder(dest)) } else { Ok(lake) }
}

fn no_folder(dest: &Destination) -> Stop {
    Stop { reason: StopReason::Settings, message: NotHeld::Folder(dest.to_string()).to_string() }
}
