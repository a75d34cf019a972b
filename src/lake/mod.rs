//! The lake: where days land, and what it remembers of them.
//!
//! Start at [`store`], which opens a [`destination`], reads days and stages new ones (`staging` makes
//! them visible, `lock` keeps runs apart while it does); [`layout`] names objects, [`writer`] makes a
//! day's Parquet file and seals it, `file` reads one back, [`record`] is what each file says of its day,
//! and `audit` holds a file against it; [`raw`] keeps answers as received.
//! There is no state beside these files.

pub(crate) mod audit;
pub mod destination;
pub mod error;
pub(crate) mod file;
mod folder;
pub mod layout;
pub(crate) mod lock;
mod profile;
pub mod publish;
pub mod raw;
pub mod record;
pub(crate) mod seal;
pub(crate) mod staging;
pub mod store;
pub mod writer;
