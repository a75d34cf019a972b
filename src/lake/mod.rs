//! The lake: where days land, and what it knows about them.
//!
//! Start at [`store`], which opens a [`destination`] on one of two kinds of storage (`backend`), reads days and stages new ones.
//! [`publish`] puts staged days into the table, and `keep` keeps the versions that they replace. [`layout`] names objects,
//! [`writer`] writes and seals a day's Parquet file, [`mod@file`] reads one, [`record`] is what each file states about its day, and
//! `audit` checks a file against it; [`holdings`] is what listings show; [`response`] saves responses as received, and `objects` stores
//! what belongs to no day. [`ledger`] reads the
//! records, through an [`mod@index`] of them where that can be trusted. There is no state beside these files.

pub(crate) mod audit;
pub(crate) mod backend;
pub mod destination;
pub mod error;
pub mod file;
pub mod holdings;
pub mod index;
mod keep;
pub mod layout;
pub mod ledger;
pub mod merchant;
pub(crate) mod objects;
mod probe;
pub mod publish;
pub mod record;
pub mod response;
pub(crate) mod scan;
mod seal;
pub(crate) mod staged;
pub mod store;
pub mod store_error;
mod version;
pub mod writer;
