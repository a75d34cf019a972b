//! The commands, by name: in results, metrics, lineage events and messages.

use serde::Serialize;

/// A command of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Fetches a range of pay dates.
    Backfill,
    /// Brings the lake up to today.
    Sync,
    /// Checks settings, credentials and the lake.
    Check,
    /// Prints one pay date's rows.
    Lookup,
    /// Shows what the lake holds.
    Status,
    /// Checks each file against its day record.
    Verify,
    /// Writes a page or a workbook for people.
    Report,
    /// Rebuilds days from saved responses.
    Rebuild,
    /// Brings the Delta table up to date.
    Delta,
    /// Compares the merchant's books and the bank's statement with the lake.
    Reconcile,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 10] = [
        Self::Backfill,
        Self::Sync,
        Self::Check,
        Self::Lookup,
        Self::Status,
        Self::Verify,
        Self::Report,
        Self::Reconcile,
        Self::Rebuild,
        Self::Delta,
    ];

    /// Whether the command runs a job and has a run's result.
    #[must_use]
    pub const fn is_run(self) -> bool {
        match self {
            Self::Backfill | Self::Sync | Self::Rebuild | Self::Delta => true,
            Self::Check | Self::Lookup | Self::Status | Self::Verify | Self::Report | Self::Reconcile => false,
        }
    }

    /// The name, as typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Sync => "sync",
            Self::Check => "check",
            Self::Lookup => "lookup",
            Self::Status => "status",
            Self::Verify => "verify",
            Self::Report => "report",
            Self::Rebuild => "rebuild",
            Self::Delta => "delta",
            Self::Reconcile => "reconcile",
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
