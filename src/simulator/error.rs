//! Flags of the simulator that cannot be used, and the limits of their values.

/// The largest number of rows per day.
pub(super) const MAX_ROWS: u64 = 100_000_000;
/// The manual's lengths of `pay2_id` and `pay2_key`, in characters.
pub(super) const MAX_ID_CHARS: usize = 30;
pub(super) const MAX_KEY_CHARS: usize = 50;

/// A flag of the simulator whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// `--sim-rows` is not a number, or too large.
    #[error("--sim-rows {0:?}: expected N (rows on an average working day) and =N (exactly N rows every day), N up to {MAX_ROWS}")]
    Rows(String),
    /// `--sim-merchant` is not an id and a key; only the id is shown.
    #[error("--sim-merchant {0:?}: expected ID=KEY, with an id of 1 to {MAX_ID_CHARS} and a key of 1 to {MAX_KEY_CHARS} characters")]
    Merchant(String),
    /// `--sim-merchant` names one id with two keys.
    #[error("--sim-merchant {0:?}: duplicate: give each id once")]
    MerchantTwice(String),
    /// `--sim-today` is not a date.
    #[error("--sim-today {0:?}: expected a date as YYYY-MM-DD")]
    Today(String),
    /// `--sim-token-ttl` is not a duration, or zero.
    #[error("--sim-token-ttl {0:?}: expected a duration above zero, such as 90s or 10m")]
    TokenTtl(String),
    /// `--sim-fault` does not follow the grammar.
    #[error("--sim-fault {spec:?}: {reason}")]
    Fault {
        /// The value.
        spec: String,
        /// What is wrong with it, and what is accepted.
        reason: String,
    },
}
