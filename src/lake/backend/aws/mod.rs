//! The settings of a bucket, as AWS users have them: `AWS_*` variables, profiles, web identity, container and instance roles.
//! Each value that ends up in a URL or a header is checked here, so that what is wrong is reported by its name.
//!
//! Read here, not by the official `aws-config`: that has 39 crates that are not linked otherwise, takes 199 s of CPU and 9.4 MB by itself (a
//! program that only loads the default configuration, release profile as here), and would still have to be checked for values that panic
//! further down. Profiles that name a role, SSO or a process are not followed; the message says what to do. Readers of INI files take nested
//! blocks for the profile's own settings.

mod container;
mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector};
use object_store::{Certificate, ClientOptions, RetryConfig};
use reqwest::Url;

use crate::http;
use crate::lake::store_error::NO_CREDENTIALS;

use container::ContainerCredentials;
use files::Profile;

/// Variables that hold a URL.
const URLS: [&str; 7] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_PROXY_URL",
];

/// The `AWS_*` variables that are set; one that is set but blank counts as unset.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads the environment.
    ///
    /// # Errors
    /// The first value that no URL or header can carry.
    pub(super) fn read() -> Result<Self, String> {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("AWS_")) else { continue };
            let value = value.to_str().ok_or_else(|| format!("{name} is not UTF-8"))?.trim();
            if value.is_empty() {
                continue;
            }
            check(name, value)?;
            variables.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self(variables))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that is on or off.
    fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// A path that a variable names, or one in `~/.aws`.
    fn file(&self, name: &str, default: &str) -> Option<PathBuf> {
        let home = || std::env::var_os("HOME").filter(|home| !home.is_empty());
        self.get(name).map(PathBuf::from).or_else(|| Some(PathBuf::from(home()?).join(".aws").join(default)))
    }
}

/// Refuses a value that would be misread, or that no header can carry.
fn check(name: &str, value: &str) -> Result<(), String> {
    let quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if quoted('"') || quoted('\'') {
        return Err(format!("{name} is in quotes: write it without them"));
    }
    if let Some(character) = value.chars().find(|character| character.is_control() || !character.is_ascii()) {
        return Err(format!("{name} contains {character:?}: remove it"));
    }
    if URLS.contains(&name) {
        check_url(name, value)?;
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match name {
        "AWS_REGION" | "AWS_DEFAULT_REGION" if !value.bytes().all(is_plain) => {
            Err(format!("{name} {value:?} is not a region: write it as ap-northeast-2"))
        }
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" if !value.starts_with('/') || value.contains(' ') => {
            Err(format!("{name} {value:?} must be a path that begins with /"))
        }
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" if value.contains(' ') => {
            Err(format!("{name} contains a blank: remove it"))
        }
        _ => Ok(()),
    }
}

fn check_url(name: &str, value: &str) -> Result<(), String> {
    // the parser corrects what the HTTP stack does not take: `http:/host`, `http:\\host`
    let lower = value.to_ascii_lowercase();
    let is_written_out = ["http://", "https://"].iter().any(|scheme| lower.starts_with(scheme)) && !value.contains(['\\', ' ']);
    let Some(url) = Url::parse(value).ok().filter(|url| is_written_out && url.has_host()) else {
        return Err(format!("{name} {value:?} is not a URL: write it as https://host or http://host:9000"));
    };
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let has_more = url.query().is_some() || url.fragment().is_some();
    match name {
        // a proxy may ask for a password, and the agent's URL is used as it is
        "AWS_PROXY_URL" | "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Ok(()),
        // what it holds may be a password
        _ if has_credentials => Err(format!("{name} must not contain credentials: use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")),
        _ if has_more => {
            Err(format!("{name} {value:?} must not contain a query or fragment: write it as https://host or http://host:9000"))
        }
        _ => Ok(()),
    }
}

/// The bucket of `url`.
///
/// # Errors
/// The setting that cannot be used, and what to do.
pub(super) fn bucket(url: &Url) -> Result<AmazonS3, String> {
    http::use_ring();
    let variables = Variables::read()?;
    let profile = Profile::read(&variables)?;
    let retry = RetryConfig { max_retries: 5, retry_timeout: Duration::from_mins(1), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &variables.0 {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_bucket_name(url.host_str().unwrap_or_default()).with_retry(retry);
    if let Some(region) = profile.region.filter(|_| builder.get_config_value(&AmazonS3ConfigKey::Region).is_none()) {
        builder = builder.with_region(region);
    }
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].into_iter().find_map(|name| variables.get(name));
    let endpoint =
        endpoint.map(str::to_owned).or_else(|| profile.endpoint.filter(|_| !variables.is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")));
    let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"));
    if let Some(endpoint) = endpoint {
        // a server other than Amazon's may speak plain HTTP
        builder = builder.with_allow_http(is_plain).with_endpoint(endpoint);
    }
    if let Some(keys) = profile.keys {
        builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
        if let Some(token) = keys.token {
            builder = builder.with_token(token);
        }
    } else if let Some(credentials) = ContainerCredentials::of(&variables) {
        builder = builder.with_credentials(Arc::new(credentials));
    } else if has_no_credentials(&variables) && variables.is_on("AWS_EC2_METADATA_DISABLED") {
        return Err(NO_CREDENTIALS.into());
    }
    let certificates = certificates(&variables)?;
    if !certificates.is_empty() {
        let options = certificates.into_iter().fold(ClientOptions::new().with_allow_http(is_plain), ClientOptions::with_root_certificate);
        builder = builder.with_client_options(options);
    }
    match builder.clone().build() {
        Err(error) if is_plain && http::lacks_certificates(&error) => builder.with_http_connector(PlainHttp).build(),
        built => built,
    }
    .map_err(|error| refused_by(&variables, &http::explained(&error)))
}

/// The store's reason why it cannot be used, with the names of the variables that hold the value it is about: the store names
/// the value alone.
fn refused_by(variables: &Variables, reason: &str) -> String {
    const ABSENT: [(&str, &str); 2] = [("Missing AccessKeyId", "AWS_ACCESS_KEY_ID"), ("Missing SecretAccessKey", "AWS_SECRET_ACCESS_KEY")];
    if let Some((_, name)) = ABSENT.into_iter().find(|(text, _)| reason.contains(text)) {
        return format!("{name} is not set, and the other half of the key is: set both");
    }
    let read_by_store = |name: &str| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().is_ok();
    let quoted = |value: &str| reason.contains(&format!("{value:?}")) || reason.contains(&format!(": {value}."));
    let names: Vec<&str> =
        variables.0.iter().filter(|(name, value)| read_by_store(name) && quoted(value)).map(|(name, _)| name.as_str()).collect();
    let reason = reason.trim_start_matches("Generic Config error: ").trim_start_matches("Generic S3 error: ");
    if names.is_empty() { reason.to_owned() } else { format!("{}: {reason}: correct it, or unset it", names.join(" or ")) }
}

/// Whether conditional writes are on: they are unless a user whose server has none turned them off.
pub(super) fn has_conditions() -> bool {
    std::env::var("AWS_CONDITIONAL_PUT").map_or(true, |value| !value.trim().eq_ignore_ascii_case("disabled"))
}

/// Whether only the instance's metadata could provide credentials.
fn has_no_credentials(variables: &Variables) -> bool {
    let sources = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
    !sources.into_iter().any(|name| variables.get(name).is_some()) && !variables.is_on("AWS_SKIP_SIGNATURE")
}

/// The certificates of `AWS_CA_BUNDLE`, beside those of the system.
fn certificates(variables: &Variables) -> Result<Vec<Certificate>, String> {
    const NAME: &str = "AWS_CA_BUNDLE";
    let Some(path) = variables.get(NAME) else { return Ok(Vec::new()) };
    let bundle = std::fs::read(path).map_err(|error| format!("cannot read the certificates of {NAME} {path}: {error}"))?;
    match Certificate::from_pem_bundle(&bundle) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("{NAME} {path} holds no certificate in PEM form")),
    }
}

/// HTTP without TLS, for a machine that has no certificates.
#[derive(Debug)]
struct PlainHttp;

impl HttpConnector for PlainHttp {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        const CONNECT: Duration = Duration::from_secs(5);
        const REQUEST: Duration = Duration::from_secs(30);
        let client = http::plain_client().connect_timeout(CONNECT).timeout(REQUEST).build();
        client.map(HttpClient::new).map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_url_or_header_can_carry_are_refused_by_name() {
        for (name, value) in [
            ("AWS_ENDPOINT_URL", "minio:9000"),
            ("AWS_ENDPOINT_URL_S3", "ftp://host"),
            ("AWS_ENDPOINT_URL", "http://"),
            ("AWS_ENDPOINT_URL", "http:/host"),
            ("AWS_ENDPOINT_URL", "http:host:9000"),
            ("AWS_ENDPOINT_URL", r"http:\\host"),
            ("AWS_ENDPOINT_URL", "http://key:a-secret@host"),
            ("AWS_ENDPOINT_URL", "http://host/?region=x"),
            ("AWS_ENDPOINT_URL", "\"http://host\""),
            ("AWS_SECRET_ACCESS_KEY", "a\nb"),
            ("AWS_SESSION_TOKEN", "a\rb"),
            ("AWS_ACCESS_KEY_ID", "a b"),
            ("AWS_REGION", "ap northeast 2"),
            ("AWS_REGION", "서울"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "169.254.170.23/v1"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "v2/credentials"),
        ] {
            assert!(
                check(name, value)
                    .is_err_and(|reason| reason.starts_with(name) && !reason.contains("a\nb") && !reason.contains("a-secret")),
                "{name} {value:?}"
            );
        }
        assert_eq!(check("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"), Ok(()));
    }
}
