//! What the commands share that read a lake and do not call the API.

use clap::Args;

use crate::errors::chain;
use crate::exit::ExitCode;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::scope::Scope;
use crate::settings::groups::{ApiLayer, LakeLayer};
use crate::settings::{RawSettings, ReadSettings, SettingsError, check, env};

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
    /// Only the merchant with this API id [default: every merchant in the lake]
    #[arg(long, env = env::API_ID, value_name = "ID", hide_env_values = true)]
    api_id: Option<String>,
    #[command(flatten)]
    lake: LakeLayer,
}

impl ScopeArgs {
    /// These flags over `flags` and the settings file.
    pub(super) fn settings(&self, flags: RawSettings, global: &GlobalArgs) -> Result<RawSettings, ExitCode> {
        let api = ApiLayer { api_id: self.api_id.clone(), ..ApiLayer::default() };
        global.settings(RawSettings { api, lake: self.lake.clone(), ..flags }).map_err(|error| usage(&error))
    }

    /// Opens the lake and lets `read` read it; if that fails, logs why and returns the exit code.
    pub(super) async fn read<T>(
        &self,
        raw: &RawSettings,
        read: impl AsyncFnOnce(&Lake, &Scope) -> Result<T, LakeError>,
    ) -> Result<T, ExitCode> {
        let ReadSettings { dest, merchants } = ReadSettings::new(raw).map_err(|error| usage(&error))?;
        let day = |flag, text: &Option<String>| text.as_deref().map(|text| check::pay_date(flag, text)).transpose();
        let dates = || {
            if let (Some(from), Some(to)) = (&self.from, &self.to) {
                check::range(from, to)?;
            }
            Ok((day("--from", &self.from)?, day("--to", &self.to)?))
        };
        let (from, to) = dates().map_err(|error| usage(&error))?;
        let unusable = |error: LakeError| {
            tracing::error!("{}", error.at(&dest.to_string()));
            ExitCode::Lake
        };
        let lake = Lake::open_existing(&dest).await.map_err(unusable)?;
        read(&lake, &Scope { merchants, from, to }).await.map_err(unusable)
    }
}

fn usage(error: &SettingsError) -> ExitCode {
    tracing::error!("{}", chain(error));
    ExitCode::Usage
}
