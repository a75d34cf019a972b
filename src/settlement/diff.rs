//! What changed between two versions of a day, counted over multisets: the API has no unique key, and
//! two equal rows are both money. Keeps a hash a row.

use std::collections::HashMap;

use arrow_array::RecordBatch;

use super::totals::RowHasher;

/// Counts what changed; give it both versions' rows, in any order.
#[derive(Debug, Default)]
pub struct Diff {
    hasher: RowHasher,
    /// By content: how many more the new version has, and the rows' identity.
    rows: HashMap<u128, (i64, u128)>,
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Rows that are new.
    pub added: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Rows gone and new that share transaction and payment status, in pairs.
    pub changed: u64,
}

impl Diff {
    /// Adds rows of the old version.
    pub fn before(&mut self, batch: &RecordBatch) {
        self.count(batch, -1);
    }

    /// Adds rows of the new version.
    pub fn after(&mut self, batch: &RecordBatch) {
        self.count(batch, 1);
    }

    fn count(&mut self, batch: &RecordBatch, by: i64) {
        let mut identities = Vec::with_capacity(batch.num_rows());
        self.hasher.identities(batch, |row| identities.push(row));
        let mut identities = identities.into_iter();
        let rows = &mut self.rows;
        self.hasher.contents(batch, |row| {
            let identity = identities.next().unwrap_or_default();
            rows.entry(row).or_insert((0, identity)).0 += by;
        });
    }

    /// What changed.
    #[must_use]
    pub fn changes(self) -> Changes {
        let mut by_identity: HashMap<u128, Changes> = HashMap::new();
        for (more, identity) in self.rows.into_values() {
            let changes = by_identity.entry(identity).or_default();
            if more > 0 {
                changes.added += more.unsigned_abs();
            } else {
                changes.removed += more.unsigned_abs();
            }
        }
        by_identity.into_values().fold(Changes::default(), |all, one| {
            let changed = one.added.min(one.removed);
            Changes { added: all.added + one.added - changed, removed: all.removed + one.removed - changed, changed: all.changed + changed }
        })
    }
}
