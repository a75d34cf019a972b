//! How files are to be read, as typed: each flag's value is checked here, so that later code checks nothing again.

use std::str::FromStr;

use crate::reconcile::books::Meaning;

use super::field::{Field, Side};
use super::words::{self, Word, WordChoice};

/// What to read differently than by the lists of headers and words.
#[derive(Debug, Clone, Default)]
pub struct FileOptions {
    /// `--column`: the headers to use.
    pub columns: Vec<ColumnChoice>,
    /// `--word`: words of the columns that state what a line is.
    pub words: Vec<WordChoice>,
    /// `--orders-are`: what the lines of the order files mean.
    pub orders_are: Option<Meaning>,
    /// `--amount-per`: what an amount is the amount of.
    pub amount_per: Option<AmountPer>,
    /// `--orders-where`: the lines of the order files that count.
    pub orders_where: Vec<OrdersFilter>,
    /// `--deposits-where`: the lines of the statement that count.
    pub deposits_where: Vec<DepositsFilter>,
}

/// What an amount of the order files is the amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AmountPer {
    /// Of the order: its lines repeat it
    Order,
    /// Of the line: an order's lines are added up
    Line,
}

/// Why a flag's value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A value of another form.
    #[error("write it as {0}")]
    Form(&'static str),
    /// Not the name of a field.
    #[error("{found:?} is not a field: use one of {}", Field::names())]
    Field {
        /// What was written.
        found: String,
    },
    /// A side is named for a field that only one side has.
    #[error("only amount and date are fields of both sides: write {0} alone")]
    Side(&'static str),
    /// Not the meaning of a word.
    #[error("{found:?} is not what a word can mean: use paid, back, part or none")]
    Meaning {
        /// What was written.
        found: String,
    },
}

/// `FIELD=HEADER`: the header that is used for a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChoice {
    pub(super) field: Field,
    /// `None`: both.
    pub(super) side: Option<Side>,
    pub(super) header: String,
}

impl FromStr for ColumnChoice {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        const FORM: OptionError = OptionError::Form("FIELD=HEADER, such as amount=결제금액");
        let (name, header) = text.split_once('=').ok_or(FORM)?;
        let (name, header) = (name.trim(), header.trim());
        if name.is_empty() || header.is_empty() {
            return Err(FORM);
        }
        let (side, name) = match name.split_once('.') {
            Some(("orders", name)) => (Some(Side::Orders), name),
            Some(("deposits", name)) => (Some(Side::Deposits), name),
            _ => (None, name),
        };
        let field = Field::of_name(name).ok_or_else(|| OptionError::Field { found: name.to_owned() })?;
        if side.is_some() && !field.is_of_both_sides() {
            return Err(OptionError::Side(field.name()));
        }
        Ok(Self { field, side, header: header.to_owned() })
    }
}

impl FromStr for WordChoice {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        const FORM: OptionError = OptionError::Form("WORD=paid, WORD=back, WORD=part or WORD=none");
        let (word, means) = text.rsplit_once('=').ok_or(FORM)?;
        let word = words::folded(word);
        if word.is_empty() {
            return Err(FORM);
        }
        let means = match means.trim() {
            "paid" => Word::Paid,
            "back" => Word::Back,
            "part" => Word::Part,
            "none" => Word::None,
            other => return Err(OptionError::Meaning { found: other.to_owned() }),
        };
        Ok(Self { word, means })
    }
}

/// `HEADER=VALUE[|VALUE]`: the lines whose column has one of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersFilter {
    pub(super) header: String,
    pub(super) values: Vec<String>,
}

impl FromStr for OrdersFilter {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        const FORM: OptionError = OptionError::Form("HEADER=VALUE or HEADER=VALUE|VALUE, such as 결제수단=카드");
        let (header, values) = text.split_once('=').ok_or(FORM)?;
        if header.trim().is_empty() {
            return Err(FORM);
        }
        Ok(Self { header: header.trim().to_owned(), values: values.split('|').map(|value| value.trim().to_owned()).collect() })
    }
}

/// `HEADER~TEXT`: the lines whose column contains the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositsFilter {
    pub(super) header: String,
    pub(super) text: String,
}

impl FromStr for DepositsFilter {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        const FORM: OptionError = OptionError::Form("HEADER~TEXT, such as 적요~쿠키페이");
        let (header, text) = text.split_once('~').ok_or(FORM)?;
        if header.trim().is_empty() || text.trim().is_empty() {
            return Err(FORM);
        }
        Ok(Self { header: header.trim().to_owned(), text: text.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let column = |text: &str| text.parse::<ColumnChoice>();
        let amount = ColumnChoice { field: Field::Amount, side: None, header: "결제 금액=원".into() };
        assert_eq!(column("amount= 결제 금액=원"), Ok(amount.clone()));
        assert_eq!(column("deposits.amount=결제 금액=원"), Ok(ColumnChoice { side: Some(Side::Deposits), ..amount.clone() }));
        assert_eq!(column("orders.amount=결제 금액=원"), Ok(ColumnChoice { side: Some(Side::Orders), ..amount }));
        for field in ["order_no", "transaction_id", "cancelled_amount", "kind", "state", "date", "merchant"] {
            assert_eq!(column(&format!("{field}=x")).map(|choice| choice.field.name()), Ok(field));
        }
        for text in ["amount", "=x", "amount=", "amount= "] {
            assert!(matches!(column(text), Err(OptionError::Form(_))), "{text}");
        }
        assert_eq!(column("orders.kind=x"), Err(OptionError::Side("kind")));
        assert_eq!(column("price=x"), Err(OptionError::Field { found: "price".into() }));
    }

    #[test]
    fn words_and_filters() {
        let word = |text: &str| text.parse::<WordChoice>();
        assert_eq!(word("품 절=none"), Ok(WordChoice { word: "품절".into(), means: Word::None }));
        assert_eq!(word("Part=Shipped=paid"), Ok(WordChoice { word: "part=shipped".into(), means: Word::Paid }));
        assert!(matches!(word("=paid"), Err(OptionError::Form(_))));
        assert!(matches!(word("품절"), Err(OptionError::Form(_))));
        assert_eq!(word("품절=gone"), Err(OptionError::Meaning { found: "gone".into() }));
        let filter = OrdersFilter { header: "결제수단".into(), values: vec!["카드".into(), "간편 결제".into()] };
        assert_eq!("결제수단 = 카드| 간편 결제".parse(), Ok(filter));
        assert!("결제수단".parse::<OrdersFilter>().is_err() && "=카드".parse::<OrdersFilter>().is_err());
        assert_eq!("적요~쿠키".parse(), Ok(DepositsFilter { header: "적요".into(), text: "쿠키".into() }));
        assert!("적요~".parse::<DepositsFilter>().is_err() && "적요=쿠키".parse::<DepositsFilter>().is_err());
    }
}
