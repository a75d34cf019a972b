//! A merchant's id in the names of objects.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest id in names, in bytes.
const MAX_NAME: usize = 120;

/// What is escaped behind the first character.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
/// Engines skip files whose names begin with `.` or `_`.
const ESCAPED_FIRST: &AsciiSet = &ESCAPED.add(b'.').add(b'_');

/// An API id in the form that object names have: reversible, and safe in every store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerchantName(String);

/// An id after which no object can be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The id is empty.
    #[error("the API id is empty: set --api-id or COOKIEPAY_API_ID")]
    Empty,
    /// The id is too long.
    #[error("the API id takes {0} bytes in file names, more than {MAX_NAME}: check --api-id or COOKIEPAY_API_ID")]
    TooLong(usize),
}

impl MerchantName {
    /// Keeps `A-Z a-z 0-9 -` and non-leading `. _`; every other byte of the id becomes `%XX`.
    ///
    /// # Errors
    /// An empty id, or one of more than 120 bytes in this form.
    pub fn new(api_id: &str) -> Result<Self, NameError> {
        let mut characters = api_id.chars();
        let rest = characters.next().map_or("", |_| characters.as_str());
        let first = &api_id[..api_id.len() - rest.len()];
        let name = format!("{}{}", utf8_percent_encode(first, ESCAPED_FIRST), utf8_percent_encode(rest, ESCAPED));
        match name.len() {
            0 => Err(NameError::Empty),
            length if length > MAX_NAME => Err(NameError::TooLong(length)),
            _ => Ok(Self(name)),
        }
    }

    /// The merchant of a name that was read from a path; `None` if no merchant has that name.
    pub(crate) fn of_path(name: &str) -> Option<Self> {
        let id = percent_decode_str(name).decode_utf8().ok()?;
        Self::new(&id).ok().filter(|merchant| merchant.0 == name)
    }

    /// The API id.
    #[must_use]
    pub fn api_id(&self) -> String {
        percent_decode_str(&self.0).decode_utf8_lossy().into_owned()
    }
}

impl std::fmt::Display for MerchantName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Two merchants that are probably one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API ids {0:?} and {1:?} differ only in letter case or surrounding white space: one of them is a mistake; correct it in the settings, or remove its objects from the lake"
)]
pub struct AlikeIds(String, String);

impl AlikeIds {
    /// Refuses merchants two of which differ only in letter case or surrounding white space: on some disks they share a file,
    /// and in most lakes one of them is a slip that pays everything twice.
    ///
    /// # Errors
    /// The first two.
    pub fn check<'m>(merchants: impl IntoIterator<Item = &'m MerchantName>) -> Result<(), Self> {
        let mut seen: BTreeMap<String, &MerchantName> = BTreeMap::new();
        for merchant in merchants {
            // by way of capitals, because two small letters may share one: ß and ss, ſ and s
            let folded = merchant.api_id().trim().to_uppercase().to_lowercase();
            let first = *seen.entry(folded).or_insert(merchant);
            if first != merchant {
                return Err(Self(first.api_id(), merchant.api_id()));
            }
        }
        Ok(())
    }
}

/// The merchants that a command is about.
#[derive(Debug, Clone, Default)]
pub struct Merchants(Vec<MerchantName>);

impl Merchants {
    /// These; every merchant of the lake if there are none.
    #[must_use]
    pub fn only(merchants: Vec<MerchantName>) -> Self {
        Self(merchants)
    }

    /// Those that were named.
    #[must_use]
    pub fn named(&self) -> &[MerchantName] {
        &self.0
    }

    /// Whether a merchant is one of them.
    #[must_use]
    pub fn include(&self, merchant: &MerchantName) -> bool {
        self.0.is_empty() || self.0.contains(merchant)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_after_which_no_file_can_be_named() {
        assert_eq!(MerchantName::new(""), Err(NameError::Empty));
        assert_eq!(MerchantName::new(&"가".repeat(14)), Err(NameError::TooLong(126)));
        assert!(MerchantName::new(&"a".repeat(120)).is_ok());
    }

    #[test]
    fn ids_that_look_alike_are_refused() {
        let names = |ids: &[&str]| ids.iter().map(|id| MerchantName::new(id).unwrap()).collect::<Vec<_>>();
        for alike in [["shop1", "SHOP1"], ["shop1", "shop1 "], ["shop1\r", "shop1"], ["가맹점 ", "가맹점"], ["straße", "STRASSE"]] {
            assert!(AlikeIds::check(&names(&alike)).is_err(), "{alike:?}");
        }
        assert_eq!(AlikeIds::check(&names(&["shop1", "shop2", "shop1"])), Ok(()));
    }

    proptest! {
        #[test]
        fn every_id_reads_back_from_its_name(id in "\\PC{1,12}") {
            if let Ok(name) = MerchantName::new(&id) {
                prop_assert_eq!(name.api_id(), id);
                let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'%');
                prop_assert!(name.0.bytes().all(safe) && !name.0.starts_with(['.', '_']));
            }
        }
    }
}
