//! Layers of settings: flags and environment over the file. A setting is declared once, as a field of a group in `groups`: the
//! group is at the same time the flags that clap parses and the keys that the file may have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::error::SettingsError;

/// A group of settings, none of which need be set.
pub(super) trait Layer: Default + DeserializeOwned {
    /// The keys of the settings file.
    const KEYS: &'static [&'static str];

    /// These settings and, for those that are not set, the ones of a lower layer.
    fn over(self, lower: Self) -> Self;
}

/// Declares a group of settings.
macro_rules! layer {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Clone, Default, clap::Args, serde::Deserialize)]
        #[serde(default)]
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $vis $field: Option<$type>),* }

        impl $crate::settings::layer::Layer for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn over(self, lower: Self) -> Self {
                use $crate::settings::layer::Value as _;
                Self { $($field: self.$field.filter(|value| !value.is_blank()).or(lower.$field)),* }
            }
        }
    };
}
pub(super) use layer;

/// A value of a setting. One that is set but blank counts as unset.
pub(super) trait Value {
    /// Whether it is blank.
    fn is_blank(&self) -> bool {
        false
    }
}

impl Value for String {
    fn is_blank(&self) -> bool {
        self.trim().is_empty()
    }
}

impl Value for bool {}
impl Value for u16 {}
impl Value for u32 {}
impl Value for u64 {}
impl Value for PathBuf {}
impl Value for Vec<String> {}

/// A duration as people write it: 2s, 500ms, 1m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HumanDuration(pub(super) Duration);

impl Value for HumanDuration {}

impl std::str::FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|error| format!("{error}: write it as 2s, 500ms or 1m"))
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text of a settings file.
pub(super) struct SettingsFile<'a> {
    pub(super) text: &'a str,
    /// For errors.
    pub(super) path: &'a str,
}

impl SettingsFile<'_> {
    /// Refuses keys that no group has.
    pub(super) fn check_keys(&self, known: &[&[&str]]) -> Result<(), SettingsError> {
        #[expect(clippy::zero_sized_map_values, reason = "TOML is a map; only its keys matter here")]
        let keys: BTreeMap<Spanned<String>, IgnoredAny> = self.parse()?;
        let unknown = keys.keys().find(|key| !known.iter().any(|group| group.contains(&key.get_ref().as_str())));
        let Some(unknown) = unknown else { return Ok(()) };
        let mut expected = known.concat();
        expected.sort_unstable();
        let reason = format!("unknown key `{}`, expected one of `{}`", unknown.get_ref(), expected.join("`, `"));
        Err(self.error(unknown.span().start, reason))
    }

    /// The settings of one group; keys of others are passed over.
    pub(super) fn group<G: DeserializeOwned>(&self) -> Result<G, SettingsError> {
        self.parse()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        toml::from_str(self.text).map_err(|error| self.error(error.span().map_or(0, |span| span.start), error.message().to_owned()))
    }

    fn error(&self, at: usize, reason: String) -> SettingsError {
        let before = self.text.get(..at).unwrap_or(self.text);
        SettingsError::Toml { path: self.path.to_owned(), line: 1 + before.matches('\n').count(), reason }
    }
}
