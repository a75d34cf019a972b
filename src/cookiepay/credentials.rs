//! Who calls the API.

use secrecy::SecretString;

/// A merchant's id at the API, and its key.
pub struct Credentials {
    /// Sent as `pay2_id` and `API_ID`.
    pub api_id: String,
    /// Sent as `pay2_key`, to the token endpoint only.
    pub key: SecretString,
    /// Where the key comes from, for errors: a variable, or a file.
    pub key_source: String,
}
