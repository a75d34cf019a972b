//! The languages of texts for people. JSON keys, statuses, logs and errors are English in every language.

use clap::ValueEnum;
use serde::Deserialize;

/// The language of texts for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Korean
    Ko,
    /// English
    #[default]
    En,
}

impl Lang {
    /// The language's tag, as HTML's `lang` has it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }

    /// The language of a locale such as `ko_KR.UTF-8`: Korean, or else English.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        if locale.starts_with("ko") { Self::Ko } else { Self::En }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

impl Words {
    /// The text in a language.
    #[must_use]
    pub const fn to(self, lang: Lang) -> &'static str {
        match lang {
            Lang::Ko => self.ko,
            Lang::En => self.en,
        }
    }
}

/// A text in both languages.
pub(crate) const fn words(en: &'static str, ko: &'static str) -> Words {
    Words { en, ko }
}
