//! AWS profiles: keys, region and endpoint in `~/.aws/credentials` and `~/.aws/config`, read as the AWS tools read them.
//! Profiles that only state how to get keys (a role, SSO, a process) are not followed.
//!
//! Read by hand, because readers of INI files take the indented lines of a nested block (`s3 =`, then indented settings) for
//! the profile's own.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Variables, check, check_url};

/// What a profile states.
#[derive(Default)]
pub(super) struct Profile {
    /// Set if the profile's keys are to be used.
    pub(super) keys: Option<Keys>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// A section's settings; those of a nested block as `block.setting`.
type Section = BTreeMap<String, String>;

impl Profile {
    /// The profile that `AWS_PROFILE` or `AWS_DEFAULT_PROFILE` names, or the default one. Its keys count if the environment has none,
    /// and those of the default one only if there is no other source either.
    ///
    /// # Errors
    /// Why a named profile cannot be used.
    pub(super) fn read(variables: &Variables) -> Result<Self, String> {
        let variable = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find(|name| variables.get(name).is_some());
        let name = variable.and_then(|variable| variables.get(variable)).unwrap_or("default");
        let credentials = File::read(variables, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let config = File::read(variables, "AWS_CONFIG_FILE", "config")?;
        let sections = [credentials.section(name, false), config.section(name, true)];
        let get = |key: &str| {
            let mut files = [&credentials, &config].into_iter().zip(&sections);
            files.find_map(|(file, section)| Some((file.shown.as_str(), section.as_ref()?.get(key)?)))
        };
        let value = |key: &str, variable: &str| -> Result<Option<String>, String> {
            let Some((file, value)) = get(key) else { return Ok(None) };
            check(variable, value).map_err(|reason| reason.replacen(variable, &format!("{key} of profile {name} in {file}"), 1))?;
            Ok(Some(value.clone()))
        };
        let keys = match (value("aws_access_key_id", "AWS_ACCESS_KEY_ID")?, value("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY")?) {
            (Some(id), Some(secret)) => Some(Keys { id, secret, token: value("aws_session_token", "AWS_SESSION_TOKEN")? }),
            _ => None,
        };
        let from_environment = variables.get("AWS_ACCESS_KEY_ID").is_some();
        let elsewhere = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        let has_others = variable.is_none() && elsewhere.into_iter().any(|name| variables.get(name).is_some());
        if let (Some(variable), false, true) = (variable, from_environment, keys.is_none()) {
            return Err(match sections {
                [None, None] => format!("{variable} {name} is in neither {} nor {}", credentials.shown, config.shown),
                _ => format!(
                    "{variable} {name} holds no aws_access_key_id and aws_secret_access_key, and roles, SSO and processes are not followed: set what `aws configure export-credentials --profile {name} --format env` prints"
                ),
            });
        }
        Ok(Self {
            keys: keys.filter(|_| !from_environment && !has_others),
            region: value("region", "AWS_REGION")?,
            endpoint: match get("services")
                .and_then(|(_, services)| config.sections.get(&format!("services {services}"))?.get("s3.endpoint_url"))
            {
                Some(endpoint) => Some(checked_endpoint(endpoint, "s3", &config.shown)?),
                None => get("endpoint_url").map(|(file, endpoint)| checked_endpoint(endpoint, name, file)).transpose()?,
            },
        })
    }
}

fn checked_endpoint(endpoint: &str, of: &str, file: &str) -> Result<String, String> {
    let what = format!("endpoint_url of {of} in {file}:");
    check_url(&what, endpoint)?;
    Ok(endpoint.to_owned())
}

/// One of the two files.
struct File {
    /// Its path, for errors.
    shown: String,
    sections: BTreeMap<String, Section>,
}

impl File {
    fn read(variables: &Variables, variable: &str, default: &str) -> Result<Self, String> {
        let Some(path) = variables.file(variable, default) else {
            return Ok(Self { shown: format!("~/.aws/{default}"), sections: BTreeMap::new() });
        };
        let shown = path.display().to_string();
        let text = read_if_there(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        Ok(Self { shown, sections: sections(&text.unwrap_or_default()) })
    }

    /// A profile's settings. In `config`, every profile but the default one has `profile` before its name, and the default one
    /// may have it.
    fn section(&self, name: &str, in_config: bool) -> Option<Section> {
        let prefixed = || self.sections.get(&format!("profile {name}"));
        let plain = || self.sections.get(name);
        let found = match (in_config, name) {
            (true, "default") => prefixed().or_else(plain),
            (true, _) => prefixed(),
            (false, _) => plain(),
        };
        found.cloned()
    }
}

fn read_if_there(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The sections of a file. Section names have single blanks and no quotes.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let (mut section, mut block) = (None::<String>, None::<String>);
    for line in text.trim_start_matches('\u{FEFF}').lines() {
        let is_indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = name.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect::<Vec<_>>().join(" ");
            section = Some(name);
            block = None;
            continue;
        }
        let (Some(section), Some((key, value))) = (&section, line.split_once('=')) else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), without_comment(value).trim().to_owned());
        let settings = sections.entry(section.clone()).or_default();
        match (&block, is_indented, value.is_empty()) {
            (Some(block), true, _) => {
                settings.insert(format!("{block}.{key}"), value);
            }
            (_, _, true) => block = Some(key),
            (_, _, false) => {
                block = None;
                settings.insert(key, value);
            }
        }
    }
    sections
}

/// The AWS tools take ` #` and ` ;` for the beginning of a comment.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].into_iter().filter_map(|mark| value.find(mark)).min();
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_aws_tools_read_them() {
        let file = File {
            shown: "config".into(),
            sections: sections(
                "\u{FEFF}# mine\r\n[profile default]\r\nregion = ap-northeast-2 # Seoul\r\ns3 =\r\n  region = nowhere\r\n  addressing_style = path\r\noutput = json\r\n\
                 [profile \"my lake\"]\nREGION=eu-west-1\nservices = local\n[services local]\ns3 =\n  endpoint_url = http://127.0.0.1:9000\n[default]\nregion = other\n",
            ),
        };
        let region = |name: &str| file.section(name, true).and_then(|section| section.get("region").cloned());
        assert_eq!(region("default").as_deref(), Some("ap-northeast-2"));
        assert_eq!(region("my lake").as_deref(), Some("eu-west-1"));
        assert_eq!(region("nobody"), None);
        assert_eq!(file.sections["services local"]["s3.endpoint_url"], "http://127.0.0.1:9000");
        assert_eq!(file.sections["profile default"]["s3.region"], "nowhere");
        assert_eq!(file.sections["profile default"]["output"], "json");
        assert_eq!(file.section("default", false).map(|section| section["region"].clone()).as_deref(), Some("other"));
    }
}
