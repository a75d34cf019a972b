//! The integration tests, one module per theme. They run the binary as a user does, and read back what it wrote.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "a test that cannot go on should panic; nothing is exported")]

mod cli;
mod client;
mod conformance;
mod daily;
mod hostile;
mod long_runs;
mod merchants;
mod publishing;
mod readers;
mod rebuild;
mod responses;
mod restatements;
mod seeds;
mod simulator;
mod support;
mod telemetry;
