//! The sheets of a report's workbook.

use chrono::{Months, NaiveDate};

use crate::calendar::DateRange;
use crate::document::cell::{Cell, weekday};
use crate::document::workbook::{Column, MOST_LINES, Sheet, Total, WorkbookError, workbook as encode};
use crate::lang::{Lang, Words};
use crate::settlement::codes::meaning;
use crate::settlement::source::Field;
use crate::status::DayState;
use crate::texts::report as texts;

use super::amounts::{Amounts, Share};
use super::figures::{Figures, MerchantFigures};
use super::period::within;

/// The workbook.
pub(super) fn workbook(figures: &Figures, lang: Lang) -> Result<Vec<u8>, WorkbookError> {
    // before anything is written, because it would be long in the writing
    if figures.merchant_days() >= MOST_LINES {
        return Err(WorkbookError::TooLong(texts::DAYS.to(lang)));
    }
    let sheets = vec![
        summary(figures, lang),
        days(figures, lang),
        months(figures, lang),
        fees(figures, lang),
        upcoming(figures, lang),
        restatements(figures, lang),
    ];
    let title = format!("{} {}", texts::TITLE.to(lang), texts::range(figures.range, lang));
    encode(&title, sheets, figures.made_at, lang)
}

/// Columns of a sheet as they are added.
struct Columns(Vec<Column>, Lang);

impl Columns {
    /// Those by which each line names its merchant.
    fn of_merchant(lang: Lang) -> Self {
        Self(Vec::new(), lang).blank(texts::MERCHANT_ID).blank(texts::MERCHANT_NAME)
    }

    fn add(mut self, title: Words, total: Total) -> Self {
        self.0.push(Column { title: title.to(self.1), total });
        self
    }

    fn blank(self, title: Words) -> Self {
        self.add(title, Total::Blank)
    }

    fn sum(self, title: Words) -> Self {
        self.add(title, Total::Sum)
    }

    fn sums(self, titles: &[Words]) -> Self {
        titles.iter().fold(self, |columns, title| columns.sum(*title))
    }

    fn share(self, title: Words, part: Words, whole: Words) -> Self {
        let at = |title: Words| {
            let at = self.0.iter().position(|column| column.title == title.to(self.1));
            u16::try_from(at.unwrap_or_default()).unwrap_or_default()
        };
        let total = Total::Share { part: at(part), whole: at(whole) };
        self.add(title, total)
    }
}

const AMOUNTS: [Words; 7] =
    [texts::APPROVED, texts::CANCELLED, texts::CANCELLED_SAME_DAY, texts::FEE, texts::VAT, texts::PAYOUT, texts::APPROVED_FEE];

fn amounts(amounts: &Amounts) -> Vec<Cell> {
    let sums =
        [amounts.approved, amounts.cancelled, amounts.cancelled_same_day, amounts.fee, amounts.vat, amounts.payout, amounts.approved_fee];
    sums.map(Cell::Won).to_vec()
}

fn of_merchant(merchant: &MerchantFigures) -> Vec<Cell> {
    vec![Cell::text(merchant.merchant_id.clone()), merchant.name.clone().map_or(Cell::Blank, Cell::text)]
}

/// A line for each merchant: the last full month and the one before, and its days by state.
fn summary(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns::of_merchant(lang)
        .blank(texts::FROM)
        .blank(texts::TO)
        .blank(texts::AS_OF)
        .sum(texts::ROWS)
        .sums(&AMOUNTS)
        .share(texts::EFFECTIVE_RATE, texts::APPROVED_FEE, texts::APPROVED)
        .sum(texts::PENDING)
        .blank(texts::LAST_FULL_MONTH)
        .sums(&[texts::PAYOUT_LAST_MONTH, texts::PAYOUT_MONTH_BEFORE, texts::CHANGE])
        .sums(&[texts::CLOSED_DAYS, texts::OPEN_DAYS, texts::OVERDUE_DAYS, texts::MISSING_DAYS, texts::RESTATED_DAYS]);
    let month = figures.last_full_month();
    let before = month.and_then(|month| month.checked_sub_months(Months::new(1))).filter(|before| *before >= figures.range.from);
    let payout = move |merchant: &MerchantFigures, month: Option<NaiveDate>| {
        month.map(|month| merchant.amounts(within(month, figures.range)).payout)
    };
    let line = move |merchant: &MerchantFigures| {
        let all = merchant.amounts(figures.range);
        let counts = merchant.counts(figures.range);
        let Share { part, whole } = all.effective_rate();
        let (last, earlier) = (payout(merchant, month), payout(merchant, before));
        let change = last.zip(earlier).map(|(last, earlier)| last.saturating_sub(earlier));
        let mut line = of_merchant(merchant);
        line.extend([Cell::Date(figures.range.from), Cell::Date(figures.range.to), merchant.as_of.map_or(Cell::Blank, Cell::Time)]);
        line.push(Cell::Count(all.rows));
        line.extend(amounts(&all));
        line.extend([Cell::Share { part, whole }, Cell::Won(all.pending), month.map_or(Cell::Blank, Cell::Month)]);
        line.extend([last.map_or(Cell::Blank, Cell::Won), earlier.map_or(Cell::Blank, Cell::Won)]);
        line.push(change.map_or(Cell::Blank, Cell::Change));
        line.extend([counts.closed + counts.closed_empty, counts.open, counts.overdue, counts.missing, counts.restated].map(Cell::Count));
        line
    };
    Sheet { name: texts::SUMMARY.to(lang), columns: columns.0, lines: Box::new(figures.merchants.iter().map(line)) }
}

/// A line for each merchant and pay date.
fn days(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns(Vec::new(), lang)
        .blank(texts::PAY_DATE)
        .blank(texts::WEEKDAY)
        .blank(texts::MERCHANT_ID)
        .blank(texts::MERCHANT_NAME)
        .blank(texts::STATE)
        .blank(texts::RESTATED)
        .blank(texts::OVERDUE)
        .sum(texts::ROWS)
        .sums(&AMOUNTS)
        .sums(&[texts::PENDING_ROWS, texts::PENDING])
        .blank(texts::AS_OF);
    let lines = figures.merchants.iter().flat_map(move |merchant| {
        merchant.range.into_iter().flat_map(DateRange::days).map(move |pay_date| {
            let day = merchant.days.get(&pay_date);
            let state = day.map_or(DayState::Missing, |day| day.state);
            let flag = |is_set: bool| if is_set { Cell::text(texts::YES.to(lang)) } else { Cell::Blank };
            let mut line = vec![Cell::Date(pay_date), Cell::text(weekday(pay_date, lang))];
            line.extend(of_merchant(merchant));
            line.push(Cell::text(texts::state(state).to(lang)));
            line.extend([flag(day.is_some_and(|day| day.restated)), flag(day.is_some_and(|day| day.overdue))]);
            let readable = day.filter(|day| day.unreadable.is_none());
            if let Some(day) = readable {
                line.push(Cell::Count(day.amounts.rows));
                line.extend(amounts(&day.amounts));
                line.extend([Cell::Count(day.amounts.pending_rows), Cell::Won(day.amounts.pending)]);
                line.push(day.extracted_at.map_or(Cell::Blank, Cell::Time));
            } else {
                line.resize(line.len() + AMOUNTS.len() + 4, Cell::Blank);
            }
            line
        })
    });
    Sheet { name: texts::DAYS.to(lang), columns: columns.0, lines: Box::new(lines) }
}

/// A line for each month and merchant.
fn months(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns(Vec::new(), lang)
        .blank(texts::MONTH)
        .blank(texts::MERCHANT_ID)
        .blank(texts::MERCHANT_NAME)
        .sum(texts::ROWS)
        .sums(&AMOUNTS)
        .share(texts::EFFECTIVE_RATE, texts::APPROVED_FEE, texts::APPROVED)
        .sums(&[texts::PENDING, texts::MISSING_DAYS, texts::OPEN_DAYS]);
    let lines = figures.months().flat_map(move |(month, covered)| {
        figures.merchants.iter().map(move |merchant| {
            let all = merchant.amounts(covered);
            let counts = merchant.counts(covered);
            let Share { part, whole } = all.effective_rate();
            let mut line = vec![Cell::Month(month)];
            line.extend(of_merchant(merchant));
            line.push(Cell::Count(all.rows));
            line.extend(amounts(&all));
            line.extend([Cell::Share { part, whole }, Cell::Won(all.pending), Cell::Count(counts.missing), Cell::Count(counts.open)]);
            line
        })
    });
    Sheet { name: texts::MONTHS.to(lang), columns: columns.0, lines: Box::new(lines) }
}

/// A line for each merchant, payment method and acquirer.
fn fees(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns::of_merchant(lang)
        .blank(texts::METHOD_CODE)
        .blank(texts::METHOD)
        .blank(texts::ACQUIRER_CODE)
        .blank(texts::ACQUIRER)
        .sums(&[texts::ROWS, texts::APPROVED, texts::FEE, texts::VAT])
        .share(texts::EFFECTIVE_RATE, texts::FEE, texts::APPROVED);
    let coded = move |code: Option<&str>, name: &dyn Fn(&str) -> Option<Words>| {
        let name = code.and_then(|code| name(code.trim()));
        let code = code.map_or(Cell::Blank, |code| Cell::text(code.to_owned()));
        [code, name.map_or(Cell::Blank, |name| Cell::text(name.to(lang)))]
    };
    let lines = figures.merchants.iter().flat_map(move |merchant| {
        merchant.fees.0.iter().map(move |((method, acquirer), fees)| {
            let Share { part, whole } = fees.effective_rate();
            let mut line = of_merchant(merchant);
            line.extend(coded(method.as_deref(), &texts::method));
            line.extend(coded(acquirer.as_deref(), &|code| meaning(Field::Acquirer, code)));
            line.extend([Cell::Count(fees.rows), Cell::Won(fees.approved), Cell::Won(fees.fee), Cell::Won(fees.vat)]);
            line.push(Cell::Share { part, whole });
            line
        })
    });
    Sheet { name: texts::FEES.to(lang), columns: columns.0, lines: Box::new(lines) }
}

/// A line for each pay date and merchant with pending rows.
fn upcoming(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns(Vec::new(), lang)
        .blank(texts::PAY_DATE)
        .blank(texts::WEEKDAY)
        .blank(texts::MERCHANT_ID)
        .blank(texts::MERCHANT_NAME)
        .blank(texts::WHEN)
        .sums(&[texts::PENDING_ROWS, texts::PENDING]);
    let mut found: Vec<_> = figures
        .merchants
        .iter()
        .flat_map(|merchant| merchant.days.iter().map(move |(pay_date, day)| (*pay_date, merchant, day)))
        .filter(|(_, _, day)| day.amounts.pending_rows > 0)
        .collect();
    found.sort_by_key(|(pay_date, ..)| *pay_date);
    let lines = found.into_iter().map(move |(pay_date, merchant, day)| {
        let due = texts::due((pay_date - figures.today).num_days(), day.overdue, lang);
        let mut line = vec![Cell::Date(pay_date), Cell::text(weekday(pay_date, lang))];
        line.extend(of_merchant(merchant));
        line.extend([Cell::text(due), Cell::Count(day.amounts.pending_rows), Cell::Won(day.amounts.pending)]);
        line
    });
    Sheet { name: texts::UPCOMING.to(lang), columns: columns.0, lines: Box::new(lines) }
}

/// A line for each restatement, the one seen last first.
fn restatements(figures: &Figures, lang: Lang) -> Sheet<'_> {
    let columns = Columns(Vec::new(), lang)
        .blank(texts::PAY_DATE)
        .blank(texts::WEEKDAY)
        .blank(texts::MERCHANT_ID)
        .blank(texts::MERCHANT_NAME)
        .blank(texts::SEEN_AT)
        .sums(&[texts::ROWS_BEFORE, texts::ROWS_AFTER, texts::PAYOUT_BEFORE, texts::PAYOUT_AFTER, texts::CHANGE]);
    let lines = figures.restatements().into_iter().map(move |(merchant, restatement)| {
        let mut line = vec![Cell::Date(restatement.pay_date), Cell::text(weekday(restatement.pay_date, lang))];
        line.extend(of_merchant(merchant));
        line.extend([
            Cell::Time(restatement.seen_at),
            Cell::Count(restatement.rows_before),
            Cell::Count(restatement.rows_after),
            Cell::Won(restatement.payout_before),
            Cell::Won(restatement.payout_after),
            Cell::Change(restatement.change()),
        ]);
        line
    });
    Sheet { name: texts::RESTATEMENTS.to(lang), columns: columns.0, lines: Box::new(lines) }
}
