//! `status`: what is in the lake, as a calendar or as JSON.

use chrono::{Datelike as _, NaiveDate};
use clap::Args;
use serde_json::json;

use crate::api::client::chain;
use crate::config::{self, ConfigError, RawSettings};
use crate::lake::destination::Destination;
use crate::lake::layout::MerchantName;
use crate::lake::store::Lake;
use crate::settlement::totals::parse_sum;
use crate::settlement::values::format_decimal;
use crate::status::{Counts, DayState, Scope, Status, StatusDay, status};

use super::options::{GlobalArgs, LakeArgs, OutputFormat, output_format};
use super::output;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Exit with 3 where a day of the range is missing
    #[arg(long)]
    require_complete: bool,
    /// Form of the status on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

/// Which days of a lake a command looks at.
#[derive(Debug, Clone, Args)]
pub(super) struct ScopeArgs {
    /// First pay date [default: each merchant's first in the lake]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last pay date, inclusive [default: each merchant's last in the lake]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Only this merchant [default: every merchant in the lake]
    #[arg(long, env = config::names::API_ID, value_name = "ID", hide_env_values = true)]
    api_id: Option<String>,
}

impl ScopeArgs {
    pub(super) fn scope(&self) -> Result<Scope, ConfigError> {
        let day = |flag, text: &Option<String>| text.as_deref().map(|text| config::pay_date(flag, text)).transpose();
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            config::range(from, to)?;
        }
        let api_id = self.api_id.as_deref().filter(|id| !id.is_empty());
        Ok(Scope { merchant: api_id.map(MerchantName::new).transpose()?, from: day("--from", &self.from)?, to: day("--to", &self.to)? })
    }
}

/// Reads the lake's settings of a command that asks the API nothing.
pub(super) fn lake_settings(lake: &LakeArgs, scope: &ScopeArgs, global: &GlobalArgs) -> Result<(Destination, Scope), ConfigError> {
    let flags = RawSettings { dest: lake.dest.clone(), ..RawSettings::default() };
    let raw = flags.over_file(global.config.as_deref())?;
    Ok((config::destination(&raw)?, scope.scope()?))
}

impl StatusArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> u8 {
        let (dest, scope) = match lake_settings(&self.lake, &self.scope, global) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return 2;
            }
        };
        let read = match Lake::open_existing(&dest) {
            Ok(lake) => status(&lake, &scope).await,
            Err(error) => Err(error),
        };
        let status = match read {
            Ok(status) => status,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return 7;
            }
        };
        match output_format(self.output) {
            OutputFormat::Json => output::line(json!({ "command": "status", "days": status.days, "counts": status.counts })),
            OutputFormat::Text => print(&status),
        }
        // a lake of no days at all is not complete either
        u8::from(self.require_complete && (status.counts.missing > 0 || status.days.is_empty())) * 3
    }
}

fn print(status: &Status) {
    for days in status.days.chunk_by(|a, b| a.merchant_id == b.merchant_id) {
        output::line(format_args!("merchant {}", days[0].merchant_id));
        output::line("         1   5    10   15   20   25   30       rows  payment_amount");
        for month in days.chunk_by(|a, b| month_of(a.pay_date) == month_of(b.pay_date)) {
            let mut marks = [' '; 31];
            for day in month {
                marks[day.pay_date.day0() as usize] = mark(day);
            }
            let rows: u64 = month.iter().filter_map(|day| day.rows).sum();
            let paid: i128 = month.iter().filter_map(|day| parse_sum(day.totals.as_ref()?.get("payment_amount")?.as_str()?)).sum();
            let (year, number) = month_of(month[0].pay_date);
            let marks: String = marks.iter().collect();
            output::line(format_args!("{year:04}-{number:02}  {marks} {rows:>12} {:>15}", format_decimal(paid, 2)));
        }
    }
    let Counts { closed, closed_empty, open, missing, restated } = status.counts;
    output::line(format_args!(
        "# closed {closed}   . closed, no rows {closed_empty}   o open {open}   - missing {missing}   R restated {restated}"
    ));
}

fn month_of(date: NaiveDate) -> (i32, u32) {
    (date.year(), date.month())
}

fn mark(day: &StatusDay) -> char {
    match day.state {
        DayState::Open => 'o',
        DayState::Missing => '-',
        DayState::Closed | DayState::ClosedEmpty if day.restated => 'R',
        DayState::Closed => '#',
        DayState::ClosedEmpty => '.',
    }
}
