//! What the log states about a file's rows, so that engines can pass over files. Does no I/O.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Date32Type;
use arrow_array::{Array as _, RecordBatch};
use serde_json::{Map, Value as Json, json};

use super::schema::{PAY_DATE, schema};

/// The columns of text that have a minimum and a maximum.
const BOUNDED: [&str; 3] = ["merchant_id", "transaction_id", "order_no"];

/// Characters up to which a value is stated whole.
const WHOLE: usize = 256;

/// Counts and bounds of a file's rows.
#[derive(Debug, Default)]
pub(super) struct Stats {
    rows: u64,
    /// By column.
    nulls: Vec<u64>,
    /// The first and the last pay date, in days since 1970.
    dates: Option<(i32, i32)>,
    texts: [Option<(String, String)>; BOUNDED.len()],
}

impl Stats {
    /// Adds rows of the Delta table.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        self.nulls.resize(batch.num_columns(), 0);
        for (nulls, array) in self.nulls.iter_mut().zip(batch.columns()) {
            *nulls += array.null_count() as u64;
        }
        if let Some(dates) = batch.column_by_name(PAY_DATE).and_then(|array| array.as_primitive_opt::<Date32Type>()) {
            for date in dates.iter().flatten() {
                let (first, last) = self.dates.unwrap_or((date, date));
                self.dates = Some((first.min(date), last.max(date)));
            }
        }
        for (bounds, name) in self.texts.iter_mut().zip(BOUNDED) {
            let Some(array) = batch.column_by_name(name).and_then(|array| array.as_string_opt::<i32>()) else { continue };
            for text in array.iter().flatten() {
                match bounds {
                    None => *bounds = Some((text.to_owned(), text.to_owned())),
                    Some((least, _)) if text < least.as_str() => text.clone_into(least),
                    Some((_, greatest)) if text > greatest.as_str() => text.clone_into(greatest),
                    Some(_) => {}
                }
            }
        }
    }

    /// The statistics as the log has them.
    pub(super) fn to_json(&self) -> String {
        let date = |days: i32| json!(Date32Type::to_naive_date_opt(days).map(|date| date.to_string()));
        let (mut least, mut greatest) = (Map::new(), Map::new());
        if let Some((first, last)) = self.dates {
            least.insert(PAY_DATE.to_owned(), date(first));
            greatest.insert(PAY_DATE.to_owned(), date(last));
        }
        for (bounds, name) in self.texts.iter().zip(BOUNDED) {
            let Some((min, max)) = bounds else { continue };
            // the beginning of a text is a lower bound of it, and no upper one
            least.insert(name.to_owned(), min.chars().take(WHOLE).collect::<String>().into());
            if max.chars().nth(WHOLE).is_none() {
                greatest.insert(name.to_owned(), max.as_str().into());
            }
        }
        let fields = schema();
        let nulls = fields.fields().iter().zip(self.nulls.iter().chain(std::iter::repeat(&0)));
        let nulls: Map<String, Json> = nulls.map(|(field, count)| (field.name().clone(), json!(count))).collect();
        json!({ "numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
    }
}
