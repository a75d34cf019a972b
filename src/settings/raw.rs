//! All settings before any is checked.

use std::fs;
use std::path::Path;

use super::error::SettingsError;
use super::groups::{
    ApiLayer, BackfillLayer, FetchLayer, FileLayer, LakeLayer, LangLayer, LogLayer, OutputLayer, ResponseLayer, RunLayer, SettleLayer,
    ShardLayer, SyncLayer, TelemetryLayer,
};
use super::layer::{Layer, SettingsFile};

/// Declares the groups of which the settings consist.
macro_rules! raw_settings {
    ($($group:ident: $layer:ident),* $(,)?) => {
        /// All settings before any is checked; a command fills in the groups whose flags it has.
        #[derive(Debug, Clone, Default)]
        pub struct RawSettings {
            $(pub(crate) $group: $layer,)*
            /// Keys that only the file has.
            pub(crate) file: FileLayer,
            /// The names of the merchants that the command is about; empty for all.
            pub(crate) only: Vec<String>,
            /// The API ids that a command which reads the lake is about.
            pub(crate) held: Vec<String>,
        }

        /// A command with every setting that is a flag, for the documentation.
        #[cfg(test)]
        pub(crate) fn augment(mut command: clap::Command) -> clap::Command {
            use clap::Args as _;
            $(command = $layer::augment_args(command);)*
            command
        }

        impl RawSettings {
            fn over(self, lower: Self) -> Self {
                Self { $($group: self.$group.over(lower.$group),)* file: lower.file, only: self.only, held: self.held }
            }

            /// The settings in the text of a file; `path` is for errors.
            ///
            /// # Errors
            /// The text is not TOML, or has an unknown key or a value of another type.
            pub fn from_toml(text: &str, path: &str) -> Result<Self, SettingsError> {
                let file = SettingsFile { text, path };
                file.check_keys(&[$($layer::KEYS,)* FileLayer::KEYS])?;
                Ok(Self { $($group: file.group()?,)* file: file.group()?, only: Vec::new(), held: Vec::new() })
            }
        }
    };
}

raw_settings! {
    api: ApiLayer,
    responses: ResponseLayer,
    lake: LakeLayer,
    run: RunLayer,
    fetch: FetchLayer,
    shard: ShardLayer,
    backfill: BackfillLayer,
    sync: SyncLayer,
    settle: SettleLayer,
    output: OutputLayer,
    lang: LangLayer,
    log: LogLayer,
    telemetry: TelemetryLayer,
}

impl RawSettings {
    /// These settings and, for those that are not set, the ones of the file.
    ///
    /// # Errors
    /// The file cannot be read, or as for [`RawSettings::from_toml`].
    pub fn over_file(self, path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Ok(self.over(Self::default())) };
        let shown = path.display().to_string();
        let unreadable = |source| SettingsError::File { what: "the settings file", path: shown.clone(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Ok(self.over(Self::from_toml(&text, &shown)?))
    }
}
