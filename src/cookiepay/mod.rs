//! The settlement API, from a request to the rows of its answer.
//!
//! Start at [`client`]: it sends a call and tries it again where `retry` says so. What comes back
//! goes through `decode` (gzip, charset) and [`envelope`] (the answer's shapes), which hands on one
//! [`wire`] row at a time. What the fields mean is [`crate::settlement`]'s to know.

pub mod client;
pub mod decode;
pub mod envelope;
pub mod error;
pub(crate) mod json;
pub mod retry;
pub mod throttle;
pub(crate) mod token;
pub mod wire;
