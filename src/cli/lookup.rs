//! `lookup`: the rows of one pay date or one transaction, without a lake.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value as Json};

use crate::calendar::Clock;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::jobs::fetch::MerchantClient;
use crate::jobs::lookup::Lookup;
use crate::settings::groups::{ApiLayer, OutputFormat, ResponseLayer};
use crate::settings::{ApiSettings, RawSettings, Shard, check, setting};
use crate::settlement::cells::cell;
use crate::settlement::codes::meaning;
use crate::settlement::columns::{COLUMNS, ColumnSource, ColumnType};

use super::figures::{counted, grouped};
use super::options::{GlobalArgs, read_format};
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
    /// Format of the rows on stdout [default: text]
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

/// The columns of the table, with the headers that leave room for their values.
const SHOWN: [(&str, &str); 8] = [
    ("transaction_id", "transaction_id"),
    ("order_no", "order_no"),
    ("payment_status", "status"),
    ("pay_type", "type"),
    ("auth_amount", "auth_amount"),
    ("fee", "fee"),
    ("payment_amount", "payment_amount"),
    ("payoff_status", "payout"),
];
/// Those that are left out, one after another, until a line is no longer than this.
const LEFT_OUT: [&str; 3] = ["fee", "type", "order_no"];
const WIDTH: usize = 80;

impl LookupArgs {
    pub(super) fn api(&mut self) -> &mut ApiLayer {
        &mut self.api.api
    }

    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let flags = RawSettings { api: self.api.api.clone(), responses: self.responses.clone(), ..RawSettings::default() };
        let settings = global.settings(flags).and_then(|raw| {
            let api = ApiSettings::new(&raw, &self.api.simulator, Shard::WHOLE)?;
            if api.merchants.len() > 1 {
                return setting("lookup calls the API for one merchant: name it with --merchant");
            }
            let format = self.output.unwrap_or(match read_format(&raw) {
                OutputFormat::Text => RowFormat::Text,
                OutputFormat::Json => RowFormat::Json,
            });
            Ok((check::pay_date("--date", &self.date)?, api, format))
        });
        let (date, api, format) = match settings {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return ExitCode::Usage;
            }
        };
        let session = match Session::open(api, &(Arc::new(Utc::now) as Clock)).await {
            Ok(session) => session,
            Err(unopened) => {
                let code = unopened.exit_code();
                tracing::error!("{}", unopened.message());
                return code;
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
        let found = batches.iter().any(|batch| batch.num_rows() > 0);
        let code = match &self.tid {
            Some(tid) if !found => {
                tracing::error!(
                    "pay date {date} has no transaction {tid}: check the number, and that this is the day on which it was paid out"
                );
                ExitCode::Partial
            }
            _ => ExitCode::Success,
        };
        output::print(code, |out| match format {
            RowFormat::Text => write_table(rows, out),
            RowFormat::Json => write_json(date, rows, out),
            RowFormat::Csv => write_csv(date, rows, out),
        })
    }
}

type Row = Vec<Option<String>>;

fn write_table(rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> io::Result<()> {
    let positions = SHOWN.map(|(name, _)| COLUMNS.iter().position(|column| column.name == name).unwrap_or_default());
    let is_amount = positions.map(|position| matches!(COLUMNS[position].column_type, ColumnType::Amount));
    let mut meanings = BTreeSet::new();
    let mut lines: Vec<Vec<String>> = vec![SHOWN.map(|(_, header)| header.to_owned()).to_vec()];
    for row in rows {
        let cells = positions.into_iter().zip(is_amount).map(|(position, is_amount)| {
            let value = row[position].clone().unwrap_or_default();
            if let ColumnSource::Field(field) = COLUMNS[position].source
                && let Some(meaning) = meaning(field, &value)
            {
                meanings.insert(format!("{value} {}", meaning.en));
            }
            if is_amount { grouped(&value) } else { value }
        });
        lines.push(cells.collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let mut widths: Vec<Option<usize>> = (0..SHOWN.len()).map(width).map(Some).collect();
    let total = |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + 2).sum::<usize>();
    for left_out in LEFT_OUT {
        if total(&widths) - 2 > WIDTH
            && let Some(column) = SHOWN.iter().position(|(_, header)| *header == left_out)
        {
            widths[column] = None;
        }
    }
    for line in &lines {
        let mut text = String::new();
        for ((cell, width), is_amount) in line.iter().zip(&widths).zip(is_amount) {
            let Some(width) = width else { continue };
            let blanks = " ".repeat(width - cell.chars().count());
            let parts = if is_amount { [&blanks, cell, "  "] } else { [cell, &blanks, "  "] };
            text.extend(parts);
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    writeln!(out, "{}", counted(lines.len() as u64 - 1, "row"))?;
    if meanings.is_empty() {
        return Ok(());
    }
    writeln!(out, "codes: {}", meanings.into_iter().collect::<Vec<_>>().join(", "))
}

fn write_json(pay_date: NaiveDate, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        let values = COLUMNS.iter().zip(row).map(|(column, value)| (column.name.to_owned(), json_value(column.column_type, value)));
        let object: Map<String, Json> = [("pay_date".to_owned(), pay_date.to_string().into())].into_iter().chain(values).collect();
        writeln!(out, "{}", Json::from(object))?;
    }
    Ok(())
}

/// Positions are numbers; amounts stay strings, so that no reader makes floats of them.
fn json_value(column_type: ColumnType, value: Option<String>) -> Json {
    match (column_type, value) {
        (ColumnType::Int32, Some(value)) => value.parse::<i32>().map_or(Json::Null, Json::from),
        (_, value) => value.into(),
    }
}

fn write_csv(pay_date: NaiveDate, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> io::Result<()> {
    // the writer hides what kind of error it met
    let unwrapped = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    };
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["pay_date"].into_iter().chain(COLUMNS.iter().map(|column| column.name))).map_err(unwrapped)?;
    for row in rows {
        let values = row.into_iter().map(Option::unwrap_or_default);
        csv.write_record([pay_date.to_string()].into_iter().chain(values)).map_err(unwrapped)?;
    }
    csv.flush()
}
