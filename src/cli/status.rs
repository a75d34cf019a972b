//! `status`: what the lake holds, as a calendar or as JSON.

use chrono::{Datelike as _, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use crate::calendar::seoul_date;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::settlement::totals::parse_sum;
use crate::settlement::values::format_decimal;
use crate::status::{Counts, DayState, MerchantStatus, Status, StatusDay, status};

use crate::settings::groups::{OutputFormat, SettleLayer};
use crate::settings::{RawSettings, settle_window};

use super::options::{GlobalArgs, output_format};
use super::output::{self, Each};
use super::scope::ScopeArgs;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    settle: SettleLayer,
    /// Exit with code 3 if a day of the range is missing
    #[arg(long)]
    require_complete: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Format of the status on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl StatusArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let flags = RawSettings { settle: self.settle.clone(), ..RawSettings::default() };
        let read = match self.scope.settings(flags, global) {
            Ok(raw) => {
                let window = settle_window(&raw, seoul_date(Utc::now()));
                self.scope.read(&raw, async |lake, scope| status(lake, scope, &window).await).await
            }
            Err(code) => Err(code),
        };
        let status = match read {
            Ok(status) => status,
            Err(code) => return code,
        };
        match output_format(self.output) {
            OutputFormat::Json => {
                let days = Each(|| status.merchants.iter().flat_map(MerchantStatus::days));
                output::json_line(&Report { command: Command::Status, days, counts: status.counts, absent: &status.absent });
            }
            OutputFormat::Text => print(&status),
        }
        // a lake without days is not complete, nor is one without days of a merchant that was named
        let complete = status.counts.missing == 0 && status.absent.is_empty() && !status.merchants.is_empty();
        if self.require_complete && !complete { ExitCode::Partial } else { ExitCode::Success }
    }
}

#[derive(Serialize)]
struct Report<'a, Days> {
    command: Command,
    days: Days,
    counts: Counts,
    absent: &'a [String],
}

fn print(status: &Status) {
    for merchant in &status.merchants {
        output::line(format_args!("merchant {}", merchant.merchant_id));
        output::line("         1   5    10   15   20   25   30       rows  payment_amount");
        let mut month: Option<Month> = None;
        for day in merchant.days() {
            let current = month.take_if(|month| month.of != month_of(day.pay_date));
            current.iter().for_each(Month::print);
            month.get_or_insert_with(|| Month::new(day.pay_date)).add(&day);
        }
        month.iter().for_each(Month::print);
    }
    for merchant_id in &status.absent {
        output::line(format_args!("merchant {merchant_id}: no day in the lake"));
    }
    let Counts { closed, closed_empty, open, missing, restated, overdue } = status.counts;
    output::line(format_args!(
        "# closed {closed}   . closed, no rows {closed_empty}   o open {open}   - missing {missing}   R restated {restated}   ! overdue {overdue}"
    ));
}

/// A line of the calendar.
struct Month {
    of: (i32, u32),
    marks: [char; 31],
    rows: u64,
    /// In hundredths of a won.
    paid: i128,
}

impl Month {
    fn new(date: NaiveDate) -> Self {
        Self { of: month_of(date), marks: [' '; 31], rows: 0, paid: 0 }
    }

    fn add(&mut self, day: &StatusDay) {
        self.marks[day.pay_date.day0() as usize] = mark(day);
        self.rows += day.rows.unwrap_or_default();
        let paid = day.totals.as_ref().and_then(|totals| parse_sum(totals.get("payment_amount")?.as_str()?));
        self.paid += paid.unwrap_or_default();
    }

    fn print(&self) {
        let (Self { of: (year, number), rows, .. }, marks) = (self, self.marks.iter().collect::<String>());
        output::line(format_args!("{year:04}-{number:02}  {marks} {rows:>12} {:>15}", format_decimal(self.paid, 2)));
    }
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
