//! Whose a line is by the merchant that it names: an API id, a name from the settings file, or the merchant's id at the PG. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::books::{OrderLine, Orders};
use super::join::MerchantIndex;

/// The merchants that lines can name.
pub(super) struct Known<'k> {
    /// The API ids of the merchants that are examined.
    pub(super) examined: &'k [String],
    /// The API ids of the lake's other merchants.
    pub(super) others: &'k BTreeSet<String>,
    /// The settings file's API ids by the merchants' names.
    pub(super) names: &'k BTreeMap<String, String>,
    /// Whose the ids at the PG are: positions among the merchants that are examined.
    pub(super) cpids: &'k BTreeMap<String, BTreeSet<MerchantIndex>>,
    /// The ids at the PG of the lake's other merchants.
    pub(super) other_cpids: BTreeSet<String>,
    /// Whether the command is about some merchants only.
    pub(super) limited: bool,
}

/// A merchant that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}, line {line}: the merchant {merchant:?} is neither an API id nor a cpid in the lake, nor a name in the settings file: correct it, name it with a [[merchant]] table (--config), or leave these lines out with --orders-where"
)]
pub struct UnknownMerchant {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u64,
    /// As written.
    pub merchant: String,
}

/// What a line's merchant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    This(MerchantIndex),
    /// One that the command is not about.
    Other,
    /// One of several with the same id at the PG: the number decides.
    OneOfSeveral,
}

/// Lines whose merchants are known.
pub(super) struct Resolved {
    /// The merchants that are examined, then those that lines name and of which the lake holds nothing.
    pub(super) merchants: Vec<String>,
    /// For each line that is left, the merchant that it names.
    pub(super) named: Vec<Option<MerchantIndex>>,
}

impl Known<'_> {
    /// The first merchant, if any, that lines name and that only ids at the PG can explain.
    pub(super) fn needs_cpids(&self, lines: &[OrderLine]) -> bool {
        let mut merchants = self.examined.to_vec();
        let names: BTreeSet<&str> = lines.iter().filter_map(|line| line.merchant.as_deref()).collect();
        names.into_iter().any(|name| self.find(name, &mut merchants).is_none())
    }

    /// Finds the merchants of lines. Lines of merchants that the command is not about are passed over.
    ///
    /// # Errors
    /// The first line whose merchant nobody knows.
    pub(super) fn resolve(&self, orders: &mut Orders) -> Result<Resolved, UnknownMerchant> {
        let mut merchants = self.examined.to_vec();
        let mut named = Vec::with_capacity(orders.lines.len());
        let mut known: HashMap<Arc<str>, Named> = HashMap::new();
        let mut others = 0;
        let mut unknown = None;
        orders.lines.retain(|line| {
            let Some(merchant) = &line.merchant else {
                named.push(None);
                return true;
            };
            let found = known.get(merchant).copied().or_else(|| {
                let found = self.find(merchant, &mut merchants)?;
                known.insert(Arc::clone(merchant), found);
                Some(found)
            });
            match found {
                Some(Named::This(merchant)) => named.push(Some(merchant)),
                Some(Named::OneOfSeveral) => named.push(None),
                Some(Named::Other) => others += 1,
                None => {
                    unknown.get_or_insert_with(|| (line.place, merchant.to_string()));
                }
            }
            found != Some(Named::Other)
        });
        if let Some((place, merchant)) = unknown {
            let file = orders.read.files.get(place.file as usize).cloned().unwrap_or_default();
            return Err(UnknownMerchant { file, line: place.line, merchant });
        }
        orders.read.passed_over += others;
        Ok(Resolved { merchants, named })
    }

    /// Whom a line names. A merchant that only the settings know joins the others.
    fn find(&self, written: &str, merchants: &mut Vec<String>) -> Option<Named> {
        let position = |api_id: &str, merchants: &[String]| {
            merchants.iter().position(|known| known == api_id).and_then(|at| MerchantIndex::try_from(at).ok())
        };
        let set = self.names.get(written).or_else(|| self.names.values().find(|api_id| *api_id == written));
        for api_id in [Some(&written.to_owned()), set].into_iter().flatten() {
            if let Some(merchant) = position(api_id, merchants) {
                return Some(Named::This(merchant));
            }
            if self.others.contains(api_id) {
                return Some(Named::Other);
            }
        }
        if let Some(of) = self.cpids.get(written) {
            return match of.len() {
                1 => of.first().copied().map(Named::This),
                _ => Some(Named::OneOfSeveral),
            };
        }
        if self.other_cpids.contains(written) {
            return Some(Named::Other);
        }
        let api_id = set?;
        if self.limited {
            return Some(Named::Other);
        }
        merchants.push(api_id.clone());
        MerchantIndex::try_from(merchants.len() - 1).ok().map(Named::This)
    }
}
