//! Makes the API's own text fit to be shown: without the secrets that it may repeat, and short.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settlement::source::UNDECODABLE;

use super::error::ApiError;

/// Characters of the API's own text that an error shows.
const SHOWN: usize = 160;

/// What a secret is replaced with.
const REPLACEMENT: &str = "[secret]";

/// What URLs leave as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Removes secrets. Knows each as it is and as JSON (with `/` escaped, as PHP does, or not), HTML and URLs write it.
#[derive(Clone)]
pub(crate) struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Removes these secrets.
    pub(crate) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            let quoted = serde_json::to_string(plain).unwrap_or_default();
            let json = quoted.trim_matches('"');
            // a page may repeat it as HTML or as a URL writes it
            let html = plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;");
            let url = utf8_percent_encode(plain, UNRESERVED).to_string();
            forms.extend([json.replace('/', "\\/"), json.to_owned(), html, url, plain.to_owned()].map(SecretString::from));
        }
        forms.retain(|form| !form.expose_secret().is_empty());
        Self(forms)
    }

    /// Whether `text` contains a secret.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|secret| memchr::memmem::find(text.as_bytes(), secret.expose_secret().as_bytes()).is_some())
    }

    /// Whether `text` ends inside a secret, as the beginning of a longer text may. A few letters give nothing away.
    pub(crate) fn begins_at_the_end_of(&self, text: &str) -> bool {
        const TELLING: usize = 4;
        self.0.iter().any(|secret| {
            let secret = secret.expose_secret().as_bytes();
            (TELLING..secret.len()).any(|length| text.as_bytes().ends_with(&secret[..length]))
        })
    }

    /// The length of the longest secret, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(|secret| secret.expose_secret().len()).max().unwrap_or_default()
    }

    /// `text` without the secrets. What replaces one secret is not searched for another.
    pub(crate) fn whole(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, length)) = self.first(rest) {
            out.push_str(&rest[..at]);
            out.push_str(REPLACEMENT);
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        out
    }

    /// Where the first secret begins, and its length; the longest, if several begin there.
    fn first(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.0.iter().filter_map(|secret| {
            let secret = secret.expose_secret();
            text.find(secret).map(|at| (at, secret.len()))
        });
        found.min_by_key(|(at, length)| (*at, usize::MAX - length))
    }

    /// `text` without the secrets, cut to a readable length.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = self.whole(text).replace(UNDECODABLE, "\u{FFFD}");
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// The error with the API's own text in it cleaned.
    pub(crate) fn error(&self, mut error: ApiError) -> ApiError {
        let clean = |text: &mut String| *text = self.text(text);
        match &mut error {
            ApiError::NotJson { excerpt, .. }
            | ApiError::Status { excerpt: Some(excerpt), .. }
            | ApiError::TokenRefused { excerpt: Some(excerpt), .. } => clean(excerpt),
            ApiError::ResultCode { code, message } | ApiError::KeyRefused { code, message, .. } => {
                clean(code);
                clean(message);
            }
            ApiError::Shape(text) | ApiError::Gzip(text) | ApiError::Encoding { name: text, .. } => clean(text),
            _ => {}
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|secret| SecretString::from(*secret)))
    }

    #[test]
    fn a_secret_is_found_as_it_is_and_as_json_writes_it() {
        let redactor = redactor(&["k/e\"y"]);
        for text in [r#"k/e"y"#, r#"k/e\"y"#, r#"k\/e\"y"#] {
            assert!(redactor.finds(text), "{text}");
            assert_eq!(redactor.whole(&format!("<{text}>")), "<[secret]>");
        }
        assert_eq!(redactor.whole("k/e"), "k/e");
    }

    #[test]
    fn secrets_are_removed_before_the_text_is_cut() {
        let text = format!("{}secret-key", "x".repeat(SHOWN - 4));
        assert_eq!(redactor(&["secret-key"]).text(&text), format!("{}[sec…", "x".repeat(SHOWN - 4)));
    }

    #[test]
    fn a_secret_of_one_letter_does_not_damage_what_replaces_another() {
        assert_eq!(redactor(&["key", "s", "e"]).whole("a key, else"), "a [secret], [secret]l[secret][secret]");
    }

    #[test]
    fn the_longer_of_two_secrets_that_begin_together_is_removed_whole() {
        assert_eq!(redactor(&["ab", "abc"]).whole("abcd"), "[secret]d");
    }
}
