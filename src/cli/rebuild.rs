//! `rebuild`: days made again from what was kept of the API's answers.

use std::sync::Arc;

use chrono::Utc;
use clap::Args;
use uuid::Uuid;

use crate::calendar::DateRange;
use crate::command::Command;
use crate::engine::job::Job;
use crate::engine::result::{Stop, StopReason};
use crate::engine::{RunOptions, execute};
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::Reading;
use crate::jobs::rebuild::RebuildJob;
use crate::lake::destination::Destination;
use crate::lake::store::Lake;
use crate::settings::{self, RawSettings, SettingsError};
use crate::telemetry::Reporting;

use super::options::{AnswerArgs, GlobalArgs, LakeArgs, OutputArgs, ReportingArgs, RunArgs};
use super::output::{self, Outcome};
use super::progress::Progress;
use super::session::signals;

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    /// Only the merchant with this API id [default: every merchant in the lake]
    #[arg(long, env = settings::names::API_ID, value_name = "ID", hide_env_values = true)]
    api_id: Option<String>,
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Print what would be done for each day and why; write nothing
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    reporting: ReportingArgs,
}

impl RebuildArgs {
    pub(super) async fn run(&self, global: &GlobalArgs) -> ExitCode {
        let mut reporting = Reporting::default();
        let outcome = self.outcome(global, &mut reporting).await;
        outcome.told(&self.output, reporting).await
    }

    async fn outcome(&self, global: &GlobalArgs, reporting: &mut Reporting) -> Outcome {
        let range = settings::range(&self.from, &self.to);
        let shown_range = range.as_ref().ok().copied();
        let (job, options, dest) = match range.and_then(|range| self.config(range, global, reporting)) {
            Ok(settings) => settings,
            Err(error) => {
                return Outcome::not_begun(
                    Command::Rebuild,
                    shown_range,
                    self.lake.dest.as_deref(),
                    Stop { reason: StopReason::Settings, message: chain(&error) },
                );
            }
        };
        let failed = |stop| Outcome::not_begun(Command::Rebuild, shown_range, Some(&options.dest), stop);
        let lake = match Lake::open_existing(&dest).await {
            Ok(lake) => lake,
            Err(error) => return failed(Stop { reason: StopReason::Lake, message: chain(&error) }),
        };
        if self.dry_run {
            return match job.plans(Some(&lake)).await {
                Ok(plans) => Outcome::Planned(output::plan((Command::Rebuild, &options.dest), &plans, &self.output)),
                Err(error) => failed(error.stop(&options.dest)),
            };
        }
        reporting.begins(Command::Rebuild, &options.run_id);
        let progress = Progress::new(global.quiet);
        let result = execute(&job, &lake, &options, &progress, signals()).await;
        Progress::finish();
        Outcome::Ended(Box::new(result))
    }

    fn config(
        &self,
        range: DateRange,
        global: &GlobalArgs,
        reporting: &mut Reporting,
    ) -> Result<(RebuildJob, RunOptions, Destination), SettingsError> {
        self.output.check()?;
        let flags = RawSettings {
            dest: self.lake.dest.clone(),
            api_id: self.api_id.clone(),
            ..self.run.over(self.answers.over(RawSettings::default()))
        };
        let raw = global.settings(self.reporting.over(flags))?;
        if !self.dry_run {
            *reporting = Reporting::new(&raw)?;
        }
        let dest = settings::destination(&raw)?;
        let options = RunOptions {
            command: Command::Rebuild,
            run_id: Uuid::now_v7().to_string(),
            dest: dest.to_string(),
            concurrency: settings::concurrency(&raw)?,
            clock: Arc::new(Utc::now),
        };
        let job = RebuildJob {
            merchants: settings::merchants_of(&raw)?,
            range,
            reading: Reading { empty_codes: settings::empty_codes(&raw), bad_rows: raw.bad_rows.unwrap_or_default() },
            max_response_bytes: settings::max_answer_bytes(&raw)?,
            allow_empty_replacement: raw.allow_empty_replacement.unwrap_or_default(),
        };
        Ok((job, options, dest))
    }
}
