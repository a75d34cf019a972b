//! `status`: what is in the lake, as a calendar or as JSON.

use chrono::{Datelike as _, NaiveDate, Utc};
use clap::Args;
use serde_json::json;

use crate::lake::record::seoul_date;
use crate::plan::SettleWindow;
use crate::settlement::totals::parse_sum;
use crate::settlement::values::format_decimal;
use crate::status::{Counts, DayState, Status, StatusDay, status};

use super::options::{GlobalArgs, LakeArgs, OutputFormat, output_format};
use super::output;
use super::scope::{ScopeArgs, read_lake};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Days still open this long after their pay date are overdue
    #[arg(long, value_name = "DAYS", default_value_t = 60)]
    settle_window: u32,
    /// Exit with 3 where a day of the range is missing
    #[arg(long)]
    require_complete: bool,
    /// Form of the status on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl StatusArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> u8 {
        let window = SettleWindow { today: seoul_date(Utc::now()), days: self.settle_window };
        let status = match read_lake(&self.lake, &self.scope, global, async |lake, scope| status(lake, scope, &window).await).await {
            Ok(status) => status,
            Err(code) => return code,
        };
        match output_format(self.output) {
            OutputFormat::Json => {
                output::line(json!({ "command": "status", "days": status.days, "counts": status.counts, "absent": status.absent }));
            }
            OutputFormat::Text => print(&status),
        }
        // neither a lake of no days at all is complete, nor one that has none of a merchant
        let complete = status.counts.missing == 0 && status.absent.is_empty() && !status.days.is_empty();
        u8::from(self.require_complete && !complete) * 3
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
    for merchant_id in &status.absent {
        output::line(format_args!("merchant {merchant_id}: no day in the lake"));
    }
    let Counts { closed, closed_empty, open, missing, restated, overdue } = status.counts;
    output::line(format_args!(
        "# closed {closed}   . closed, no rows {closed_empty}   o open {open}   - missing {missing}   R restated {restated}   ! overdue {overdue}"
    ));
}

fn month_of(date: NaiveDate) -> (i32, u32) {
    (date.year(), date.month())
}

fn mark(day: &StatusDay) -> char {
    match day.state {
        DayState::Open if day.overdue => '!',
        DayState::Open => 'o',
        DayState::Missing => '-',
        DayState::Closed | DayState::ClosedEmpty if day.restated => 'R',
        DayState::Closed => '#',
        DayState::ClosedEmpty => '.',
    }
}
