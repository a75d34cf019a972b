//! Extracts CookiePay settlements, one pay date at a time, to a partitioned Parquet lake.
//!
//! ```text
//! main → cli → (plan ← lake records) → run: for each pay date   api → settlement → lake   ⟶ result
//!                                                             fetch  normalize  publish
//! ```
//!
//! Start reading at [`extract`]: one day from its request to its published object. [`run`] does that
//! for a range, [`plan`] says for which days, [`rebuild`] makes days again from what was kept, [`result`] says what came of it. The [`simulator`]
//! stands in for the API.

pub mod api;
pub mod cli;
pub mod config;
pub(crate) mod errors;
pub mod extract;
pub mod lake;
pub mod plan;
pub mod rebuild;
pub mod result;
pub mod run;
pub mod settlement;
pub mod simulator;
pub mod status;
pub mod verify;
