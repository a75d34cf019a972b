//! The files that `reconcile` reads: every header, word, notation, kind and refusal, and the forms that banks and shops export.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::NaiveDate;
use cookiepay_etl::reconcile::books::{Deposits, Meaning, Orders};
use cookiepay_etl::reconcile::files::{self, AmountPer, Books, FileOptions};
use encoding_rs::EUC_KR;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use super::support::Run;
use super::support::s3::S3;

/// Files and flags, as a user would name them.
#[derive(Default)]
struct Files {
    orders: Vec<String>,
    deposits: Vec<String>,
    options: FileOptions,
    folder: Option<tempfile::TempDir>,
}

impl Files {
    fn new() -> Self {
        Self { folder: Some(tempfile::tempdir().unwrap()), ..Self::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// One more file of orders.
    fn orders(mut self, content: impl AsRef<[u8]>) -> Self {
        let name = format!("orders-{}.csv", self.orders.len());
        let path = self.write(&name, content);
        self.orders.push(path);
        self
    }

    /// One more file of deposits.
    fn deposits(mut self, content: impl AsRef<[u8]>) -> Self {
        let name = format!("deposits-{}.xls", self.deposits.len());
        let path = self.write(&name, content);
        self.deposits.push(path);
        self
    }

    fn flag(mut self, flag: &str, value: &str) -> Self {
        let options = &mut self.options;
        match flag {
            "--column" => options.columns.push(value.parse().unwrap()),
            "--word" => options.words.push(value.parse().unwrap()),
            "--orders-where" => options.orders_where.push(value.parse().unwrap()),
            "--deposits-where" => options.deposits_where.push(value.parse().unwrap()),
            "--orders-are" => options.orders_are = Some(if value == "events" { Meaning::Events } else { Meaning::Totals }),
            "--amount-per" => options.amount_per = Some(if value == "order" { AmountPer::Order } else { AmountPer::Line }),
            _ => panic!("{flag}"),
        }
        self
    }

    fn read(&self) -> Result<Books, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(files::read(&self.orders, &self.deposits, &self.options));
        let folder = self.path("").display().to_string();
        read.map_err(|error| {
            assert_eq!(error.exit_code().number(), 2, "{error}");
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}").replace(&folder, "")
        })
    }

    fn read_orders(&self) -> Result<Orders, String> {
        Ok(self.read()?.orders.unwrap())
    }

    fn read_deposits(&self) -> Result<Deposits, String> {
        Ok(self.read()?.deposits.unwrap())
    }
}

fn orders(content: impl AsRef<[u8]>) -> Result<Orders, String> {
    Files::new().orders(content).read_orders()
}

fn deposits(content: impl AsRef<[u8]>) -> Result<Deposits, String> {
    Files::new().deposits(content).read_deposits()
}

/// The sums of the orders, in won, by order number, else by transaction number.
fn sums(orders: &Orders) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for line in &orders.lines {
        let key = line.order_no.as_deref().or(line.transaction_id.as_deref()).unwrap();
        *sums.entry(key.to_owned()).or_default() += line.amount;
    }
    sums.into_iter().map(|(key, sum)| (key, won(sum))).collect()
}

fn won(hundredths: i128) -> String {
    let text = cookiepay_etl::settlement::values::format_decimal(hundredths, 2);
    text.trim_end_matches(".00").to_owned()
}

fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn days(deposits: &Deposits) -> Vec<(String, String)> {
    deposits.lines.iter().map(|deposit| (deposit.date.to_string(), won(deposit.amount))).collect()
}

fn day(date: &str, amount: &str) -> (String, String) {
    (date.to_owned(), amount.to_owned())
}

fn cp949(text: &str) -> Vec<u8> {
    EUC_KR.encode(text).0.into_owned()
}

/// A text in the two letters' parts, as macOS writes it.
fn decomposed(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    text.nfd().collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(read: Result<T, String>, parts: &[&str]) {
    let message = read.unwrap_err();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

// the forms of the contract

const KB: &str = "<table><tr><td><table><tr><td>계좌번호</table><table><tr><td>거래일시<td>출금금액<td>입금금액<tr><td>2024.01.05<td><td>97,000\
                  <tr><td>총계<td>0<td>97,000</table></table>";

#[test]
fn a_page_of_a_bank_with_tables_in_tables() {
    for content in [cp949(KB), KB.into(), format!("\u{FEFF}{KB}").into(), cp949(&format!("<meta charset=euc-kr>{KB}"))] {
        let read = deposits(content).unwrap();
        assert_eq!(days(&read), [day("2024-01-05", "97000")]);
        assert_eq!((read.read.passed_over, &read.read.columns), (1, &vec![("amount", "입금금액".into()), ("date", "거래일시".into())]));
    }
}

#[test]
fn a_statement_with_dashes_and_withdrawals() {
    let text = "거래일시,적요,지급(원),입금(원)\n2024.01.05 10:00,쿠키페이,-,\"97,000\"\n2024.01.05 11:00,전기요금,\"5,000\",-\n";
    let read = deposits(cp949(text)).unwrap();
    assert_eq!((days(&read), read.read.passed_over), (vec![day("2024-01-05", "97000")], 1));
}

#[test]
fn a_shop_that_repeats_the_orders_total() {
    let text = "주문번호,품목별 주문번호,총 주문금액(KRW),총 결제금액(KRW)\n20240105-0000001,20240105-0000001-01,27000,25000\n\
                20240105-0000001,20240105-0000001-02,27000,25000\n";
    let read = orders(text).unwrap();
    assert_eq!((sums(&read), read.are), (map([("20240105-0000001", "25000")]), Some(Meaning::Totals)));
    assert_eq!(read.read.columns, [("order_no", "주문번호".into()), ("amount", "총 결제금액(KRW)".into())]);
    // on the first of the lines
    assert_eq!(read.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [2_500_000, 0]);
}

#[test]
fn a_list_of_a_pg_with_both_signs() {
    let text = "주문번호,결제상태,결제구분,금액\nA,전체환불,결제,10000\nA,결제완료,환불,-10000\nB,결제기한초과,결제,7000\n";
    let read = orders(text).unwrap();
    assert_eq!((sums(&read), read.are, read.read.passed_over), (map([("A", "0")]), Some(Meaning::Events), 1));
}

#[test]
fn the_table_of_youngcart() {
    let text = "od_id,od_status,od_receipt_price,od_cancel_price,od_refund_price\n2024010510000001,취소,0,10000,0\n\
                2024010510000002,완료,10000,2000,3000\n";
    let read = orders(text).unwrap();
    assert_eq!(sums(&read), map([("2024010510000001", "0"), ("2024010510000002", "7000")]));
    assert_eq!(read.are, Some(Meaning::Totals));
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, line) in (0..).zip(text.lines()) {
        for (column, value) in (0..).zip(line.split(',')) {
            match value.parse::<f64>() {
                Ok(number) => sheet.write_number(row, column, number).unwrap(),
                Err(_) => sheet.write_string(row, column, value).unwrap(),
            };
        }
    }
    refused(orders(book.save_to_buffer().unwrap()), &["orders-0.csv, line 2, column od_id", "2024010510000001", "rounded"]);
}

#[test]
fn a_list_of_a_gateway_with_a_footer() {
    let read = orders("승인일,주문번호,거래금액,상태\n20240105,A,10000,승인\n20240106,A,-10000,취소\n,,0,\n").unwrap();
    assert_eq!((sums(&read), read.are, read.read.passed_over), (map([("A", "0")]), Some(Meaning::Events), 1));
    assert_eq!(read.lines[1].date, NaiveDate::from_ymd_opt(2024, 1, 6));
}

// headers

const ORDER_NUMBERS: &[&str] = &[
    "PG주문번호",
    "상점주문번호",
    "가맹점주문번호",
    "고객사주문번호",
    "쇼핑몰주문번호",
    "주문번호",
    "주문No",
    "orderno",
    "order id",
    "order number",
    "od_id",
];
const TRANSACTIONS: &[&str] =
    &["PG거래번호", "승인거래번호", "거래고유번호", "거래번호", "TID", "trx id", "transaction number", "payment reference", "od_tno"];
const PER_ORDER: &[&str] = &["총 결제금액", "총 실결제금액", "최종결제금액", "최종주문금액", "order total", "total"];
const PLAIN: &[&str] =
    &["결제금액", "실결제금액", "승인금액", "거래금액", "매출금액", "결제액", "거래액", "금액", "amount", "price", "od_receipt_price"];
const PER_LINE: &[&str] = &["품목실결제가", "최종 상품별 총 주문금액", "상품별 총 주문금액", "상품별 결제금액"];
const LAST: &[&str] = &["총 주문금액", "주문금액"];
const CANCELLED: &[&str] = &[
    "취소금액",
    "취소액",
    "환불금액",
    "환불액",
    "실제 환불금액",
    "총 실제 환불금액",
    "refunded amount",
    "refund amount",
    "od_refund_price",
    "cancelled_amount",
];
const KINDS: &[&str] = &["승인취소구분", "승인구분", "매출구분", "결제구분", "거래구분", "구분", "kind", "type"];
const STATES: &[&str] = &["주문상태", "결제상태", "거래상태", "상태", "state", "status", "financial status", "od_status"];
const DATES: &[&str] = &[
    "결제일시",
    "결제일자",
    "결제일",
    "결제시간",
    "paid at",
    "od_receipt_time",
    "승인일시",
    "승인일자",
    "승인일",
    "거래일시",
    "거래일자",
    "거래일",
    "매출일",
    "주문일시",
    "주문일자",
    "주문일",
    "date",
    "일자",
    "날짜",
];
const MERCHANTS: &[&str] = &["가맹점ID", "상점ID", "MID", "가맹점", "merchant id", "api id", "cpid", "merchant"];
const DEPOSITS: &[&str] = &["입금", "입금액", "입금금액", "맡기신금액", "받은금액", "받으신금액", "들어온금액", "deposit", "credit"];
const LAST_DEPOSITS: &[&str] = &["거래금액", "입출금액", "금액", "amount"];
const DEPOSIT_DATES: &[&str] =
    &["거래일시", "거래일자", "거래일", "거래날짜", "입금일시", "입금일자", "입금일", "일시", "date", "일자", "날짜"];

/// A header as it is found in files.
fn written(header: &str) -> Vec<String> {
    let spaced: String = header.chars().flat_map(|c| [c, ' ']).collect();
    vec![
        header.to_owned(),
        header.to_uppercase(),
        header.to_lowercase(),
        spaced,
        format!("* {header}(원)"),
        format!("[필수]{header}（KRW）"),
        format!("\"{}\n{}\"", &header[..header.char_indices().nth(1).unwrap().0], &header[header.char_indices().nth(1).unwrap().0..]),
        header.replace(' ', "_"),
        format!("{header}:·/-"),
        decomposed(header),
    ]
}

#[test]
fn every_header_of_orders_however_it_is_written() {
    type Table<'a> = (&'a str, &'a [&'a str], fn(&str) -> String);
    let tables: [Table<'_>; 10] = [
        ("order_no", ORDER_NUMBERS, |header| format!("{header},결제금액\nA,1000\n")),
        ("order_no", &["order_no"], |header| format!("{header},결제금액\nA,1000\n")),
        ("transaction_id", TRANSACTIONS, |header| format!("{header},결제금액\nA,1000\n")),
        ("transaction_id", &["transaction_id"], |header| format!("{header},결제금액\nA,1000\n")),
        ("amount", PER_ORDER, |header| format!("주문번호,{header}\nA,1000\n")),
        ("amount", PLAIN, |header| format!("주문번호,{header}\nA,1000\n")),
        ("amount", PER_LINE, |header| format!("주문번호,{header}\nA,1000\n")),
        ("amount", LAST, |header| format!("주문번호,{header}\nA,1000\n")),
        ("date", DATES, |header| format!("주문번호,결제금액,{header}\nA,1000,2024-01-05\n")),
        ("merchant", MERCHANTS, |header| format!("주문번호,결제금액,{header}\nA,1000,m1\n")),
    ];
    for (field, headers, file) in tables {
        for written in headers.iter().flat_map(|header| written(header)) {
            let read = orders(file(&written)).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(sums(&read), map([("A", "1000")]), "{written}");
            assert!(read.read.columns.iter().any(|(name, _)| *name == field), "{field}: {written:?} {:?}", read.read.columns);
        }
    }
}

#[test]
fn every_header_of_cancelled_amounts_kinds_and_states() {
    for written in CANCELLED.iter().flat_map(|header| written(header)) {
        let read = orders(format!("주문번호,결제금액,{written}\nA,1000,-300\n")).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!((sums(&read), read.are), (map([("A", "700")]), Some(Meaning::Totals)), "{written}");
    }
    for written in KINDS.iter().flat_map(|header| written(header)) {
        let read = orders(format!("주문번호,결제금액,{written}\nA,1000,승인\nA,300,취소\n")).unwrap();
        assert_eq!((sums(&read), read.are), (map([("A", "700")]), Some(Meaning::Events)), "{written}");
    }
    for header in STATES {
        for written in written(header) {
            let text = format!("주문번호,결제금액,{written}\nA,1000,결제완료\nB,300,취소\n");
            let is_order_state = ["주문상태", "od_status", "financial status"].contains(header);
            if is_order_state {
                let read = orders(text).unwrap();
                assert_eq!((sums(&read), read.are), (map([("A", "1000"), ("B", "0")]), Some(Meaning::Totals)), "{written}");
            } else {
                refused(orders(text), &["orders-0.csv, line", "--orders-are"]);
            }
        }
    }
}

#[test]
fn every_header_of_deposits() {
    for written in DEPOSITS.iter().chain(LAST_DEPOSITS).flat_map(|header| written(header)) {
        let read = deposits(format!("날짜,{written}\n20240105,\"97,000\"\n")).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(days(&read), [day("2024-01-05", "97000")], "{written}");
    }
    for written in DEPOSIT_DATES.iter().flat_map(|header| written(header)) {
        let read = deposits(format!("{written},입금\n20240105,\"97,000\"\n")).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(days(&read), [day("2024-01-05", "97000")], "{written}");
    }
}

#[test]
fn the_first_header_of_a_list_is_used() {
    for list in [ORDER_NUMBERS, TRANSACTIONS, DATES, MERCHANTS, CANCELLED] {
        for pair in list.windows(2) {
            let needed = if list == ORDER_NUMBERS || list == TRANSACTIONS { "결제금액,비고" } else { "주문번호,결제금액" };
            let keys = if needed.starts_with("결제") { "1000,x" } else { "A,1000" };
            // in either order of columns
            for (first, second) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                let read = orders(format!("{needed},{first},{second}\n{keys},20240105,20240105\n")).unwrap();
                assert!(read.read.columns.iter().any(|(_, header)| header == pair[0]), "{pair:?} {:?}", read.read.columns);
                assert!(!read.read.columns.iter().any(|(_, header)| header == pair[1]), "{pair:?} {:?}", read.read.columns);
            }
        }
    }
}

#[test]
fn the_first_class_of_amounts_is_used_and_two_of_one_class_are_refused() {
    for (index, class) in [PER_ORDER, PLAIN, PER_LINE, LAST].into_iter().enumerate() {
        for later in [PLAIN, PER_LINE, LAST].into_iter().skip(index) {
            let read = orders(format!("주문번호,{},{}\nA,2000,1000\n", later[0], class[0])).unwrap();
            assert_eq!(sums(&read), map([("A", "1000")]), "{class:?} {later:?}");
        }
        for pair in class.windows(2) {
            let text = format!("주문번호,{},{}\nA,1000,2000\n", pair[0], pair[1]);
            refused(orders(&text), &["orders-0.csv, line 1", pair[0], pair[1], "--column orders.amount=HEADER"]);
            let read = Files::new().orders(&text).flag("--column", &format!("orders.amount={}", pair[1])).read_orders();
            assert_eq!(sums(&read.unwrap()), map([("A", "2000")]), "{pair:?}");
        }
    }
    for class in [DEPOSITS, LAST_DEPOSITS] {
        for pair in class.windows(2) {
            let text = format!("날짜,{},{}\n20240105,1000,2000\n", pair[0], pair[1]);
            refused(deposits(&text), &["deposits-0.xls, line 1", pair[0], pair[1], "--column deposits.amount=HEADER"]);
        }
    }
    assert_eq!(days(&deposits("날짜,거래금액,입금액\n20240105,5000,1000\n").unwrap()), [day("2024-01-05", "1000")]);
}

#[test]
fn headers_that_are_never_order_numbers() {
    for header in ["품목별 주문번호", "상품주문번호", "묶음배송번호"] {
        refused(orders(format!("{header},결제금액\nA,1000\n")), &["order_no or transaction_id", header, "--column"]);
        let read = Files::new().orders(format!("{header},결제금액\nA,1000\n")).flag("--column", &format!("order_no={header}"));
        assert_eq!(sums(&read.read_orders().unwrap()), map([("A", "1000")]));
    }
}

#[test]
fn a_flag_decides_which_header_is_used() {
    let text = "번호,주문번호,받은 돈(원),결제금액\nA,B,1000,2000\n";
    let read = Files::new().orders(text).flag("--column", "order_no=번호").flag("--column", "amount=받은돈").read_orders().unwrap();
    assert_eq!((sums(&read), &read.read.columns[1].1), (map([("A", "1000")]), &"받은 돈(원)".to_owned()));
    // of two that compare equal, the one that is written so
    let text = "주문번호,결제금액(원),결제금액(달러)\nA,1000,2\n";
    refused(orders(text), &["결제금액(원)", "결제금액(달러)"]);
    let read = Files::new().orders(text).flag("--column", "amount=결제금액(원)").read_orders().unwrap();
    assert_eq!(sums(&read), map([("A", "1000")]));
    refused(Files::new().orders(text).flag("--column", "amount=결제금액").read_orders(), &["columns 2 and 3"]);
}

#[test]
fn a_flag_for_one_side_leaves_the_other() {
    let files = Files::new().orders("주문번호,금액,세액\nA,1000,100\n").deposits("날짜,금액,세액\n20240105,500,50\n");
    let read = files.flag("--column", "deposits.amount=세액").read().unwrap();
    assert_eq!(sums(&read.orders.unwrap()), map([("A", "1000")]));
    assert_eq!(days(&read.deposits.unwrap()), [day("2024-01-05", "50")]);
    let files = Files::new().orders("주문번호,금액,등록\nA,1000,20240101\n").deposits("날짜,금액\n20240105,500\n");
    let read = files.flag("--column", "date=등록").read().unwrap();
    assert_eq!(read.orders.unwrap().lines[0].date, NaiveDate::from_ymd_opt(2024, 1, 1));
}

#[test]
fn a_flag_for_a_header_that_no_file_has_is_refused() {
    let files =
        |column: &str| Files::new().orders("주문번호,금액\nA,1000\n").deposits("날짜,금액,적요\n20240105,500,x\n").flag("--column", column);
    for column in ["amount=없음", "orders.amount=없음", "deposits.date=주문번호", "order_no=적요", "kind=구분"] {
        refused(files(column).read(), &[column.split_once('=').unwrap().1, "--column", "금액"]);
    }
    assert!(files("date=날짜").read().is_ok());
    // one of several files is enough
    let files = Files::new().orders("주문번호,금액\nA,1000\n").orders("번호,금액\nB,500\n").flag("--column", "order_no=번호");
    assert_eq!(sums(&files.read_orders().unwrap()), map([("A", "1000"), ("B", "500")]));
}

#[test]
fn the_header_is_among_the_first_20_lines() {
    let titles = |count: usize| "거래 내역,,\n".repeat(count);
    let read = orders(format!("{}주문번호,금액\nA,1000\n", titles(19))).unwrap();
    assert_eq!((sums(&read), read.read.passed_over, read.lines[0].place.line), (map([("A", "1000")]), 0, 21));
    refused(orders(format!("{}주문번호,금액\nA,1000\n", titles(20))), &["first 20 lines", "거래 내역"]);
    refused(orders("주문번호,수량\nA,3\n"), &["no column for amount", "주문번호, 수량", "--column FIELD=HEADER"]);
    refused(orders(""), &["no column for", "found: nothing"]);
    refused(deposits("적요,입금\nx,1\n"), &["no column for date"]);
    refused(orders("주문번호,주문번호,금액\nA,B,1\n"), &["columns 1 and 2", "주문번호"]);
    assert_eq!(sums(&orders("od_id,od_id,주문번호,금액\n1,2,A,1\n").unwrap()), map([("A", "1")]));
}

// words

const WORDS: [(&str, &[&str]); 4] = [
    (
        "paid",
        &[
            "승인",
            "결제",
            "결제완료",
            "입금",
            "입금확인",
            "입금완료",
            "완료",
            "정상",
            "매출",
            "매입",
            "매입완료",
            "준비",
            "상품준비중",
            "배송준비중",
            "발송처리",
            "배송",
            "배송중",
            "배송완료",
            "구매확정",
            "거래개시",
            "거래종료",
            "교환",
            "교환완료",
            "취소요청",
            "반품요청",
            "환불요청",
            "교환요청",
            "approved",
            "paid",
            "sale",
            "payment",
            "captured",
            "completed",
            "processing",
        ],
    ),
    (
        "back",
        &[
            "취소",
            "결제취소",
            "승인취소",
            "주문취소",
            "거래취소",
            "매입취소",
            "취소완료",
            "환불",
            "환불완료",
            "전체환불",
            "반품",
            "반품완료",
            "cancelled",
            "canceled",
            "cancel",
            "refund",
            "refunded",
            "void",
            "voided",
        ],
    ),
    ("part", &["부분취소", "부분환불", "partially_refunded"]),
    (
        "none",
        &[
            "주문",
            "미입금",
            "입금전",
            "입금대기",
            "결제대기",
            "결제실패",
            "승인실패",
            "입금전취소",
            "미결제취소",
            "결제기한초과",
            "pending",
            "failed",
            "expired",
        ],
    ),
];

#[test]
fn every_word_in_both_meanings() {
    for (means, words) in WORDS {
        for word in words {
            for written in
                [(*word).to_owned(), word.to_uppercase(), format!("{word} - 고객 요청"), format!("{word}(카드)"), format!(" {word} [1]")]
            {
                let kind = orders(format!("주문번호,금액,구분\nA,1000,{written}\n")).unwrap();
                let amount = match means {
                    "paid" => Some("1000"),
                    "none" => None,
                    _ => Some("-1000"),
                };
                let expected = map(amount.map(|amount| ("A", amount)));
                assert_eq!(
                    (sums(&kind), kind.are, kind.read.passed_over),
                    (expected, Some(Meaning::Events), u64::from(amount.is_none())),
                    "{written}"
                );
                let state = orders(format!("주문번호,금액,주문상태,취소금액\nA,1000,{written},300\n")).unwrap();
                let amount = if ["paid", "part"].contains(&means) { "700" } else { "0" };
                assert_eq!((sums(&state), state.are), (map([("A", amount)]), Some(Meaning::Totals)), "{written}");
            }
        }
    }
}

#[test]
fn unknown_words() {
    let text = "주문번호,금액,구분\nA,1000,승인\nB,500,품절\n";
    refused(orders(text), &["orders-0.csv, line 3, column 구분", "\"품절\"", "--word"]);
    for (means, amount) in [("paid", Some("500")), ("back", Some("-500")), ("part", Some("-500")), ("none", None)] {
        let read = Files::new().orders(text).flag("--word", &format!("품 절={means}")).read_orders().unwrap();
        assert_eq!(sums(&read), map([("A", "1000")].into_iter().chain(amount.map(|amount| ("B", amount)))), "{means}");
    }
    // a listed word, too
    let read = Files::new().orders("주문번호,금액,구분\nA,1000,교환\n").flag("--word", "교환=none").read_orders().unwrap();
    assert_eq!(read.lines.len(), 0);
}

#[test]
fn a_column_without_known_words_is_not_the_field() {
    let read = orders("구분,주문번호,금액\n1,A,1000\n2,B,500\n").unwrap();
    assert_eq!((sums(&read), read.are), (map([("A", "1000"), ("B", "500")]), Some(Meaning::Totals)));
    assert!(read.read.notes.len() == 1 && read.read.notes[0].contains("구분"), "{:?}", read.read.notes);
    assert!(!read.read.columns.iter().any(|(field, _)| *field == "kind"));
    // the next header of the list can be
    let read = orders("결제구분,구분,주문번호,금액\n카드,승인,A,1000\n카드,취소,A,1000\n").unwrap();
    assert_eq!((sums(&read), read.are), (map([("A", "0")]), Some(Meaning::Events)));
    assert!(read.read.columns.contains(&("kind", "구분".into())));
    // one that is named must be
    let named = Files::new().orders("구분,주문번호,금액\n1,A,1000\n").flag("--column", "kind=구분");
    refused(named.read_orders(), &["line 2, column 구분", "\"1\"", "--word"]);
    // lines that are left out do not count
    let read =
        Files::new().orders("상태,주문번호,금액,결제수단\n승인,A,1000,카드\n출고,B,1,현금\n").flag("--orders-where", "결제수단=카드");
    assert_eq!(sums(&read.read_orders().unwrap()), map([("A", "1000")]));
}

// meaning

#[test]
fn what_the_lines_mean_without_the_flag() {
    use Meaning::{Events, Totals};
    for (text, are) in [
        ("주문번호,금액,구분\nA,1000,승인\n", Some(Events)),
        ("주문번호,금액\nA,1000\nA,-500\n", Some(Events)),
        ("주문번호,금액,취소금액\nA,1000,0\n", Some(Totals)),
        ("주문번호,금액,주문상태\nA,1000,취소\n", Some(Totals)),
        ("주문번호,금액,상태\nA,1000,승인\nB,1000,미입금\n", Some(Totals)),
        ("주문번호,금액\nA,1000\n", Some(Totals)),
        ("주문번호,금액,구분,취소금액\nA,1000,승인,0\n", None),
        ("주문번호,금액,구분,주문상태\nA,1000,승인,완료\n", None),
        ("주문번호,금액,취소금액\nA,-1000,0\n", None),
        ("주문번호,금액,od_status\nA,-1000,완료\n", None),
        ("주문번호,금액,financial status\nA,-1000,paid\n", None),
        ("주문번호,금액,상태\nA,1000,승인\nA,1000,취소\n", None),
        ("주문번호,금액,status\nA,1000,partially_refunded\n", None),
    ] {
        match are {
            Some(are) => assert_eq!(orders(text).unwrap().are, Some(are), "{text}"),
            None => {
                refused(orders(text), &["orders-0.csv", "--orders-are"]);
            }
        }
        for (flag, are) in [("events", Events), ("totals", Totals)] {
            match Files::new().orders(text).flag("--orders-are", flag).read_orders() {
                Ok(read) => assert_eq!(read.are, Some(are), "{text}"),
                Err(error) => assert!(!error.contains("--orders-are"), "{text} {error}"),
            }
        }
    }
}

#[test]
fn events() {
    let events = |text: &str| Files::new().orders(text).flag("--orders-are", "events").read_orders();
    let read =
        events("주문번호,금액,상태\nA,1000,승인\nA,1000,취소\nB,-300,\nB,900,\nC,500,미입금\nD,-200,부분취소\nD,700,승인\n").unwrap();
    assert_eq!((sums(&read), read.read.passed_over), (map([("A", "0"), ("B", "600"), ("D", "500")]), 1));
    refused(events("주문번호,금액,상태\nA,-1000,승인\n"), &["line 2, column 금액", "-1000", "--word"]);
    refused(events("주문번호,금액,상태\nA,,승인\n"), &["line 2, column 금액"]);
    // a state decides where the kind is blank, and drops what no money moved for
    let read = events("주문번호,금액,구분,상태\nA,1000,,취소\nB,1000,승인,결제대기\n").unwrap();
    assert_eq!(sums(&read), map([("A", "-1000")]));
}

#[test]
fn totals_of_orders_with_several_lines() {
    let per_order = |rest: &str| orders(format!("주문번호,총 결제금액,취소금액,주문상태\n{rest}"));
    assert_eq!(sums(&per_order("A,1000,300,배송중\nA,1000,300,배송중\nA,,,배송중\n").unwrap()), map([("A", "700")]));
    assert_eq!(sums(&per_order("A,,,배송중\nA,1000,,배송중\n").unwrap()), map([("A", "1000")]));
    refused(per_order("A,1000,0,배송중\nA,900,0,배송중\n"), &["line 3, column 총 결제금액", "900.00", "1000.00", "--amount-per line"]);
    refused(per_order("A,1000,0,배송중\nA,1000,100,배송중\n"), &["line 3, column 취소금액", "100.00"]);
    // the lines need not follow each other, nor be in one file
    let files = Files::new().orders("주문번호,총 결제금액\nA,1000\nB,5\n").orders("주문번호,총 결제금액\nA,1000\n");
    assert_eq!(sums(&files.read_orders().unwrap()), map([("A", "1000"), ("B", "5")]));

    let per_line = orders("주문번호,상품별 결제금액,취소금액\nA,1000,200\nA,1000,0\nA,500,\n").unwrap();
    assert_eq!(sums(&per_line), map([("A", "2300")]));

    for header in ["금액", "주문금액"] {
        let text = format!("주문번호,{header}\nA,1000\nA,1000\nB,5\n");
        refused(orders(&text), &["line 2", header, "1000.00", "--amount-per order"]);
        let with = |per: &str| sums(&Files::new().orders(&text).flag("--amount-per", per).read_orders().unwrap());
        assert_eq!((with("order"), with("line")), (map([("A", "1000"), ("B", "5")]), map([("A", "2000"), ("B", "5")])));
        assert_eq!(sums(&orders(format!("주문번호,{header}\nA,1000\nA,500\n")).unwrap()), map([("A", "1500")]));
        assert_eq!(sums(&orders(format!("주문번호,{header}\nA,1000\nA,\n")).unwrap()), map([("A", "1000")]));
        assert_eq!(sums(&orders(format!("주문번호,{header}\nA,0\nA,0\n")).unwrap()), map([("A", "0")]));
    }
    refused(orders("주문번호,금액\nA,\n"), &["line 2, column 금액"]);
    refused(orders("주문번호,금액,주문상태\nA,1000,부분환불\n"), &["line 2", "--column cancelled_amount"]);
    // lines of two merchants are two orders
    let read = orders("상점ID,주문번호,금액\nm1,A,1000\nm2,A,1000\n").unwrap();
    assert_eq!(sums(&read), map([("A", "2000")]));
}

#[test]
fn files_whose_amounts_count_otherwise_are_not_mixed() {
    let files = || Files::new().orders("주문번호,총 결제금액\nA,1000\n").orders("주문번호,상품별 결제금액\nA,600\nA,400\n");
    refused(files().read_orders(), &["orders-1.csv, line 2", "--amount-per"]);
    refused(files().flag("--amount-per", "order").read_orders(), &["differs"]);
}

// cells

#[test]
fn keys_and_amounts_and_dates_are_read_or_refused_by_their_place() {
    for (text, parts) in [
        ("주문번호,금액\nA,1000\n2.34E+17,1000\n", ["line 3", "column 주문번호", "2.34E+17"]),
        ("주문번호,금액\nA,\"1,00\"\n", ["line 2", "column 금액", "1,00"]),
        ("주문번호,금액\n\"A\n1\",10x0\n", ["line 2", "column 금액", "10x0"]),
        ("주문번호,금액\n\"A\n1\",1000\nB,x\n", ["line 4", "column 금액", "x"]),
        ("주문번호,금액,결제일\nA,1000,24.01.05\n", ["line 2", "column 결제일", "24.01.05"]),
        ("주문번호,금액,취소금액\nA,1000,?\n", ["line 2", "column 취소금액", "?"]),
        ("주문번호,금액,비고\n,1000,메모\n", ["line 2", "column 주문번호", "--orders-where"]),
        ("주문번호,금액\nA,97,000\n", ["line 2", "3 values", "quotes"]),
        ("주문번호,금액\n\"A\"x,97\n", ["line 2", "quote", "doubled"]),
        ("주문번호,금액\n\"A,97\nB,1\n", ["line 2", "quote", "closed"]),
    ] {
        refused(orders(text), &parts);
    }
    refused(deposits("날짜,입금\n언젠가,97000\n"), &["line 2, column 날짜", "언젠가"]);
    refused(deposits("날짜,입금,적요\n,97000,메모\n"), &["line 2, column 날짜", "--deposits-where"]);
    refused(deposits("날짜,입금\n20240105,97만원\n"), &["line 2, column 입금", "97만원"]);
}

#[test]
fn keys_without_what_spreadsheets_put_around_them() {
    let read = orders("주문번호,거래번호,금액\n=\"00123\",'T1,1\n'00124',-,2\n 00125\t,,3\n126.0,,4\n,T2,5\n").unwrap();
    let keys: Vec<_> = read.lines.iter().map(|line| (line.order_no.as_deref(), line.transaction_id.as_deref())).collect();
    assert_eq!(keys, [(Some("00123"), Some("T1")), (Some("00124"), None), (Some("00125"), None), (Some("126"), None), (None, Some("T2"))]);
}

// lines that are passed over

#[test]
fn lines_that_are_passed_over() {
    let text = "주문번호,금액,결제일,결제수단\n\nA,1000,20240105,카드\n , ,,\nB,500,20240105,현금\n소계,1500,,\n,1500,월 계,\n누계,9,,\n이월,9,,\n총계,9,,\n합 계,9,,\n,\"1,500\",,\n,0,,\n\n";
    let read = Files::new().orders(text).flag("--orders-where", "결제수단=카드|간편결제").read_orders().unwrap();
    assert_eq!((sums(&read), read.read.passed_over), (map([("A", "1000")]), 12));
    let read = orders(text).unwrap();
    assert_eq!((sums(&read), read.read.passed_over), (map([("A", "1000"), ("B", "500")]), 11));
    refused(orders("주문번호,금액\nA,1000\n,1000\nB,500\n"), &["line 3", "only amounts"]);
}

#[test]
fn deposits_that_are_passed_over() {
    let text = "거래일시,입금,적요\n20240105,1000,쿠키페이(주)\n20240105,,쿠키페이\n20240105,-,쿠키페이\n20240105,0,쿠키페이\n20240105,-500,쿠키페이\n\
                20240106,700,이자\n합계,1700,\n,1700,\n";
    let read = Files::new().deposits(text).flag("--deposits-where", "적요~쿠키").read_deposits().unwrap();
    assert_eq!((days(&read), read.read.passed_over), (vec![day("2024-01-05", "1000")], 7));
    let read = deposits(text).unwrap();
    assert_eq!((days(&read).len(), read.read.passed_over), (2, 6));
    refused(deposits("날짜,입금\n20240105,1\n,2\n20240106,3\n"), &["line 3", "only amounts"]);
}

#[test]
fn withdrawals_without_a_sign_are_no_deposits() {
    let signed = "거래일시,구분,거래금액\n2024.01.05,입금,1000\n2024.01.05,출금,-500\n";
    assert_eq!(days(&deposits(signed).unwrap()), [day("2024-01-05", "1000")]);
    let unsigned = signed.replace('-', "");
    refused(deposits(&unsigned), &["line 3, column 거래금액", "500", "--deposits-where"]);
    let read = Files::new().deposits(&unsigned).flag("--deposits-where", "구분~입금").read_deposits().unwrap();
    assert_eq!((days(&read), read.read.passed_over), (vec![day("2024-01-05", "1000")], 1));
}

#[test]
fn filters_compare_values_as_people_read_them() {
    let text = "주문번호,금액,결제수단,상점\nA,1,카드,가\nB,2,간편결제,가\nC,4,현금,가\nD,8,카드,나\nE,16, ｃａｒｄ ,가\n";
    let read = |filters: &[&str]| {
        let files = filters.iter().fold(Files::new().orders(text), |files, filter| files.flag("--orders-where", filter));
        files.read_orders().map(|orders| won(orders.lines.iter().map(|line| line.amount).sum()))
    };
    assert_eq!(read(&["결제수단=카드"]), Ok("9".into()));
    assert_eq!(read(&["결제수단=카드|간편결제"]), Ok("11".into()));
    assert_eq!(read(&["결제수단=카드", "상점=나"]), Ok("8".into()));
    assert_eq!(read(&["결제수단=카드", "결제수단=Card"]), Ok("25".into()));
    refused(read(&["없음=카드"]), &["없음", "--orders-where", "결제수단"]);
}

// kinds of files

#[test]
fn text_in_every_encoding_and_with_every_delimiter() {
    let text = "주문내역\n주문번호,금액\n주문-1,\"1,000\"\n";
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    for delimiter in [",", "\t", ";", "|"] {
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace("번호,", &format!("번호{delimiter}")).replace("-1,", &format!("-1{delimiter}")).replace('\n', end);
            for bytes in [text.clone().into(), format!("\u{FEFF}{text}").into(), cp949(&text), utf16(&text, false), utf16(&text, true)] {
                let read = orders(&bytes).unwrap_or_else(|error| panic!("{text:?}: {error}"));
                assert_eq!((sums(&read), read.lines[0].place.line), (map([("주문-1", "1000")]), 3), "{text:?}");
            }
        }
    }
    refused(orders(b"\xEF\xBB\xBF\xEA\xB8\x88,\n\xFF\n"), &["line 2", "UTF-8"]);
    refused(orders(b"a,\xC1\xD6\n\xFF\xFF\n"), &["line 2", "CP949"]);
    refused(orders(b"\x7FELF\x00\x00\x01"), &["CSV"]);
}

#[test]
fn texts_larger_than_a_block() {
    let mut text = String::from("주문번호,금액,비고\n");
    for order in 0..40_000 {
        writeln!(text, "주문-{order},{order},\"가나다 \"\"{order}\"\"\n라\"").unwrap();
    }
    for bytes in [text.clone().into_bytes(), cp949(&text)] {
        let read = orders(bytes).unwrap();
        assert_eq!(read.lines.len(), 40_000);
        assert_eq!(read.lines[39_999].place.line, 2 + 39_999 * 2);
        assert_eq!(read.lines.iter().map(|line| line.amount).sum::<i128>(), 39_999 * 40_000 / 2 * 100);
    }
}

#[test]
fn workbooks() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("안내").unwrap();
    sheet.write(0, 0, "이 파일은").unwrap();
    let sheet = book.add_worksheet().set_name("주문").unwrap();
    let date = Format::new().set_num_format("yyyy-mm-dd hh:mm");
    for (column, header) in (0..).zip(["주문번호", "결제금액", "결제일시"]) {
        sheet.write(1, column, header).unwrap();
    }
    let at = ExcelDateTime::from_ymd(2024, 1, 5).unwrap().and_hms(23, 59, 59).unwrap();
    sheet.write(2, 0, 123_456_789_012_345.0).unwrap().write(2, 1, 1234.5).unwrap().write_datetime_with_format(2, 2, &at, &date).unwrap();
    sheet.write(4, 0, "00123").unwrap().write(4, 1, "₩1,000").unwrap().write(4, 2, "2024.1.6").unwrap();
    sheet.write(5, 0, "합계").unwrap().write_formula(5, 1, rust_xlsxwriter::Formula::new("=SUM(B3:B5)").set_result("2234.5")).unwrap();
    let mut files = Files::new();
    let path = files.write("book.xls", book.save_to_buffer().unwrap());
    files.orders = vec![format!("{path}#주문")];
    let read = files.read_orders().unwrap();
    assert_eq!((sums(&read), read.read.passed_over), (map([("123456789012345", "1234.50"), ("00123", "1000")]), 2));
    assert_eq!(
        read.lines.iter().map(|line| (line.place.line, line.date.unwrap().to_string())).collect::<Vec<_>>(),
        [(3, "2024-01-05".into()), (5, "2024-01-06".into())]
    );
    assert_eq!(read.read.files, [format!("{path}#주문")]);
    files.orders = vec![path.clone()];
    refused(files.read_orders(), &["book.xls", "no column for"]);
    files.orders = vec![format!("{path}#없음")];
    refused(files.read_orders(), &["no sheet \"없음\"", "안내, 주문"]);
    files.orders = vec![files.write("a.csv", "주문번호,금액\nA,1\n") + "#주문"];
    refused(files.read_orders(), &["not a workbook"]);
}

#[test]
fn workbooks_of_other_programs() {
    let seed = |name: &str| std::fs::read(format!("{}/fuzz/seeds/books/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for (name, merged) in [("old.xls", Some("10")), ("open.ods", None), ("new.xlsx", None)] {
        let read = orders(seed(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = map([("A-1", "1234.50"), ("00123", "0")].into_iter().chain(merged.map(|merged| ("B", merged))));
        assert_eq!((sums(&read), read.read.passed_over), (expected, 1), "{name}");
        let dates: Vec<_> = read.lines.iter().map(|line| line.date.map(|date| date.to_string())).collect();
        assert_eq!(dates[..2], [Some("2024-01-05".into()), Some("2024-01-06".into())], "{name}");
    }
    refused(orders(seed("password.xlsx")), &["orders-0.csv", "save it without password"]);
    for name in ["old.xls", "new.xlsx", "open.ods", "password.xlsx", "table.parquet"] {
        let whole = seed(name);
        for share in 1..8 {
            // as after a download that broke off
            refused(orders(&whole[..whole.len() * share / 8]), &["orders-0.csv"]);
        }
    }
    refused(orders(b"PK\x03\x04 not a workbook"), &["orders-0.csv"]);
}

#[test]
fn parquet() {
    let table = std::fs::read(format!("{}/fuzz/seeds/books/table.parquet", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let read = orders(table).unwrap();
    // a whole number of 16 digits is exact here, and a time in UTC is the next day in Seoul
    assert_eq!(sums(&read), map([("2024010510000001", "1000.50"), ("2024010510000002", "0")]));
    assert!(read.lines.iter().all(|line| line.date == NaiveDate::from_ymd_opt(2024, 1, 5)));
    assert_eq!(read.lines.iter().map(|line| line.place.line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn merged_cells_continue_an_order() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let plain = Format::new();
    for (column, header) in (0..).zip(["주문번호", "상품", "총 결제금액", "주문상태", "결제일"]) {
        sheet.write(0, column, header).unwrap();
    }
    sheet.merge_range(1, 0, 3, 0, "A", &plain).unwrap();
    sheet.merge_range(1, 2, 3, 2, "", &plain).unwrap();
    sheet.write(1, 2, 25_000).unwrap();
    sheet.merge_range(1, 3, 3, 3, "배송완료", &plain).unwrap();
    sheet.merge_range(1, 4, 3, 4, "20240105", &plain).unwrap();
    for row in 1..4 {
        sheet.write(row, 1, format!("상품{row}")).unwrap();
    }
    sheet.write(4, 0, "B").unwrap().write(4, 2, 500).unwrap().write(4, 3, "취소").unwrap();
    let read = orders(book.save_to_buffer().unwrap()).unwrap();
    assert_eq!(sums(&read), map([("A", "25000"), ("B", "0")]));
    assert_eq!(read.lines.len(), 4);
    assert!(read.lines[..3].iter().all(|line| line.date == NaiveDate::from_ymd_opt(2024, 1, 5)));

    let page = "<table><tr><td>주문번호<td>상품<td>상품별 결제금액<tr><td rowspan=2>A<td>x<td>10<tr><td>y<td>20<tr><td>B<td>z<td>5</table>";
    assert_eq!(sums(&orders(page).unwrap()), map([("A", "30"), ("B", "5")]));
}

#[test]
fn pages_with_spans_and_several_tables() {
    let page = "<html><meta http-equiv=content-type content='text/html; charset=euc-kr'><table><tr><td>조회</table><table><tr><th>거래일<th colspan=2>적요\
                <th>입금액<tr><td>2024.01.05<td>쿠키&amp;페이<td>서울<td>97,000<tr><td colspan=3>합계<td>97,000</table>";
    let read = Files::new().deposits(cp949(page)).flag("--deposits-where", "적요~쿠키&페이").read_deposits().unwrap();
    assert_eq!((days(&read), read.read.passed_over), (vec![day("2024-01-05", "97000")], 1));
    let table = "<table><tr><td>날짜<td>입금<tr><td>20240105<td>1</table>";
    refused(deposits(format!("{table}{table}")), &["2 tables"]);
    refused(deposits("<html><body>로그인하세요</body></html>"), &["no table"]);
    refused(deposits("<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\"/>"), &["XML spreadsheet"]);
    // a title in brackets is no page
    assert_eq!(days(&deposits("<거래내역>,\n날짜,입금\n20240105,1\n").unwrap()), [day("2024-01-05", "1")]);
}

#[test]
fn names_patterns_and_what_is_named_twice() {
    let mut files = Files::new();
    let first = files.write("2024-01.csv", "주문번호,금액\nA,1\n");
    files.write("2024-02.csv", "고객사주문번호;결제금액\nB;2\n");
    files.write("~$2024-02.csv", "lock");
    files.write("[1].csv", "주문번호,금액\nC,4\n");
    let named = |files: &mut Files, names: &[&str]| {
        files.orders = names.iter().map(|name| files.path(name).display().to_string()).collect();
        files.read_orders().map(|orders| (sums(&orders), orders.read.files.len()))
    };
    assert_eq!(named(&mut files, &["2024-*.csv"]), Ok((map([("A", "1"), ("B", "2")]), 2)));
    assert_eq!(named(&mut files, &["[1].csv"]), Ok((map([("C", "4")]), 1)));
    refused(named(&mut files, &["2024-01.csv", "2024-0?.csv"]), &["2024-01.csv", "twice"]);
    refused(named(&mut files, &["2025-*.csv"]), &["no file matches"]);
    refused(named(&mut files, &["none.csv"]), &["none.csv", "no such file"]);
    refused(named(&mut files, &[""]), &["folder"]);
    std::fs::remove_file(first).unwrap();
}

#[test]
fn the_simulator_writes_books_that_are_read() {
    let mut files = Files::new();
    let folder = files.path("books").display().to_string();
    let simulate = |faults: &[&str]| {
        let run =
            Run::new("simulate").args(["--books", &folder, "--from", "2024-01-01", "--to", "2024-01-31", "--sim-today", "2024-03-15"]);
        run.args(faults.iter().flat_map(|fault| ["--books-fault", fault]))
    };
    simulate(&["missing", "deposit-late"]).ok();
    files.orders = vec![format!("{folder}/orders.csv")];
    files.deposits = vec![format!("{folder}/deposits.csv")];
    let read = files.read().unwrap();
    let (orders, deposits) = (read.orders.unwrap(), read.deposits.unwrap());
    assert_eq!((orders.are, orders.read.passed_over), (Some(Meaning::Events), 1));
    assert!(orders.lines.len() > 500 && deposits.lines.len() > 15 && deposits.read.passed_over > 2);
    let differences: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(format!("{folder}/differences.json")).unwrap()).unwrap();
    assert_eq!((&differences[0]["status"], &differences[1]["status"]), (&"missing_in_orders".into(), &"matched".into()));
    let missing = differences[0]["order_no"].as_str().unwrap();
    assert!(orders.lines.iter().all(|line| line.order_no.as_deref() != Some(missing)));
    simulate(&["deposit-missingx99"]).exits(2);
    simulate(&["lost"]).exits(2);
}

/// What a difference has in common with the list of those that were made.
fn told(difference: &serde_json::Value) -> Vec<String> {
    ["of", "status", "merchant_id", "order_no", "transaction_id", "date", "expected", "found"]
        .map(|key| difference[key].to_string())
        .to_vec()
}

#[test]
fn the_simulators_books_differ_as_requested_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, books) = (folder.path().join("lake"), folder.path().join("books").display().to_string());
    for merchants in [&["m1"][..], &["m1", "m2"]] {
        let simulator: Vec<String> = merchants.iter().flat_map(|id| ["--sim-merchant".into(), format!("{id}=key")]).collect();
        for merchant in merchants {
            let run =
                Run::new("backfill").args(["--env", "simulator", "--api-id", merchant, "--sim-today", "2024-03-15", "--rate-limit", "0"]);
            run.env("COOKIEPAY_API_KEY", "key").args(&simulator).days("2023-12-20", "2024-02-20").into(&lake).ok();
        }
        let kinds =
            ["missingx2", "doubled", "mispricedx2", "unknown", "deposit-missing", "deposit-shortx2", "deposit-late", "deposit-extra"];
        for faults in [&[][..], &kinds] {
            let run =
                Run::new("simulate").args(["--books", &books, "--from", "2024-01-01", "--to", "2024-01-31", "--sim-today", "2024-03-15"]);
            run.args(&simulator).args(faults.iter().flat_map(|fault| ["--books-fault", fault])).ok();
            let files = ["--orders", &format!("{books}/orders.csv"), "--deposits", &format!("{books}/deposits.csv"), "--output", "json"];
            let ran = Run::new("reconcile").args(files).into(&lake).exits(if faults.is_empty() { 0 } else { 5 });
            let made: Vec<serde_json::Value> =
                serde_json::from_slice(&std::fs::read(format!("{books}/differences.json")).unwrap()).unwrap();
            let mut made: Vec<_> = made.iter().filter(|made| made["status"] != "matched").map(told).collect();
            let mut found: Vec<_> = ran.result()["differences"].as_array().unwrap().iter().map(told).collect();
            made.sort();
            found.sort();
            assert_eq!(found, made);
        }
    }
}

#[test]
fn files_in_a_bucket() {
    let s3 = S3::new(|_| None);
    let fetch = Run::new("backfill").args(["--env", "simulator", "--sim-today", "2024-03-15"]).days("2024-01-02", "2024-01-03");
    s3.lake(fetch).ok();
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("주문").unwrap();
    sheet.write(0, 0, "주문번호").unwrap().write(0, 1, "금액").unwrap().write(1, 0, "B").unwrap().write(1, 1, 2).unwrap();
    for (key, content) in [
        ("shop/2024-01.csv", cp949("주문번호,금액\nA,1\n")),
        ("shop/2024-02.xlsx", book.save_to_buffer().unwrap()),
        ("shop/more/2024-03.csv", cp949("주문번호,금액\nC,4\n")),
    ] {
        s3.objects.lock().unwrap().insert(key.into(), content);
    }
    let reconcile = |file: &str| s3.lake(Run::new("reconcile").args(["--orders", file, "--output", "json"]));
    for (file, files, lines) in [
        ("s3://b/shop/2024-01.csv", 1, 1),
        ("s3://b/shop/*", 2, 2),
        ("s3://b/shop/**/2024-*", 3, 3),
        ("s3://b/shop/2024-02.xlsx#주문", 1, 1),
    ] {
        let result = reconcile(file).exits(5).result();
        assert_eq!((&result["orders"]["files"], &result["orders"]["lines"]), (&files.into(), &lines.into()), "{file}");
    }
    for file in ["s3://b/shop/none.csv", "s3://b/none/*", "s3://b", "s3://b/shop/2024-02.xlsx#없음"] {
        let ran = reconcile(file).exits(2);
        assert!(ran.stderr.contains(file.split('#').next().unwrap()), "{}", ran.stderr);
    }
}
