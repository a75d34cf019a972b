//! Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
//!
//! ```text
//! main ─ cli ─ settings ─┐
//!                        ▼
//!   jobs ──────────── engine ──────────── telemetry
//!   fetch, rebuild    plan → walk → result
//!    │        │          │
//!    ▼        ▼          ▼
//! cookiepay ─► settlement ◄─ lake ◄─ readers of the lake: status, verify
//! gateway      the table     where it lands
//! ```
//!
//! Start reading at [`engine::execute`], which runs any job. [`jobs::fetch`] plans a range and reads one day from the API;
//! [`jobs::rebuild`] does the same from saved responses. [`lake::publish`] decides whether a day may replace the stored
//! one, and publishes it in one step. The [`simulator`] stands in for the API.

pub mod calendar;
pub mod cli;
pub mod command;
pub mod cookiepay;
pub mod engine;
pub(crate) mod errors;
pub mod exit;
pub(crate) mod files;
pub mod jobs;
pub mod lake;
pub mod plan;
pub mod scope;
pub mod settings;
pub mod settlement;
pub mod simulator;
pub mod status;
pub mod telemetry;
pub mod verify;
