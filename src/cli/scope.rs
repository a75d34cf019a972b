//! What the commands share that read a lake and ask the API nothing.

use clap::Args;

use crate::errors::chain;
use crate::exit::ExitCode;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::scope::Scope;
use crate::settings::{self, RawSettings, SettingsError};

use super::options::{GlobalArgs, LakeArgs};

/// Which days of a lake a command looks at.
#[derive(Debug, Clone, Args)]
pub(super) struct ScopeArgs {
    /// First pay date [default: each merchant's first in the lake]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last pay date, inclusive [default: each merchant's last in the lake]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Only the merchant with this API id [default: every merchant in the lake]
    #[arg(long, env = settings::names::API_ID, value_name = "ID", hide_env_values = true)]
    api_id: Option<String>,
}

impl ScopeArgs {
    fn scope(&self, raw: &RawSettings) -> Result<Scope, SettingsError> {
        let day = |flag, text: &Option<String>| text.as_deref().map(|text| settings::pay_date(flag, text)).transpose();
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            settings::range(from, to)?;
        }
        Ok(Scope { merchants: settings::merchants_of(raw)?, from: day("--from", &self.from)?, to: day("--to", &self.to)? })
    }
}

/// Opens the lake and lets `read` read of it; where that cannot be, says why and gives the exit code.
pub(super) async fn read_lake<T>(
    lake: &LakeArgs,
    scope: &ScopeArgs,
    global: &GlobalArgs,
    read: impl AsyncFnOnce(&Lake, &Scope) -> Result<T, LakeError>,
) -> Result<T, ExitCode> {
    let (dest, scope) = settings(lake, scope, global).map_err(|error| {
        tracing::error!("{}", chain(&error));
        ExitCode::Usage
    })?;
    let unusable = |error: LakeError| {
        tracing::error!("{}", error.at(&dest.to_string()));
        ExitCode::Lake
    };
    let lake = Lake::open_existing(&dest).await.map_err(unusable)?;
    read(&lake, &scope).await.map_err(unusable)
}

fn settings(lake: &LakeArgs, scope: &ScopeArgs, global: &GlobalArgs) -> Result<(Destination, Scope), SettingsError> {
    let flags = RawSettings { dest: lake.dest.clone(), api_id: scope.api_id.clone(), ..RawSettings::default() };
    let raw = global.settings(flags)?;
    Ok((settings::destination(&raw)?, scope.scope(&raw)?))
}
