//! All texts for people that exist in two languages, by where they appear.

pub(crate) mod notification;
pub(crate) mod reconcile;
pub(crate) mod report;
