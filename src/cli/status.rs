//! `status`: what the lake holds, as a calendar or as JSON.

use std::io::{self, Write};

use chrono::{Datelike as _, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use crate::calendar::seoul_date;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::settlement::sums::parse_sum;
use crate::status::{Counts, DayState, DeltaStatus, MerchantStatus, Status, StatusDay, status};

use crate::settings::groups::{OutputFormat, OutputLayer, SettleLayer};
use crate::settings::{RawSettings, settle_window};

use super::figures::{amount, count, days};
use super::options::{GlobalArgs, read_format};
use super::output::{self, Each, write_json};
use super::scope::{Absence, By, ScopeArgs};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    settle: SettleLayer,
    /// Exit with code 3 if a day of the range is missing
    #[arg(long)]
    require_complete: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Format of the status on stdout [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    output: Option<OutputFormat>,
}

impl StatusArgs {
    pub(super) async fn run(self, global: &GlobalArgs) -> ExitCode {
        let output = OutputLayer { output: self.output, ..OutputLayer::default() };
        let flags = RawSettings { settle: self.settle.clone(), output, ..RawSettings::default() };
        let read = match self.scope.settings(flags, global) {
            Ok(raw) => {
                let window = settle_window(&raw, seoul_date(Utc::now()));
                let absence = if self.require_complete { Absence::IsIncomplete } else { Absence::IsAnError };
                self.scope
                    .read(&raw, absence, By::Index, async |lake, scope, held| status(lake, scope, &held, &window).await)
                    .await
                    .map(|status| (status, read_format(&raw), raw.lake.dest.unwrap_or_default()))
            }
            Err(code) => Err(code),
        };
        let (status, format, dest) = match read {
            Ok(read) => read,
            Err(code) => return code,
        };
        // a lake without days is not complete, nor is one without days of a merchant that was named
        let complete = status.counts.missing == 0 && status.absent.is_empty() && !status.merchants.is_empty();
        let code = if self.require_complete && !complete { ExitCode::Partial } else { ExitCode::Success };
        output::print(code, |out| match format {
            OutputFormat::Json => {
                let days = Each(|| status.merchants.iter().flat_map(MerchantStatus::days));
                let Status { counts, absent, delta, .. } = &status;
                write_json(&Report { command: Command::Status, days, counts: *counts, absent, delta: delta.as_ref() }, out)
            }
            OutputFormat::Text => write(&status, &dest, out),
        })
    }
}

#[derive(Serialize)]
struct Report<'a, Days> {
    command: Command,
    days: Days,
    counts: Counts,
    absent: &'a [String],
    delta: Option<&'a DeltaStatus>,
}

fn write(status: &Status, dest: &str, out: &mut dyn Write) -> io::Result<()> {
    for merchant in &status.merchants {
        writeln!(out, "merchant {}", merchant.merchant_id)?;
        writeln!(out, "         1   5    10   15   20   25   30       rows      payment_amount")?;
        let mut month: Option<Month> = None;
        for day in merchant.days() {
            if let Some(month) = month.take_if(|month| month.of != month_of(day.pay_date)) {
                month.write(out)?;
            }
            month.get_or_insert_with(|| Month::new(day.pay_date)).add(&day);
        }
        if let Some(month) = month {
            month.write(out)?;
        }
        unreadable(merchant, out)?;
    }
    for merchant_id in &status.absent {
        writeln!(out, "merchant {merchant_id}: no day in the lake")?;
    }
    if status.merchants.is_empty() && status.absent.is_empty() {
        writeln!(out, "no day in the lake")?;
    }
    let Counts { closed, closed_empty, open, missing, restated, overdue } = status.counts;
    writeln!(
        out,
        "# closed {closed}   . closed, no rows {closed_empty}   o open {open}   - missing {missing}   R restated {restated}   ! overdue {overdue}"
    )?;
    match &status.delta {
        None => {}
        Some(DeltaStatus { version: Some(version), lag: Some(0), .. }) => writeln!(out, "Delta table: version {version}, up to date")?,
        Some(DeltaStatus { version: Some(version), lag, .. }) => {
            writeln!(out, "Delta table: version {version}, {} behind", days(lag.unwrap_or_default()))?;
        }
        Some(DeltaStatus { version: None, .. }) => writeln!(out, "Delta table: its log cannot be used")?,
    }
    writeln!(out, "as a page: cookiepay-etl report --dest {dest} --out report.html")
}

/// Says why days are open whose files cannot be read: the calendar alone would show them as days that wait for payouts.
fn unreadable(merchant: &MerchantStatus, out: &mut dyn Write) -> io::Result<()> {
    const LISTED: usize = 20;
    let mut reasons = merchant.days().filter_map(|day| Some((day.pay_date, day.unreadable?)));
    for (pay_date, reason) in reasons.by_ref().take(LISTED) {
        writeln!(out, "{pay_date}: its file cannot be read: {reason}")?;
    }
    match reasons.count() {
        0 => Ok(()),
        more => writeln!(out, "and {more} more days whose files cannot be read"),
    }
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

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (Self { of: (year, number), rows, .. }, marks) = (self, self.marks.iter().collect::<String>());
        writeln!(out, "{year:04}-{number:02}  {marks} {:>11} {:>19}", count(*rows), amount(self.paid))
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
