//! AWS profiles: the keys, region and endpoint in `~/.aws/credentials` and `~/.aws/config`, as the AWS tools write them. Profiles
//! that only state how to get keys (a role, SSO, a process) are not followed.

use std::env;
use std::path::PathBuf;

use ini::{Ini, ParseOption, Properties};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

/// Completes what the environment does not set from the profile that `AWS_PROFILE` names, or from the default one if no other
/// credentials are set.
///
/// # Errors
/// Why a named profile cannot be used.
pub(super) fn complete(builder: AmazonS3Builder) -> Result<AmazonS3Builder, String> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    // the order of the AWS tools: keys in the environment count before any profile
    if set("AWS_ACCESS_KEY_ID").is_some() {
        return Ok(builder);
    }
    let named = set("AWS_PROFILE");
    let elsewhere = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    if named.is_none() && elsewhere.into_iter().any(|name| set(name).is_some()) {
        return Ok(builder);
    }
    let name = named.as_deref().unwrap_or("default");
    let section = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let read = |variable: &str, file: &str, section: &str| -> Result<Option<Properties>, String> {
        let at = set(variable).map(PathBuf::from).or_else(|| Some(PathBuf::from(set("HOME")?).join(".aws").join(file)));
        let Some(at) = at.filter(|at| at.exists()) else { return Ok(None) };
        let plain = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let ini = Ini::load_from_file_opt(&at, plain).map_err(|error| format!("cannot read {}: {error}", at.display()))?;
        Ok(ini.section(Some(section)).cloned())
    };
    let found = [read("AWS_SHARED_CREDENTIALS_FILE", "credentials", name)?, read("AWS_CONFIG_FILE", "config", &section)?];
    let get = |key: &str| found.iter().flatten().find_map(|section| section.get(key)).map(str::to_owned);
    let keys = get("aws_access_key_id").zip(get("aws_secret_access_key"));
    if keys.is_none() && named.is_some() {
        return Err(if found.iter().flatten().next().is_none() {
            format!("AWS_PROFILE {name} is in neither ~/.aws/credentials nor ~/.aws/config")
        } else {
            format!(
                "AWS_PROFILE {name} holds no aws_access_key_id and aws_secret_access_key, and roles, SSO and processes are not followed: set what `aws configure export-credentials --profile {name} --format env` prints"
            )
        });
    }
    let Some((id, secret)) = keys else { return Ok(builder) };
    let mut builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    if let Some(token) = get("aws_session_token") {
        builder = builder.with_token(token);
    }
    if let Some(region) = get("region").filter(|_| builder.get_config_value(&AmazonS3ConfigKey::Region).is_none()) {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = get("endpoint_url").filter(|_| builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_none()) {
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    Ok(builder)
}
