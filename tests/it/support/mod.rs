//! What the integration tests share: the binary as a user runs it, an API that responds as scripted, and a reader of what landed.

pub mod api;
pub mod lake;
mod run;
pub mod store;

pub use run::{Ran, Run, binary, finish, run};

/// The key that every test uses; nothing but the API may ever see it.
pub const KEY: &str = "k3y-Secret-0123456789";
