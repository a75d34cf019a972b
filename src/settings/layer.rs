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

/// A pay date as it was written; in TOML, with or without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateText(String);

impl std::ops::Deref for DateText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Value for DateText {
    fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl From<&str> for DateText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for DateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Datetime(date) => Ok(Self(date.to_string())),
            other => {
                Err(serde::de::Error::custom(format_args!("must be a date such as \"2024-01-31\", and is of type {}", other.type_str())))
            }
        }
    }
}

/// What to do about a key that no setting has.
fn unknown_key<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> String {
    const LIKE: f64 = 0.8;
    let likeness = |known: &&str| strsim::jaro_winkler(known, key);
    let nearest = known.filter(|known| likeness(known) > LIKE).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) => format!("unknown key `{key}`: did you mean `{nearest}`?"),
        None => format!(
            "unknown key `{key}`: keys are the flags' names with _ for -; flags that name one run's range, input or output have none"
        ),
    }
}

/// The parser's message for people who know the file and not the parser.
fn in_plain_words(message: &str, key: &str) -> String {
    let between = |from: &str, to: &str| Some(message.split_once(from)?.1.split_once(to)?.0);
    if let Some(unknown) = between("unknown field `", "`") {
        let known = message.split_once("expected").map_or("", |(_, known)| known);
        return unknown_key(unknown, known.split('`').skip(1).step_by(2));
    }
    if let (Some(found), Some((_, known))) = (between("unknown variant `", "`"), message.split_once("expected ")) {
        let known = known.trim_start_matches("one of ").replace('`', "");
        return format!("{key} must be one of {known}, and is {found:?}");
    }
    if message.starts_with("must be") {
        return format!("{key} {message}");
    }
    let Some((_, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let wanted = match expected {
        "u16" | "u32" | "u64" => "a whole number, without quotes",
        "a boolean" => "true or false, without quotes",
        "a string" => "text in quotes",
        "a sequence" => "a list, such as [\"E008\"]",
        other => other,
    };
    format!("{key} must be {wanted}")
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
        let reason = unknown_key(unknown.get_ref(), known.iter().flat_map(|group| group.iter().copied()));
        Err(self.error(unknown.span().start, reason))
    }

    /// The settings of one group; keys of others are passed over.
    pub(super) fn group<G: DeserializeOwned>(&self) -> Result<G, SettingsError> {
        self.parse()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        toml::from_str(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, in_plain_words(error.message(), self.key_at(at)))
        })
    }

    /// The key on the line of an offset.
    fn key_at(&self, at: usize) -> &str {
        let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        line.split_once('=').map(|(key, _)| key.trim()).unwrap_or_default()
    }

    fn error(&self, at: usize, reason: String) -> SettingsError {
        let before = self.text.get(..at).unwrap_or(self.text);
        SettingsError::Toml { path: self.path.to_owned(), line: 1 + before.matches('\n').count(), reason }
    }
}
