//! Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
//!
//! ```text
//! main → cli → (plan ← lake records) → run: for each pay date   api → settlement → lake   ⟶ result
//!                                                             fetch  normalize  publish
//! ```
//!
//! Start reading at [`extract`]: one day from its request to its published object. [`run`] does that
//! for a range, for the days that [`plan`] names, and [`rebuild`] makes days again from what was kept;
//! [`walk`] has the days in flight, and [`result`] says what came of them. The [`simulator`] stands in
//! for the API.

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
