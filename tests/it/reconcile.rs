//! `reconcile`: the merchant's books, the lake and the bank.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::{KEY, Ran, Run};

/// A row of the lake.
#[derive(Debug, Clone)]
struct Paid {
    merchant: &'static str,
    /// The pay date.
    on: String,
    fields: Vec<(&'static str, String)>,
}

/// A row of merchant `m1`: paid on a date, with an order number, a transaction number, a status and an amount; approved two days
/// before.
fn paid(on: &str, order_no: &str, transaction_id: &str, status: &str, amount: i64) -> Paid {
    let text = |value: &str| format!("\"{value}\"");
    let fee = amount * 23 / 1000;
    let auth_date = on.parse::<chrono::NaiveDate>().unwrap() - chrono::Days::new(2);
    let fields = vec![
        ("ORDERNO", if order_no.is_empty() { "null".into() } else { text(order_no) }),
        ("TRXID", text(transaction_id)),
        ("PAYMENTSTATUS", text(status)),
        ("AUTHAMT", text(&amount.to_string())),
        ("FEE", text(&fee.to_string())),
        ("VAT", text(&(fee / 10).to_string())),
        ("PAYMENTAMT", text(&(amount - fee - fee / 10).to_string())),
        ("FINALAMT", text(&(amount - fee - fee / 10).to_string())),
        ("AUTHDT", text(&auth_date.format("%Y%m%d").to_string())),
    ];
    Paid { merchant: "m1", on: on.replace('-', ""), fields }
}

impl Paid {
    fn of(self, merchant: &'static str) -> Self {
        Self { merchant, ..self }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(field, _)| *field != name);
        self.fields.push((name, value.to_owned()));
        self
    }
}

/// A folder with a lake and files.
struct Folder(tempfile::TempDir);

impl Folder {
    /// A lake of these rows, on the days of January 2024 from the 1st to the last.
    fn with(rows: &[Paid]) -> Self {
        Self::until("2024-01-31", rows)
    }

    fn until(last: &str, rows: &[Paid]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let merchants: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.merchant).chain(["m1"]).collect();
        for merchant in merchants {
            folder.add(merchant, "2024-01-01", last, rows.to_vec());
        }
        folder
    }

    fn add(&self, merchant: &'static str, from: &str, to: &str, rows: Vec<Paid>) {
        let api = Api::new(move |request| {
            let of_day = rows.iter().filter(|row| row.merchant == merchant && row.on == request.date());
            let bodies: Vec<String> = of_day
                .map(|of| row(request.date(), &of.fields.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>()))
                .collect();
            Reply::json(envelope(&bodies))
        });
        let run = Run::new("backfill").args(["--base-url", &api.url, "--api-id", merchant, "--rate-limit", "0", "--concurrency", "16"]);
        run.env("COOKIEPAY_API_KEY", KEY).days(from, to).into(self.lake()).ok();
    }

    fn lake(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `reconcile` with these arguments.
    fn run(&self, arguments: &[&str]) -> Ran {
        Run::new("reconcile").into(self.lake()).args(arguments).ran()
    }

    #[track_caller]
    fn result(&self, arguments: &[&str], code: i32) -> Json {
        self.run(&[arguments, &["--output", "json"]].concat()).exits(code).result()
    }

    /// The result with orders of this text.
    #[track_caller]
    fn orders(&self, text: &str, more: &[&str], code: i32) -> Json {
        let file = self.file("orders.csv", text);
        self.result(&[&["--orders", &file], more].concat(), code)
    }

    #[track_caller]
    fn deposits(&self, text: &str, more: &[&str], code: i32) -> Json {
        let file = self.file("deposits.csv", text);
        self.result(&[&["--deposits", &file], more].concat(), code)
    }
}

/// The cases of each status.
fn cases(result: &Json) -> Json {
    let statuses = result["orders"]["statuses"].as_object().unwrap_or_else(|| panic!("{result:#}"));
    statuses.iter().map(|(status, sum)| (status.clone(), sum["cases"].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// The only difference.
#[track_caller]
fn difference(result: &Json) -> &Json {
    let differences = result["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{result:#}");
    &differences[0]
}

const EVENTS: &str = "주문번호,거래번호,구분,결제금액,거래일시\n";
const TOTALS: &str = "주문번호,주문상태,결제금액,취소금액,결제일\n";

#[test]
fn a_month_that_agrees_is_a_success() {
    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000), paid("2024-01-08", "B", "T2", "11", 5000)]);
    let found = folder.orders(&format!("{EVENTS}A,T1,승인,10000,2024-01-03\nB,T2,승인,\"5,000\",2024-01-06 10:00\n"), &[], 0);
    assert_eq!(found["command"], "reconcile");
    assert_eq!((&found["status"], &found["exit_code"]), (&json!("ok"), &json!(0)));
    assert_eq!(found["dest"], folder.lake().to_str().unwrap());
    assert_eq!(found["period"], json!({"from": "2024-01-03", "to": "2024-01-06"}));
    assert_eq!(found["settle_days"], 2);
    let orders = &found["orders"];
    assert_eq!(
        [&orders["are"], &orders["files"], &orders["lines"], &orders["passed_over"], &orders["unstated"]],
        [&json!("events"), &json!(1), &json!(2), &json!(0), &json!(0)]
    );
    let columns = json!({"order_no": "주문번호", "transaction_id": "거래번호", "amount": "결제금액", "kind": "구분", "date": "거래일시"});
    assert_eq!(orders["columns"].as_object().map(serde_json::Map::len), Some(5), "{orders:#}");
    for (field, header) in columns.as_object().unwrap() {
        assert_eq!(&orders["columns"][field], header);
    }
    assert_eq!([&orders["order_amount"], &orders["pg_amount"], &orders["difference"]], ["15000.00", "15000.00", "0.00"]);
    assert_eq!(orders["statuses"], json!({"matched": {"cases": 2, "order_amount": "15000.00", "pg_amount": "15000.00"}}));
    assert_eq!(found["fees"], json!({"rows": 2, "statuses": {"ok": {"rows": 2, "difference": "0.00"}}}));
    assert_eq!([&found["deposits"], &found["differences"], &found["out"]], [&Json::Null, &json!([]), &json!([])]);
}

#[test]
fn each_status_of_a_case() {
    let folder = Folder::with(&[
        paid("2024-01-05", "match", "T1", "11", 10_000),
        paid("2024-01-05", "more", "T2", "11", 10_000),
        paid("2024-01-05", "unknown", "T3", "11", 7000),
        paid("2024-01-05", "twice", "T4", "11", 3000),
        paid("2024-01-05", "both", "T5", "11", 3000),
        paid("2024-01-06", "both", "T5", "11", 3000),
        paid("2024-01-05", "000123", "T6", "11", 400).with("AUTHDT", "\"20231201\""),
    ]);
    let orders = format!(
        "{EVENTS}match,,승인,10000,2024-01-03\nmore,,승인,10500,2024-01-03\ntwice,,승인,3000,2024-01-03\ntwice,,승인,3000,2024-01-03\n\
         both,,승인,3000,2024-01-03\ngone,,승인,900,2024-01-04\n123,,승인,400,2024-01-04\nlate,,승인,800,2024-01-30\n"
    );
    let found = folder.orders(&orders, &["--settle-days", "5"], 5);
    assert_eq!(
        cases(&found),
        json!({"matched": 1, "amount_mismatch": 1, "missing_in_orders": 1, "duplicate": 2, "missing_at_pg": 2, "not_due": 1})
    );
    let of = |order_no: &str| {
        let differences = found["differences"].as_array().unwrap();
        differences.iter().find(|difference| difference["order_no"] == order_no).cloned().unwrap_or_default()
    };
    assert_eq!(
        of("more"),
        json!({"of": "order", "status": "amount_mismatch", "merchant_id": "m1", "order_no": "more", "transaction_id": "T2",
            "date": "2024-01-03", "pay_date": "2024-01-05", "expected": "10500.00", "found": "10000.00", "difference": "-500.00", "reason": null})
    );
    assert_eq!(
        of("unknown"),
        json!({"of": "order", "status": "missing_in_orders", "merchant_id": "m1", "order_no": "unknown", "transaction_id": "T3",
            "date": "2024-01-03", "pay_date": "2024-01-05", "expected": "0.00", "found": "7000.00", "difference": "7000.00", "reason": null})
    );
    assert_eq!(
        of("gone"),
        json!({"of": "order", "status": "missing_at_pg", "merchant_id": null, "order_no": "gone", "transaction_id": null,
            "date": "2024-01-04", "pay_date": null, "expected": "900.00", "found": "0.00", "difference": "-900.00", "reason": null})
    );
    assert_eq!((&of("twice")["status"], &of("twice")["reason"]), (&json!("duplicate"), &json!("twice in the orders")));
    assert_eq!((&of("both")["status"], &of("both")["reason"]), (&json!("duplicate"), &json!("twice at the PG")));
    assert_eq!(of("123")["reason"], "the lake has the order number 000123, with leading zeros");
    // the largest first
    let sizes: Vec<i64> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["difference"].as_str().unwrap().replace(['.', '-'], "").parse().unwrap())
        .collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let sum = |part: &str| {
        let of = |sum: &Json| sum[part].as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
        let statuses = found["orders"]["statuses"].as_object().unwrap().values().map(of).sum::<i64>();
        (statuses, of(&found["orders"]))
    };
    assert_eq!([sum("order_amount"), sum("pg_amount")].map(|(parts, whole)| parts == whole), [true, true]);
}

#[test]
fn cases_are_joined_by_either_number_and_from_one_to_the_next() {
    // the second row has no order number, the third another one: T2 joins them, and line 2 joins A and T2
    let folder = Folder::with(&[
        paid("2024-01-05", "A", "T1", "11", 10_000),
        paid("2024-01-06", "", "T2", "11", 2000),
        paid("2024-01-07", "C", "T2", "22", 500),
    ]);
    let found = folder.orders(&format!("{EVENTS}A,,승인,10000,2024-01-03\nA,T2,승인,1500,2024-01-04\nX,,승인,0,2024-01-05\n"), &[], 0);
    assert_eq!(cases(&found), json!({"matched": 2}));
    assert_eq!(found["orders"]["pg_amount"], "11500.00");
}

#[test]
fn cancellations_count_against_their_payment_and_voids_count_nothing() {
    let folder = Folder::with(&[
        paid("2024-01-05", "part", "T1", "11", 10_000),
        paid("2024-01-06", "part", "T1", "22", 3000),
        paid("2024-01-06", "part", "T1", "22", -2000),
        paid("2024-01-05", "void", "T2", "21", 7000),
        paid("2024-01-05", "same", "T3", "11", 7000),
        paid("2024-01-05", "same", "T3", "21", 7000),
        paid("2024-01-05", "other", "T4", "99", 7000),
        paid("2024-01-05", "null", "T5", "11", 7000).with("AUTHAMT", "\"-\""),
        paid("2024-01-09", "earlier", "T6", "22", 100),
    ]);
    let lines = "part,,승인,10000,2024-01-03\npart,,취소,3000,2024-01-04\npart,,부분취소,-2000,2024-01-04\nvoid,,승인,7000,2024-01-03\n\
                 void,,취소,7000,2024-01-03\nsame,,승인,7000,2024-01-03\nsame,,취소,7000,2024-01-03\nearlier,,취소,100,2024-01-07\n";
    let found = folder.orders(&format!("{EVENTS}{lines}"), &[], 0);
    assert_eq!(cases(&found), json!({"matched": 6}));
    assert_eq!(found["orders"]["unstated"], 1);
    assert_eq!((&found["orders"]["order_amount"], &found["orders"]["pg_amount"]), (&json!("4900.00"), &json!("4900.00")));
}

#[test]
fn of_events_only_those_of_the_period_count_and_of_totals_all() {
    let folder = Folder::until(
        "2024-02-20",
        &[
            paid("2024-01-05", "A", "T1", "11", 10_000),
            paid("2024-02-10", "A", "T1", "22", 4000),
            // its cancellation date is not stated: the pay date counts
            paid("2024-02-11", "A", "T1", "22", 1000).with("AUTHDT", "\"\""),
        ],
    );
    let events = "A,,승인,10000,2024-01-03\nB,,승인,0,2024-01-31\n";
    let found = folder.orders(&format!("{EVENTS}{events}"), &[], 0);
    assert_eq!((&found["orders"]["order_amount"], &found["orders"]["pg_amount"]), (&json!("10000.00"), &json!("10000.00")));
    let both = format!("{EVENTS}A,,승인,10000,2024-01-03\nA,,취소,4000,2024-02-08\nA,,취소,1000,2024-02-11\n");
    for (period, amount) in [
        (&["--from", "2024-02-01", "--to", "2024-02-29"][..], "-5000.00"),
        (&["--to", "2024-01-31"], "10000.00"),
        (&["--from", "2024-02-09"], "-1000.00"),
        (&[], "5000.00"),
    ] {
        let found = folder.orders(&both, period, 0);
        assert_eq!(cases(&found), json!({"matched": 1}), "{period:?}");
        assert_eq!(found["orders"]["pg_amount"], amount, "{period:?}");
    }
    let totals = format!("{TOTALS}A,부분취소,10000,5000,2024-01-03\n");
    let found = folder.orders(&totals, &[], 0);
    assert_eq!((&found["orders"]["are"], &found["orders"]["pg_amount"]), (&json!("totals"), &json!("5000.00")));
    // a case without an approval or a line in the period is not examined
    assert_eq!(cases(&folder.orders(&totals, &["--from", "2024-02-01", "--to", "2024-02-29"], 0)), json!({}));
}

#[test]
fn merchants_are_named_by_id_by_name_and_by_cpid() {
    let folder = Folder::with(&[
        paid("2024-01-05", "A", "T1", "11", 1000).with("CPID", "\"CP1\""),
        paid("2024-01-05", "A", "T2", "11", 2000).of("m2").with("CPID", "\"CP2\""),
        paid("2024-01-05", "B", "T3", "11", 3000).of("m2").with("CPID", "\"CP2\""),
    ]);
    let settings =
        folder.file("etl.toml", "[[merchant]]\nname = \"본점\"\napi_id = \"m1\"\n[[merchant]]\nname = \"분점\"\napi_id = \"m9\"\n");
    let header = "주문번호,결제금액,결제일,가맹점ID\n";
    let all = format!("{header}A,1000,2024-01-03,본점\nA,2000,2024-01-03,CP2\nB,3000,2024-01-03,m2\n");
    let found = folder.orders(&all, &["--config", &settings], 0);
    assert_eq!(cases(&found), json!({"matched": 3}));
    // a name that only the settings have, and of which the lake holds nothing
    let found = folder.orders(&format!("{all}C,500,2024-01-03,분점\n"), &["--config", &settings], 5);
    assert_eq!(cases(&found), json!({"matched": 3, "missing_at_pg": 1}));
    assert_eq!(
        (&difference(&found)["merchant_id"], &difference(&found)["reason"]),
        (&json!("m9"), &json!("the lake holds no day of this merchant"))
    );
    // nobody knows this one
    let file = folder.file("orders.csv", &format!("{header}A,1000,2024-01-03,본점\n"));
    let refused = folder.run(&["--orders", &file]).exits(2);
    assert!(refused.prints(&format!("{file}, line 2: the merchant \"본점\" is neither an API id nor a cpid in the lake")), "{refused:#?}");
    // only one merchant: lines of the others are passed over
    for (limit, order_amount) in [(&["--api-id", "m2"][..], "5000.00"), (&["--merchant", "본점", "--config", &settings], "1000.00")] {
        let found = folder.orders(&all.replace("본점", "m1"), limit, 0);
        assert_eq!(found["orders"]["order_amount"], order_amount, "{limit:?}");
        let passed_over = found["orders"]["passed_over"].as_u64().unwrap();
        assert_eq!(passed_over + found["orders"]["lines"].as_u64().unwrap(), 3);
    }
    let absent = folder.run(&["--orders", &file, "--api-id", "m3"]).exits(2);
    assert!(absent.prints("holds no day of merchant m3"), "{absent:#?}");
}

#[test]
fn lines_without_a_merchant_join_the_one_that_has_the_number() {
    let folder = Folder::with(&[
        paid("2024-01-05", "A", "T1", "11", 1000),
        paid("2024-01-05", "A", "T2", "11", 2000).of("m2"),
        paid("2024-01-05", "B", "T3", "11", 3000).of("m2"),
    ]);
    let found = folder.orders(&format!("{EVENTS}A,,승인,1000,2024-01-03\nB,,승인,3000,2024-01-03\n"), &[], 5);
    assert_eq!(cases(&found), json!({"ambiguous": 1, "matched": 1, "missing_in_orders": 2}));
    let differences = found["differences"].as_array().unwrap();
    let ambiguous = differences.iter().find(|difference| difference["status"] == "ambiguous").unwrap();
    assert_eq!((&ambiguous["merchant_id"], &ambiguous["order_no"]), (&Json::Null, &json!("A")));
    assert_eq!(ambiguous["reason"], "the number belongs to m1, m2, and the line names no merchant");
    // the transaction number settles it, and so does naming the merchant
    let settled = format!("{EVENTS}A,T1,승인,1000,2024-01-03\nA,T2,승인,2000,2024-01-03\nB,,승인,3000,2024-01-03\n");
    assert_eq!(cases(&folder.orders(&settled, &[], 0)), json!({"matched": 3}));
    assert_eq!(cases(&folder.orders(&format!("{EVENTS}A,,승인,1000,2024-01-03\n"), &["--api-id", "m1"], 0)), json!({"matched": 1}));
}

#[test]
fn what_is_not_due_yet_depends_on_the_last_closed_day() {
    let folder =
        Folder::until("2024-01-20", &[paid("2024-01-10", "A", "T1", "11", 1000), paid("2024-01-09", "B", "T2", "11", 1000).of("m2")]);
    let lines = |date: &str| format!("{EVENTS}A,,승인,1000,2024-01-08\nB,,승인,1000,2024-01-07\nC,,승인,500,{date}\n");
    // two days, as for all approved rows
    assert_eq!(cases(&folder.orders(&lines("2024-01-19"), &[], 0)), json!({"matched": 2, "not_due": 1}));
    assert_eq!(cases(&folder.orders(&lines("2024-01-18"), &[], 5)), json!({"matched": 2, "missing_at_pg": 1}));
    assert_eq!(cases(&folder.orders(&lines("2024-01-18"), &["--settle-days", "3"], 0)), json!({"matched": 2, "not_due": 1}));
    // a part that is not due yet
    let part = format!("{EVENTS}A,,승인,1000,2024-01-08\nB,,승인,1000,2024-01-07\nA,,취소,300,2024-01-19\n");
    assert_eq!(cases(&folder.orders(&part, &[], 0)), json!({"matched": 1, "not_due": 1}));
    // a merchant that is behind holds back lines that name none, one that has left does not
    folder.add("m1", "2024-01-21", "2024-01-31", vec![]);
    assert_eq!(cases(&folder.orders(&lines("2024-01-19"), &[], 0)), json!({"matched": 2, "not_due": 1}));
    folder.add("m1", "2024-02-01", "2024-02-25", vec![]);
    assert_eq!(cases(&folder.orders(&lines("2024-01-19"), &[], 5)), json!({"matched": 2, "missing_at_pg": 1}));
}

#[test]
fn days_that_are_missing_or_open_are_named() {
    let folder =
        Folder::with(&[paid("2024-01-05", "A", "T1", "11", 1000), paid("2024-01-11", "", "T2", "11", 10).with("STATUS_CD", "\"01\"")]);
    for day in ["2024-01-09", "2024-01-10"] {
        fs::remove_dir_all(folder.lake().join(format!("settlements/pay_date={day}"))).unwrap();
    }
    let lines = format!("{EVENTS}A,,승인,1000,2024-01-03\nB,,승인,500,2024-01-08\n,T2,승인,10,2024-01-09\n");
    let found = folder.orders(&lines, &["--settle-days", "3"], 5);
    assert_eq!(difference(&found)["reason"], "pay dates missing in the lake: 2024-01-09, 2024-01-10; pay dates still open: 2024-01-11");
}

#[test]
fn fees_are_compared_with_what_the_row_and_the_contract_state() {
    let folder = Folder::with(&[
        paid("2024-01-05", "A", "T1", "11", 10_000),
        paid("2024-01-05", "B", "T2", "11", 10_000).with("FEE", "\"231\"").with("PAYMENTAMT", "\"9746\""),
        paid("2024-01-05", "C", "T3", "11", 10_000).with("VAT", "\"25\"").with("PAYMENTAMT", "\"9745\""),
        paid("2024-01-05", "D", "T4", "11", 10_000).with("PAYMENTAMT", "\"9748\""),
        paid("2024-01-05", "E", "T5", "11", 10_000).with("FEE", "\"-\""),
        paid("2024-01-05", "F", "T6", "22", 10_000).with("FEE", "\"1\""),
        paid("2024-01-06", "G", "T7", "11", 10_000).with("ACQUIRER", "\"CCBC\""),
    ]);
    let found = folder.result(&[], 5);
    let expected = json!({"rows": 6, "statuses": {
        "ok": {"rows": 2, "difference": "0.00"}, "fee_mismatch": {"rows": 1, "difference": "1.00"},
        "vat_mismatch": {"rows": 1, "difference": "2.00"}, "net_mismatch": {"rows": 1, "difference": "1.00"},
        "not_stated": {"rows": 1, "difference": "0.00"}}});
    assert_eq!(found["fees"], expected);
    assert_eq!([&found["orders"], &found["deposits"]], [&Json::Null, &Json::Null]);
    let fee = found["differences"].as_array().unwrap().iter().find(|difference| difference["status"] == "fee_mismatch").unwrap();
    assert_eq!(
        fee,
        &json!({"of": "fee", "status": "fee_mismatch", "merchant_id": "m1", "order_no": "B", "transaction_id": "T2", "date": "2024-01-03",
            "pay_date": "2024-01-05", "expected": "230.00", "found": "231.00", "difference": "1.00", "reason": null})
    );
    // by pay date
    assert_eq!(folder.result(&["--from", "2024-01-06"], 0)["fees"]["rows"], 1);
    for (name, rates) in [
        ("rates.csv", "pay_type,acquirer_code,rate,from\nCARD,,2.3,\nCARD,CCBC,2.5,2024-01-01\nCARD,CCBC,2.1,2024-02-01\n"),
        (
            "rates.toml",
            "[[rate]]\npay_type = \"CARD\"\nrate = 2.3\n[[rate]]\npay_type = \"CARD\"\nacquirer_code = \"CCBC\"\nrate = 2.5\nfrom = 2024-01-01\n",
        ),
    ] {
        let rates = folder.file(name, rates);
        let found = folder.result(&["--from", "2024-01-06", "--rates", &rates], 5);
        assert_eq!(found["fees"]["statuses"], json!({"rate_mismatch": {"rows": 1, "difference": "-20.00"}}), "{name}");
        assert_eq!(difference(&found)["reason"], "the rate is 2.3000 %, and the contract has 2.5000 %");
    }
    let rates = folder.file("rates.csv", "pay_type,rate\nCARD,x\n");
    let refused = folder.run(&["--rates", &rates]).exits(2);
    assert!(refused.prints(&format!("--rates {rates}: line 2: rate \"x\" is not a rate in percent")), "{refused:#?}");
}

#[test]
fn deposits_are_matched_by_date_and_amount() {
    let folder = Folder::with(&[
        paid("2024-01-05", "A", "T1", "11", 10_000),
        paid("2024-01-08", "B", "T2", "11", 20_000),
        paid("2024-01-09", "C", "T3", "11", 30_000),
        paid("2024-01-10", "D", "T4", "11", 40_000),
        paid("2024-01-11", "E", "T5", "22", 100).with("PAYMENTAMT", "\"-100\""),
        paid("2024-01-12", "F", "T6", "11", 50_000).with("STATUS_CD", "\"01\""),
        paid("2024-01-30", "G", "T7", "11", 60_000),
    ]);
    let statement = "거래일자,입금액,적요\n2024-01-05,9000,쿠키페이\n2024-01-05,747,쿠키페이\n2024-01-10,\"19,494\",쿠키페이\n2024-01-10,40000,쿠키페이\n\
                     2024-01-12,5,이자\n2024-01-31,-,출금\n2024-01-31,1,x\n";
    let found = folder.deposits(statement, &["--deposits-where", "적요~쿠키", "--from", "2024-01-01", "--to", "2024-01-31"], 5);
    let deposits = &found["deposits"];
    assert_eq!((&deposits["files"], &deposits["lines"], &deposits["passed_over"]), (&json!(1), &json!(4), &json!(3)));
    assert_eq!(
        deposits["statuses"],
        json!({
            "matched": {"dates": 2, "expected": "29241.00", "deposited": "29241.00"},
            "missing_deposit": {"dates": 1, "expected": "29241.00", "deposited": "0.00"},
            "difference": {"dates": 1, "expected": "38988.00", "deposited": "40000.00"},
            "carried": {"dates": 1, "expected": "-100.00", "deposited": "0.00"},
            "not_due": {"dates": 1, "expected": "58482.00", "deposited": "0.00"},
        })
    );
    assert_eq!(
        (&deposits["expected"], &deposits["deposited"], &deposits["difference"]),
        (&json!("155852.00"), &json!("69241.00"), &json!("-86611.00"))
    );
    let differences = found["differences"].as_array().unwrap();
    let other = differences.iter().find(|difference| difference["status"] == "difference").unwrap();
    assert_eq!((&other["of"], &other["date"], &other["difference"]), (&json!("deposit"), &json!("2024-01-10"), &json!("1012.00")));
    assert!(other["reason"].as_str().unwrap().contains("a cancellation is settled by a deposit of the merchant"), "{other}");
    let unexpected = folder.deposits("거래일자,입금액\n2024-01-12,5\n", &[], 5);
    assert_eq!(unexpected["deposits"]["statuses"]["unexpected_deposit"], json!({"dates": 1, "expected": "0.00", "deposited": "5.00"}));
}

#[test]
fn lines_that_are_passed_over_belong_to_the_days_that_a_file_covers() {
    let folder = Folder::with(&[paid("2024-01-09", "A", "T1", "11", 10_000)]);
    let covered = json!({"from": "2024-01-05", "to": "2024-01-31"});
    for (statement, flags) in [
        ("거래일시,출금,입금\n2024-01-05,1000,-\n2024-01-31,\"5,000\",-\n합계,6000,0\n", &[][..]),
        ("거래일시,적요,입금\n2024-01-05,이자,3\n2024-01-31,전기,-\n", &["--deposits-where", "적요~쿠키"]),
    ] {
        let found = folder.deposits(statement, flags, 5);
        assert_eq!((&found["period"], &found["deposits"]["lines"]), (&covered, &json!(0)), "{found}");
        assert_eq!(found["deposits"]["statuses"]["missing_deposit"]["expected"], "9747.00", "{found}");
    }
    let books = "주문번호,결제금액,결제일자,구분,상태,결제수단\nX,5,20240105,승인,결제실패,카드\nY,5,20240131,승인,결제완료,현금\n";
    let found = folder.orders(books, &["--orders-where", "결제수단=카드"], 5);
    assert_eq!(found["period"], covered, "{found}");
    assert_eq!(found["orders"]["statuses"]["missing_in_orders"]["cases"], 1, "{found}");
}

#[test]
fn a_late_deposit_is_matched_and_listed() {
    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000), paid("2024-01-08", "B", "T2", "11", 20_000)]);
    let statement = folder.file("deposits.csv", "거래일자,입금액\n2024-01-08,9747\n2024-01-12,19494\n");
    let found = folder.result(&["--deposits", &statement, "--from", "2024-01-06", "--to", "2024-01-20", "--deposit-days", "4"], 0);
    // the first was to be paid out before the period
    assert_eq!(found["deposits"]["statuses"], json!({"matched": {"dates": 2, "expected": "29241.00", "deposited": "29241.00"}}));
    let late = json!([
        {"pay_date": "2024-01-05", "date": "2024-01-08", "deposited": "9747.00", "reason": "3 days late, on 2024-01-08"},
        {"pay_date": "2024-01-08", "date": "2024-01-12", "deposited": "19494.00", "reason": "4 days late, on 2024-01-12"},
    ]);
    assert_eq!(found["deposits"]["late"], late);
    let shown = folder.run(&["--deposits", &statement, "--from", "2024-01-06", "--to", "2024-01-20", "--deposit-days", "4"]).ok();
    assert!(shown.prints("2024-01-08 19,494.00: 4 days late, on 2024-01-12"), "{shown:#?}");
    let missing = folder.result(&["--deposits", &statement, "--from", "2024-01-06", "--to", "2024-01-20"], 5);
    assert_eq!(missing["deposits"]["statuses"]["missing_deposit"]["dates"], 1);
    assert_eq!(missing["deposits"]["statuses"]["unexpected_deposit"]["dates"], 1);
}

#[test]
fn the_result_is_the_same_from_the_delta_table_and_in_any_order_of_files_and_lines() {
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for number in 0..40i64 {
        let (on, order_no, transaction_id) = (format!("2024-01-{:02}", 5 + number % 20), format!("A{number}"), format!("T{number}"));
        rows.push(paid(&on, &order_no, &transaction_id, "11", 1000 + number));
        if number % 3 == 0 {
            rows.push(paid(&on, &order_no, &transaction_id, "22", 100));
        }
        // some lines are missing, and some wrong
        if number % 7 != 0 {
            lines.push(format!("{order_no},,승인,{},2024-01-{:02}\n", 1000 + number + i64::from(number % 11 == 0), 3 + number % 20));
        }
        if number % 3 == 0 {
            lines.push(format!("{order_no},{transaction_id},취소,100,2024-01-{:02}\n", 3 + number % 20));
        }
    }
    let folder = Folder::with(&rows);
    let forwards = folder.file("orders.csv", &format!("{EVENTS}{}", lines.concat()));
    let first = folder.result(&["--orders", &forwards], 5);
    assert_eq!(first["orders"]["statuses"].as_object().map(serde_json::Map::len), Some(3), "{first:#}");

    lines.reverse();
    let (one, other) = lines.split_at(lines.len() / 3);
    folder.file("b.csv", &format!("{EVENTS}{}", one.concat()));
    folder.file("a.csv", &format!("{EVENTS}{}", other.concat()));
    let mut turned = folder.result(&["--orders", folder.path("?.csv").to_str().unwrap()], 5);
    assert_eq!(turned["orders"]["files"].take(), 2);
    turned["orders"]["files"] = 1.into();
    assert_eq!(turned, first);

    Run::new("delta").into(folder.lake()).ok();
    let months: Vec<PathBuf> = fs::read_dir(folder.lake().join("delta/2024-01")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(months.len(), 1);
    let day = folder.lake().join("settlements/pay_date=2024-01-05/m1.parquet");
    let whole = fs::read(&day).unwrap();
    // cut short in its rows, with the length and time that the ledger index has: only the table can still show them
    let modified = fs::metadata(&day).unwrap().modified().unwrap();
    let damage = |bytes: &[u8]| {
        let file = fs::OpenOptions::new().write(true).open(&day).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
        file.set_modified(modified).unwrap();
    };
    damage(&vec![0; whole.len() / 2]);
    assert_eq!(folder.result(&["--orders", &forwards], 5), first);
    // a table that cannot be read is passed over
    damage(&whole);
    fs::write(&months[0], "no Parquet").unwrap();
    let passed_over = folder.run(&["--orders", &forwards, "--output", "json"]).exits(5);
    assert!(passed_over.prints("the Delta table cannot be used, and the rows are read from the day files"), "{passed_over:#?}");
    assert_eq!(passed_over.result(), first);
    // so is one that is out of date
    let newer = paid("2024-01-05", "A0", "T0", "11", 999);
    let api = Api::new(move |request| {
        let rows: Vec<String> = if request.date() == newer.on {
            vec![row(request.date(), &newer.fields.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())]
        } else {
            Vec::new()
        };
        Reply::json(envelope(&rows))
    });
    Run::backfill(&api).days("2024-01-05", "2024-01-05").into(folder.lake()).args(["--refetch", "all"]).ok();
    let found = folder.result(&["--orders", &forwards], 5);
    assert_ne!(found["orders"]["pg_amount"], first["orders"]["pg_amount"]);
}

#[test]
fn files_have_every_case() {
    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000), paid("2024-01-06", "A", "T1", "22", 4000)]);
    let orders =
        folder.file("orders.csv", &format!("{EVENTS}A,T1,승인,10000,2024-01-03\nA,T1,취소,4000,2024-01-04\nB,,승인,100,2024-01-04\n"));
    let (csv, parquet) = (folder.path("cases.csv"), folder.path("cases.parquet"));
    fs::write(&csv, "old").unwrap();
    let outs = ["--out", csv.to_str().unwrap(), "--out", parquet.to_str().unwrap()];
    let found = folder.result(&[&["--orders", &orders][..], &outs].concat(), 5);
    assert_eq!(found["out"], json!([csv.to_str().unwrap(), parquet.to_str().unwrap()]));
    let text = fs::read_to_string(&csv).unwrap();
    let expected = format!(
        "\u{FEFF}merchant_id,order_no,transaction_ids,status,reason,order_amount,pg_amount,difference,order_date,first_pay_date,last_pay_date,age_days,lines,rows\r\n\
         ,B,,missing_at_pg,,100.00,0.00,-100.00,2024-01-04,,,27,{orders}:4,0\r\n\
         m1,A,T1,matched,,6000.00,6000.00,0.00,2024-01-03,2024-01-05,2024-01-06,28,{orders}:2 {orders}:3,2\r\n"
    );
    assert_eq!(text, expected);
    let read = parquet_rows(&parquet);
    assert_eq!(
        read,
        [
            format!("null B null missing_at_pg null 100.00 0.00 -100.00 2024-01-04 null null 27 {orders}:4 0"),
            format!("m1 A T1 matched null 6000.00 6000.00 0.00 2024-01-03 2024-01-05 2024-01-06 28 {orders}:2 {orders}:3 2"),
        ]
    );
    // reasons in Korean, statuses as they are
    let late = folder.file("orders.csv", &format!("{EVENTS}B,,승인,100,2024-01-31\n"));
    folder.run(&["--orders", &late, "--out", csv.to_str().unwrap(), "--lang", "ko"]).exits(0);
    assert!(fs::read_to_string(&csv).unwrap().contains("not_due,\"2024-02-02까지 지급 예정"), "{}", fs::read_to_string(&csv).unwrap());
    for out in ["cases.txt", "cases", "no/such/folder.csv"] {
        let refused = folder.run(&["--orders", &orders, "--out", folder.path(out).to_str().unwrap()]).exits(2);
        assert!(refused.prints("--out"), "{refused:#?}");
    }
}

#[test]
fn people_get_a_page_and_a_workbook() {
    use calamine::{Data, Reader as _, Xlsx, open_workbook};

    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000), paid("2024-01-06", "<b>C", "T2", "11", 4000)]);
    let orders =
        folder.file("orders.csv", &format!("{EVENTS}A,T1,승인,10000,2024-01-03\nB,,승인,100,2024-01-04\n<b>C,T2,승인,3000,2024-01-04\n"));
    let (page, book) = (folder.path("found.html"), folder.path("found.xlsx"));
    let outs = ["--lang", "en", "--out", page.to_str().unwrap(), "--out", book.to_str().unwrap()];
    folder.run(&[&["--orders", &orders][..], &outs].concat()).exits(5);
    let page = fs::read_to_string(&page).unwrap();
    for section in ["summary", "differences", "cases", "fees"] {
        assert!(page.contains(&format!("<section id=\"{section}\"")), "{section}");
    }
    assert!(page.contains("&lt;b&gt;C") && !page.contains("<b>C") && page.contains("+1,000") && page.contains("amount_mismatch"), "{page}");
    let mut book: Xlsx<_> = open_workbook(&book).unwrap();
    assert_eq!(book.sheet_names(), ["Summary", "Differences", "All cases", "Fees", "Deposits"]);
    let differences = book.worksheet_range("Differences").unwrap();
    // the largest first, and their sum
    let column = differences.rows().next().unwrap().iter().position(|title| *title == Data::String("difference".into())).unwrap();
    let found: Vec<_> = differences.rows().skip(1).map(|line| line[column].clone()).collect();
    assert_eq!(found, [Data::Float(1000.0), Data::Float(-100.0), Data::Float(900.0)]);
    assert_eq!(book.worksheet_range("All cases").unwrap().rows().count(), 1 + 3 + 1);
}

/// The sum, the lines and the lines passed over of books of this content, which has any encoding.
#[track_caller]
fn read_as(folder: &Folder, side: &str, content: impl AsRef<[u8]>) -> (String, u64, u64) {
    let path = folder.path("books.xls");
    fs::write(&path, content).unwrap();
    let ran = folder.run(&[&format!("--{side}"), path.to_str().unwrap(), "--output", "json"]);
    assert!(!ran.stdout.is_empty(), "{ran:#?}");
    let part = &ran.result()[side];
    let sum = part[if side == "orders" { "order_amount" } else { "deposited" }].as_str().unwrap();
    (sum.to_owned(), part["lines"].as_u64().unwrap(), part["passed_over"].as_u64().unwrap())
}

/// Books of this content are refused, with all of these texts.
#[track_caller]
fn refused(folder: &Folder, side: &str, content: impl AsRef<[u8]>, texts: &[&str]) {
    let path = folder.path("books.xls");
    fs::write(&path, content).unwrap();
    let ran = folder.run(&[&format!("--{side}"), path.to_str().unwrap()]).exits(2);
    for text in ["books.xls"].iter().chain(texts) {
        assert!(ran.prints(text), "{text}: {ran:#?}");
    }
}

#[test]
fn texts_as_old_and_foreign_programs_write_them() {
    let folder = Folder::with(&[]);
    let orders = "주문번호,결제금액,메모\n";
    for (text, read) in [
        // rows end with CR, and a value has LF
        ("주문번호,결제금액,메모\rA,1000,\"첫\n둘\"\rB,500,x\r".to_owned(), ("1500.00", 2, 0)),
        // CR twice before LF
        ("주문번호,결제금액\r\r\nA,1000\r\r\nB,500\r\r\n".into(), ("1500.00", 2, 0)),
        // what ends a file of DOS
        (format!("{orders}A,1000,x\r\n\u{1A}"), ("1000.00", 1, 1)),
        (format!("{orders}A,１０，０００원,x\nB,△１００,\n"), ("9900.00", 2, 0)),
        // a memo of several lines
        (format!("{orders}A,1000,\"서울시, 강남구\n역삼동, 12-3\n색상,2\"\nB,500,x\n"), ("1500.00", 2, 0)),
        // small amounts beside numbers of three digits
        (format!("{orders}B,5000,001,\nA,97,002,\n"), ("5097.00", 2, 0)),
        ("주문번호,결제금액,결제일\nA,1,２０２４－０１－０５\n".into(), ("1.00", 1, 0)),
    ] {
        let (sum, lines, passed_over) = read;
        assert_eq!(read_as(&folder, "orders", &text), (sum.into(), lines, passed_over), "{text:?}");
    }
    for (text, texts) in [
        (format!("{orders}A,1000,x\rB,2000,\r\nC,5,\n"), &["line 2: it has a line break in the middle"][..]),
        ("주문번호,결제금액,메모\rA,1000,x\nB,2000,\rC,5,\r".into(), &["line 2: it has a line break in the middle"]),
        // quotes that are inches
        (
            "주문번호,결제금액,결제일,상품명\nA,1000,2024-01-05,\"27인치 TV\nB,2000,2024-01-05,x\nC,3000,2024-01-05,모니터 27\"\n".into(),
            &["line 2: a quote opens in this line"],
        ),
        (format!("{orders}A,5000,x\nB,97,000,\nC,1,\n"), &["line 3: it seems to have an amount such as 97,000 without quotes"]),
        (format!("{orders}A,97,000,,\n"), &["line 2: it seems to have an amount such as 97,000 without quotes"]),
        (format!("{orders}A,97,000,\nB,97,000,x\n"), &["line 3: it has 4 values, and the header 3"]),
        (format!("{orders}A,1000,x\n{orders}"), &["line 3: it repeats the header: remove the line"]),
        (format!("{orders}{}B\0,1,x\n", "A,1,x\n".repeat(20_000)), &["line 20002: it has a NUL character"]),
        (format!("{orders}A,1o,x\n"), &["line 2, column 결제금액: \"1o\" is not an amount: correct it"]),
        (format!("{orders}A,10.000,x\n"), &["line 2, column 결제금액: \"10.000\" has more than 2 decimals: correct it"]),
    ] {
        refused(&folder, "orders", text, texts);
    }
    let utf16: Vec<u8> = orders.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&folder, "orders", utf16, &["UTF-16 with BOM: export it as CSV in UTF-8"]);
}

#[test]
fn statements_with_counts_in_the_footer_and_withdrawals_by_another_word() {
    let folder = Folder::with(&[]);
    let statement = "번호,거래일시,거래유형,출금,입금\n1,2024.01.05,이체,0,97000\n합계 1건,,,0,97000\n,,총 1건,0,97000\n";
    assert_eq!(read_as(&folder, "deposits", statement), ("97000.00".into(), 1, 2));
    let both = "거래일시,거래유형,거래금액,적요\n2024.01.05,입금이체,\"97,000\",출금수수료 환급\n";
    assert_eq!(read_as(&folder, "deposits", both), ("97000.00".into(), 1, 0));
    refused(
        &folder,
        "deposits",
        format!("{both}2024.01.06,출금이체,\"5,000\",x\n"),
        &["line 3, column 거래금액", "the line is a withdrawal"],
    );
    let split = "거래일시,적요,출금,입금,메모\n2024-01-05,x,0,500,\n2024-01-06,쿠키,0,97,000,\n";
    refused(&folder, "deposits", split, &["line 3: it seems to have an amount such as 97,000 without quotes"]);
}

#[test]
fn pages_with_a_header_of_two_lines() {
    let folder = Folder::with(&[]);
    let page = |head: &str, lines: &str| format!("<meta charset=utf-8><table>{head}{lines}</table>");
    // what the wide cell is split into decides, and not the wide cell, below which withdrawals come first
    let head = "<tr><th rowspan=2>거래일시<th rowspan=2>적요<th colspan=2>거래금액<tr><th>출금액<th>입금액";
    let lines = "<tr><td>2024.01.05<br>10:00<td>쿠키<script>f()</script><td>&nbsp;<td>97,000<tr><td>2024.01.06<td>x<td>5,000<td>0\
                 <tr><td colspan=2>합 계<td>5,000<td>97,000";
    assert_eq!(read_as(&folder, "deposits", page(head, lines)), ("97000.00".into(), 1, 2));
    let head = "<tr><th rowspan=2>주문번호<th colspan=2>결제금액<th rowspan=2>결제일<tr><th>카드<th>포인트";
    let lines = "<tr><td>A<td>1,000<td>50<td>2024-01-05";
    refused(
        &folder,
        "orders",
        page(head, lines),
        &["line 2: the header has a second line, in which \"결제금액\" is split", "카드", "--column"],
    );
    let file = folder.path("books.xls");
    let chosen = folder.result(&["--orders", file.to_str().unwrap(), "--column", "amount=카드"], 5);
    assert_eq!(chosen["orders"]["order_amount"], "1000.00");
    let head = "<tr><th rowspan=2>주문번호<th rowspan=2>결제금액<th colspan=2>결제일<tr><th>월일<th>시각";
    refused(&folder, "orders", page(head, "<tr><td>A<td>1<td>0105<td>10"), &["\"결제일\" is split"]);
    refused(&folder, "orders", page(&"<div>".repeat(100_000), ""), &["nested too deeply"]);
}

#[test]
fn workbooks_of_programs_that_compute_nothing() {
    use rust_xlsxwriter::{Formula, Workbook};

    let folder = Folder::with(&[]);
    let book = |headers: [&str; 3], results: [&str; 3]| {
        let mut book = Workbook::new();
        book.add_worksheet().set_name("안내").unwrap().write(0, 0, "이 파일은").unwrap();
        let sheet = book.add_worksheet().set_name("주문 #1").unwrap();
        for (column, (header, result)) in (0..).zip(headers.into_iter().zip(results)) {
            sheet.write(0, column, header).unwrap().write_formula(1, column, Formula::new("=A9").set_result(result)).unwrap();
        }
        book.save_to_buffer().unwrap()
    };
    let file = folder.path("books.xls");
    let sheet = format!("{}#주문 #1", file.to_str().unwrap());
    fs::write(&file, book(["주문번호", "결제금액", "비고"], ["A", "1000", "x"])).unwrap();
    assert_eq!(folder.result(&["--orders", &sheet], 5)["orders"]["order_amount"], "1000.00");
    let first = folder.run(&["--orders", file.to_str().unwrap()]).exits(2);
    assert!(first.prints("other sheets, which FILE#SHEET reads: 주문 #1"), "{first:#?}");
    // a formula that is "" is blank; one whose value nobody has computed is not
    fs::write(&file, book(["주문번호", "결제금액", "취소금액"], ["A", "1000", ""])).unwrap();
    assert_eq!(folder.result(&["--orders", &sheet], 5)["orders"]["order_amount"], "1000.00");
    let uncomputed = fs::read(format!("{}/fuzz/seeds/books/formula.xlsx", env!("CARGO_MANIFEST_DIR"))).unwrap();
    refused(
        &folder,
        "orders",
        uncomputed,
        &["line 3, column 취소금액: \"formula without its value: open the workbook in Excel and save it\""],
    );
}

/// The rows of a Parquet file as text.
fn parquet_rows(path: &Path) -> Vec<String> {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Date32Type, Decimal128Type, Int64Type};
    use arrow_schema::DataType;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|array| match array.data_type() {
                _ if array.is_null(row) => "null".to_owned(),
                DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
                DataType::Decimal128(38, 2) => array.as_primitive::<Decimal128Type>().value_as_string(row),
                DataType::Date32 => array.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
                DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
                other => panic!("{other}"),
            });
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    rows
}

#[test]
fn the_text_is_a_table_of_each_part_and_the_largest_differences() {
    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000), paid("2024-01-06", "B", "T2", "11", 2000)]);
    let orders = folder.file("orders.csv", &format!("{EVENTS}A,T1,승인,10000,2024-01-03\nB,,승인,2500,2024-01-04\n"));
    let deposits = folder.file("deposits.csv", "거래일자,입금액\n2024-01-05,9747\n2024-01-06,1940\n");
    let shown = |lang: &str| folder.run(&["--orders", &orders, "--deposits", &deposits, "--lang", lang]).exits(5).stdout;
    insta::assert_snapshot!("reconciled_en", shown("en"));
    insta::assert_snapshot!("reconciled_ko", shown("ko"));
}

#[test]
fn what_cannot_be_read_has_no_result() {
    let folder = Folder::with(&[paid("2024-01-05", "A", "T1", "11", 10_000)]);
    let orders = folder.file("orders.csv", &format!("{EVENTS}A,T1,승인,10000,2024-01-03\n"));
    let day = folder.lake().join("settlements/pay_date=2024-01-05/m1.parquet");
    let whole = fs::read(&day).unwrap();
    fs::write(&day, &whole[..whole.len() / 2]).unwrap();
    let unreadable = folder.run(&["--orders", &orders]).exits(7);
    assert!(unreadable.prints("settlements/pay_date=2024-01-05/m1.parquet"), "{unreadable:#?}");
    let absent = Run::new("reconcile").into(folder.path("nowhere")).args(["--orders", &orders]).ran().exits(2);
    assert!(absent.prints("there is no folder"), "{absent:#?}");
    folder.run(&["--orders", &orders, "--from", "2024-02-01", "--to", "2024-01-01"]).exits(2);
}

#[test]
fn differences_are_notified() {
    let folder = Folder::with(&[paid("2024-01-05", "A&<", "T1", "11", 10_000)]);
    let receiver = Api::scripted(|_| Reply::json("{}"));
    let right = folder.file("right.csv", &format!("{EVENTS}A&<,T1,승인,10000,2024-01-03\n"));
    let wrong = folder.file("wrong.csv", &format!("{EVENTS}A&<,T1,승인,9000,2024-01-03\n"));
    let run = |file: &str| {
        Run::new("reconcile").into(folder.lake()).args(["--orders", file, "--lang", "ko"]).env("COOKIEPAY_NOTIFY_URL", &receiver.url)
    };
    run(&right).ok();
    assert_eq!(receiver.requests("/").len(), 0);
    run(&wrong).exits(5);
    let messages = receiver.requests("/");
    assert_eq!(messages.len(), 1);
    let message = &messages[0].body;
    assert_eq!(
        message["text"],
        "cookiepay-etl 정산대사 2024-01-03 ~ 2024-01-03: 차이 1건\norder amount_mismatch m1 A&amp;&lt; T1 2024-01-03: 1000.00"
    );
    assert_eq!(
        (&message["command"], &message["exit_code"], &message["differences"][0]["found"]),
        (&json!("reconcile"), &json!(5), &json!("10000.00"))
    );
}
