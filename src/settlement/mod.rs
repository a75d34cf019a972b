//! The table: its columns, and how a row of a source becomes a row of it. Does no I/O, and knows no gateway.
//!
//! Start at [`columns`], the one list. [`source`] is a row as a gateway provides it, [`values`] reads single values, [`batch`]
//! builds record batches, [`totals`] counts and sums and [`digest`] hashes what was read, and [`diff`] compares two versions of
//! a day.

pub mod batch;
pub mod cells;
pub mod codes;
pub mod columns;
pub mod diff;
pub mod digest;
pub mod groups;
pub mod source;
pub mod sums;
pub mod totals;
pub mod values;
