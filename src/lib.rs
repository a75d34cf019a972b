//! Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
//!
//! ```text
//! main ─► cli ─► settings
//!          │
//!          ├──► jobs ──────────► engine ──────────► telemetry
//!          │    fetch, rebuild   plan, walk, result
//!          │      │      │         │    │
//!          │      ▼      └──────┐  │    ▼
//!          │    cookiepay       ▼  ▼    delta
//!          │    the gateway ─┐  lake ◄──┘  ▲
//!          │                 ▼    │ ▲      │
//!          │           settlement │ └──────┴── readers of the lake:
//!          │           the table ◄┘            status, verify, reconcile, report ─► document
//!          ├──► ddl
//!          └──► simulator
//! ```
//!
//! Start reading at [`engine::execute`], which runs any job. [`jobs::fetch`] plans a range and reads one day from the API;
//! [`jobs::rebuild`] does the same from saved responses. [`lake::publish`] decides whether a day may replace the stored
//! one, and publishes it in one step. [`delta`] packs what is published; [`reconcile`] and `report` read it. The [`simulator`] stands
//! in for the API, and [`ddl`] prints the lake's tables for engines.

pub mod calendar;
pub mod cli;
pub mod command;
pub mod cookiepay;
pub mod ddl;
pub mod delta;
pub(crate) mod document;
#[cfg(test)]
mod documentation;
pub mod engine;
pub(crate) mod errors;
pub mod exit;
pub(crate) mod figures;
pub(crate) mod files;
pub mod http;
pub mod jobs;
pub mod lake;
pub mod lang;
pub mod plan;
pub mod reconcile;
pub(crate) mod report;
pub(crate) mod revisions;
pub mod scope;
pub mod settings;
pub mod settlement;
pub mod simulator;
pub mod status;
pub mod telemetry;
pub(crate) mod texts;
pub mod verify;
