//! The table: its columns, and how a row of an answer becomes a row of it. Does no I/O.
//!
//! Start at [`columns`], the one list; [`values`] reads single values, [`batch`] builds record
//! batches, [`totals`] counts, sums and digests what was read, [`diff`] compares two versions of a day, [`ddl`] says the schema in each
//! engine's words.

pub mod batch;
pub mod cells;
pub mod columns;
pub mod ddl;
pub mod diff;
pub mod totals;
pub mod values;
