//! Which lines and rows share a number, and which of them belong together. Knows nothing of money.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_128;

/// A line or a row: the lines come first, then the rows.
pub(super) type Node = u32;

/// The nodes that have a number of one kind, in the order of the numbers' hashes. 96 bits of a hash stand for a number: two
/// numbers of four million have the same ones with a probability of 10⁻¹⁶.
#[derive(Debug, Default)]
pub(super) struct ByNumber(Vec<(u64, u32, Node)>);

impl ByNumber {
    /// The nodes that have a number.
    pub(super) fn new<'t>(numbers: impl Iterator<Item = Option<&'t str>>) -> Self {
        let numbered = (0..).zip(numbers).filter_map(|(node, number)| Some((node, number?)));
        let hashed = numbered.map(|(node, number)| {
            let hash = xxh3_128(number.as_bytes());
            #[expect(clippy::cast_possible_truncation, reason = "parts of the hash are wanted")]
            let parts = ((hash >> 64) as u64, hash as u32);
            (parts.0, parts.1, node)
        });
        let mut entries: Vec<_> = hashed.collect();
        entries.sort_unstable();
        Self(entries)
    }

    /// The groups of nodes that share a number, each in the order of the nodes.
    pub(super) fn groups(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = Node> + Clone + '_> + '_ {
        self.0.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).map(|group| group.iter().map(|(_, _, node)| *node))
    }
}

/// Which nodes belong together: each points towards one that stands for its set.
#[derive(Debug)]
pub(super) struct Sets(Vec<Node>);

impl Sets {
    /// So many nodes, each by itself.
    pub(super) fn new(nodes: usize) -> Self {
        Self((0..).take(nodes).collect())
    }

    /// The node that stands for a node's set.
    pub(super) fn find(&mut self, mut node: Node) -> Node {
        while self.parent(node) != node {
            let above = self.parent(self.parent(node));
            self.0[node as usize] = above;
            node = above;
        }
        node
    }

    fn parent(&self, node: Node) -> Node {
        self.0[node as usize]
    }

    /// Puts the sets of two nodes together. The smaller node stands for both, so that the result does not depend on the order.
    pub(super) fn join(&mut self, a: Node, b: Node) {
        let (a, b) = (self.find(a), self.find(b));
        match a.cmp(&b) {
            Ordering::Less => self.0[b as usize] = a,
            Ordering::Greater => self.0[a as usize] = b,
            Ordering::Equal => {}
        }
    }

    /// The sets, each with its nodes in their order.
    pub(super) fn into_members(mut self) -> Members {
        let nodes = self.0.len();
        // how many nodes each set has, then where each begins
        let mut ends = vec![0u32; nodes];
        let mut roots = 0;
        for node in (0..).take(nodes) {
            let root = self.find(node);
            roots += usize::from(root == node);
            ends[root as usize] += 1;
        }
        let mut bounds = Vec::with_capacity(roots + 1);
        let mut end = 0;
        bounds.push(end);
        for node in (0..).take(nodes) {
            if self.parent(node) == node {
                let begin = end;
                end += ends[node as usize];
                bounds.push(end);
                ends[node as usize] = begin;
            }
        }
        let mut members = vec![0; nodes];
        for node in (0..).take(nodes) {
            let next = &mut ends[self.find(node) as usize];
            members[*next as usize] = node;
            *next += 1;
        }
        Members { nodes: members, bounds }
    }
}

/// Sets of nodes, in the order of their first nodes.
#[derive(Debug)]
pub(super) struct Members {
    nodes: Vec<Node>,
    bounds: Vec<u32>,
}

impl Members {
    /// How many sets there are.
    pub(super) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The nodes of a set.
    pub(super) fn of(&self, set: usize) -> &[Node] {
        &self.nodes[self.bounds[set] as usize..self.bounds[set + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nodes_of_one_number_are_a_group() {
        let groups = ByNumber::new([Some("b"), Some("a"), None, Some("b")].into_iter());
        let mut found: Vec<Vec<Node>> = groups.groups().map(Iterator::collect).collect();
        found.sort();
        assert_eq!(found, [vec![0, 3], vec![1]]);
    }

    proptest! {
        #[test]
        fn each_node_is_in_the_set_of_those_it_was_joined_with(joined in prop::collection::vec((0u32..12, 0u32..12), 0..12)) {
            let mut sets = Sets::new(12);
            for (a, b) in &joined {
                sets.join(*a, *b);
            }
            let members = sets.into_members();
            // the slow way: labels are passed on until none changes
            let mut labels: Vec<u32> = (0..12).collect();
            for _ in 0..12 {
                for (a, b) in &joined {
                    let least = labels[*a as usize].min(labels[*b as usize]);
                    (labels[*a as usize], labels[*b as usize]) = (least, least);
                }
            }
            let mut expected: Vec<Vec<Node>> = Vec::new();
            for label in 0..12 {
                let set: Vec<Node> = (0..12).filter(|node| labels[*node as usize] == label).collect();
                expected.extend(Some(set).filter(|set| !set.is_empty()));
            }
            let found: Vec<Vec<Node>> = (0..members.len()).map(|set| members.of(set).to_vec()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
