//! Every row of the tolerate/refuse table, through the real binary: responses, and the rows that are
//! stored or the reason why they are not.

use std::path::Path;

use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::{day_file, files, record, rows};
use crate::support::{Ran, Run};
use encoding_rs::EUC_KR;

const DAY: &str = "2024-01-05";
const DATE: &str = "20240105";

/// Runs a backfill of one day whose settlement response is `reply`.
fn fetch(dest: &Path, reply: Reply) -> (Ran, Api) {
    let api = Api::new(move |_| reply.clone());
    let ran = Run::backfill(&api).days(DAY, DAY).into(dest).args(["--retries", "1"]).ran();
    (ran, api)
}

/// The rows stored from a response that must be accepted.
#[track_caller]
fn landed(reply: Reply) -> Vec<crate::support::lake::Row> {
    let lake = tempfile::tempdir().unwrap();
    let (ran, _) = fetch(lake.path(), reply);
    ran.ok();
    rows(&day_file(lake.path(), DAY))
}

/// The message of a response that must be refused as `kind`; nothing may be stored.
#[track_caller]
fn refused(reply: Reply, kind: &str) -> String {
    let lake = tempfile::tempdir().unwrap();
    let (ran, api) = fetch(lake.path(), reply);
    let message = ran.failure(kind);
    let (code, tries) = if kind == "contract" { (5, 1) } else { (6, 2) };
    assert_eq!(api.settlements().len(), tries, "{message}");
    ran.exits(code);
    assert!(!files(lake.path()).iter().any(|file| file.starts_with("settlements")), "{:?}", files(lake.path()));
    message
}

fn one(replaced: &[(&str, &str)]) -> Reply {
    Reply::json(envelope(&[row(DATE, replaced)]))
}

/// The message of a row that must be refused; it names the row, the field and the value.
#[track_caller]
fn refused_row(replaced: &[(&str, &str)]) -> String {
    let message = refused(Reply::json(envelope(&[row(DATE, &[]), row(DATE, replaced)])), "contract");
    assert!(message.contains("row 2"), "{message}");
    message
}

#[test]
fn a_plain_response_is_stored_unchanged() {
    let found = landed(one(&[("ORDERNO", r#""00주문\n\u0041""#)]));
    assert_eq!(found.len(), 1);
    let mut row = found[0].clone();
    assert!(row.remove("extracted_at").is_some() && row.remove("run_id").is_some());
    let row: Vec<(&str, &str)> = row.iter().map(|(column, value)| (column.as_str(), value.as_str())).collect();
    assert_eq!(
        row,
        [
            ("acquirer_code", "CCLG"),
            ("auth_amount", "10000.00"),
            ("auth_date", "2024-01-03"),
            ("cpid", "CP0001"),
            ("fee", "230.00"),
            ("fee_rate", "2.3000"),
            ("final_amount", "9747.00"),
            ("merchant_id", "m1"),
            ("order_no", "00주문\nA"),
            ("pay_type", "CARD"),
            ("payment_amount", "9747.00"),
            ("payment_status", "11"),
            ("payoff_date", "2024-01-05"),
            ("payoff_status", "03"),
            ("settle_cycle_code", "D2"),
            ("source_row", "1"),
            ("transaction_id", "CTS24010300000000001"),
            ("vat", "23.00"),
        ]
    );
}

#[test]
fn every_shape_of_envelope_gives_the_same_rows() {
    let (a, b) = (row(DATE, &[("TRXID", r#""A""#)]), row(DATE, &[("TRXID", r#""B""#)]));
    let coded = |row: &str| row.replacen('{', r#"{"RESULTCODE":"0000","RESULTMSG":"ok","#, 1);
    let gzip = |text: &str| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let json = "application/json";
    let plain = envelope(&[a.clone(), b.clone()]);
    let shapes: Vec<(&str, Reply)> = vec![
        ("object", Reply::json(&plain)),
        ("code after the rows", Reply::json(format!(r#"{{"DATA":[{a},{b}],"RESULTMSG":"ok","RESULTCODE":"0000"}}"#))),
        ("array of objects", Reply::json(format!("[{},{}]", envelope(std::slice::from_ref(&a)), envelope(std::slice::from_ref(&b))))),
        ("array of objects, one empty", Reply::json(format!(r#"[{plain},{{"RESULTCODE":"E008"}}]"#))),
        ("array of rows", Reply::json(format!("[{},{}]", coded(&a), coded(&b)))),
        ("byte order mark and white space", Reply::json(format!("\u{FEFF} \r\n\t{} \n", plain.replace(',', " ,\n ")))),
        ("gzip", Reply::new(200, &[("Content-Type", json), ("Content-Encoding", "gzip")], gzip(&plain))),
        ("gzip without its header", Reply::new(200, &[("Content-Type", json)], gzip(&plain))),
        ("gzip's header without gzip", Reply::new(200, &[("Content-Type", json), ("Content-Encoding", "gzip")], &plain)),
        ("no length", Reply::undeclared(200, &[], &plain)),
        ("escaped keys", Reply::json(plain.replace("\"TRXID\"", "\"\\u0054RXID\"").replace("\"DATA\"", "\"D\\u0041TA\""))),
    ];
    for (shape, reply) in shapes {
        let ids: Vec<String> = landed(reply).iter().map(|row| format!("{}{}", row["source_row"], row["transaction_id"])).collect();
        assert_eq!(ids, ["1A", "2B"], "{shape}");
    }
}

#[test]
fn envelopes_without_a_result_are_refused() {
    let a = row(DATE, &[]);
    let contract: Vec<(String, &str)> = vec![
        (r#"{"RESULTMSG":"ok","DATA":[]}"#.into(), "no RESULTCODE"),
        ("[]".into(), "empty array"),
        ("[1]".into(), "something other than objects"),
        (format!("[{a}]"), "no RESULTCODE"),
        (r#"{"RESULTCODE":"0000","DATA":"rows"}"#.into(), "not a list"),
        (format!(r#"{{"RESULTCODE":"0000","DATA":{a}}}"#), "not a list"),
        (a.replacen('{', r#"{"RESULTCODE":"0000","#, 1), "a row in place of"),
        (format!(r#"{{"RESULTCODE":"0000","DATA":[{a}],"DATA":[]}}"#), "DATA occurs twice"),
        (r#"{"RESULTCODE":"0000","RESULTCODE":"E999","DATA":[]}"#.into(), "RESULTCODE occurs twice"),
        (format!(r#"{{"RESULTCODE":"E008","DATA":[{a}]}}"#), "means no rows"),
        (
            format!("[{},{}]", envelope(std::slice::from_ref(&a)), a.replacen('{', r#"{"RESULTCODE":"0000","#, 1)),
            "mixes rows with envelopes",
        ),
        // rows at an unknown place or under an unknown name must not look like a day without rows
        (format!(r#"{{"RESULTCODE":"0000","data":[{a}]}}"#), "does not name: data"),
        (format!(r#"{{"RESULTCODE":"0000","DATA":[],"LIST":[{a}]}}"#), "does not name: LIST"),
        (format!(r#"[{{"RESULTCODE":"0000","DATA":""}},{{"RESULTCODE":"0000","LIST":[{a}]}}]"#), "does not name: LIST"),
        (r#"[{"RESULTCODE":"0000","trxid":"A","authamt":"1000"}]"#.into(), "does not name: trxid, authamt"),
        (a.replacen('{', r#"{"RESULTCODE":"0000","DATA":[],"#, 1), "a row in place of"),
        (a.replacen('{', r#"{"RESULTCODE":"E008","#, 1), "a row in place of"),
        (format!("[{}]", a.replacen('{', r#"{"RESULTCODE":"E008","#, 1)), "a code that means no rows"),
        (format!("[{}]", a.replacen('{', r#"{"RESULTCODE":"0000","DATA":[],"#, 1)), "DATA of its own"),
        (format!(r#"[{},{{"RESULTCODE":"0000"}}]"#, a.replacen('{', r#"{"RESULTCODE":"0000","#, 1)), "row 2"),
        ("null".into(), "a bare value"),
        (r#""nothing""#.into(), "a bare value"),
    ];
    for (body, why) in contract {
        let message = refused(Reply::json(&body), "contract");
        assert!(message.contains(why), "{body}: {message}");
    }
}

#[test]
fn incomplete_json_is_retried_and_refused() {
    let whole = envelope(&[row(DATE, &[]), row(DATE, &[])]);
    let html = [("Content-Type", "text/html")];
    let upstream = [
        (Reply::json(&whole[..whole.len() - 1]), "cut short"),
        (Reply::json(&whole[..whole.len() / 2]), "cut short"),
        (Reply::json(""), "cut short"),
        (Reply::json(&whole).cut(10), "broke off"),
        (Reply::new(200, &html, "<html><body>점검중</body></html>"), "<html>"),
        (Reply::json(format!("{whole}<br />Warning")), "not JSON"),
        (Reply::json(whole.replacen(':', "=", 1)), "not JSON"),
        (Reply::json("nonsense"), "not JSON"),
        (Reply::new(200, &[("Content-Encoding", "gzip")], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]), "gzip"),
    ];
    for (reply, why) in upstream {
        let message = refused(reply, "upstream");
        assert!(message.contains(why), "{why}: {message}");
    }
}

#[test]
fn a_response_cut_inside_a_character_is_retried() {
    let text = envelope(&[row(DATE, &[("ORDERNO", r#""한""#)])]);
    let (korean, ..) = EUC_KR.encode(&text);
    for (bytes, label) in [(text.as_bytes(), "utf-8"), (&korean, "euc-kr")] {
        let cut = bytes.iter().position(|byte| !byte.is_ascii() && *byte != bytes[0]).unwrap();
        let last = bytes.iter().rposition(|byte| !byte.is_ascii()).unwrap();
        for end in [cut + 1, last] {
            let content_type = format!("application/json; charset={label}");
            let message = refused(Reply::undeclared(200, &[("Content-Type", &content_type)], &bytes[..end]), "upstream");
            assert!(message.contains("cut short"), "{message}");
        }
    }
}

#[test]
fn an_empty_charset_means_utf8() {
    for label in ["", "'utf-8'", "\"UTF-8\""] {
        let content_type = format!("application/json; charset={label}");
        assert_eq!(landed(Reply::new(200, &[("Content-Type", &content_type)], envelope(&[row(DATE, &[])]))).len(), 1, "{label}");
    }
}

#[test]
fn rejected_rows_are_kept_to_the_letter() {
    let odd = r#"{ "TRXID" : "A b", "AUTHAMT":12345678901234567.89,
        "FEE":1000.10, "FEE":1e5, "ORDERNO":"quote \" and \\" }"#;
    let lake = tempfile::tempdir().unwrap();
    let (ran, _) = fetch(lake.path(), Reply::json(envelope(&[odd.to_owned()])));
    ran.exits(5);
    let rejects = files(lake.path()).into_iter().find(|file| file.starts_with("rejects/")).unwrap();
    let lines = std::fs::read_to_string(lake.path().join(rejects)).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let row = r#""row":{"TRXID":"A b","AUTHAMT":12345678901234567.89,"FEE":1000.10,"FEE":1e5,"ORDERNO":"quote \" and \\"}}"#;
    assert!(lines.trim_end().ends_with(row), "{lines}");
}

#[test]
fn rows_that_cannot_be_kept_are_not_left_out() {
    let lake = tempfile::tempdir().unwrap();
    std::fs::write(lake.path().join("rejects"), "in the way").unwrap();
    let api = Api::responding(envelope(&[row(DATE, &[]), row(DATE, &[("FEE", "true")])]));
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--bad-rows", "reject"]).exits(7);
    assert!(ran.failure("storage").contains("rejects/"));
    assert_eq!(files(lake.path()), ["rejects"]);
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).exits(5);
    assert!(ran.failure("contract").contains("could not be kept"));
}

#[test]
fn an_empty_data_list_is_an_empty_day() {
    for data in [r#","DATA":null"#, r#","DATA":"""#, r#","DATA":{}"#, r#","DATA":{ }"#, r#","DATA":[]"#, r#","DATA":[ ]"#, ""] {
        let lake = tempfile::tempdir().unwrap();
        let (ran, _) = fetch(lake.path(), Reply::json(format!(r#"{{"RESULTCODE":"0000","RESULTMSG":"ok"{data}}}"#)));
        assert_eq!(ran.ok().result()["dates"]["empty"], 1, "{data}");
        let file = day_file(lake.path(), DAY);
        assert_eq!(rows(&file).len(), 0);
        assert_eq!(record(&file)["state"], "closed", "{data}");
    }
}

#[test]
fn codes_that_mean_no_rows_are_a_setting() {
    let none = |code: &str| Reply::json(format!(r#"{{"RESULTCODE":"{code}","RESULTMSG":"검색 결과가 없습니다"}}"#));
    let lake = tempfile::tempdir().unwrap();
    let (ran, _) = fetch(lake.path(), none("E008"));
    assert_eq!(ran.ok().result()["dates"]["empty"], 1);
    // a code alone may be a wrong account, so the day stays open
    assert_eq!(record(&day_file(lake.path(), DAY))["state"], "open");

    assert!(refused(none("E123"), "upstream").contains("E123"));
    let api = Api::new(move |_| none("E123"));
    let lake = tempfile::tempdir().unwrap();
    let set = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--empty-code", "E123"]).ran();
    assert_eq!(set.ok().result()["dates"]["empty"], 1);
}

#[test]
fn an_error_code_is_never_no_data() {
    let a = row(DATE, &[]);
    for body in [
        r#"{"RESULTCODE":"E500","RESULTMSG":"시스템 오류"}"#.to_owned(),
        format!(r#"{{"DATA":[{a}],"RESULTCODE":"E500","RESULTMSG":"시스템 오류"}}"#),
        r#"[{"RESULTCODE":"E500","RESULTMSG":"시스템 오류"}]"#.to_owned(),
        format!(r#"{{"RESULTCODE":"0000","DATA":[{}]}}"#, a.replacen('{', r#"{"RESULTCODE":"E500","RESULTMSG":"시스템 오류","#, 1)),
    ] {
        let message = refused(Reply::json(&body), "upstream");
        assert!(message.contains("E500") && message.contains("시스템 오류"), "{message}");
    }
}

#[test]
fn a_count_beside_data_must_be_the_number_of_rows() {
    let (a, b) = (row(DATE, &[]), row(DATE, &[("TRXID", r#""B""#)]));
    for key in ["TOTAL_COUNT", "total_cnt", "Count", "cnt", "rowCount", "DATA_COUNT", "dataCnt", "TOTALCOUNT"] {
        for count in ["2", r#""2""#, "2.0", r#"" 2 ""#] {
            let body = format!(r#"{{"{key}":{count},"RESULTCODE":"0000","DATA":[{a},{b}]}}"#);
            assert_eq!(landed(Reply::json(body)).len(), 2, "{key} {count}");
        }
        for count in ["2500", r#""2,500""#, "1", "0", "-2", "2.5"] {
            let body = format!(r#"{{"RESULTCODE":"0000","DATA":[{a},{b}],"{key}":{count}}}"#);
            let message = refused(Reply::json(body), "contract");
            assert!(message.contains(key) && message.contains("has 2: rows may be missing"), "{message}");
        }
    }
    // all parts together; a code that means no rows; and no rows at all
    let parts = format!(r#"[{{"RESULTCODE":"0000","DATA":[{a}],"COUNT":2}},{{"RESULTCODE":"0000","DATA":[{b}],"COUNT":2}}]"#);
    assert_eq!(landed(Reply::json(parts)).len(), 2);
    let each = format!(r#"[{{"RESULTCODE":"0000","DATA":[{a}],"COUNT":1}},{{"RESULTCODE":"0000","DATA":[{b}],"COUNT":1}}]"#);
    refused(Reply::json(each), "contract");
    refused(Reply::json(r#"{"RESULTCODE":"E008","TOTAL_COUNT":3}"#), "contract");
    refused(Reply::json(r#"{"RESULTCODE":"0000","DATA":[],"TOTAL_COUNT":3}"#), "contract");
    assert_eq!(landed(Reply::json(r#"{"RESULTCODE":"0000","DATA":[],"TOTAL_COUNT":0}"#)).len(), 0);
    // not numbers, not counts, and a field of a row
    for other in [r#""TOTAL_COUNT":"""#, r#""TOTAL_COUNT":null"#, r#""COUNT":"many""#, r#""TOTAL":99"#, r#""total":"1,234""#] {
        assert_eq!(landed(Reply::json(format!(r#"{{"RESULTCODE":"0000",{other},"DATA":[{a}]}}"#))).len(), 1, "{other}");
    }
    assert_eq!(landed(Reply::json(envelope(&[row(DATE, &[("COUNT", "7")])]))).len(), 1);
    let of_rows = a.replacen('{', r#"{"RESULTCODE":"0000","COUNT":7,"#, 1);
    assert_eq!(landed(Reply::json(format!("[{of_rows}]"))).len(), 1);
}

#[test]
fn amounts_in_every_tolerated_form() {
    for (given, amount) in [
        ("1000", "1000.00"),
        ("1000.5", "1000.50"),
        ("0", "0.00"),
        (r#""1,234,567.89""#, "1234567.89"),
        (r#""-1000""#, "-1000.00"),
        (r#""- 1,000""#, "-1000.00"),
        ("\"\u{2212}1000\"", "-1000.00"),
        (r#"" 12 ""#, "12.00"),
        ("9999999999999999.99", "9999999999999999.99"),
        ("-0.01", "-0.01"),
    ] {
        assert_eq!(landed(one(&[("AUTHAMT", given)]))[0]["auth_amount"], amount, "{given}");
    }
    assert_eq!(landed(one(&[("FEERATE", r#""2.5 %""#)]))[0]["fee_rate"], "2.5000");
    assert_eq!(landed(one(&[("FEERATE", "12345.6789")]))[0]["fee_rate"], "12345.6789");
}

#[test]
fn invalid_amounts_are_refused() {
    for given in [r#""12x4""#, r#""1,23""#, r#""1e5""#, "1e5", "1.234", "12345678901234567", "true", "{}", r#"["1"]"#] {
        let message = refused_row(&[("PAYMENTAMT", given)]);
        assert!(message.contains("PAYMENTAMT") && message.contains(given.trim_matches('"')), "{message}");
    }
    for given in ["1.23456", "123456"] {
        assert!(refused_row(&[("FEERATE", given)]).contains("FEERATE"));
    }
}

#[test]
fn absent_amounts_are_null_and_counted() {
    let lake = tempfile::tempdir().unwrap();
    let cancelled = row(DATE, &[("FEE", r#""-""#), ("VAT", r#""""#), ("PAYMENTAMT", "null"), ("FINALAMT", r#"" - ""#)]);
    let (ran, _) = fetch(lake.path(), Reply::json(envelope(&[cancelled.clone(), cancelled])));
    let result = ran.ok().result();
    assert_eq!(result["totals"]["auth_amount"], "20000.00");
    assert_eq!(result["totals"]["payment_amount"], "0.00");
    let file = day_file(lake.path(), DAY);
    for column in ["fee", "vat", "payment_amount", "final_amount"] {
        assert!(!rows(&file)[0].contains_key(column), "{column}");
    }
    let nulls = record(&file)["nulls"].clone();
    assert_eq!(nulls["fee"]["dash"], 2);
    assert_eq!(nulls["vat"]["blank"], 2);
    assert_eq!(nulls["payment_amount"]["null"], 2);
    assert_eq!(nulls["final_amount"]["dash"], 2);
}

#[test]
fn a_missing_amount_or_a_duplicate_key_is_refused() {
    let message = refused_row(&[("VAT", "")]);
    assert!(message.contains("VAT") && message.contains("missing"), "{message}");
    for key in ["FEE", "NEWFIELD"] {
        let twice = row(DATE, &[]).replacen('{', &format!(r#"{{"{key}":"1","{key}":"1","#), 1);
        let message = refused(Reply::json(envelope(&[row(DATE, &[]), twice])), "contract");
        assert!(message.contains(key) && message.contains("row 2") && message.contains("twice"), "{message}");
    }
}

#[test]
fn dates_in_every_tolerated_form() {
    for given in [r#""20240229""#, r#""2024-02-29""#, r#""20240229235959""#, "20240229"] {
        assert_eq!(landed(one(&[("AUTHDT", given)]))[0]["auth_date"], "2024-02-29", "{given}");
    }
    let pending = landed(one(&[("PAYOFFDT", r#""""#), ("STATUS_CD", r#""01""#)]));
    assert!(!pending[0].contains_key("payoff_date"));
    for given in [r#""20240230""#, r#""2024/01/01""#, r#""20241""#] {
        let message = refused_row(&[("AUTHDT", given)]);
        assert!(message.contains("AUTHDT") && message.contains(given.trim_matches('"')), "{message}");
    }
}

#[test]
fn text_is_stored_unchanged_and_blank_is_null() {
    let found = landed(one(&[
        ("TRXID", r#""00012""#),
        ("PAYTYPE", r#""새결제""#),
        ("ACQUIRER", r#""  ""#),
        ("CPID", ""),
        ("ORDERNO", "null"),
        ("PAYMENTSTATUS", "99"),
        ("SETTLE_CYCLE_CD", r#""\ud83d\ude00""#),
    ]));
    assert_eq!(found[0]["transaction_id"], "00012");
    assert_eq!(found[0]["pay_type"], "새결제");
    assert_eq!(found[0]["payment_status"], "99");
    assert_eq!(found[0]["settle_cycle_code"], "😀");
    for column in ["acquirer_code", "cpid", "order_no"] {
        assert!(!found[0].contains_key(column), "{column}");
    }
    for field in ["TRXID", "PAYMENTSTATUS"] {
        for given in ["", "null", r#"" ""#] {
            let message = refused_row(&[(field, given)]);
            assert!(message.contains(field), "{message}");
        }
    }
}

#[test]
fn another_days_row_is_refused() {
    let message = refused_row(&[("PAYOFFDT", r#""20240106""#)]);
    assert!(message.contains("PAYOFFDT") && message.contains("20240106") && message.contains("2024-01-05"), "{message}");
}

#[test]
fn unknown_fields_are_kept_as_sorted_json_and_warned_of_once() {
    let lake = tempfile::tempdir().unwrap();
    let api = Api::new(|request| {
        let extra = [("ZED", "1.10"), ("ALPHA", r#"{"b": [1, "x"], "a": null}"#)];
        Reply::json(envelope(&[row(request.date(), &extra), row(request.date(), &[])]))
    });
    let ran = Run::backfill(&api).days(DAY, "2024-01-06").into(lake.path()).ok();
    let found = rows(&day_file(lake.path(), DAY));
    assert_eq!(found[0]["extra"], r#"{"ALPHA":{"a":null,"b":[1,"x"]},"ZED":1.10}"#);
    assert!(!found[1].contains_key("extra"));
    assert_eq!(ran.stderr.matches("does not name").count(), 1, "{}", ran.stderr);
}

#[test]
fn korean_charsets_are_read_as_declared() {
    let text = envelope(&[row(DATE, &[("ORDERNO", r#""쿠키똠방각하""#)])]);
    let (bytes, ..) = EUC_KR.encode(&text);
    for label in ["EUC-KR", "euc-kr", "\"ks_c_5601-1987\"", "CP949", "MS949"] {
        let content_type = format!("application/json; charset={label}");
        let found = landed(Reply::new(200, &[("Content-Type", &content_type)], &bytes));
        assert_eq!(found[0]["order_no"], "쿠키똠방각하", "{label}");
    }
    let message = refused(Reply::json(&bytes), "contract");
    assert!(message.contains("field ORDERNO of row 1") && message.contains("charset"), "{message}");
    // nothing declared, or what common servers declare for everything
    for declared in
        ["application/json", "application/json; charset=ISO-8859-1", "text/plain; charset=us-ascii", "text/html; charset=windows-1252"]
    {
        for bytes in [&*bytes, text.as_bytes()] {
            let found = landed(Reply::new(200, &[("Content-Type", declared)], bytes));
            assert_eq!(found[0]["order_no"], "쿠키똠방각하", "{declared}");
        }
    }
    assert_eq!(landed(Reply::new(200, &[], &bytes))[0]["order_no"], "쿠키똠방각하");
    let message = refused(Reply::new(200, &[("Content-Type", "text/json; charset=klingon")], &text), "contract");
    assert!(message.contains("klingon"), "{message}");
}

#[test]
fn a_character_that_cannot_be_decoded_is_one_bad_row() {
    let text = envelope(&[row(DATE, &[]), row(DATE, &[("TRXID", r#""B""#), ("ORDERNO", r#""@""#)]), row(DATE, &[("TRXID", r#""C""#)])]);
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'@' { 0xFF } else { byte }).collect();
    let lake = tempfile::tempdir().unwrap();
    let api = Api::responding(bytes);
    let ran = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--bad-rows", "reject"]).exits(3);
    assert_eq!((&ran.result()["rows"], &ran.result()["rejected_rows"]), (&2.into(), &1.into()));
    let rejects = files(lake.path()).into_iter().find(|file| file.starts_with("rejects/")).unwrap();
    let kept = std::fs::read_to_string(lake.path().join(rejects)).unwrap();
    assert!(kept.contains(r#""field":"ORDERNO""#) && kept.contains('\u{FFFD}'), "{kept}");
}

#[test]
fn codes_and_pages_in_euc_kr_decide_as_they_should() {
    let korean = |text: &str| EUC_KR.encode(text).0.into_owned();
    // an error code that means no rows, with its message in EUC-KR
    let empty = Reply::new(200, &[("Content-Type", "text/html")], korean(r#"{"RESULTCODE":"E008","RESULTMSG":"검색 결과가 없습니다"}"#));
    assert_eq!(landed(empty).len(), 0);
    let down = refused(Reply::new(503, &[("Content-Type", "text/html; charset=euc-kr")], korean("<h1>점검 중입니다</h1>")), "upstream");
    assert!(down.contains("점검 중입니다"), "{down}");
    // a refusal of the key, and an address that is blocked
    for (body, shown) in
        [(r#"{"RTN_CD":"E101","RTN_MSG":"인증 실패"}"#, "인증 실패"), (r#"[{"RTN_CD":"E101","RTN_MSG":"키 오류"}]"#, "키 오류")]
    {
        let api = Api::scripted({
            let reply = Reply::new(200, &[("Content-Type", "text/html")], korean(body));
            move |_| reply.clone()
        });
        let lake = tempfile::tempdir().unwrap();
        let message = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--retries", "0"]).exits(4).failure("auth");
        assert!(message.contains(shown) && message.contains("the key from COOKIEPAY_API_KEY"), "{message}");
    }
    let api = Api::scripted(move |_| Reply::new(403, &[("Content-Type", "text/html")], EUC_KR.encode("<p>허용되지 않은 IP입니다</p>").0));
    let lake = tempfile::tempdir().unwrap();
    let message = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--retries", "0"]).exits(4).failure("auth");
    assert!(message.contains("허용되지 않은 IP입니다") && message.contains("from this address"), "{message}");
}

#[test]
fn equal_rows_are_each_kept() {
    let same = row(DATE, &[]);
    assert_eq!(landed(Reply::json(envelope(&[same.clone(), same.clone(), same]))).len(), 3);
}

#[test]
fn rejecting_bad_rows_publishes_the_rest_and_keeps_the_evidence() {
    let lake = tempfile::tempdir().unwrap();
    let good = row(DATE, &[]);
    let bad = row(DATE, &[("FEE", r#""12x4""#)]);
    let body = envelope(&[good.clone(), bad, good, row(DATE, &[("PAYOFFDT", r#""20231231""#)]), "7".into()]);
    let api = Api::responding(body);
    let rejecting = Run::backfill(&api).days(DAY, DAY).into(lake.path()).args(["--bad-rows", "reject"]).exits(3);
    assert_eq!(rejecting.result()["rejected_rows"], 3);
    assert_eq!(rejecting.result()["rows"], 2);
    let file = day_file(lake.path(), DAY);
    let positions: Vec<String> = rows(&file).iter().map(|row| row["source_row"].clone()).collect();
    assert_eq!(positions, ["1", "3"]);
    assert_eq!(record(&file)["state"], "open");

    // the same evidence if the day is refused
    let strict = tempfile::tempdir().unwrap();
    let refused = Run::backfill(&api).days(DAY, DAY).into(strict.path()).exits(5);
    assert!(refused.failure("contract").contains("2 more bad rows"));
    for root in [lake.path(), strict.path()] {
        let rejects: Vec<String> = files(root).into_iter().filter(|file| file.starts_with("rejects/pay_date=2024-01-05/m1-")).collect();
        assert_eq!(rejects.len(), 1, "{rejects:?}");
        let lines = std::fs::read_to_string(root.join(&rejects[0])).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["position"], &lines[0]["field"]), (&2.into(), &"FEE".into()));
        assert_eq!(lines[0]["row"]["FEE"], "12x4");
        assert_eq!(lines[2]["row"], 7);
    }
}

#[test]
fn a_bad_day_does_not_stop_the_others() {
    let lake = tempfile::tempdir().unwrap();
    let api = Api::new(|request| {
        let fee = if request.date() == "20240106" { r#""x""# } else { r#""1""# };
        Reply::json(envelope(&[row(request.date(), &[("FEE", fee)])]))
    });
    let ran = Run::backfill(&api).days(DAY, "2024-01-07").into(lake.path()).exits(3);
    assert_eq!(ran.result()["dates"]["published"], 2);
    assert_eq!(ran.result()["failures"][0]["pay_date"], "2024-01-06");
    assert!(day_file(lake.path(), "2024-01-07").exists() && !day_file(lake.path(), "2024-01-06").exists());
}
