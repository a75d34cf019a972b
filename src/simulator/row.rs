//! One row of a response: its figures, and its 16 fields as JSON in the manual's order. Knows of no
//! other row.

use chrono::{Datelike, NaiveDate};

use super::dates::{compact, two_digits};

/// PAYMENTSTATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// `11`
    Approved,
    /// `21`, of a payment voided before it reached settlement: nothing is paid, and FEE, VAT and
    /// payouts are a bare "-".
    CancelledSameDay,
    /// `22`, with the amounts taken back as signed numbers.
    CancelledLater,
}

/// How an order number is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderStyle {
    Plain,
    Korean,
    /// Korean again, in `\u` escapes.
    Escaped,
    /// With a quotation mark, a backslash, a slash and a tab.
    Quoted,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: Status,
    /// `SETTLE_CYCLE_CD`
    pub(super) cycle: &'static str,
    /// PAYTYPE
    pub(super) pay_type: &'static str,
    /// ACQUIRER, blank but for cards
    pub(super) acquirer: &'static str,
    /// AUTHAMT in won, negative when taken back.
    pub(super) amount: i64,
    /// FEERATE in hundredths of a percent.
    pub(super) rate: i64,
    /// The three parts of TRXID, the original's on a cancellation: prefix, second of approval,
    /// serial.
    pub(super) prefix: &'static str,
    pub(super) approved_on: NaiveDate,
    pub(super) approved_at: u32,
    pub(super) serial: u32,
    pub(super) order_style: OrderStyle,
    pub(super) order_number: u64,
    /// AUTHDT: of the approval, or of the cancellation.
    pub(super) auth_date: NaiveDate,
    /// PAYOFFDT
    pub(super) payoff_date: Option<NaiveDate>,
    /// `STATUS_CD`: `03`, else `01`.
    pub(super) paid: bool,
}

impl Row {
    /// FEE in won: the rate's share of the amount, rounded towards zero.
    pub(super) fn fee(&self) -> i64 {
        self.amount * self.rate / 10_000
    }

    /// VAT in won: a tenth of the fee, rounded towards zero.
    pub(super) fn vat(&self) -> i64 {
        self.fee() / 10
    }

    /// PAYMENTAMT and FINALAMT in won.
    pub(super) fn payment(&self) -> i64 {
        self.amount - self.fee() - self.vat()
    }

    /// TRXID: prefix, `yymmddhhmmss` of the approval, serial of five digits.
    pub(super) fn transaction_id(&self) -> [u8; 20] {
        let mut id = [b'0'; 20];
        id[..3].copy_from_slice(self.prefix.as_bytes());
        id[3..9].copy_from_slice(&compact(self.approved_on)[2..]);
        id[9..11].copy_from_slice(&two_digits(self.approved_at / 3_600));
        id[11..13].copy_from_slice(&two_digits(self.approved_at / 60 % 60));
        id[13..15].copy_from_slice(&two_digits(self.approved_at % 60));
        id[15..17].copy_from_slice(&two_digits(self.serial / 1_000));
        id[17..19].copy_from_slice(&two_digits(self.serial / 10));
        id[19] = two_digits(self.serial)[1];
        id
    }

    /// Appends the row as a JSON object.
    pub(super) fn write(&self, cpid: &str, out: &mut Vec<u8>) {
        let amount = |out: &mut Vec<u8>, won: i64| match self.status {
            Status::CancelledSameDay => out.push(b'-'),
            _ => push_number(out, won),
        };
        out.extend_from_slice(br#"{"AUTHAMT":""#);
        push_number(out, self.amount);
        out.extend_from_slice(br#"","FEERATE":""#);
        push_rate(out, self.rate);
        out.extend_from_slice(match self.status {
            Status::Approved => br#"","PAYMENTSTATUS":"11","FEE":""#,
            Status::CancelledSameDay => br#"","PAYMENTSTATUS":"21","FEE":""#,
            Status::CancelledLater => br#"","PAYMENTSTATUS":"22","FEE":""#,
        });
        amount(out, self.fee());
        out.extend_from_slice(br#"","VAT":""#);
        amount(out, self.vat());
        out.extend_from_slice(br#"","SETTLE_CYCLE_CD":""#);
        out.extend_from_slice(self.cycle.as_bytes());
        out.extend_from_slice(br#"","PAYTYPE":""#);
        out.extend_from_slice(self.pay_type.as_bytes());
        out.extend_from_slice(br#"","ACQUIRER":""#);
        out.extend_from_slice(self.acquirer.as_bytes());
        out.extend_from_slice(br#"","PAYMENTAMT":""#);
        amount(out, self.payment());
        out.extend_from_slice(br#"","TRXID":""#);
        out.extend_from_slice(&self.transaction_id());
        out.extend_from_slice(br#"","CPID":""#);
        out.extend_from_slice(cpid.as_bytes());
        out.extend_from_slice(br#"","ORDERNO":""#);
        self.push_order(out);
        out.extend_from_slice(br#"","AUTHDT":""#);
        out.extend_from_slice(&compact(self.auth_date));
        out.extend_from_slice(br#"","FINALAMT":""#);
        amount(out, self.payment());
        out.extend_from_slice(br#"","PAYOFFDT":""#);
        if let Some(date) = self.payoff_date {
            out.extend_from_slice(&compact(date));
        }
        out.extend_from_slice(if self.paid { br#"","STATUS_CD":"03"}"# } else { br#"","STATUS_CD":"01"}"# });
    }

    /// ORDERNO as text.
    pub(super) fn order_no(&self) -> String {
        let mut json = vec![b'"'];
        self.push_order(&mut json);
        json.push(b'"');
        serde_json::from_slice(&json).unwrap_or_default()
    }

    fn push_order(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.order_style {
            OrderStyle::Plain => b"ORD-",
            OrderStyle::Korean => "주문-".as_bytes(),
            OrderStyle::Escaped => br"\uc8fc\ubb38-",
            OrderStyle::Quoted => br#"ORD\t\"A\\B\/C\"-"#,
        });
        out.extend_from_slice(&compact(self.approved_on));
        out.push(b'-');
        let mut digits = [b'0'; 20];
        let written = decimal(self.order_number, &mut digits);
        // six digits, and more where a day needs them
        out.extend_from_slice(&digits[digits.len() - written.max(6)..]);
    }
}

fn push_rate(out: &mut Vec<u8>, rate: i64) {
    push_number(out, rate / 100);
    out.push(b'.');
    out.extend_from_slice(&two_digits(u32::try_from(rate % 100).unwrap_or(0)));
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 20];
    let written = decimal(number.unsigned_abs(), &mut digits);
    out.extend_from_slice(&digits[digits.len() - written..]);
}

/// Writes `number` at the end of `digits`, and returns how many digits it has.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> usize {
    let mut written = 0;
    for place in digits.iter_mut().rev() {
        *place = b"0123456789"[(number % 10) as usize];
        number /= 10;
        written += 1;
        if number == 0 {
            break;
        }
    }
    written
}

/// `yy` in a TRXID stands for this century alone: no pay date before this year has rows.
pub(super) fn has_rows(pay_date: NaiveDate) -> bool {
    (2000..2100).contains(&pay_date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let date = NaiveDate::from_ymd_opt(2024, 1, 3).unwrap();
        Row {
            status: Status::Approved,
            cycle: "D2",
            pay_type: "CARD",
            acquirer: "CCBC",
            amount: 19_900,
            rate: 230,
            prefix: "CTS",
            approved_on: date,
            approved_at: 16 * 3_600 + 14,
            serial: 94_646,
            order_style: OrderStyle::Plain,
            order_number: 123,
            auth_date: date,
            payoff_date: NaiveDate::from_ymd_opt(2024, 1, 5),
            paid: true,
        }
    }

    fn json(row: &Row) -> String {
        let mut out = Vec::new();
        row.write("CT00000001", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_the_sixteen_fields_in_the_manuals_order() {
        assert_eq!(
            json(&row()),
            r#"{"AUTHAMT":"19900","FEERATE":"2.30","PAYMENTSTATUS":"11","FEE":"457","VAT":"45","SETTLE_CYCLE_CD":"D2","#.to_owned()
                + r#""PAYTYPE":"CARD","ACQUIRER":"CCBC","PAYMENTAMT":"19398","TRXID":"CTS24010316001494646","#
                + r#""CPID":"CT00000001","ORDERNO":"ORD-20240103-000123","AUTHDT":"20240103","FINALAMT":"19398","#
                + r#""PAYOFFDT":"20240105","STATUS_CD":"03"}"#
        );
    }

    #[test]
    fn cancellations_show_dashes_or_signs() {
        let same_day = json(&Row { status: Status::CancelledSameDay, ..row() });
        assert!(same_day.contains(r#""FEE":"-","VAT":"-""#), "{same_day}");
        assert!(same_day.contains(r#""PAYMENTAMT":"-""#) && same_day.contains(r#""FINALAMT":"-""#), "{same_day}");
        let later = json(&Row { status: Status::CancelledLater, amount: -19_900, payoff_date: None, ..row() });
        assert!(later.contains(r#""FEE":"-457","VAT":"-45""#), "{later}");
        assert!(later.contains(r#""FINALAMT":"-19398","PAYOFFDT":"","#), "{later}");
    }

    #[test]
    fn every_order_style_is_json() {
        for (order_style, expected) in [
            (OrderStyle::Korean, "주문-20240103-1234567"),
            (OrderStyle::Escaped, "주문-20240103-1234567"),
            (OrderStyle::Quoted, "ORD\t\"A\\B/C\"-20240103-1234567"),
        ] {
            let text = json(&Row { order_style, order_number: 1_234_567, ..row() });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["ORDERNO"], expected);
        }
    }
}
