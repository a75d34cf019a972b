//! The gateway: the settlement API, from a request to the rows of its response.
//!
//! Start at [`client`]: it sends a call and retries it if `retry` decides so. The body goes through `decode` (gzip, charset) and
//! [`envelope`] (the shapes of a response), which passes on one [`row`] at a time as a source row. What the fields mean is
//! [`crate::settlement`]'s to know.

pub(crate) mod body;
mod buffer;
pub mod client;
pub mod credentials;
pub mod decode;
pub mod envelope;
pub mod error;
mod http;
pub(crate) mod json;
mod parts;
pub(crate) mod redact;
pub mod retry;
pub mod row;
pub mod throttle;
pub(crate) mod token;
