//! What the integration tests share: the binary as a user runs it, an API that responds as scripted, and a reader of what landed.

pub mod api;
pub mod lake;
mod run;
pub mod s3;
pub mod store;

pub use run::{Ran, Run, binary, finish, peak_kib, run};

/// The key that every test uses; nothing but the API may ever see it.
pub const KEY: &str = "k3y-Secret-0123456789";

/// A client for servers on loopback.
pub fn loopback_client() -> reqwest::Client {
    cookiepay_etl::http::client(&"http://127.0.0.1".parse().unwrap()).build().unwrap()
}
