//! What a store reported, as people can act on it: one line instead of a page of XML, and the setting that is the cure, if
//! one is.

use std::error::Error;
use std::io;

use object_store::Error as StoreFailure;

use crate::errors::chain;
use crate::http;

/// What a store reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}{}", .hint.map(|hint| format!(": {hint}")).unwrap_or_default())]
pub struct StoreError {
    text: String,
    hint: Option<&'static str>,
    /// Whether other objects may well be readable.
    of_one_object: bool,
}

/// What was requested of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Anything but a conditional write.
    Plain,
    /// A write that depends on what is stored.
    Conditional,
}

/// What to do without credentials.
pub(super) const NO_CREDENTIALS: &str =
    "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is attached";

/// The cure for a server that has no conditional writes.
pub(super) const NO_CONDITIONS: &str =
    "if the server does not support conditional writes, set AWS_CONDITIONAL_PUT=disabled (two runs at once are then not kept apart)";

impl StoreError {
    pub(super) fn new(error: &StoreFailure, request: Request) -> Self {
        let full = chain(error);
        let response = Response::of(&full);
        // whose error it is, the store's path tells
        let plain =
            ["Generic LocalFileSystem error: ", "Generic S3 error: "].iter().find_map(|kind| full.strip_prefix(kind)).unwrap_or(&full);
        let text = response.as_ref().map_or_else(|| plain.to_owned(), Response::in_a_line);
        let hint = io_hint(error)
            .or_else(|| full.contains("169.254.169.254").then_some(NO_CREDENTIALS))
            .or_else(|| http::hint(&full))
            .or_else(|| response.as_ref().and_then(|response| response.hint(request)))
            .or_else(|| {
                // a condition that does not hold is no error, unless it can never hold
                matches!(error, StoreFailure::Precondition { .. } | StoreFailure::AlreadyExists { .. }).then_some(NO_CONDITIONS)
            });
        let of_one_object = match io_error(error) {
            Some(error) => is_of_one_file(error),
            None => response.is_some_and(|response| response.is_of_one_object()) || matches!(error, StoreFailure::PermissionDenied { .. }),
        };
        Self { text, hint, of_one_object }
    }

    /// Whether other objects may well be readable: another user's file, an archived object.
    #[must_use]
    pub fn is_of_one_object(&self) -> bool {
        self.of_one_object
    }

    /// Whether the text already states what to do.
    #[must_use]
    pub fn has_hint(&self) -> bool {
        self.hint.is_some()
    }
}

fn io_error(error: &StoreFailure) -> Option<&io::Error> {
    let mut found = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        found = error.downcast_ref().or(found);
        cause = error.source();
    }
    found
}

fn is_of_one_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, PermissionDenied};
    /// A bad sector.
    const EIO: i32 = 5;
    [PermissionDenied, IsADirectory, NotADirectory, InvalidData].contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

fn io_hint(error: &StoreFailure) -> Option<&'static str> {
    match io_error(error)?.kind() {
        io::ErrorKind::CrossesDevices => {
            Some("a file cannot be moved to another file system in one step: have all folders of the lake on one")
        }
        io::ErrorKind::PermissionDenied => Some("check who owns it, and as which user this runs"),
        _ => None,
    }
}

/// A server's response to a request that failed.
struct Response {
    status: String,
    /// `NoSuchBucket`
    code: Option<String>,
    message: String,
}

impl Response {
    /// Finds the response in the text of an error; the types behind it are private.
    fn of(text: &str) -> Option<Self> {
        let rest = text.split("status code: ").nth(1)?;
        let (status, body) = rest.split_once(": ").unwrap_or((rest, ""));
        let member = |name: &str| {
            let from = body.split_once(&format!("<{name}>"))?.1;
            from.split_once(&format!("</{name}>")).map(|(value, _)| value.trim().to_owned())
        };
        let line = || body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect::<String>();
        Some(Self { status: status.trim().to_owned(), code: member("Code"), message: member("Message").unwrap_or_else(line) })
    }

    fn in_a_line(&self) -> String {
        let Self { status, code, message } = self;
        let mut line = format!("the server responded with HTTP {status}");
        for part in [code.as_deref().unwrap_or_default(), message] {
            if !part.is_empty() {
                line = format!("{line}: {part}");
            }
        }
        line
    }

    fn number(&self) -> u16 {
        self.status.get(..3).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    fn is_of_one_object(&self) -> bool {
        let number = self.number();
        (400..500).contains(&number) && ![401, 408, 429].contains(&number) && self.code.as_deref() != Some("NoSuchBucket")
    }

    fn hint(&self, request: Request) -> Option<&'static str> {
        let text = format!("{} {}", self.code.as_deref().unwrap_or_default(), self.message).to_ascii_lowercase();
        if text.contains("checksum") || text.contains("content-md5") {
            return Some("set AWS_CHECKSUM_ALGORITHM=sha256");
        }
        let hint = match self.code.as_deref() {
            Some("NoSuchBucket") => "check the bucket's name in --dest and AWS_ENDPOINT_URL",
            Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired") => {
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile or role they come from"
            }
            Some("RequestTimeTooSkewed") => "set this machine's clock",
            Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                "set AWS_REGION to the bucket's region"
            }
            Some("InvalidObjectState") => "it is archived: restore it first",
            Some("AccessDenied") => "check that the keys may read, write and list below --dest",
            _ => match (request, self.number()) {
                (Request::Conditional, 400 | 405 | 412 | 501) => NO_CONDITIONS,
                _ => return None,
            },
        };
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, request: Request) -> StoreError {
        StoreError::new(&StoreFailure::Generic { store: "S3", source: text.into() }, request)
    }

    #[test]
    fn a_page_of_xml_becomes_a_line_with_what_to_do() {
        let xml = "Error performing PUT http://x/b/k in 1ms - Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message><RequestId>1</RequestId></Error>";
        let error = of(xml, Request::Plain);
        assert_eq!(
            error.to_string(),
            "the server responded with HTTP 404 Not Found: NoSuchBucket: no such bucket: check the bucket's name in --dest and AWS_ENDPOINT_URL"
        );
        assert!(!error.is_of_one_object());
    }

    #[test]
    fn the_setting_that_is_the_cure_is_named() {
        let status = |status: &str, body: &str, request| of(&format!("status code: {status}: {body}"), request).to_string();
        for refused in ["501 Not Implemented", "400 Bad Request", "412 Precondition Failed"] {
            assert!(status(refused, "", Request::Conditional).contains("AWS_CONDITIONAL_PUT=disabled"), "{refused}");
            assert!(!status(refused, "", Request::Plain).contains("AWS_CONDITIONAL_PUT"), "{refused}");
        }
        let checksum =
            "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required</Message></Error>";
        assert!(status("400 Bad Request", checksum, Request::Conditional).ends_with("AWS_CHECKSUM_ALGORITHM=sha256"));
        let region = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message></Error>";
        assert!(status("400 Bad Request", region, Request::Plain).contains("AWS_REGION"));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_told_from_a_store_that_cannot() {
        let one = |status: &str| of(&format!("status code: {status}: "), Request::Plain).is_of_one_object();
        assert!(one("403 Forbidden") && one("416 Range Not Satisfiable"));
        assert!(!one("401 Unauthorized") && !one("429 Too Many Requests") && !one("503 Service Unavailable"));
        let io = |kind: io::ErrorKind| {
            let source = Box::new(io::Error::from(kind));
            StoreError::new(&StoreFailure::Generic { store: "LocalFileSystem", source }, Request::Plain).is_of_one_object()
        };
        assert!(io(io::ErrorKind::PermissionDenied) && io(io::ErrorKind::IsADirectory));
        assert!(!io(io::ErrorKind::StorageFull) && !io(io::ErrorKind::TimedOut));
    }
}
