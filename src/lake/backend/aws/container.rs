//! Credentials of a container: `AWS_CONTAINER_CREDENTIALS_FULL_URI` with its token, as EKS, ECS and Greengrass provide them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::errors::chain;
use crate::http;

use super::Variables;

/// How long before they expire credentials are fetched again.
const EARLY: TimeDelta = TimeDelta::minutes(5);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches credentials from the container's agent, and again before they expire.
pub(super) struct ContainerCredentials {
    url: String,
    token: Authorization,
    held: Mutex<Option<Held>>,
}

enum Authorization {
    None,
    Token(SecretString),
    /// Read each time: the agent replaces it.
    File(String),
}

struct Held {
    credential: Arc<AwsCredential>,
    expires: Option<DateTime<Utc>>,
}

/// The agent's response.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

impl ContainerCredentials {
    /// `None` if the environment names no agent, or other credentials that come first.
    pub(super) fn of(variables: &Variables) -> Option<Self> {
        let first = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
        if first.into_iter().any(|name| variables.get(name).is_some()) {
            return None;
        }
        let url = variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")?.to_owned();
        let token = match (variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
            (Some(file), _) => Authorization::File(file.to_owned()),
            (None, Some(token)) => Authorization::Token(token.into()),
            (None, None) => Authorization::None,
        };
        Some(Self { url, token, held: Mutex::new(None) })
    }

    async fn fetch(&self) -> Result<Held, String> {
        let url = Url::parse(&self.url).map_err(|error| error.to_string())?;
        // an agent is always on this host or link, whatever the proxy
        let client = http::client(&url).no_proxy().timeout(TIMEOUT).build().map_err(|error| http::explained(&error))?;
        let mut request = client.get(url);
        let token = match &self.token {
            Authorization::None => None,
            Authorization::Token(token) => Some(token.expose_secret().to_owned()),
            Authorization::File(path) => {
                let read = tokio::fs::read_to_string(path).await;
                Some(read.map_err(|error| format!("cannot read AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE {path}: {error}"))?.trim().to_owned())
            }
        };
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let response = request.send().await.map_err(|error| chain(&error))?;
        if !response.status().is_success() {
            return Err(format!("it responded with HTTP {}", response.status()));
        }
        let body = response.bytes().await.map_err(|error| chain(&error))?;
        let Response { access_key_id: key_id, secret_access_key: secret_key, token, expiration } =
            serde_json::from_slice(&body).map_err(|_| "its response holds no credentials".to_owned())?;
        // an empty session token would be sent, and refused
        let token = token.filter(|token| !token.is_empty());
        // these end up in headers, where the store panics
        let is_plain = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        if ![Some(&key_id), Some(&secret_key), token.as_ref()].into_iter().flatten().all(|value| is_plain(value)) {
            return Err("its response holds credentials with characters that no header can carry".into());
        }
        Ok(Held { credential: Arc::new(AwsCredential { key_id, secret_key, token }), expires: expiration })
    }

    async fn get(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        if let Some(Held { credential, expires }) = &*held
            && expires.is_none_or(|expires| Utc::now() + EARLY < expires)
        {
            return Ok(Arc::clone(credential));
        }
        let fetched = self.fetch().await.map_err(|reason| object_store::Error::Generic {
            store: "S3",
            source: format!("no credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI {}: {reason}", self.url).into(),
        })?;
        let credential = Arc::clone(&fetched.credential);
        *held = Some(fetched);
        Ok(credential)
    }
}

impl std::fmt::Debug for ContainerCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerCredentials").field("url", &self.url).finish_non_exhaustive()
    }
}

impl CredentialProvider for ContainerCredentials {
    type Credential = AwsCredential;

    fn get_credential<'life0, 'async_trait>(
        &'life0 self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
    {
        Box::pin(self.get())
    }
}
