//! Puts order lines and lake rows together that share a number, merchant by merchant.
//!
//! Numbers are hashed, sorted and grouped, and sets are joined by union-find: 16 bytes for a number, 4 for a line or row, and no map of texts. A
//! line that names no merchant belongs to the one that has its number; the PG's transaction number counts more than the merchant's order
//! number, and lines whose numbers no merchant has follow other lines with these numbers.

use std::collections::HashMap;
use std::thread;

use super::books::OrderLine;
use super::groups::{ByNumber, Members, Node, Sets};
use super::rows::{Kind, Row, Rows};

/// A merchant: a position in the list of merchants.
pub(super) type MerchantIndex = u32;

/// Lines and rows, joined.
pub(super) struct Joined {
    /// The sets of lines and rows that belong together; in each, lines come first.
    pub(super) members: Members,
    /// Each line's merchant: the one that it names, or the one that has its number.
    pub(super) merchants: Vec<Option<MerchantIndex>>,
    /// The lines that name no merchant and whose number several have, with these.
    pub(super) ambiguous: HashMap<Node, Vec<MerchantIndex>>,
}

/// Joins lines and rows. `named` are the merchants that the lines name. Rows of transactions that were voided before they were
/// settled count nothing from now on.
pub(super) fn join(lines: &[OrderLine], named: Vec<Option<MerchantIndex>>, rows: &mut Rows) -> Joined {
    let (by_order, by_transaction) = thread::scope(|scope| {
        let by_order = scope.spawn(|| {
            let of_rows = (0..rows.len()).map(|row| rows.order_numbers.get(row));
            ByNumber::new(lines.iter().map(|line| line.order_no.as_deref()).chain(of_rows))
        });
        let of_rows = (0..rows.len()).map(|row| rows.transaction_ids.get(row));
        let by_transaction = ByNumber::new(lines.iter().map(|line| line.transaction_id.as_deref()).chain(of_rows));
        (by_order.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), by_transaction)
    });
    void(&by_transaction, lines.len(), &mut rows.all);
    let mut nodes = Nodes { merchants: named, rows: &rows.all };
    let ambiguous = nodes.find_merchants(&by_order, &by_transaction);
    let mut sets = Sets::new(lines.len() + rows.len());
    let mut group: Vec<(Option<MerchantIndex>, Node)> = Vec::new();
    for shared in by_order.groups().chain(by_transaction.groups()) {
        group.clear();
        group.extend(shared.map(|node| (nodes.merchant(node), node)));
        group.sort_unstable();
        for pair in group.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            sets.join(pair[0].1, pair[1].1);
        }
    }
    Joined { members: sets.into_members(), merchants: nodes.merchants, ambiguous }
}

/// A transaction that was cancelled on its day and of which the lake has no approval was voided before it was settled.
fn void(by_transaction: &ByNumber, lines: usize, rows: &mut [Row]) {
    let mut group: Vec<(MerchantIndex, usize)> = Vec::new();
    for shared in by_transaction.groups() {
        group.clear();
        group.extend(shared.filter_map(|node| (node as usize).checked_sub(lines)).map(|row| (rows[row].merchant, row)));
        if !group.iter().any(|(_, row)| rows[*row].kind == Kind::CancelledSameDay) {
            continue;
        }
        group.sort_unstable();
        for of_merchant in group.chunk_by(|a, b| a.0 == b.0) {
            let has = |kind| of_merchant.iter().any(|(_, row)| rows[*row].kind == kind);
            if has(Kind::CancelledSameDay) && !has(Kind::Approved) {
                for (_, row) in of_merchant {
                    rows[*row].amount = 0;
                }
            }
        }
    }
}

/// Lines and rows with their merchants.
struct Nodes<'r> {
    /// Of each line.
    merchants: Vec<Option<MerchantIndex>>,
    rows: &'r [Row],
}

/// The merchants of the lake that have a line's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holders {
    None,
    One(MerchantIndex),
    /// A position in a list of lists.
    Several(u32),
}

/// What other lines show of a line's merchant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    One(MerchantIndex),
    Several,
}

impl Nodes<'_> {
    fn merchant(&self, node: Node) -> Option<MerchantIndex> {
        match self.merchants.get(node as usize) {
            Some(merchant) => *merchant,
            None => Some(self.rows[node as usize - self.merchants.len()].merchant),
        }
    }

    /// Finds the merchants of lines that name none. Returns those lines whose number several merchants have.
    fn find_merchants(&mut self, by_order: &ByNumber, by_transaction: &ByNumber) -> HashMap<Node, Vec<MerchantIndex>> {
        let mut ambiguous = HashMap::new();
        if self.merchants.iter().all(Option::is_some) {
            return ambiguous;
        }
        let mut lists = Vec::new();
        let (orders, transactions) = (self.holders(by_order, &mut lists), self.holders(by_transaction, &mut lists));
        let mut absent = vec![false; self.merchants.len()];
        for (line, merchant) in self.merchants.iter_mut().enumerate().filter(|(_, merchant)| merchant.is_none()) {
            // the PG's own number counts more than the merchant's
            *merchant = match (orders[line], transactions[line]) {
                (_, Holders::One(merchant)) | (Holders::One(merchant), _) => Some(merchant),
                (Holders::None, Holders::None) => {
                    absent[line] = true;
                    None
                }
                (orders, transactions) => {
                    let list = |holders| match holders {
                        Holders::Several(list) => lists.get(list as usize),
                        Holders::None | Holders::One(_) => None,
                    };
                    let (orders, transactions) = (list(orders), list(transactions));
                    let all = orders.or(transactions).into_iter().flatten();
                    let both: Vec<MerchantIndex> =
                        all.copied().filter(|merchant| transactions.is_none_or(|list| list.contains(merchant))).collect();
                    if let [merchant] = both[..] {
                        Some(merchant)
                    } else {
                        ambiguous.insert(u32::try_from(line).unwrap_or_default(), both);
                        None
                    }
                }
            };
        }
        self.follow_other_lines([by_order, by_transaction], &absent);
        ambiguous
    }

    /// For each line, the merchants of the lake that have its number of one kind.
    fn holders(&self, by_number: &ByNumber, lists: &mut Vec<Vec<MerchantIndex>>) -> Vec<Holders> {
        let mut holders = vec![Holders::None; self.merchants.len()];
        let mut found: Vec<MerchantIndex> = Vec::new();
        for shared in by_number.groups() {
            // lines come first
            let lines = shared.clone().take_while(|node| (*node as usize) < self.merchants.len());
            if !lines.clone().any(|line| self.merchants[line as usize].is_none()) {
                continue;
            }
            found.clear();
            found.extend(shared.skip(lines.clone().count()).filter_map(|row| self.merchant(row)));
            found.sort_unstable();
            found.dedup();
            let of_all = match found[..] {
                [] => continue,
                [merchant] => Holders::One(merchant),
                _ => {
                    lists.push(found.clone());
                    Holders::Several(u32::try_from(lists.len() - 1).unwrap_or_default())
                }
            };
            lines.for_each(|line| holders[line as usize] = of_all);
        }
        holders
    }

    /// Lines whose numbers no merchant has belong to the merchant of other lines with these numbers, if that is one.
    fn follow_other_lines(&mut self, by_numbers: [&ByNumber; 2], absent: &[bool]) {
        if !absent.contains(&true) || self.merchants.iter().all(Option::is_none) {
            return;
        }
        let is_absent = |node: &Node| absent.get(*node as usize).copied().unwrap_or_default();
        let mut sets = Sets::new(absent.len());
        for shared in by_numbers.into_iter().flat_map(ByNumber::groups) {
            let mut lines = shared.filter(is_absent);
            if let Some(first) = lines.next() {
                lines.for_each(|line| sets.join(first, line));
            }
        }
        let mut shown: HashMap<Node, Shown> = HashMap::new();
        for shared in by_numbers.into_iter().flat_map(ByNumber::groups) {
            let Some(set) = shared.clone().find(is_absent).map(|line| sets.find(line)) else { continue };
            for merchant in shared.filter(|node| !is_absent(node)).filter_map(|node| self.merchant(node)) {
                let of_set = shown.entry(set).or_insert(Shown::One(merchant));
                if *of_set != Shown::One(merchant) {
                    *of_set = Shown::Several;
                }
            }
        }
        for line in (0..).take(absent.len()).filter(is_absent) {
            if let Some(Shown::One(merchant)) = shown.get(&sets.find(line)) {
                self.merchants[line as usize] = Some(*merchant);
            }
        }
    }
}
