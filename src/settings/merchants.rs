//! The merchants that a command is about: the one that flags and variables name, or those of the settings file; and where their
//! keys come from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use secrecy::{ExposeSecret as _, SecretString};

use crate::cookiepay::credentials::Credentials;
use crate::lake::merchant::{AlikeIds, MerchantName, Merchants};
use crate::simulator;

use super::check;
use super::env::{self, set};
use super::error::{SettingsError, setting};
use super::groups::MerchantTable;
use super::raw::RawSettings;
use super::shard::Shard;

/// Where the key of a simulated merchant comes from.
const EMBEDDED: &str = "the embedded simulator";

/// A merchant for which the API is called.
pub struct Merchant {
    /// Its id and key.
    pub credentials: Credentials,
    /// Its id in file names.
    pub name: MerchantName,
    /// Its own first pay date for the daily job.
    pub since: Option<NaiveDate>,
    /// Requests per second of its own; otherwise it shares the run's.
    pub rate_limit: Option<u32>,
}

/// The tables that a command is about, in the file's order: all of them, or those named by `--merchant`.
fn chosen(raw: &RawSettings) -> Result<Vec<&MerchantTable>, SettingsError> {
    let tables = &raw.file.merchant;
    if let (Some(api_id), false) = (&raw.api.api_id, tables.is_empty()) {
        return setting(format!(
            "the API id {api_id} is set ({} or --api-id), and the settings file has [[merchant]] tables: choose among them with --merchant",
            env::API_ID
        ));
    }
    if raw.file.api_key_file.is_some() && !tables.is_empty() {
        return setting("api_key_file is outside the [[merchant]] tables of the settings file: move it into the table it belongs to");
    }
    tables_named(raw)
}

/// The tables that `--merchant` names; all of them if it names none.
fn tables_named(raw: &RawSettings) -> Result<Vec<&MerchantTable>, SettingsError> {
    let tables = &raw.file.merchant;
    let listed = || tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = raw.only.iter().find(|name| !tables.iter().any(|table| table.name == **name)) {
        return match tables.as_slice() {
            [] => setting(format!("--merchant {unknown} names a [[merchant]] table of the settings file, and there is none: see --config")),
            _ => setting(format!("--merchant {unknown}: the settings file has {}", listed())),
        };
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
    let names = tables.iter().map(|table| MerchantName::new(&table.api_id)).collect::<Result<Vec<_>, _>>()?;
    AlikeIds::check(&names)?;
    Ok(tables.iter().filter(|table| raw.only.is_empty() || raw.only.contains(&table.name)).collect())
}

/// The merchants of a command that reads the lake: those that its flags name, else every merchant of the lake. The settings
/// file only gives names to ids.
///
/// # Errors
/// Names that are not in the settings file, or ids that cannot be used in file names.
pub(super) fn named(raw: &RawSettings) -> Result<Merchants, SettingsError> {
    let tables = if raw.only.is_empty() { Vec::new() } else { tables_named(raw)? };
    let ids = tables.iter().map(|table| &table.api_id).chain(&raw.held);
    Ok(Merchants::only(ids.map(|id| MerchantName::new(id)).collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect()))
}

/// The tables of these whose merchants belong to the shard. All of them are checked, so that the shards of one file agree on
/// whether it can be used; keys are left to the shards that need them.
fn of_shard(tables: Vec<&MerchantTable>, shard: Shard) -> Result<Vec<&MerchantTable>, SettingsError> {
    for table in &tables {
        checked_name(&table.api_id)?;
        own_since(table)?;
    }
    Ok(tables.into_iter().filter(|table| shard.includes(&table.api_id)).collect())
}

impl RawSettings {
    /// What the settings file calls an API id.
    pub(crate) fn merchant_name(&self, api_id: &str) -> Option<String> {
        self.file.merchant.iter().find(|table| table.api_id == api_id).map(|table| table.name.clone())
    }
}

/// The merchants of the shard for which the API is called, with their keys.
///
/// # Errors
/// The first id or key that is absent or cannot be used.
pub(super) fn with_keys(raw: &RawSettings, shard: Shard) -> Result<Vec<Merchant>, SettingsError> {
    let tables = chosen(raw)?;
    if tables.is_empty() {
        if let Some(api_id) = raw.api.api_id.as_deref().filter(|api_id| !shard.includes(api_id)) {
            checked_name(api_id)?;
            return Ok(Vec::new());
        }
        return Ok(vec![Merchant::new(credentials(raw.api.api_id.clone(), own_key(raw)?)?, None)?]);
    }
    let merchants = of_shard(tables, shard)?.into_iter().map(|table| match table_key(table)? {
        Some(Key { key, source }) => Merchant::new(Credentials { api_id: table.api_id.clone(), key, key_source: source }, Some(table)),
        None => setting(format!("no key for [[merchant]] {}: set its api_key_file or api_key_env", table.name)),
    });
    merchants.collect()
}

/// The same for the embedded API, which accepts any merchant: the merchants that are set, with their keys if they have any, otherwise
/// the simulated one; of these, those of the shard.
pub(super) fn embedded(
    raw: &RawSettings,
    simulated: &simulator::SimulatorArgs,
    shard: Shard,
) -> Result<(simulator::Options, Vec<Merchant>), SettingsError> {
    let mut options = simulator::Options::try_from(simulated)?;
    let tables = chosen(raw)?;
    if tables.is_empty() && raw.api.api_id.is_none() {
        let (api_id, key) = options.credentials();
        let credentials = Credentials { api_id: api_id.to_owned(), key: key.to_owned().into(), key_source: EMBEDDED.into() };
        let merchants = if shard.includes(api_id) { vec![Merchant::new(credentials, None)?] } else { Vec::new() };
        return Ok((options, merchants));
    }
    let mut named = Vec::new();
    for table in of_shard(tables, shard)? {
        named.push((table.api_id.clone(), table_key(table)?, Some(table)));
    }
    if let Some(api_id) = raw.api.api_id.clone() {
        checked_name(&api_id)?;
        if shard.includes(&api_id) {
            named.push((api_id, own_key(raw)?, None));
        }
    }
    let mut merchants = Vec::new();
    for (api_id, key, table) in named {
        let Key { key, source } = key.unwrap_or_else(|| Key { key: "simulator-key".to_owned().into(), source: EMBEDDED.into() });
        options = options.with_merchant(&api_id, key.expose_secret());
        merchants.push(Merchant::new(Credentials { api_id, key, key_source: source }, table)?);
    }
    Ok((options, merchants))
}

impl Merchant {
    fn new(credentials: Credentials, table: Option<&MerchantTable>) -> Result<Self, SettingsError> {
        let since = table.map_or(Ok(None), own_since)?;
        let rate_limit = table.and_then(|table| table.rate_limit);
        Ok(Self { name: checked_name(&credentials.api_id)?, credentials, since, rate_limit })
    }
}

/// The id in file names.
fn checked_name(api_id: &str) -> Result<MerchantName, SettingsError> {
    if api_id.trim() != api_id {
        return setting(format!("the API id {api_id:?} has white space around it: remove it"));
    }
    Ok(MerchantName::new(api_id)?)
}

/// A merchant's own first pay date.
fn own_since(table: &MerchantTable) -> Result<Option<NaiveDate>, SettingsError> {
    let since = table.since.as_deref();
    since.map(|since| check::pay_date(&format!("[[merchant]] {}: since", table.name), since)).transpose()
}

fn credentials(api_id: Option<String>, key: Option<Key>) -> Result<Credentials, SettingsError> {
    use env::{API_ID, API_KEY, API_KEY_FILE};
    let hint = "or try --env simulator, which needs no credentials";
    match (api_id, key) {
        (Some(api_id), Some(Key { key, source })) => Ok(Credentials { api_id, key, key_source: source }),
        (Some(api_id), None) => setting(format!("no key for merchant {api_id}: set {API_KEY} or {API_KEY_FILE}, {hint}")),
        (None, Some(_)) => setting(format!("no API id: set {API_ID} or --api-id, {hint}")),
        (None, None) => setting(format!("no credentials: set {API_ID} (or --api-id) and {API_KEY} (or {API_KEY_FILE}), {hint}")),
    }
}

/// The key of the only merchant, from the environment or from a file; never from a flag, because argv is public.
fn own_key(raw: &RawSettings) -> Result<Option<Key>, SettingsError> {
    use env::{API_KEY, API_KEY_FILE};
    match (set(API_KEY), set(API_KEY_FILE)) {
        (Some(_), Some(_)) => setting(format!("{API_KEY} and {API_KEY_FILE} are both set: set one of them")),
        (Some(key), None) => key_in_variable(API_KEY, key).map(Some),
        (None, Some(file)) => {
            let file = file.into_string().map_err(|_| SettingsError::Setting(format!("{API_KEY_FILE} is not UTF-8")))?;
            key_in_file(Path::new(check::text(API_KEY_FILE, &file)?)).map(Some)
        }
        (None, None) => raw.file.api_key_file.as_deref().map(key_in_file).transpose(),
    }
}

fn table_key(table: &MerchantTable) -> Result<Option<Key>, SettingsError> {
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

fn key_in_variable(name: &str, key: OsString) -> Result<Key, SettingsError> {
    let key = key.into_string().map_err(|_| SettingsError::Setting(format!("{name} is not UTF-8")))?;
    Key::new(&key, name.to_owned())
}

/// A key, and where it comes from.
struct Key {
    key: SecretString,
    source: String,
}

impl Key {
    fn new(text: &str, source: String) -> Result<Self, SettingsError> {
        // editors on Windows write a byte order mark, and files of variables keep quotes
        let key = text.trim_start_matches('\u{FEFF}').trim();
        let quoted = |quote: char| key.len() > 1 && key.starts_with(quote) && key.ends_with(quote);
        if key.is_empty() {
            return setting(format!("the key from {source} is blank"));
        }
        if quoted('"') || quoted('\'') {
            return setting(format!("the key from {source} is in quotes: write it without them"));
        }
        if key.contains(char::is_control) {
            return setting(format!("the key from {source} has several lines, or control characters: it must hold the key alone"));
        }
        Ok(Self { key: key.to_owned().into(), source })
    }
}

fn key_in_file(path: &Path) -> Result<Key, SettingsError> {
    let shown = path.display().to_string();
    let unreadable = |source| SettingsError::File { what: "the key file", path: shown.clone(), source };
    let Ok(key) = String::from_utf8(fs::read(path).map_err(unreadable)?) else {
        return setting(format!("the key file {shown} is not UTF-8 text: save it as UTF-8"));
    };
    warn_of_readers(path, &fs::metadata(path).map_err(unreadable)?);
    Key::new(&key, format!("the file {shown}"))
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
