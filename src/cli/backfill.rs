//! `backfill`: a range of pay dates into the lake.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::api::client::chain;
use crate::config::{self, ApiSettings, ConfigError, RawSettings, defaults};
use crate::extract::Policy;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::plan::{Action, PlannedDay, Range};
use crate::result::{RunResult, Stopped};
use crate::run::{self, RunConfig};

use super::options::{ApiArgs, GlobalArgs, LakeArgs, OutputArgs, OutputFormat, RunArgs};
use super::output;
use super::progress::Progress;
use super::session::{Session, signals};

const COMMAND: &str = "backfill";

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// First pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last pay date, inclusive
    #[arg(long, value_name = "DATE")]
    to: String,
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Print what would be done for each day and why; ask and write nothing
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

struct Settings {
    raw: RawSettings,
    api: ApiSettings,
    dest: Destination,
    range: Range,
}

impl BackfillArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> u8 {
        let settings = match self.settings(global) {
            Ok(settings) => settings,
            Err(error) => {
                let range = config::range(&self.from, &self.to).ok();
                return output::refused(COMMAND, range, self.lake.dest.as_deref(), &error, &self.output);
            }
        };
        let range = settings.range;
        let shown = settings.dest.to_string();
        let failed =
            |stopped, message| output::result(&RunResult::not_begun(COMMAND, Some(range), Some(&shown), stopped, message), &self.output);
        let Settings { raw, api, dest, .. } = settings;
        let session = match Session::open(api).await {
            Ok(session) => session,
            Err(message) => return failed(Stopped::Internal, message),
        };
        let config = RunConfig {
            command: COMMAND,
            run_id: Uuid::now_v7().to_string(),
            dest: shown.clone(),
            range,
            refetch: raw.refetch.unwrap_or_default(),
            concurrency: raw.concurrency.unwrap_or(defaults::CONCURRENCY).into(),
            policy: Policy {
                environment: session.environment,
                source_url: session.source_url.clone(),
                empty_codes: session.empty_codes.clone(),
                bad_rows: raw.bad_rows.unwrap_or_default(),
                allow_empty_replacement: raw.allow_empty_replacement.unwrap_or_default(),
            },
        };
        let lake = match Lake::open(&dest, self.dry_run) {
            Ok(lake) => lake,
            Err(error) => return failed(Stopped::Lake, chain(&error)),
        };
        if self.dry_run {
            return match run::read_state(lake.as_ref(), &session.merchant, &config).await {
                Ok(state) => self.print_plan(&state.plan(&config), session.client.api_id(), &config),
                Err(error) => failed(error.stopped(), chain(&error)),
            };
        }
        let Some(lake) = lake else {
            let missing = LakeError::Destination { dest: config.dest, reason: "it is not there".into() };
            return failed(Stopped::Lake, chain(&missing));
        };
        let progress = Progress::new(global.quiet);
        let result = run::run(&session.client, &lake, &session.merchant, &config, &progress, signals()).await;
        Progress::finish();
        output::result(&result, &self.output)
    }

    fn settings(&self, global: &GlobalArgs) -> Result<Settings, ConfigError> {
        let flags = RawSettings { dest: self.lake.dest.clone(), ..self.run.over(self.api.settings()) };
        let raw = flags.over_file(global.config.as_deref())?;
        let range = config::range(&self.from, &self.to)?;
        let dest = config::destination(&raw)?;
        let api = ApiSettings::new(&raw, &self.api.simulator)?;
        Ok(Settings { raw, api, dest, range })
    }

    fn print_plan(&self, plan: &[PlannedDay], merchant_id: &str, config: &RunConfig) -> u8 {
        let word = |action| if action == Action::Fetch { "fetch" } else { "skip" };
        let asked = plan.iter().filter(|day| day.action == Action::Fetch).count();
        match self.output.format() {
            OutputFormat::Json => {
                let days: Vec<_> = plan
                    .iter()
                    .map(|day| json!({ "merchant_id": merchant_id, "pay_date": day.pay_date, "action": word(day.action), "reason": day.reason }))
                    .collect();
                let Range { from, to } = config.range;
                output::line(json!({
                    "command": COMMAND, "dry_run": true, "status": "success", "exit_code": 0, "from": from, "to": to, "dest": config.dest,
                    "dates": { "planned": plan.len(), "fetch": asked, "skip": plan.len() - asked }, "days": days,
                }));
            }
            OutputFormat::Text => {
                for day in plan {
                    output::line(format_args!("{} {:5} {}", day.pay_date, word(day.action), day.reason));
                }
                output::line(format_args!("{asked} of {} days would be asked for", plan.len()));
            }
        }
        0
    }
}
