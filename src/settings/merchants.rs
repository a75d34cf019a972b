//! The merchants that a command is about: the one that flags and variables name, or those of the settings file; and where their
//! keys come from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::cookiepay::client::Credentials;
use crate::lake::merchant::{MerchantName, Merchants};
use crate::simulator;

use super::env::{self, set};
use super::error::{SettingsError, setting};
use super::groups::MerchantTable;
use super::raw::RawSettings;

/// A merchant for which the API is called.
pub struct Merchant {
    /// Its id and key.
    pub credentials: Credentials,
    /// Its id in file names.
    pub name: MerchantName,
    /// Requests per second of its own; otherwise it shares the run's.
    pub rate_limit: Option<u32>,
}

/// The tables that a command is about, in the file's order: all of them, or those named by `--merchant`.
fn chosen(raw: &RawSettings) -> Result<Vec<&MerchantTable>, SettingsError> {
    let tables = &raw.file.merchant;
    let listed = || tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = raw.only.iter().find(|name| !tables.iter().any(|table| table.name == **name)) {
        return match tables.as_slice() {
            [] => setting(format!("--merchant {unknown} names a [[merchant]] table of the settings file, and there is none: see --config")),
            _ => setting(format!("--merchant {unknown}: the settings file has {}", listed())),
        };
    }
    if let (Some(api_id), false) = (&raw.api.api_id, tables.is_empty()) {
        return setting(format!(
            "the API id {api_id} is set ({} or --api-id), and the settings file has [[merchant]] tables: choose among them with --merchant",
            env::API_ID
        ));
    }
    if raw.file.api_key_file.is_some() && !tables.is_empty() {
        return setting("api_key_file is outside the [[merchant]] tables of the settings file: move it into the table it belongs to");
    }
    let (mut seen_names, mut seen_ids) = (BTreeSet::new(), BTreeSet::new());
    for MerchantTable { name, api_id, .. } in tables {
        if name.trim().is_empty() || !seen_names.insert(name) {
            return setting(format!("[[merchant]] name {name:?}: each merchant needs a unique name"));
        }
        if !seen_ids.insert(api_id) {
            return setting(format!("[[merchant]] {name}: another merchant has the same API id {api_id}"));
        }
    }
    Ok(tables.iter().filter(|table| raw.only.is_empty() || raw.only.contains(&table.name)).collect())
}

/// The merchants of a command that does not call the API; every merchant of the lake if none is named.
///
/// # Errors
/// Names that are not in the settings file, or ids that cannot be used in file names.
pub(super) fn named(raw: &RawSettings) -> Result<Merchants, SettingsError> {
    let tables = chosen(raw)?;
    let ids = tables.iter().map(|table| &table.api_id).chain(&raw.api.api_id);
    Ok(Merchants::only(ids.map(|id| MerchantName::new(id)).collect::<Result<_, _>>()?))
}

/// The merchants for which the API is called, at least one, with their keys.
///
/// # Errors
/// The first id or key that is absent or cannot be used.
pub(super) fn with_keys(raw: &RawSettings) -> Result<Vec<Merchant>, SettingsError> {
    let tables = chosen(raw)?;
    if tables.is_empty() {
        return Ok(vec![Merchant::new(credentials(raw.api.api_id.clone(), own_key(raw)?)?, None)?]);
    }
    let merchants = tables.into_iter().map(|table| match table_key(table)? {
        Some(key) => Merchant::new(Credentials { api_id: table.api_id.clone(), key }, table.rate_limit),
        None => setting(format!("no key for [[merchant]] {}: set its api_key_file or api_key_env", table.name)),
    });
    merchants.collect()
}

/// The same for the embedded API, which accepts any merchant: the merchants that are set, with their keys if they have any, otherwise
/// the simulated one.
pub(super) fn embedded(
    raw: &RawSettings,
    simulated: &simulator::SimulatorArgs,
) -> Result<(simulator::Options, Vec<Merchant>), SettingsError> {
    let mut options = simulator::Options::try_from(simulated)?;
    let mut named = Vec::new();
    for table in chosen(raw)? {
        named.push((table.api_id.clone(), table_key(table)?, table.rate_limit));
    }
    if let Some(api_id) = raw.api.api_id.clone() {
        named.push((api_id, own_key(raw)?, None));
    }
    if named.is_empty() {
        let (api_id, key) = options.credentials();
        let credentials = Credentials { api_id: api_id.to_owned(), key: key.to_owned().into() };
        return Ok((options, vec![Merchant::new(credentials, None)?]));
    }
    let mut merchants = Vec::new();
    for (api_id, key, rate_limit) in named {
        let key = key.unwrap_or_else(|| "simulator-key".to_owned().into());
        options = options.with_merchant(&api_id, key.expose_secret());
        merchants.push(Merchant::new(Credentials { api_id, key }, rate_limit)?);
    }
    Ok((options, merchants))
}

impl Merchant {
    fn new(credentials: Credentials, rate_limit: Option<u32>) -> Result<Self, SettingsError> {
        Ok(Self { name: MerchantName::new(&credentials.api_id)?, credentials, rate_limit })
    }
}

fn credentials(api_id: Option<String>, key: Option<SecretString>) -> Result<Credentials, SettingsError> {
    use env::{API_ID, API_KEY, API_KEY_FILE};
    let hint = "or try --env simulator, which needs no credentials";
    match (api_id, key) {
        (Some(api_id), Some(key)) => Ok(Credentials { api_id, key }),
        (Some(api_id), None) => setting(format!("no key for merchant {api_id}: set {API_KEY} or {API_KEY_FILE}, {hint}")),
        (None, Some(_)) => setting(format!("no API id: set {API_ID} or --api-id, {hint}")),
        (None, None) => setting(format!("no credentials: set {API_ID} (or --api-id) and {API_KEY} (or {API_KEY_FILE}), {hint}")),
    }
}

/// The key of the only merchant, from the environment or from a file; never from a flag, because argv is public.
fn own_key(raw: &RawSettings) -> Result<Option<SecretString>, SettingsError> {
    if let Some(key) = set(env::API_KEY) {
        return key_in_variable(env::API_KEY, key).map(Some);
    }
    let file = set(env::API_KEY_FILE).map(PathBuf::from).or_else(|| raw.file.api_key_file.clone());
    file.as_deref().map(key_in_file).transpose()
}

fn table_key(table: &MerchantTable) -> Result<Option<SecretString>, SettingsError> {
    match (&table.api_key_env, &table.api_key_file) {
        (Some(_), Some(_)) => setting(format!("[[merchant]] {}: set api_key_file or api_key_env, not both", table.name)),
        (None, None) => Ok(None),
        (None, Some(file)) => key_in_file(file).map(Some),
        (Some(variable), None) => match set(variable) {
            Some(key) => key_in_variable(variable, key).map(Some),
            None => setting(format!("[[merchant]] {}: the variable {variable} is not set", table.name)),
        },
    }
}

fn key_in_variable(name: &str, key: OsString) -> Result<SecretString, SettingsError> {
    let key = key.into_string().map_err(|_| SettingsError::Setting(format!("{name} is not UTF-8")))?;
    match key.trim() {
        "" => setting(format!("{name} is blank")),
        key => Ok(key.to_owned().into()),
    }
}

fn key_in_file(path: &Path) -> Result<SecretString, SettingsError> {
    let shown = path.display().to_string();
    let unreadable = |source| SettingsError::File { what: "the key file", path: shown.clone(), source };
    let key = fs::read_to_string(path).map_err(unreadable)?;
    warn_of_readers(path, &fs::metadata(path).map_err(unreadable)?);
    match key.trim() {
        "" => setting(format!("the key file {shown} is empty")),
        key => Ok(key.to_owned().into()),
    }
}

/// Only the user whose runs need a key should be able to read it.
fn warn_of_readers(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let mode = format!("{mode:04o}");
        tracing::warn!(path = %path.display(), mode, "other users can read the key file: allow only its owner to read it (chmod 600)");
    }
}
