//! The integration tests, one module per theme. They run the binary as a user does, and read back what it wrote.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "a test that cannot go on should panic; nothing is exported")]

mod books;
mod cli;
mod client;
mod conformance;
mod daily;
mod delta;
mod hostile;
mod ledger;
mod long_runs;
mod merchants;
mod publishing;
mod readers;
mod rebuild;
mod reconcile;
mod report;
mod responses;
mod restatements;
mod schema;
mod seeds;
mod settings;
mod shards;
mod simulator;
mod stores;
mod support;
mod telemetry;
