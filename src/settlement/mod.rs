//! The table: its columns, and how a row of a source becomes a row of it. Does no I/O, and knows no gateway.
//!
//! Start at [`columns`], the one list. [`source`] is a row as a gateway provides it, [`values`] reads single values, [`batch`]
//! builds record batches, [`totals`] counts and sums and [`digest`] hashes what was read, [`diff`] compares two versions of a
//! day, and [`ddl`] prints the schema for each engine.

pub mod batch;
pub mod cells;
pub mod columns;
pub mod ddl;
pub mod diff;
pub mod digest;
pub mod source;
pub mod totals;
pub mod values;
