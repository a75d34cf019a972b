//! The two jobs: fetching days from the API, and rebuilding them from what the lake kept. Each has a plan and a way to
//! read one day; `encode` turns a response into a day's file for both.
//!
//! This is where the gateway, the table and the lake meet, and nowhere else.

mod encode;
mod evidence;
pub mod fetch;
pub mod lookup;
pub mod rebuild;
mod rejects;

use crate::cookiepay::error::{ApiError, FailureFamily, ReadError};
use crate::engine::failure::{Failure, FailureKind};
use crate::lake::error::LakeError;
use crate::lake::publish::BadRows;

/// How responses are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Result codes that mean "no rows".
    pub empty_codes: Vec<String>,
    /// What to do with bad rows.
    pub bad_rows: BadRows,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let kind = match error.family() {
            FailureFamily::Upstream => FailureKind::Upstream,
            FailureFamily::RateLimit => FailureKind::RateLimit,
            FailureFamily::Auth => FailureKind::Auth,
            FailureFamily::Contract => FailureKind::Contract,
        };
        Self::new(kind, error)
    }
}

impl From<ReadError<Failure>> for Failure {
    fn from(error: ReadError<Failure>) -> Self {
        match error {
            ReadError::Api(error) => error.into(),
            ReadError::Receiver(failure) => failure,
        }
    }
}

impl From<Failure> for ReadError<Failure> {
    fn from(failure: Failure) -> Self {
        Self::Receiver(failure)
    }
}

impl From<LakeError> for ReadError<Failure> {
    fn from(error: LakeError) -> Self {
        Self::Receiver(error.into())
    }
}
