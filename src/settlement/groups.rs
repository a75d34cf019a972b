//! Rows and sums by code: what reports and reconciliation need of a day, so that they need not read its rows.

use std::collections::HashMap;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Decimal64Type;
use arrow_array::{Array as _, RecordBatch, StringArray};
use serde::{Deserialize, Serialize};

use super::columns::{COLUMNS, ColumnSource, amounts};
use super::source::Field;
use super::sums::{Sums, parse_sum};
use super::values::{AMOUNT, format_decimal};

/// The codes by which rows are grouped.
const CODES: [Field; 4] = [Field::PaymentStatus, Field::PayType, Field::Acquirer, Field::StatusCd];

/// More combinations than this are not listed: the codes are then none that a report could show, and the record would outgrow
/// its day.
const MOST: usize = 1000;

/// The rows of a day that share their codes. In a day record, a list: the four codes, the rows, the five sums.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Listed", into = "Listed")]
pub struct Group {
    /// `PAYMENTSTATUS`
    pub payment_status: Option<String>,
    /// `PAYTYPE`
    pub pay_type: Option<String>,
    /// `ACQUIRER`
    pub acquirer_code: Option<String>,
    /// `STATUS_CD`
    pub payoff_status: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Exact sums of the amount columns, in the table's order, in hundredths of a won; NULL counts as 0.
    pub sums: Sums,
}

/// Short, because every day's file holds it, and most files are small.
#[derive(Clone, Serialize, Deserialize)]
struct Listed(Option<String>, Option<String>, Option<String>, Option<String>, u64, [String; 5]);

impl From<Listed> for Group {
    fn from(Listed(payment_status, pay_type, acquirer_code, payoff_status, rows, sums): Listed) -> Self {
        // a sum that is no decimal differs from the rows' in every check
        Self { payment_status, pay_type, acquirer_code, payoff_status, rows, sums: sums.map(|sum| parse_sum(&sum).unwrap_or(i128::MIN)) }
    }
}

impl From<Group> for Listed {
    fn from(Group { payment_status, pay_type, acquirer_code, payoff_status, rows, sums }: Group) -> Self {
        Self(payment_status, pay_type, acquirer_code, payoff_status, rows, sums.map(|sum| format_decimal(sum, AMOUNT.decimals)))
    }
}

/// Groups rows as their batches pass.
#[derive(Debug, Default)]
pub struct Grouping {
    /// Looked up for each row, with a fast hash: the keys are few.
    ids: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    groups: Vec<Group>,
    /// Set if there are more groups than are listed.
    overflowed: bool,
    /// For each row of a batch, its group.
    of_rows: Vec<usize>,
    key: Vec<u8>,
}

impl Grouping {
    /// Adds a batch of the table's schema.
    pub fn add(&mut self, batch: &RecordBatch) {
        let codes: Vec<&StringArray> = CODES.iter().filter_map(|field| code(batch, *field)).collect();
        let Ok(codes) = <[&StringArray; 4]>::try_from(codes) else { return };
        if self.overflowed || !self.assign(batch.num_rows(), codes) {
            return;
        }
        for (amount, (index, _)) in amounts().enumerate() {
            let Some(array) = batch.column(index).as_primitive_opt::<Decimal64Type>() else { continue };
            for (group, value) in self.of_rows.iter().zip(array.iter()) {
                self.groups[*group].sums[amount] += i128::from(value.unwrap_or_default());
            }
        }
    }

    /// Finds the group of each row, and counts it; `false` if there are too many.
    fn assign(&mut self, rows: usize, codes: [&StringArray; 4]) -> bool {
        self.of_rows.clear();
        for row in 0..rows {
            self.key.clear();
            for array in codes {
                // bytes that no text has separate values, and mark absent ones
                if array.is_null(row) {
                    self.key.push(0xFE);
                } else {
                    self.key.extend_from_slice(array.value(row).as_bytes());
                }
                self.key.push(0xFF);
            }
            let id = match self.ids.get(&self.key[..]) {
                Some(id) => *id,
                None if self.groups.len() == MOST => {
                    self.overflowed = true;
                    return false;
                }
                None => self.new_group(row, codes),
            };
            self.groups[id].rows += 1;
            self.of_rows.push(id);
        }
        true
    }

    fn new_group(&mut self, row: usize, codes: [&StringArray; 4]) -> usize {
        let id = self.groups.len();
        let [payment_status, pay_type, acquirer_code, payoff_status] =
            codes.map(|array| (!array.is_null(row)).then(|| array.value(row).to_owned()));
        self.groups.push(Group { payment_status, pay_type, acquirer_code, payoff_status, rows: 0, sums: Sums::default() });
        self.ids.insert(self.key.clone().into(), id);
        id
    }

    /// The groups, in the order of their codes; `None` if there are too many to be listed.
    #[must_use]
    pub fn groups(&self) -> Option<Vec<Group>> {
        if self.overflowed {
            return None;
        }
        let mut groups = self.groups.clone();
        groups.sort();
        Some(groups)
    }
}

fn code(batch: &RecordBatch, field: Field) -> Option<&StringArray> {
    let index = COLUMNS.iter().position(|column| column.source == ColumnSource::Field(field))?;
    batch.column(index).as_string_opt::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_short_list_and_reads_back() {
        let group = Group {
            payment_status: Some("11".into()),
            pay_type: None,
            acquirer_code: Some("CCLG".into()),
            payoff_status: Some("03".into()),
            rows: 2,
            sums: [100_000, -2300, 0, 1, 2],
        };
        let json = serde_json::to_string(&group).unwrap_or_default();
        assert_eq!(json, r#"["11",null,"CCLG","03",2,["1000.00","-23.00","0.00","0.01","0.02"]]"#);
        assert_eq!(serde_json::from_str::<Group>(&json).ok(), Some(group));
    }
}
