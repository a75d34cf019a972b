//! The Delta table: all days of the lake in one snapshot, packed by merchant and month, for engines that read a lake often.
//!
//! It is a copy, like the ledger index: `settlements/` decides, and `delta/` may be deleted at any time. [`mod@update`] brings it up
//! to date: `plan` compares what the lake holds with a [`snapshot`], `pack` writes the files that are missing, and a commit of the
//! `log` makes them visible. `checkpoint` and `clean` keep the log and the files few. Readers take a [`snapshot`], and read its
//! files' rows with [`read`].

mod action;
pub(crate) mod audit;
mod checkpoint;
mod clean;
pub mod error;
pub mod file;
pub mod held;
mod log;
mod objects;
mod pack;
mod plan;
pub(crate) mod probe;
pub mod read;
pub mod schema;
pub mod snapshot;
mod stats;
pub mod update;
mod writer;
