//! The one form of failure: folders have errors of their own, and the engine reports them all as this.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;

use crate::delta::error::DeltaError;
use crate::errors::chain;
use crate::exit::ExitCode;
use crate::lake::error::LakeError;
use crate::lake::publish::PublishError;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The API, or the connection to it.
    Upstream,
    /// The response is not what the manual and the notes on it allow.
    Contract,
    /// The credentials.
    Auth,
    /// The API demands fewer requests.
    RateLimit,
    /// The lake.
    Storage,
    /// A stored day was protected.
    Guard,
    /// A defect of this tool.
    Internal,
}

impl FailureKind {
    /// The exit code of a command that failed only in this way.
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Auth => ExitCode::Auth,
            Self::Contract | Self::Guard => ExitCode::Refused,
            Self::Upstream | Self::RateLimit => ExitCode::Upstream,
            Self::Storage => ExitCode::Lake,
            Self::Internal => ExitCode::Internal,
        }
    }
}

/// Why a day failed: its kind, and the error with its causes.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    error: Arc<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failure of this kind, caused by `error`.
    pub fn new(kind: FailureKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: error.into().into() }
    }

    /// A defect of this tool.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FailureKind::Internal, error)
    }

    /// The same failure as one of another kind.
    #[must_use]
    pub fn with_kind(self, kind: FailureKind) -> Self {
        Self { kind, ..self }
    }

    /// What happened, the datum, and what to do: the error and its causes in one line.
    #[must_use]
    pub fn message(&self) -> String {
        chain(&*self.error)
    }

    /// The same failure, with a note behind its causes.
    #[must_use]
    pub fn noting(self, note: &str) -> Self {
        let message = format!("{}; {note}", self.message());
        Self::new(self.kind, message)
    }

    /// The same failure, with what it means stated before its causes.
    #[must_use]
    pub fn context(self, context: impl Into<String>) -> Self {
        let Self { kind, error } = self;
        Self::new(kind, Context { context: context.into(), source: error })
    }
}

/// An error and what it means for the user.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
struct Context {
    context: String,
    source: Arc<dyn Error + Send + Sync>,
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        Self::new(kind_of(&error), error)
    }
}

fn kind_of(error: &LakeError) -> FailureKind {
    match error {
        LakeError::Panicked { .. } => FailureKind::Internal,
        LakeError::OtherMerchant { .. } => FailureKind::Guard,
        LakeError::Destination { .. }
        | LakeError::Open { .. }
        | LakeError::Object { .. }
        | LakeError::Lock { .. }
        | LakeError::Encode(_)
        | LakeError::Record { .. } => FailureKind::Storage,
    }
}

impl From<DeltaError> for Failure {
    fn from(error: DeltaError) -> Self {
        let kind = match &error {
            DeltaError::Lake(error) => kind_of(error),
            DeltaError::Foreign { .. } | DeltaError::Unconditional | DeltaError::Ignored | DeltaError::Day { is_guarded: true, .. } => {
                FailureKind::Guard
            }
            DeltaError::Day { is_guarded: false, .. } | DeltaError::Contended(_) | DeltaError::Encode(_) => FailureKind::Storage,
        };
        Self::new(kind, error)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let kind = match &error {
            PublishError::Lake(error) => kind_of(error),
            PublishError::Contended | PublishError::Uncompared { .. } => FailureKind::Storage,
            PublishError::BadRows { .. } => FailureKind::Contract,
            PublishError::EmptyReplacement { .. } | PublishError::OtherSchema(_) => FailureKind::Guard,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_states_each_layer_once() {
        let source = LakeError::Record { object: "settlements/x.parquet".into(), reason: "it is not a Parquet file".into() };
        let failure = Failure::from(source).context("the day could not be closed");
        assert_eq!(failure.kind, FailureKind::Storage);
        assert_eq!(
            failure.message(),
            "the day could not be closed: settlements/x.parquet has no readable day record: it is not a Parquet file"
        );
    }
}
