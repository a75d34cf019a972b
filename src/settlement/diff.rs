//! What changed between two versions of a day, counted over multisets: the API has no unique key, and
//! two equal rows are both money. Keeps a hash of each row and of its identity, 24 bytes, and no more.

use std::cmp::Ordering;

use arrow_array::RecordBatch;

use super::digest::RowHasher;

/// Counts what changed between two versions, whose rows may come in any order.
#[derive(Debug, Default)]
pub struct Diff {
    hasher: RowHasher,
    before: Vec<Row>,
    after: Vec<Row>,
}

/// Content, then identity: halves of the one and a half of the other, so that no byte is padding.
type Row = [u64; 3];

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
    /// Room for so many rows of each version.
    #[must_use]
    pub fn with_rows(before: u64, after: u64) -> Self {
        let room = |rows| Vec::with_capacity(usize::try_from(rows).unwrap_or_default());
        Self { hasher: RowHasher::default(), before: room(before), after: room(after) }
    }

    /// Adds rows of the old version.
    pub fn before(&mut self, batch: &RecordBatch) {
        add(&mut self.hasher, &mut self.before, batch);
    }

    /// Adds rows of the new version.
    pub fn after(&mut self, batch: &RecordBatch) {
        add(&mut self.hasher, &mut self.after, batch);
    }

    /// What changed.
    #[must_use]
    pub fn changes(mut self) -> Changes {
        let (removed, added) = apart(&mut self.before, &mut self.after, |row| row);
        let identities = |rows: Vec<Row>| rows.into_iter().map(|row| row[2]).collect::<Vec<u64>>();
        let (mut removed, mut added) = (identities(removed), identities(added));
        let (gone, new) = apart(&mut removed, &mut added, |identity| identity);
        let changed = (removed.len() - gone.len()) as u64;
        Changes { added: new.len() as u64, removed: gone.len() as u64, changed }
    }
}

fn add(hasher: &mut RowHasher, rows: &mut Vec<Row>, batch: &RecordBatch) {
    let first = rows.len();
    hasher.contents(batch, |content| rows.push([high(content), low(content), 0]));
    let mut row = first;
    hasher.identities(batch, |identity| {
        rows[row][2] = low(identity);
        row += 1;
    });
}

fn high(hash: u128) -> u64 {
    low(hash >> 64)
}

fn low(hash: u128) -> u64 {
    u64::try_from(hash & u128::from(u64::MAX)).unwrap_or_default()
}

/// What one multiset has and the other has not, each way. Sorts both.
fn apart<T: Copy, K: Ord>(left: &mut [T], right: &mut [T], key: impl Fn(T) -> K) -> (Vec<T>, Vec<T>) {
    left.sort_unstable_by_key(|item| key(*item));
    right.sort_unstable_by_key(|item| key(*item));
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    let (mut l, mut r) = (0, 0);
    while l < left.len() && r < right.len() {
        match key(left[l]).cmp(&key(right[r])) {
            Ordering::Less => {
                only_left.push(left[l]);
                l += 1;
            }
            Ordering::Greater => {
                only_right.push(right[r]);
                r += 1;
            }
            Ordering::Equal => {
                l += 1;
                r += 1;
            }
        }
    }
    only_left.extend_from_slice(&left[l..]);
    only_right.extend_from_slice(&right[r..]);
    (only_left, only_right)
}
