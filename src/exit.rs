//! The exit codes that schedulers rely on. Nothing else in the tool names their numbers.

use serde::{Serialize, Serializer};

/// How the process ends, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: success.
    Success,
    /// 1: a defect of this tool.
    Internal,
    /// 2: usage or settings; the API was not called.
    Usage,
    /// 3: some of what was requested is done.
    Partial,
    /// 4: the API refused the credentials.
    Auth,
    /// 5: responses were refused, stored days were protected, or what the lake holds differs from what it should.
    Refused,
    /// 6: the API failed.
    Upstream,
    /// 7: the lake failed.
    Lake,
    /// 129: ended by SIGHUP.
    HungUp,
    /// 130: ended by SIGINT.
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Auth => 4,
            Self::Refused => 5,
            Self::Upstream => 6,
            Self::Lake => 7,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl std::fmt::Display for ExitCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number().fmt(f)
    }
}

impl Serialize for ExitCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}
