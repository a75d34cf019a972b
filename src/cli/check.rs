//! `check`: would a run work? Settings, token, one settlement call and the lake, a line each.

use arrow_array::RecordBatch;
use chrono::{Days, Utc};
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::calendar::seoul_date;
use crate::command::Command;
use crate::cookiepay::error::{ApiError, FailureFamily};
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::fetch::MerchantClient;
use crate::jobs::lookup::Lookup;
use crate::lake::store::Lake;
use crate::settings::{self, ApiSettings, RawSettings};

use super::options::{ApiArgs, GlobalArgs, LakeArgs, OutputArgs, OutputFormat};
use super::output;
use super::session::Session;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Pay date of the settlement call [default: yesterday in Seoul]
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    pub(super) api: ApiArgs,
    #[command(flatten)]
    output: OutputArgs,
}

struct Checked {
    name: &'static str,
    outcome: Result<String, (ExitCode, String)>,
}

impl CheckArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let mut checked = Vec::new();
        self.check(global, &mut checked).await;
        let code = checked.iter().find_map(|check| check.outcome.as_ref().err().map(|(code, _)| *code)).unwrap_or(ExitCode::Success);
        match self.output.format() {
            OutputFormat::Text => {
                for Checked { name, outcome } in &checked {
                    match outcome {
                        Ok(detail) => output::line(format_args!("ok    {name}: {detail}")),
                        Err((_, detail)) => output::line(format_args!("FAIL  {name}: {detail}")),
                    }
                }
            }
            OutputFormat::Json => {
                let checks: Vec<_> = checked
                    .iter()
                    .map(|Checked { name, outcome }| {
                        let (ok, detail) = match outcome {
                            Ok(detail) => (true, detail),
                            Err((_, detail)) => (false, detail),
                        };
                        json!({ "name": name, "ok": ok, "detail": detail })
                    })
                    .collect();
                let status = if code == ExitCode::Success { "success" } else { "failed" };
                output::line(json!({ "command": Command::Check, "status": status, "exit_code": code, "checks": checks }));
            }
        }
        code
    }

    async fn check(&self, global: &GlobalArgs, checked: &mut Vec<Checked>) {
        let mut note = |name, outcome| checked.push(Checked { name, outcome });
        let flags = RawSettings { dest: self.lake.dest.clone(), ..self.api.settings() };
        let settings = global.settings(flags).and_then(|raw| {
            let yesterday = seoul_date(Utc::now()) - Days::new(1);
            let date = self.date.as_deref().map_or(Ok(yesterday), |date| settings::pay_date("--date", date))?;
            Ok((ApiSettings::new(&raw, &self.api.simulator)?, settings::destination(&raw)?, date))
        });
        let (api, dest, date) = match settings {
            Ok(settings) => settings,
            Err(error) => return note("settings", Err((ExitCode::Usage, chain(&error)))),
        };
        let session = match Session::open(api).await {
            Ok(session) => session,
            Err(message) => return note("settings", Err((ExitCode::Internal, message))),
        };
        let ids: Vec<&str> = session.merchants.iter().map(|merchant| merchant.client.api_id()).collect();
        note("settings", Ok(format!("merchant {} at {}, lake at {dest}", ids.join(", "), session.source_url)));
        for MerchantClient { client, .. } in &session.merchants {
            // one merchant needs no telling apart
            let whose = if ids.len() > 1 { format!("{}: ", client.api_id()) } else { String::new() };
            if let Err(error) = client.authenticate().await {
                note("token", Err((api_exit_code(&error), format!("{whose}{}", chain(&error)))));
                continue;
            }
            note("token", Ok(format!("{whose}the API takes the credentials")));
            let rows = Lookup { pay_date: date, transaction_id: None, empty_codes: &session.empty_codes }.run(client).await;
            note(
                "settlement",
                match rows {
                    Ok(batches) => Ok(format!("{whose}{} rows for {date}", batches.iter().map(RecordBatch::num_rows).sum::<usize>())),
                    Err(error) => Err((error.failure.kind.exit_code(), format!("{whose}{}", error.failure.message()))),
                },
            );
        }
        let probed = match Lake::open(&dest, false).await {
            Ok(Some(lake)) => lake.probe(&Uuid::now_v7().to_string()).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        note(
            "lake",
            match probed {
                Ok(()) => Ok(format!("wrote, read and removed an object in {dest}")),
                Err(error) => Err((ExitCode::Lake, error.at(&dest.to_string()))),
            },
        );
    }
}

fn api_exit_code(error: &ApiError) -> ExitCode {
    match error.family() {
        FailureFamily::Auth => ExitCode::Auth,
        FailureFamily::Contract => ExitCode::Refused,
        FailureFamily::Upstream | FailureFamily::RateLimit => ExitCode::Upstream,
    }
}
