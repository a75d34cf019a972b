//! `check`: would a run succeed? Checks settings, token, one settlement call and the lake, one line each.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{Days, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::calendar::{Clock, seoul_date};
use crate::command::Command;
use crate::delta;
use crate::delta::error::DeltaError;
use crate::delta::snapshot::Snapshot;
use crate::engine::failure::Failure;
use crate::engine::job::PlanError;
use crate::engine::result::Status;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::fetch::{self, MerchantClient};
use crate::jobs::lookup::Lookup;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::merchant::MerchantName;
use crate::lake::record::Environment;
use crate::lake::store::Lake;
use crate::settings::groups::{ApiLayer, LakeLayer, OutputFormat, OutputLayer, ResponseLayer};
use crate::settings::{CheckSettings, OutputSettings, RawSettings, SettingsError, check};

use super::figures::counted;
use super::options::GlobalArgs;
use super::output::{self, write_json};
use super::run::ApiArgs;
use super::session::Session;

#[derive(Debug, Args)]
#[command(mut_arg("output", |output| output.help("Format of the checks on stdout [default: text]")))]
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
        let mut output = OutputSettings { format: self.output.output, result_file: self.output.result_file.clone() };
        self.check(global, &mut output, &mut checked).await;
        let code = checked.iter().find_map(|check| check.outcome.as_ref().err().map(|(code, _)| *code)).unwrap_or(ExitCode::Success);
        let report = Report::new(code, &checked);
        let saved = output::save(&output, &report);
        let code = if !saved && code == ExitCode::Success { ExitCode::Internal } else { code };
        output::print(code, |out| {
            if output.format == Some(OutputFormat::Json) {
                return write_json(&report, out);
            }
            for Checked { name, outcome } in &checked {
                match outcome {
                    Ok(detail) => writeln!(out, "ok    {name}: {detail}")?,
                    Err((_, detail)) => writeln!(out, "FAIL  {name}: {detail}")?,
                }
            }
            Ok(())
        })
    }

    /// Makes all the checks, and adds each to `checked`.
    async fn check(&self, global: &GlobalArgs, output: &mut OutputSettings, checked: &mut Vec<Checked>) {
        let mut add = |name, outcome| checked.push(Checked { name, outcome });
        let (CheckSettings { api, dest, delta }, date) = match self.settings(global, output) {
            Ok(settings) => settings,
            Err(error) => return add("settings", Err((ExitCode::Usage, chain(&error)))),
        };
        let clock: Clock = Arc::new(Utc::now);
        let session = match Session::open(api, &clock).await {
            Ok(session) => session,
            Err(unopened) => return add("settings", Err((unopened.exit_code(), unopened.message()))),
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
            let rows = Lookup { pay_date: date, transaction_id: None, empty_codes: &session.empty_codes }.count(client).await;
            let counted = match rows {
                Ok(rows) => Ok(format!("{whose}{} for {date}", counted(rows, "row"))),
                Err(error) => Err((error.failure.kind.exit_code(), format!("{whose}{}", error.failure.message()))),
            };
            add("settlement", counted);
        }
        let merchants: Vec<&MerchantName> = session.merchants.iter().map(|merchant| &merchant.merchant).collect();
        let lake = probe(&dest, &merchants, session.environment).await;
        let is_usable = lake.is_ok();
        add("lake", lake);
        // what is wrong with the lake is wrong with its tables, and is stated once
        if is_usable && let Some(outcome) = probe_delta(&dest, delta).await {
            add("delta", outcome);
        }
    }

    fn settings(&self, global: &GlobalArgs, output: &mut OutputSettings) -> Result<(CheckSettings, NaiveDate), SettingsError> {
        let flags = RawSettings {
            api: self.api.api.clone(),
            responses: self.responses.clone(),
            lake: self.lake.clone(),
            output: self.output.clone(),
            ..RawSettings::default()
        };
        let raw = global.settings(flags)?;
        let yesterday = seoul_date(Utc::now()) - Days::new(1);
        *output = OutputSettings::new(&raw)?;
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

/// Tries the lake, and finds out whether it is these merchants' and this environment's.
async fn probe(dest: &Destination, merchants: &[&MerchantName], environment: Environment) -> Result<String, (ExitCode, String)> {
    let failed = |error: LakeError| (if error.is_a_setting() { ExitCode::Usage } else { ExitCode::Lake }, error.at(&dest.to_string()));
    let refused = |error: PlanError| (ExitCode::Usage, error.to_string());
    let Some(lake) = Lake::open(dest, false).await.map_err(failed)? else { return Ok(String::new()) };
    let days = lake.days().await.map_err(failed)?;
    fetch::check_merchants(&days, merchants.iter().copied()).map_err(refused)?;
    if let Some((key, file)) = fetch::newest_file(&lake, &days).await.map_err(failed)? {
        fetch::check_environment(&key, &file, environment).map_err(refused)?;
    }
    let notes = lake.probe(&Uuid::now_v7().to_string()).await.map_err(failed)?;
    let mut detail = format!("wrote, replaced and read an object in {dest}");
    for note in notes {
        let _ = write!(detail, "; note: {note}");
    }
    Ok(detail)
}

/// Tries the Delta table, if there is one or if runs write it.
async fn probe_delta(dest: &Destination, is_written: bool) -> Option<Result<String, (ExitCode, String)>> {
    let failed = |error: DeltaError| {
        let failure = Failure::from(error);
        (failure.kind.exit_code(), failure.message())
    };
    let lake = Lake::open(dest, true).await.ok()??;
    let snapshot = match Snapshot::read(&lake).await {
        Ok(None) if !is_written => return None,
        Ok(snapshot) => snapshot,
        Err(error) => return Some(Err(failed(error))),
    };
    if let Err(error) = delta::probe::probe(&lake, &Uuid::now_v7().to_string()).await {
        return Some(Err(failed(error)));
    }
    let found = snapshot.map_or_else(|| "there is no table yet".to_owned(), |snapshot| format!("version {}", snapshot.version()));
    Some(Ok(format!("{found}; two writers are kept apart")))
}
