//! The texts of the report: page and workbook.

use chrono::NaiveDate;

use crate::calendar::DateRange;
use crate::document::cell::{day, month, won};
use crate::figures::count;
use crate::lake::record::Environment;
use crate::lang::{Lang, Words, words};
use crate::status::DayState;

pub(crate) const TITLE: Words = words("Settlement report", "정산 보고서");

// sections, and sheets of the workbook
pub(crate) const SUMMARY: Words = words("Summary", "요약");
pub(crate) const ATTENTION: Words = words("To do", "할 일");
pub(crate) const MONTHS: Words = words("Months", "월별");
pub(crate) const UPCOMING: Words = words("Upcoming", "지급예정");
pub(crate) const CALENDAR: Words = words("Calendar", "달력");
pub(crate) const RESTATEMENTS: Words = words("Restatements", "정정이력");
pub(crate) const FEES: Words = words("Fees", "수수료");
pub(crate) const DAYS: Words = words("Days", "지급일별");

// columns
pub(crate) const MERCHANT: Words = words("Merchant", "가맹점");
pub(crate) const MERCHANT_ID: Words = words("API id", "가맹점 API ID");
pub(crate) const MERCHANT_NAME: Words = words("Name", "가맹점명");
pub(crate) const MONTH: Words = words("Month", "월");
pub(crate) const PAY_DATE: Words = words("Pay date", "지급일");
pub(crate) const WEEKDAY: Words = words("Weekday", "요일");
pub(crate) const STATE: Words = words("State", "상태");
pub(crate) const ROWS: Words = words("Rows", "건수");
pub(crate) const APPROVED: Words = words("Approved", "승인금액");
pub(crate) const APPROVED_FEE: Words = words("Fee of approved", "승인분 수수료");
pub(crate) const CANCELLED: Words = words("Cancelled", "취소금액");
pub(crate) const CANCELLED_SAME_DAY: Words = words("of which same day", "당일취소");
pub(crate) const FEE: Words = words("Fee", "수수료");
pub(crate) const VAT: Words = words("VAT", "부가세");
pub(crate) const PAYOUT: Words = words("Payout", "지급금액");
pub(crate) const EFFECTIVE_RATE: Words = words("Effective rate", "실효수수료율");
pub(crate) const SHARE_OF_SALES: Words = words("Share", "비중");
pub(crate) const PENDING: Words = words("Pending", "지급예정금액");
pub(crate) const PENDING_ROWS: Words = words("Pending rows", "지급대기 건수");
pub(crate) const RUNNING: Words = words("Running total", "누계");
pub(crate) const WHEN: Words = words("When", "시점");
pub(crate) const CHANGE: Words = words("Change", "증감");
pub(crate) const GROWTH: Words = words("Change in %", "증감률");
pub(crate) const SEEN_AT: Words = words("Seen (Seoul)", "확인일시(서울)");
pub(crate) const ROWS_BEFORE: Words = words("Rows before", "정정 전 건수");
pub(crate) const ROWS_AFTER: Words = words("Rows after", "정정 후 건수");
pub(crate) const PAYOUT_BEFORE: Words = words("Payout before", "정정 전 금액");
pub(crate) const PAYOUT_AFTER: Words = words("Payout after", "정정 후 금액");
pub(crate) const METHOD: Words = words("Payment method", "결제수단");
pub(crate) const ACQUIRER: Words = words("Acquirer", "매입사");
pub(crate) const AS_OF: Words = words("As of (Seoul)", "수집 기준(서울)");
pub(crate) const FROM: Words = words("From", "시작일");
pub(crate) const TO: Words = words("To", "종료일");
pub(crate) const FIGURE: Words = words("Figure", "항목");
pub(crate) const METHOD_CODE: Words = words("Method code", "결제수단코드");
pub(crate) const ACQUIRER_CODE: Words = words("Acquirer code", "매입사코드");
pub(crate) const LAST_FULL_MONTH: Words = words("Last full month", "최근 완결 월");
pub(crate) const PAYOUT_LAST_MONTH: Words = words("Payout of it", "최근 완결 월 지급금액");
pub(crate) const PAYOUT_MONTH_BEFORE: Words = words("Payout of the month before", "전월 지급금액");
pub(crate) const TOTAL: Words = words("Total", "합계");
pub(crate) const BY_MERCHANT: Words = words("By merchant", "가맹점별");
pub(crate) const EARLIER: Words = words("Not listed", "그 밖");
pub(crate) const OVERDUE: Words = words("Overdue", "장기 미지급");
pub(crate) const RESTATED: Words = words("Restated", "정정");
pub(crate) const MISSING_DAYS: Words = words("Missing days", "누락일");
pub(crate) const OPEN_DAYS: Words = words("Open days", "미마감일");
pub(crate) const OVERDUE_DAYS: Words = words("Overdue days", "장기 미지급일");
pub(crate) const RESTATED_DAYS: Words = words("Restated days", "정정된 지급일");
pub(crate) const CLOSED_DAYS: Words = words("Closed days", "마감일");
pub(crate) const YES: Words = words("yes", "예");
pub(crate) const NO_CODE: Words = words("no code", "코드 없음");
pub(crate) const NO_ACQUIRER: Words = words("no acquirer (not a card)", "매입사 없음(카드 외)");

// summary
pub(crate) const PAYOUT_TO_COME: Words = words("Payouts to come", "지급예정금액");
pub(crate) const NOTHING_PENDING: Words = words("nothing is pending", "지급예정 없음");
pub(crate) const COMPARED: Words = words("The last full month, compared with the one before", "최근 완결 월과 전월 비교");
pub(crate) const NO_FULL_MONTH: Words = words(
    "The range holds no full month that has passed: its figures as a whole.",
    "기간 안에 완결된 월이 없어 전체 기간의 수치를 표시합니다.",
);
pub(crate) const WHOLE_RANGE: Words = words("Whole range", "전체 기간");
pub(crate) const NO_MONTH_BEFORE: Words = words("no month before it in the range", "비교할 전월 자료 없음");
pub(crate) const SIMULATED: Words = words("SIMULATED DATA", "모의 데이터");
pub(crate) const SANDBOX: Words = words("TEST DATA (sandbox)", "테스트 데이터(sandbox)");
pub(crate) const CUSTOM: Words = words("Data of another API root (--base-url)", "별도 API 주소(--base-url)의 데이터");

// calendar
pub(crate) const LEGEND: Words = words("Legend", "범례");
pub(crate) const CALENDAR_NOTE: Words = words(
    "Each day shows the worst state of all merchants shown. Point at a day for its rows and payout.",
    "표시된 가맹점 중 가장 나쁜 상태를 보여 줍니다. 날짜에 마우스를 올리면 건수와 지급금액이 나옵니다.",
);
pub(crate) const STATES_BY_MERCHANT: Words = words("Days by state", "상태별 일수");

// months
pub(crate) const MONTHS_CHART: Words = words("Payout by month, as in the table below", "월별 지급금액, 아래 표와 같은 수치");
pub(crate) const MONTHS_CAPTION: Words = words("Figures by month of the pay date", "지급일 기준 월별 내역");
pub(crate) const MONTHS_NOTE: Words = words(
    "Amounts in won. Cancelled holds rows of status 21 (same day) and 22 (later), without sign; fee, VAT and payout are over all rows, so that cancellations reduce them. The effective rate is the fee of approved rows as a share of their amount, without VAT. ◌ marks a month with missing or open days, or one that is not covered as a whole.",
    "금액 단위는 원입니다. 취소금액은 결제상태 21(당일취소)과 22(일반취소)의 합계이며 부호 없이 표시합니다. 수수료·부가세·지급금액은 취소 건을 반영한 전체 합계입니다. 실효수수료율은 승인 건의 수수료를 승인금액으로 나눈 값이며 부가세는 제외합니다. ◌ 표시는 누락·미마감일이 있거나 기간에 일부만 포함된 월입니다.",
);
pub(crate) const UNFINISHED: Words = words("◌ not complete", "◌ 미완결 월");

// upcoming
pub(crate) const UPCOMING_CAPTION: Words = words("Payouts that are pending, by pay date", "지급일별 지급예정 내역");
pub(crate) const NO_UPCOMING: Words = words("No row is pending.", "지급대기 건이 없습니다.");
pub(crate) const UPCOMING_NOTE: Words = words(
    "Rows whose payout status is not 03 (paid), as the last response stated them.",
    "마지막 응답에서 지급상태가 03(지급완료)이 아닌 건입니다.",
);

// restatements
pub(crate) const RESTATEMENTS_CAPTION: Words = words("Closed days that changed afterwards", "마감 후 변경된 지급일");
pub(crate) const NO_RESTATEMENTS: Words = words("No closed day has changed.", "마감 후 변경된 지급일이 없습니다.");
pub(crate) const RESTATEMENTS_NOTE: Words =
    words("The versions before are kept in the lake under history/.", "정정 전 자료는 레이크의 history/에 보관되어 있습니다.");

// fees
pub(crate) const FEES_BY_METHOD: Words = words("Approved rows by payment method", "결제수단별 승인 건 수수료");
pub(crate) const FEES_BY_ACQUIRER: Words = words("Approved rows by acquirer", "매입사별 승인 건 수수료");
pub(crate) const NO_FEES: Words = words("No row is approved.", "승인 건이 없습니다.");
pub(crate) const FEES_NOTE: Words = words(
    "Approved rows (status 11) only: fees that cancellations give back are not deducted here.",
    "승인 건(결제상태 11)만 집계하며, 취소로 환급된 수수료는 차감하지 않습니다.",
);

// attention
pub(crate) const NOTHING_TO_DO: Words = words(
    "Nothing to do: no day is missing, overdue or unreadable, and nothing was restated lately.",
    "할 일이 없습니다. 누락·장기 미지급·판독 불가 지급일이 없고 최근 정정도 없습니다.",
);

/// The state of a day.
pub(crate) const fn state(state: DayState) -> Words {
    match state {
        DayState::Closed => words("closed", "마감"),
        DayState::ClosedEmpty => words("closed, no rows", "마감(내역 없음)"),
        DayState::Open => words("open", "미마감"),
        DayState::Missing => words("missing", "누락"),
    }
}

/// What a page says of the API that its days come from; `None` for the live one.
pub(crate) const fn environment(environment: Environment) -> Option<Words> {
    match environment {
        Environment::Live => None,
        Environment::Sandbox => Some(SANDBOX),
        Environment::Simulator => Some(SIMULATED),
        Environment::Custom => Some(CUSTOM),
    }
}

/// What a payment method's code is called, for those whose names leave no doubt.
pub(crate) fn method(code: &str) -> Option<Words> {
    match code {
        "CARD" => Some(words("card", "신용카드")),
        "BANK" => Some(words("bank transfer", "계좌이체")),
        "VACCT" => Some(words("virtual account", "가상계좌")),
        "MOBILE" => Some(words("mobile phone", "휴대폰")),
        _ => None,
    }
}

/// `2024-01-01 (Mon) to 2024-01-31 (Wed)`
pub(crate) fn range(range: DateRange, lang: Lang) -> String {
    let (from, to) = (day(range.from, lang), day(range.to, lang));
    match lang {
        _ if range.from == range.to => from,
        Lang::En => format!("{from} to {to}"),
        Lang::Ko => format!("{from} ~ {to}"),
    }
}

/// `3 merchants`
pub(crate) fn merchants(number: usize, lang: Lang) -> String {
    match lang {
        Lang::En if number == 1 => "1 merchant".into(),
        Lang::En => format!("{number} merchants"),
        Lang::Ko => format!("가맹점 {number}곳"),
    }
}

/// `3 days`
pub(crate) fn days(number: u64, lang: Lang) -> String {
    match lang {
        Lang::En => crate::figures::days(number),
        Lang::Ko => format!("{}일", count(number)),
    }
}

/// `3 rows`
pub(crate) fn rows(number: u64, lang: Lang) -> String {
    match lang {
        Lang::En => crate::figures::counted(number, "row"),
        Lang::Ko => format!("{}건", count(number)),
    }
}

/// `₩1,234`, `1,234원`
pub(crate) fn money(amount: i128, lang: Lang) -> String {
    match lang {
        Lang::En if amount < 0 => format!("-₩{}", won(amount.saturating_neg())),
        Lang::En => format!("₩{}", won(amount)),
        Lang::Ko => format!("{}원", won(amount)),
    }
}

/// The heading of the largest figure.
pub(crate) fn payout_of(of: NaiveDate, lang: Lang) -> String {
    let of = month(of, lang);
    match lang {
        Lang::En => format!("Payout in {of}"),
        Lang::Ko => format!("{of} 지급금액"),
    }
}

/// How a month compares with the one before.
pub(crate) fn compared_with(before: NaiveDate, lang: Lang) -> String {
    let before = month(before, lang);
    match lang {
        Lang::En => format!("compared with {before}"),
        Lang::Ko => format!("{before} 대비"),
    }
}

/// Until when the figures are known.
pub(crate) fn as_of(time: Option<&str>, lang: Lang) -> String {
    match (lang, time) {
        (Lang::En, Some(time)) => format!("As of {time} in Seoul"),
        (Lang::Ko, Some(time)) => format!("{time} 기준(서울 시간)"),
        (Lang::En, None) => "Nothing has been fetched".into(),
        (Lang::Ko, None) => "수집된 자료 없음".into(),
    }
}

/// Who made the page, and when.
pub(crate) fn made(time: &str, dest: &str, lang: Lang) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match lang {
        Lang::En => format!("Made {time} (Seoul) by cookiepay-etl {version} from the day records of {dest}."),
        Lang::Ko => format!("{time}(서울 시간) 작성 · cookiepay-etl {version} · 자료: {dest}의 일별 기록"),
    }
}

/// The next payout.
pub(crate) fn next(pay_date: NaiveDate, amount: i128, lang: Lang) -> String {
    let (pay_date, amount) = (day(pay_date, lang), money(amount, lang));
    match lang {
        Lang::En => format!("next: {pay_date}, {amount}"),
        Lang::Ko => format!("다음 지급: {pay_date} {amount}"),
    }
}

/// How many of the open days are overdue.
pub(crate) fn of_which_overdue(overdue: u64, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{} overdue", count(overdue)),
        Lang::Ko => format!("장기 미지급 {}일", count(overdue)),
    }
}

/// When a pending payout is due.
pub(crate) fn due(days_ahead: i64, overdue: bool, lang: Lang) -> String {
    let late = days_ahead.unsigned_abs();
    match (lang, days_ahead) {
        (Lang::En, 0) => "today".into(),
        (Lang::Ko, 0) => "오늘".into(),
        (Lang::En, 1) => "tomorrow".into(),
        (Lang::Ko, 1) => "내일".into(),
        (Lang::En, 2..) => format!("in {}", days(late, lang)),
        (Lang::Ko, 2..) => format!("{}일 후", count(late)),
        (Lang::En, _) => format!("{} late{}", days(late, lang), if overdue { ", overdue" } else { "" }),
        (Lang::Ko, _) => format!("{}일 지남{}", count(late), if overdue { "(장기 미지급)" } else { "" }),
    }
}

/// Lines that the page leaves out.
pub(crate) fn left_out(number: usize, lang: Lang) -> String {
    let number = count(number as u64);
    match lang {
        Lang::En => format!("The page lists the newest; {number} earlier ones are in the workbook (--out report.xlsx)."),
        Lang::Ko => format!("최근 내역만 표시합니다. 이전 {number}건은 엑셀 파일(--out report.xlsx)에 있습니다."),
    }
}

/// Days without a file.
pub(crate) fn missing(gap: DateRange, lang: Lang) -> String {
    let (number, gap) = (days(gap.len(), lang), range(gap, lang));
    match lang {
        Lang::En => format!("{number} missing: {gap}. Fetch with"),
        Lang::Ko => format!("누락 {number}: {gap}. 다음 명령으로 수집하세요:"),
    }
}

/// Days open for longer than they should be.
pub(crate) fn overdue(number: u64, first: NaiveDate, last: NaiveDate, pending: i128, window: u32, lang: Lang) -> String {
    let (number, span, pending) = (days(number, lang), range(DateRange { from: first, to: last }, lang), money(pending, lang));
    match lang {
        Lang::En => format!(
            "{number} open for more than {window} days after the pay date ({span}), with {pending} pending. Ask the PG for these payouts, then fetch with"
        ),
        Lang::Ko => format!(
            "지급일 후 {window}일이 넘도록 미마감 {number}({span}), 지급대기 {pending}. PG사에 지급 여부를 확인한 뒤 다시 수집하세요:"
        ),
    }
}

/// Days whose file cannot be read.
pub(crate) fn unreadable(number: u64, example: NaiveDate, reason: &str, lang: Lang) -> String {
    let (number, example) = (days(number, lang), day(example, lang));
    match lang {
        Lang::En => format!("{number} cannot be read, such as {example}: {reason}. The next sync fetches them again; see"),
        Lang::Ko => format!("판독 불가 {number}(예: {example}, {reason}). 다음 sync 때 다시 수집됩니다. 확인 명령:"),
    }
}

/// Days from which rows were rejected.
pub(crate) fn rejected(number: u64, rejected: u64, lang: Lang) -> String {
    let (number, rejected) = (days(number, lang), rows(rejected, lang));
    match lang {
        Lang::En => format!("{rejected} of {number} could not be read and are not in any figure: see rejects/ in the lake"),
        Lang::Ko => format!("{number}의 {rejected}은 읽지 못해 모든 수치에서 빠졌습니다. 레이크의 rejects/를 확인하세요"),
    }
}

/// Rows that do not add up.
pub(crate) fn unbalanced(number: u64, unbalanced: u64, lang: Lang) -> String {
    let (number, unbalanced) = (days(number, lang), rows(unbalanced, lang));
    match lang {
        Lang::En => format!("{unbalanced} on {number}: approved amount less fee and VAT is not the payout. List them with"),
        Lang::Ko => format!("{number}의 {unbalanced}에서 승인금액 - 수수료 - 부가세가 지급금액과 다릅니다. 확인 명령:"),
    }
}

/// A merchant without any row.
pub(crate) const UNPROVEN: Words = words(
    "No row was ever seen of this merchant, so its empty days stay open: check that its API id is right",
    "이 가맹점은 내역이 한 건도 없어 빈 지급일이 미마감으로 남습니다. API ID가 맞는지 확인하세요",
);

/// Restatements that were seen lately.
pub(crate) fn restated(number: usize, change: i128, lang: Lang) -> String {
    let change = crate::document::cell::change(change);
    match lang {
        Lang::En => format!(
            "{} in the last 31 days, payout {change} won in all: correct what was booked",
            crate::figures::counted(number as u64, "restatement")
        ),
        Lang::Ko => format!("최근 31일간 정정 {number}건, 지급금액 증감 {change}원: 기장 내용을 수정하세요"),
    }
}

/// Payouts past their pay date that are not overdue yet.
pub(crate) fn late(number: u64, pending: i128, lang: Lang) -> String {
    let (number, pending) = (days(number, lang), money(pending, lang));
    match lang {
        Lang::En => format!("{pending} on {number} past the pay date still pending: sync fetches them again each day"),
        Lang::Ko => format!("지급일이 지난 {number}의 {pending}이 아직 지급대기입니다. sync가 매일 다시 확인합니다"),
    }
}

/// How many more things there are to do.
pub(crate) fn more(number: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("and {number} more: see cookiepay-etl status"),
        Lang::Ko => format!("외 {number}건: cookiepay-etl status로 확인하세요"),
    }
}

/// An amount in the space of a few letters, for a chart: `12M`, `1,200만`.
pub(crate) fn short(amount: i128, lang: Lang) -> String {
    let whole = amount / 100;
    let steps: &[(i128, &str)] = match lang {
        Lang::En => &[(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")],
        Lang::Ko => &[(1_000_000_000_000, "조"), (100_000_000, "억"), (10_000, "만")],
    };
    let (step, unit) = steps.iter().find(|(step, _)| whole.abs() >= *step).copied().unwrap_or((1, ""));
    let tenths = whole * 10 / step;
    if tenths % 10 == 0 {
        format!("{}{unit}", crate::figures::grouped(&(tenths / 10).to_string()))
    } else {
        format!("{}.{}{unit}", tenths / 10, (tenths % 10).abs())
    }
}
