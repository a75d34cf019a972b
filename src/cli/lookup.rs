//! `lookup`: the rows of one pay date or one transaction, without a lake.

use std::sync::Arc;

use chrono::Utc;
use clap::{Args, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Map, Value as Json};

use crate::calendar::Clock;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::fetch::MerchantClient;
use crate::jobs::lookup::Lookup;
use crate::settings::groups::{ApiLayer, ResponseLayer};
use crate::settings::{ApiSettings, RawSettings, check, setting};
use crate::settlement::cells::cell;
use crate::settlement::columns::{COLUMNS, ColumnType};

use super::options::GlobalArgs;
use super::output;
use super::run::ApiArgs;
use super::session::Session;

#[derive(Debug, Args)]
pub(super) struct LookupArgs {
    /// The pay date, YYYY-MM-DD or YYYYMMDD
    #[arg(long, value_name = "DATE")]
    date: String,
    /// Only this transaction (the PG's transaction number)
    #[arg(long, value_name = "TID")]
    tid: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    responses: ResponseLayer,
    /// Format of the rows on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<RowFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowFormat {
    /// A table of the columns that matter most
    Text,
    /// One JSON object per row; amounts as exact strings
    Json,
    /// Every column, with a header
    Csv,
}

/// The columns that fit a terminal.
const SHOWN: [&str; 9] =
    ["transaction_id", "order_no", "payment_status", "pay_type", "auth_amount", "fee", "vat", "payment_amount", "payoff_status"];

impl LookupArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        use std::io::IsTerminal as _;
        let flags = RawSettings { api: self.api.api.clone(), responses: self.responses.clone(), ..RawSettings::default() };
        let settings = global.settings(flags).and_then(|raw| {
            let api = ApiSettings::new(&raw, &self.api.simulator)?;
            if api.merchants.len() > 1 {
                return setting("lookup calls the API for one merchant: name it with --merchant");
            }
            Ok((check::pay_date("--date", &self.date)?, api))
        });
        let (date, api) = match settings {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return ExitCode::Usage;
            }
        };
        let session = match Session::open(api, &(Arc::new(Utc::now) as Clock)).await {
            Ok(session) => session,
            Err(message) => {
                tracing::error!("{message}");
                return ExitCode::Internal;
            }
        };
        let Some(MerchantClient { client, .. }) = session.merchants.first() else { return ExitCode::Internal };
        let wanted = Lookup { pay_date: date, transaction_id: self.tid.as_deref(), empty_codes: &session.empty_codes };
        let batches = match wanted.run(client).await {
            Ok(batches) => batches,
            Err(error) => {
                tracing::error!(pay_date = %date, attempts = error.attempts, "{}", error.failure.message());
                return error.failure.kind.exit_code();
            }
        };
        let rows = batches.iter().flat_map(|batch| {
            (0..batch.num_rows()).map(move |row| {
                COLUMNS.iter().zip(batch.columns()).map(|(column, array)| cell(column.column_type, array, row)).collect::<Vec<_>>()
            })
        });
        let default = if std::io::stdout().is_terminal() { RowFormat::Text } else { RowFormat::Json };
        match self.output.unwrap_or(default) {
            RowFormat::Text => print_table(rows),
            RowFormat::Json => print_json(rows),
            RowFormat::Csv => print_csv(rows),
        }
        ExitCode::Success
    }
}

type Row = Vec<Option<String>>;

fn print_table(rows: impl Iterator<Item = Row>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(SHOWN);
    let mut count = 0;
    for row in rows {
        count += 1;
        let shown = COLUMNS.iter().zip(row).filter(|(column, _)| SHOWN.contains(&column.name));
        table.add_row(shown.map(|(_, value)| value.unwrap_or_default()));
    }
    output::line(&table);
    output::line(format_args!("{count} rows"));
}

fn print_json(rows: impl Iterator<Item = Row>) {
    for row in rows {
        let object: Map<String, Json> =
            COLUMNS.iter().zip(row).map(|(column, value)| (column.name.to_owned(), json_value(column.column_type, value))).collect();
        output::line(Json::from(object));
    }
}

/// Positions are numbers; amounts stay strings, so that no reader makes floats of them.
fn json_value(column_type: ColumnType, value: Option<String>) -> Json {
    match (column_type, value) {
        (ColumnType::Int32, Some(value)) => value.parse::<i32>().map_or(Json::Null, Json::from),
        (_, value) => value.into(),
    }
}

fn print_csv(rows: impl Iterator<Item = Row>) {
    let mut csv = csv::Writer::from_writer(std::io::stdout().lock());
    // a reader that has closed the pipe is not a failure
    let _ = csv.write_record(COLUMNS.iter().map(|column| column.name));
    for row in rows {
        let _ = csv.write_record(row.into_iter().map(Option::unwrap_or_default));
    }
    let _ = csv.flush();
}
