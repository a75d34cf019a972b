//! `check`: would a run succeed? Checks settings, token, one settlement call and the lake, one line each.

use std::sync::Arc;

use arrow_array::RecordBatch;
use chrono::{Days, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::calendar::{Clock, seoul_date};
use crate::command::Command;
use crate::engine::failure::Failure;
use crate::engine::result::Status;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::fetch::MerchantClient;
use crate::jobs::lookup::Lookup;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::settings::groups::{ApiLayer, LakeLayer, OutputFormat, OutputLayer, ResponseLayer};
use crate::settings::{CheckSettings, OutputSettings, RawSettings, SettingsError, check};

use super::options::{GlobalArgs, output_format};
use super::output;
use super::run::ApiArgs;
use super::session::Session;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Pay date of the settlement call [default: yesterday in Seoul]
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    #[command(flatten)]
    lake: LakeLayer,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    responses: ResponseLayer,
    #[command(flatten)]
    output: OutputLayer,
}

/// One check.
struct Checked {
    name: &'static str,
    outcome: Result<String, (ExitCode, String)>,
}

impl CheckArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let mut checked = Vec::new();
        self.check(global, &mut checked).await;
        let code = checked.iter().find_map(|check| check.outcome.as_ref().err().map(|(code, _)| *code)).unwrap_or(ExitCode::Success);
        let report = Report::new(code, &checked);
        let output = OutputSettings { format: self.output.output, result_file: self.output.result_file };
        if !output::save(&output, &report) && code == ExitCode::Success {
            return ExitCode::Internal;
        }
        match output_format(output.format) {
            OutputFormat::Text => {
                for Checked { name, outcome } in &checked {
                    match outcome {
                        Ok(detail) => output::line(format_args!("ok    {name}: {detail}")),
                        Err((_, detail)) => output::line(format_args!("FAIL  {name}: {detail}")),
                    }
                }
            }
            OutputFormat::Json => output::json_line(&report),
        }
        code
    }

    /// Makes all the checks, and adds each to `checked`.
    async fn check(&self, global: &GlobalArgs, checked: &mut Vec<Checked>) {
        let mut add = |name, outcome| checked.push(Checked { name, outcome });
        let (CheckSettings { api, dest }, date) = match self.settings(global) {
            Ok(settings) => settings,
            Err(error) => return add("settings", Err((ExitCode::Usage, chain(&error)))),
        };
        let clock: Clock = Arc::new(Utc::now);
        let session = match Session::open(api, &clock).await {
            Ok(session) => session,
            Err(message) => return add("settings", Err((ExitCode::Internal, message))),
        };
        let ids: Vec<&str> = session.merchants.iter().map(|merchant| merchant.client.api_id()).collect();
        add("settings", Ok(format!("merchant {} at {}, lake at {dest}", ids.join(", "), session.source_url)));
        for MerchantClient { client, .. } in &session.merchants {
            let whose = if ids.len() > 1 { format!("{}: ", client.api_id()) } else { String::new() };
            if let Err(error) = client.authenticate().await.map_err(Failure::from) {
                add("token", Err((error.kind.exit_code(), format!("{whose}{}", error.message()))));
                continue;
            }
            add("token", Ok(format!("{whose}the API accepts the credentials")));
            let rows = Lookup { pay_date: date, transaction_id: None, empty_codes: &session.empty_codes }.run(client).await;
            let counted = match rows {
                Ok(batches) => Ok(format!("{whose}{} rows for {date}", batches.iter().map(RecordBatch::num_rows).sum::<usize>())),
                Err(error) => Err((error.failure.kind.exit_code(), format!("{whose}{}", error.failure.message()))),
            };
            add("settlement", counted);
        }
        let probed = match probe(&dest).await {
            Ok(()) => Ok(format!("wrote, read and removed an object in {dest}")),
            Err(error) => Err((ExitCode::Lake, error.at(&dest.to_string()))),
        };
        add("lake", probed);
    }

    fn settings(&self, global: &GlobalArgs) -> Result<(CheckSettings, NaiveDate), SettingsError> {
        let flags = RawSettings {
            api: self.api.api.clone(),
            responses: self.responses.clone(),
            lake: self.lake.clone(),
            output: self.output.clone(),
            ..RawSettings::default()
        };
        let raw = global.settings(flags)?;
        let yesterday = seoul_date(Utc::now()) - Days::new(1);
        OutputSettings::new(&raw)?;
        let date = self.date.as_deref().map_or(Ok(yesterday), |date| check::pay_date("--date", date))?;
        Ok((CheckSettings::new(&raw, &self.api.simulator)?, date))
    }
}

/// The checks as JSON.
#[derive(Serialize)]
struct Report<'a> {
    command: Command,
    status: Status,
    exit_code: ExitCode,
    checks: Vec<CheckReport<'a>>,
}

#[derive(Serialize)]
struct CheckReport<'a> {
    name: &'static str,
    ok: bool,
    detail: &'a str,
}

impl<'a> Report<'a> {
    fn new(exit_code: ExitCode, checked: &'a [Checked]) -> Self {
        let check = |Checked { name, outcome }: &'a Checked| {
            let detail = outcome.as_ref().unwrap_or_else(|(_, detail)| detail);
            CheckReport { name, ok: outcome.is_ok(), detail }
        };
        let status = if exit_code == ExitCode::Success { Status::Success } else { Status::Failed };
        Self { command: Command::Check, status, exit_code, checks: checked.iter().map(check).collect() }
    }
}

async fn probe(dest: &Destination) -> Result<(), LakeError> {
    match Lake::open(dest, false).await? {
        Some(lake) => lake.probe(&Uuid::now_v7().to_string()).await,
        None => Ok(()),
    }
}
