//! Which merchants a run processes if several runs share them.

use sha2::{Digest as _, Sha256};

use super::env;
use super::error::{SettingsError, setting};

/// One of so many parts of the merchants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1 to `of`.
    number: u64,
    of: u64,
}

impl Shard {
    /// All merchants.
    pub(crate) const WHOLE: Self = Self { number: 1, of: 1 };

    /// Reads `I/N`.
    ///
    /// # Errors
    /// Any other text, or an I that is not from 1 to N.
    pub(super) fn parse(text: &str) -> Result<Self, SettingsError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| plain).map(u64::from)
        };
        let parts = text.split_once('/').and_then(|(number_text, of_text)| Some((number(number_text)?, number(of_text)?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            Some((0, 1..)) => {
                setting(format!("--shard {text} ({}): the first shard is 1: add 1 to an index that begins with 0", env::SHARD))
            }
            _ => {
                setting(format!("--shard {text} ({}) must be I/N with I from 1 to N, such as 3/10 for the third of ten shards", env::SHARD))
            }
        }
    }

    /// Whether the merchant with this API id belongs to the shard: the first eight bytes of the id's SHA-256, as a big-endian
    /// number, modulo the number of shards. Runs of different versions may share a lake, so this never changes.
    pub(super) fn includes(self, api_id: &str) -> bool {
        let hash = Sha256::digest(api_id);
        let number = hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        number % self.of == self.number - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only shard of so many that includes the merchant.
    fn number(api_id: &str, of: u64) -> u64 {
        let numbers: Vec<u64> = (1..=of).filter(|number| Shard { number: *number, of }.includes(api_id)).collect();
        assert_eq!(numbers.len(), 1, "{api_id} of {of}: {numbers:?}");
        numbers[0]
    }

    /// API id, and its shard of 3, of 10 and of 1000.
    const VECTORS: [(&str, u64, u64, u64); 7] = [
        ("m1", 1, 6, 226),
        ("m2", 1, 10, 110),
        ("simulator", 1, 2, 372),
        ("SHOP-1", 1, 10, 120),
        ("shop-1", 1, 2, 962),
        ("가맹점", 1, 5, 135),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            1,
            7,
            817,
        ),
    ];

    #[test]
    fn the_assignment_never_changes() {
        // python3 -c 'import hashlib, sys; print(int.from_bytes(hashlib.sha256(sys.argv[1].encode()).digest()[:8], "big") % 10 + 1)' m1
        for (api_id, of_three, of_ten, of_thousand) in VECTORS {
            assert_eq!((number(api_id, 3), number(api_id, 10), number(api_id, 1000)), (of_three, of_ten, of_thousand), "{api_id}");
            assert_eq!(number(api_id, 1), 1, "{api_id}");
        }
    }

    #[test]
    fn reads_i_of_n() {
        let parsed = |text| Shard::parse(text).ok();
        assert_eq!(parsed("1/1"), Some(Shard::WHOLE));
        assert_eq!(parsed("03/10"), Some(Shard { number: 3, of: 10 }));
        assert_eq!(parsed("4294967295/4294967295"), Some(Shard { number: 4_294_967_295, of: 4_294_967_295 }));
        for refused in
            ["0/3", "4/3", "0/0", "1/0", "a/b", "1", "1/", "/3", "1/3/5", "-1/3", "+1/3", "1 / 3", "1/3.0", "1/4294967296", " 1/3", ""]
        {
            let error = Shard::parse(refused).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with("--shard "), "{refused}: {error}");
        }
        assert!(Shard::parse("0/3").is_err_and(|error| error.to_string().contains("add 1")));
    }
}
