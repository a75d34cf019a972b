//! What the commands share that read a lake and do not call the API.

use clap::Args;

use crate::errors::chain;
use crate::exit::ExitCode;
use crate::lake::error::LakeError;
use crate::lake::holdings::{Holdings, NotHeld};
use crate::lake::store::Lake;
use crate::scope::Scope;
use crate::settings::groups::LakeLayer;
use crate::settings::{RawSettings, ReadSettings, SettingsError, check};

use super::options::GlobalArgs;

/// The lake, and which of its days a command reads.
#[derive(Debug, Clone, Args)]
pub(super) struct ScopeArgs {
    /// First pay date [default: each merchant's first in the lake]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last pay date, inclusive [default: each merchant's last in the lake]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    #[command(flatten)]
    held: HeldLake,
}

/// The lake, and which of its merchants a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct HeldLake {
    #[command(flatten)]
    merchants: HeldMerchants,
    #[command(flatten)]
    lake: LakeLayer,
}

/// Which of a lake's merchants a command is about. The variable that names the merchant to fetch does not count: exported
/// once, it would hide the others.
#[derive(Debug, Clone, Args)]
pub(super) struct HeldMerchants {
    /// Only the merchant with this API id; repeat for several [default: every merchant in the lake]
    #[arg(long, value_name = "ID")]
    pub(super) api_id: Vec<String>,
}

impl ScopeArgs {
    /// These flags over `flags` and the settings file.
    pub(super) fn settings(&self, flags: RawSettings, global: &GlobalArgs) -> Result<RawSettings, ExitCode> {
        self.held.settings(flags, global)
    }

    /// As [`HeldLake::read`], for the days from `--from` to `--to`.
    pub(super) async fn read<T>(
        &self,
        raw: &RawSettings,
        absence: Absence,
        by: By,
        read: impl AsyncFnOnce(&Lake, &Scope, Holdings) -> Result<T, LakeError>,
    ) -> Result<T, ExitCode> {
        self.held.read(raw, Days { from: self.from.as_deref(), to: self.to.as_deref() }, absence, by, read).await
    }
}

/// `--from` and `--to`, as typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days<'a> {
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
}

impl HeldLake {
    /// These flags over `flags` and the settings file.
    pub(super) fn settings(&self, flags: RawSettings, global: &GlobalArgs) -> Result<RawSettings, ExitCode> {
        let flags = RawSettings { lake: self.lake.clone(), held: self.merchants.api_id.clone(), ..flags };
        global.settings(flags).map_err(|error| usage(&error))
    }

    /// Opens the lake and lets `read` read it; if that fails, logs why and returns the exit code. `absence` decides
    /// what a lake means that does not hold what the command is about.
    pub(super) async fn read<T>(
        &self,
        raw: &RawSettings,
        days: Days<'_>,
        absence: Absence,
        by: By,
        read: impl AsyncFnOnce(&Lake, &Scope, Holdings) -> Result<T, LakeError>,
    ) -> Result<T, ExitCode> {
        let ReadSettings { dest, merchants } = ReadSettings::new(raw).map_err(|error| usage(&error))?;
        let day = |flag, text: Option<&str>| text.map(|text| check::pay_date(flag, text)).transpose();
        let dates = || {
            if let Days { from: Some(from), to: Some(to) } = days {
                check::range(from, to)?;
            }
            Ok((day("--from", days.from)?, day("--to", days.to)?))
        };
        let (from, to) = dates().map_err(|error| usage(&error))?;
        let unusable = |error: LakeError| {
            tracing::error!("{}", error.at(&dest.to_string()));
            if error.is_a_setting() || error.is_no_folder() { ExitCode::Usage } else { ExitCode::Lake }
        };
        let not_held = |reason: NotHeld| {
            tracing::error!("{reason}");
            match absence {
                Absence::IsAnError => ExitCode::Usage,
                Absence::IsIncomplete => ExitCode::Partial,
            }
        };
        let lake = Lake::open(&dest, true).await.map_err(unusable)?.ok_or_else(|| not_held(NotHeld::Folder(dest.to_string())))?;
        let holdings = match by {
            By::Table => lake.table(&merchants).await,
            By::Index => lake.holdings_by_index(&merchants).await,
            By::Listings => lake.holdings().await,
        };
        let holdings = holdings.map_err(unusable)?;
        match (holdings.check(&dest, &merchants), absence) {
            (Ok(()), _) | (Err(NotHeld::Day { .. } | NotHeld::DayOf { .. }), Absence::IsIncomplete) => {}
            (Err(reason), _) => return Err(not_held(reason)),
        }
        read(&lake, &Scope { merchants, from, to }, holdings).await.map_err(unusable)
    }
}

/// How a command finds out what the lake holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By listing the table: the command itself reads one ledger index after another.
    Table,
    /// From the ledger indexes, if they are current.
    Index,
    /// By listing all of it.
    Listings,
}

/// What it means if the lake does not hold what a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// Something is mistyped.
    IsAnError,
    /// It may come: a sensor waits for it.
    IsIncomplete,
}

fn usage(error: &SettingsError) -> ExitCode {
    tracing::error!("{}", chain(error));
    ExitCode::Usage
}
