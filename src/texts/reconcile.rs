//! The texts of a reconciliation: what statuses mean, and why something can be as it is.

use chrono::NaiveDate;

use crate::lang::{Lang, Words, words};

/// What is found of cases.
pub(crate) mod case {
    use super::{Words, words};

    pub(crate) const MATCHED: Words = words("both sides agree", "일치");
    pub(crate) const AMBIGUOUS: Words = words("several merchants have the number", "여러 가맹점에 같은 번호");
    pub(crate) const DUPLICATE: Words = words("something is there twice", "중복");
    pub(crate) const MISSING_IN_ORDERS: Words = words("not in the books", "장부에 없음");
    pub(crate) const NOT_DUE: Words = words("not paid out yet", "지급일 미도래");
    pub(crate) const MISSING_AT_PG: Words = words("not at the PG", "PG에 없음");
    pub(crate) const AMOUNT_MISMATCH: Words = words("the sums differ", "금액 불일치");
}

/// What is found of fees.
pub(crate) mod fee {
    use super::{Words, words};

    pub(crate) const OK: Words = words("as stated", "정상");
    pub(crate) const FEE_MISMATCH: Words = words("not the stated rate", "수수료율과 다름");
    pub(crate) const VAT_MISMATCH: Words = words("VAT is not a tenth of the fee", "부가세 불일치");
    pub(crate) const NET_MISMATCH: Words = words("payout is not amount - fee - VAT", "지급금액 불일치");
    pub(crate) const RATE_MISMATCH: Words = words("not the contracted rate", "계약 수수료율과 다름");
    pub(crate) const NOT_STATED: Words = words("not stated by the PG", "금액 미표시");
}

/// What is found of deposits.
pub(crate) mod deposit {
    use super::{Words, words};

    pub(crate) const MATCHED: Words = words("arrived", "입금 일치");
    pub(crate) const NOT_DUE: Words = words("may still arrive", "입금 예정");
    pub(crate) const CARRIED: Words = words("less than 0, nothing arrives", "마이너스 정산, 입금 없음");
    pub(crate) const DIFFERENCE: Words = words("another amount arrived", "입금액 차이");
    pub(crate) const MISSING_DEPOSIT: Words = words("nothing arrived", "미입금");
    pub(crate) const UNEXPECTED_DEPOSIT: Words = words("nothing was expected", "정산 내역 없는 입금");
}

/// Headings.
pub(crate) mod heading {
    use super::{Words, words};

    pub(crate) const FEES: Words = words("Fees", "수수료");
    pub(crate) const DEPOSITS: Words = words("Deposits", "입금");
    pub(crate) const STATUS: Words = words("status", "상태");
    pub(crate) const CASES: Words = words("cases", "건수");
    pub(crate) const ROWS: Words = words("rows", "건수");
    pub(crate) const DATES: Words = words("dates", "일수");
    pub(crate) const ORDER_AMOUNT: Words = words("books", "장부 금액");
    pub(crate) const PG_AMOUNT: Words = words("PG", "PG 금액");
    pub(crate) const DIFFERENCE: Words = words("difference", "차이");
    pub(crate) const EXPECTED: Words = words("expected", "지급금액");
    pub(crate) const DEPOSITED: Words = words("deposited", "입금액");
    pub(crate) const COLUMNS: Words = words("columns", "사용한 열");
    pub(crate) const TOTAL: Words = words("total", "합계");
}

/// The sections of a page, and the sheets of a workbook.
pub(crate) mod sheet {
    use super::{Words, words};

    pub(crate) const TITLE: Words = words("Reconciliation", "정산대사");
    pub(crate) const SUMMARY: Words = words("Summary", "요약");
    pub(crate) const DIFFERENCES: Words = words("Differences", "차이");
    pub(crate) const CASES: Words = words("All cases", "전체 내역");
}

/// The columns of lists.
pub(crate) mod column {
    use super::{Lang, Words, words};

    pub(crate) const PART: Words = words("part", "구분");
    pub(crate) const MEANING: Words = words("meaning", "설명");
    pub(crate) const MERCHANT: Words = words("merchant", "가맹점");
    pub(crate) const ORDER_NO: Words = words("order no.", "주문번호");
    pub(crate) const TRANSACTION: Words = words("transaction no.", "거래번호");
    pub(crate) const DATE: Words = words("date", "일자");
    pub(crate) const PAY_DATE: Words = words("pay date", "지급일");
    pub(crate) const FIRST_PAY_DATE: Words = words("first pay date", "최초 지급일");
    pub(crate) const LAST_PAY_DATE: Words = words("last pay date", "최종 지급일");
    pub(crate) const AGE_DAYS: Words = words("age in days", "경과일수");
    pub(crate) const EXPECTED: Words = words("expected", "기준 금액");
    pub(crate) const FOUND: Words = words("found", "실제 금액");
    pub(crate) const LINES: Words = words("lines", "파일:행");
    pub(crate) const REASON: Words = words("reason", "사유");
    pub(crate) const NOTHING: Words = words("Nothing to list.", "내역이 없습니다.");
    pub(crate) const LARGEST_FIRST: Words = words("The largest first", "금액이 큰 순");
    pub(crate) const CASES_IN_ORDER: Words = words("By merchant, date and number", "가맹점·일자·번호 순");
    pub(crate) const FEES_THAT_DIFFER: Words = words("Approved rows whose fee differs", "수수료가 다른 승인 건");
    pub(crate) const DAYS_OF_THE_BANK: Words = words("Payouts and deposits by date", "일자별 지급금액과 입금액");

    /// What a part is called.
    pub(crate) fn part(part: &str) -> Words {
        match part {
            "order" => words("Orders", "주문"),
            "fee" => super::heading::FEES,
            _ => super::heading::DEPOSITS,
        }
    }

    /// That a page does not list everything.
    pub(crate) fn only_the_first(number: usize, lang: Lang) -> String {
        match lang {
            Lang::En => format!("The page lists the first {number}; the workbook (--out name.xlsx) lists all."),
            Lang::Ko => format!("처음 {number}건만 표시합니다. 전체는 엑셀 파일(--out 이름.xlsx)에 있습니다."),
        }
    }
}

/// On which side something is there twice.
pub(crate) mod duplicate {
    use super::{Words, words};

    pub(crate) const ORDERS: Words = words("twice in the orders", "주문 파일에 중복");
    pub(crate) const PG: Words = words("twice at the PG", "PG 내역에 중복");
    pub(crate) const BOTH: Words = words("twice in the orders and twice at the PG", "주문 파일과 PG 내역 모두 중복");
}

/// The lake has no day of a merchant.
pub(crate) const NO_DAYS: Words = words("the lake holds no day of this merchant", "이 가맹점의 정산 내역이 데이터에 없음");

/// Nothing differs.
pub(crate) const AGREES: Words = words("Nothing differs.", "차이 없음");

/// The heading of a part.
pub(crate) fn part(name: Words, period: &str, lang: Lang) -> String {
    if period.is_empty() { name.to(lang).to_owned() } else { format!("{} {period}", name.to(lang)) }
}

/// The heading of the orders.
pub(crate) fn orders(period: &str, are_events: bool, settle_days: u32, lang: Lang) -> String {
    let heading = part(words("Orders", "주문"), period, lang);
    match (lang, are_events) {
        (Lang::En, true) => format!("{heading} (each line is an event; due after {settle_days} days)"),
        (Lang::En, false) => format!("{heading} (each line is an order's current state; due after {settle_days} days)"),
        (Lang::Ko, true) => format!("{heading} (거래 단위 내역, 정산 소요 {settle_days}일)"),
        (Lang::Ko, false) => format!("{heading} (주문의 현재 상태, 정산 소요 {settle_days}일)"),
    }
}

/// What was read of files.
pub(crate) fn read(files: usize, lines: u64, passed_over: u64, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{files} {}, {lines} lines, {passed_over} passed over", if files == 1 { "file" } else { "files" }),
        Lang::Ko => format!("파일 {files}개, {lines}행, 제외 {passed_over}행"),
    }
}

/// Rows without an approved amount.
pub(crate) fn unstated(rows: u64, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the PG states no amount for {rows} of the rows: they count 0"),
        Lang::Ko => format!("승인금액이 표시되지 않은 {rows}건은 0원으로 계산"),
    }
}

/// The heading of the differences.
pub(crate) fn differences(all: usize, listed: usize, lang: Lang) -> String {
    match lang {
        Lang::En if all == listed => format!("Differences: {all}"),
        Lang::En => format!("Differences: {all}, of which the {listed} largest"),
        Lang::Ko if all == listed => format!("차이 {all}건"),
        Lang::Ko => format!("차이 {all}건 중 금액이 큰 {listed}건"),
    }
}

/// The figures of a difference.
pub(crate) fn figures(expected: &str, found: &str, difference: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("expected {expected}, found {found}, difference {difference}"),
        Lang::Ko => format!("기준 {expected}, 실제 {found}, 차이 {difference}"),
    }
}

/// The heading of a notification.
pub(crate) fn notification(period: &str, differences: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("cookiepay-etl reconcile {period}: {differences} differences"),
        Lang::Ko => format!("cookiepay-etl 정산대사 {period}: 차이 {differences}건"),
    }
}

/// Dates that a text lists.
const LISTED: usize = 5;

/// Some dates, and how many more there are.
fn dates(dates: &[NaiveDate], lang: Lang) -> String {
    let mut listed: Vec<String> = dates.iter().take(LISTED).map(NaiveDate::to_string).collect();
    let more = dates.len().saturating_sub(LISTED);
    if more > 0 {
        listed.push(match lang {
            Lang::En => format!("{more} more"),
            Lang::Ko => format!("외 {more}일"),
        });
    }
    listed.join(", ")
}

/// Several merchants have a number.
pub(crate) fn several_merchants(merchants: &[String], lang: Lang) -> String {
    let listed = merchants.join(", ");
    match lang {
        Lang::En => format!("the number belongs to {listed}, and the line names no merchant"),
        Lang::Ko => format!("같은 번호가 {listed}에 있고, 주문에 가맹점이 적혀 있지 않음"),
    }
}

/// A line is not due yet.
pub(crate) fn not_due(due: NaiveDate, last_closed: Option<NaiveDate>, lang: Lang) -> String {
    match (lang, last_closed) {
        (Lang::En, Some(last)) => format!("due by {due}, and the last closed pay date is {last}"),
        (Lang::En, None) => format!("due by {due}, and no pay date is closed"),
        (Lang::Ko, Some(last)) => format!("{due}까지 지급 예정, 마감된 마지막 지급일은 {last}"),
        (Lang::Ko, None) => format!("{due}까지 지급 예정, 마감된 지급일이 없음"),
    }
}

/// Days in which something could have been paid, and that are not known.
pub(crate) fn unsettled(missing: &[NaiveDate], open: &[NaiveDate], lang: Lang) -> String {
    let part = |days: &[NaiveDate], text: Words| (!days.is_empty()).then(|| format!("{} {}", text.to(lang), dates(days, lang)));
    let missing = part(missing, words("pay dates missing in the lake:", "수집되지 않은 지급일:"));
    let open = part(open, words("pay dates still open:", "마감되지 않은 지급일:"));
    [missing, open].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The lake has an order number with other leading zeros.
pub(crate) fn leading_zeros(number: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the lake has the order number {number}, with leading zeros"),
        Lang::Ko => format!("앞자리 0이 있는 주문번호 {number}가 PG에 있음"),
    }
}

/// Events of a case that are outside the period.
pub(crate) fn outside_period(lines: usize, rows: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("outside the period, and not counted: {lines} of its lines, {rows} of its rows"),
        Lang::Ko => format!("기간 밖이라 제외: 주문 {lines}건, PG {rows}건"),
    }
}

/// The contract has another rate.
pub(crate) fn other_rate(stated: &str, contracted: &str, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the rate is {stated} %, and the contract has {contracted} %"),
        Lang::Ko => format!("적용 수수료율 {stated} %, 계약 수수료율 {contracted} %"),
    }
}

/// A deposit was late.
pub(crate) fn late(days: i64, arrived: NaiveDate, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{days} {} late, on {arrived}", if days == 1 { "day" } else { "days" }),
        Lang::Ko => format!("{days}일 늦게 입금({arrived})"),
    }
}

/// Why another amount than expected can be right.
pub(crate) fn cancelled_after_payout(exactly: bool, lang: Lang) -> String {
    let exact = exactly.then_some(match lang {
        Lang::En => "the difference is what cancellations took off this pay date; ",
        Lang::Ko => "차액이 이 지급일의 취소 금액과 같음; ",
    });
    let rule = match lang {
        Lang::En => "after payout is fixed, a cancellation is settled by a deposit of the merchant, so a difference can be right",
        Lang::Ko => "지급 확정 후 취소는 가맹점이 별도로 입금하여 정산하므로 차이가 정상일 수 있음",
    };
    exact.unwrap_or_default().to_owned() + rule
}

/// The difference is what was carried over.
pub(crate) fn carried_from(date: NaiveDate, lang: Lang) -> String {
    match lang {
        Lang::En => format!("the difference is what was carried over from {date}"),
        Lang::Ko => format!("차액이 {date}에서 이월된 금액과 같음"),
    }
}
