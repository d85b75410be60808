//! Sums in a fixed order: the gradients of a batch's pieces are added up as a balanced tree over all pieces, whichever process has
//! which of them, so that any number of processes gives the same bits. MPI's own sums promise no order.

use std::ops::Range;

use vae_kernels::cpu;

use super::Group;

/// A node of the tree: that of this index, from the left, so many levels above the leaves, which are the pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    level: u32,
    index: usize,
}

/// Consecutive pieces, in which every two halves of a node that are there have become this node.
#[derive(Debug)]
pub(crate) struct Tree<T> {
    nodes: Vec<(Node, T)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<T> Tree<T> {
    /// Appends the piece of this index; `add` adds its second argument to the first.
    pub(crate) fn push(&mut self, piece: usize, values: T, add: impl FnMut(&mut T, T)) {
        let leaf = Node {
            level: 0,
            index: piece,
        };
        self.push_node(leaf, values, add);
    }

    fn push_node(&mut self, mut node: Node, mut values: T, mut add: impl FnMut(&mut T, T)) {
        while let Some((before, mut sum)) = self.nodes.pop() {
            let is_sibling = before.level == node.level && before.index + 1 == node.index;
            if !is_sibling || node.index.is_multiple_of(2) {
                self.nodes.push((before, sum));
                break;
            }
            add(&mut sum, values);
            values = sum;
            node = Node {
                level: node.level + 1,
                index: node.index / 2,
            };
        }
        self.nodes.push((node, values));
    }

    /// The sum of all pieces, of which there is at least one: the nodes of a tree whose last levels are not full are added from the
    /// right.
    fn sum(self, mut add: impl FnMut(&mut T, T)) -> Option<T> {
        let from_right = self.nodes.into_iter().rev();
        from_right
            .map(|(_, values)| values)
            .reduce(|right, mut left| {
                add(&mut left, right);
                left
            })
    }

    fn values(self) -> impl Iterator<Item = T> {
        self.nodes.into_iter().map(|(_, values)| values)
    }
}

/// The nodes that the pieces of a process become.
fn nodes(pieces: Range<usize>) -> Vec<Node> {
    let mut tree = Tree::default();
    for piece in pieces {
        tree.push(piece, (), |(), ()| {});
    }
    tree.nodes.into_iter().map(|(node, ())| node).collect()
}

/// The sum of the vectors of all `pieces`, those of this process in `tree`, of one length everywhere: the same bits on every process,
/// and for every number of processes that divides that of pieces. Each process adds up a part of the numbers, which it receives in
/// `received`, a buffer.
pub(crate) fn add_up(
    group: &dyn Group,
    pieces: usize,
    tree: Tree<Vec<f32>>,
    received: &mut Vec<f32>,
) -> Vec<f32> {
    let size = group.size();
    if size == 1 {
        let sum = tree.sum(|sum, values| cpu::add(sum, &values));
        return sum.unwrap_or_default();
    }
    let mut mine: Vec<Vec<f32>> = tree.values().collect();
    let length = mine.first().map_or(0, Vec::len);
    let bound = |rank: usize| length * rank / size;
    let parts: Vec<Range<usize>> = (0..size).map(|rank| bound(rank)..bound(rank + 1)).collect();
    let lengths: Vec<usize> = parts.iter().map(Range::len).collect();
    let share = pieces / size;
    let nodes: Vec<Vec<Node>> = (0..size)
        .map(|rank| nodes(rank * share..(rank + 1) * share))
        .collect();

    let sent_counts: Vec<usize> = lengths.iter().map(|length| length * mine.len()).collect();
    let sent = match &mut mine[..] {
        [one] => std::mem::take(one),
        many => {
            let mut sent = Vec::with_capacity(length * many.len());
            for part in &parts {
                for node in &*many {
                    sent.extend_from_slice(&node[part.clone()]);
                }
            }
            sent
        }
    };
    let own = lengths[group.rank()];
    let received_counts: Vec<usize> = nodes.iter().map(|nodes| own * nodes.len()).collect();
    received.resize(received_counts.iter().sum(), 0.0);
    group.exchange(&sent, &sent_counts, received, &received_counts);

    let mut tree = Tree::default();
    let add = |sum: &mut &mut [f32], values: &mut [f32]| cpu::add(sum, values);
    let mut rest = &mut received[..];
    for node in nodes.into_iter().flatten() {
        let (values, behind) = rest.split_at_mut(own);
        rest = behind;
        tree.push_node(node, values, add);
    }
    let mut all = sent;
    all.resize(length, 0.0);
    let sum = tree.sum(add).unwrap_or_default();
    group.gather_all(sum, &mut all, &lengths);
    all
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};

    use super::*;

    /// The sum of numbers as text that shows its order.
    fn written(pieces: usize, processes: usize) -> String {
        let add = |sum: &mut String, more: String| *sum = format!("({sum}{more})");
        let share = pieces / processes;
        let mut all = Tree::default();
        for process in 0..processes {
            let mut own = Tree::default();
            for piece in process * share..(process + 1) * share {
                own.push(piece, format!(" {piece}"), add);
            }
            for (node, sum) in own.nodes {
                all.push_node(node, sum, add);
            }
        }
        all.sum(add).unwrap_or_default()
    }

    #[test]
    fn the_order_of_a_sum_does_not_depend_on_the_number_of_processes() {
        assert_eq!(written(4, 1), "(( 0 1)( 2 3))");
        assert_eq!(written(6, 1), "((( 0 1)( 2 3))( 4 5))");
        assert_eq!(written(7, 1), "((( 0 1)( 2 3))(( 4 5) 6))");
        for pieces in 1..=24 {
            for processes in (1..=pieces).filter(|&processes| pieces % processes == 0) {
                assert_eq!(written(pieces, processes), written(pieces, 1));
            }
        }
    }

    /// Threads that stand for processes.
    #[derive(Debug)]
    struct Threads {
        rank: usize,
        barrier: Arc<Barrier>,
        /// What each process sends to each.
        mail: Arc<Mutex<Vec<Vec<Vec<f32>>>>>,
    }

    impl Threads {
        fn of(size: usize) -> Vec<Self> {
            let barrier = Arc::new(Barrier::new(size));
            let mail = Arc::new(Mutex::new(vec![vec![Vec::new(); size]; size]));
            let process = |rank| Self {
                rank,
                barrier: Arc::clone(&barrier),
                mail: Arc::clone(&mail),
            };
            (0..size).map(process).collect()
        }

        fn deliver(&self, to_each: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
            self.mail.lock().expect("no panic")[self.rank] = to_each;
            self.barrier.wait();
            let mail = self.mail.lock().expect("no panic").clone();
            self.barrier.wait();
            mail.into_iter()
                .map(|sent| sent[self.rank].clone())
                .collect()
        }
    }

    impl Group for Threads {
        fn rank(&self) -> usize {
            self.rank
        }

        fn size(&self) -> usize {
            self.mail.lock().expect("no panic").len()
        }

        fn local(&self) -> [usize; 2] {
            [self.rank, self.size()]
        }

        fn exchange(
            &self,
            mut sent: &[f32],
            sent_counts: &[usize],
            received: &mut [f32],
            received_counts: &[usize],
        ) {
            let to_each = sent_counts.iter().map(|&count| {
                let (values, rest) = sent.split_at(count);
                sent = rest;
                values.to_vec()
            });
            let from_each = self.deliver(to_each.collect());
            assert!(
                from_each
                    .iter()
                    .map(Vec::len)
                    .eq(received_counts.iter().copied())
            );
            received.copy_from_slice(&from_each.concat());
        }

        fn gather_all(&self, mine: &[f32], all: &mut [f32], counts: &[usize]) {
            let from_each = self.deliver(vec![mine.to_vec(); self.size()]);
            assert!(from_each.iter().map(Vec::len).eq(counts.iter().copied()));
            all.copy_from_slice(&from_each.concat());
        }

        fn broadcast(&self, _: &mut Vec<u8>) {}

        fn gather(&self, _: &[u8]) -> Vec<Vec<u8>> {
            Vec::new()
        }
    }

    /// The sum of `pieces` vectors of `length` numbers, on each of so many processes.
    fn sums(pieces: usize, length: usize, processes: usize) -> Vec<Vec<f32>> {
        let share = pieces / processes;
        let work = |group: Threads| {
            let mut tree = Tree::default();
            for piece in group.rank * share..(group.rank + 1) * share {
                let values = (0..length).map(|i| 1.0 / (piece * length + i + 1) as f32);
                tree.push(piece, values.collect(), |sum: &mut Vec<f32>, values| {
                    cpu::add(sum, &values);
                });
            }
            add_up(&group, pieces, tree, &mut Vec::new())
        };
        std::thread::scope(|scope| {
            let threads = Threads::of(processes).into_iter();
            let threads: Vec<_> = threads
                .map(|group| scope.spawn(move || work(group)))
                .collect();
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            joined.collect()
        })
    }

    #[test]
    fn any_number_of_processes_gives_the_same_bits_and_another_order_does_not() {
        for (pieces, length) in [(12, 101), (8, 1), (6, 2), (1, 5)] {
            let [alone] = &sums(pieces, length, 1)[..] else {
                panic!("one process");
            };
            for processes in [2, 3, 4, 6, 12] {
                if pieces % processes == 0 {
                    for sum in sums(pieces, length, processes) {
                        assert_eq!(&sum, alone, "{pieces} pieces on {processes}");
                    }
                }
            }
        }
        let from_left = (0..101).map(|i| {
            let pieces = (0..12).map(|piece| 1.0 / (piece * 101 + i + 1) as f32);
            pieces.sum::<f32>()
        });
        assert!(!sums(12, 101, 1)[0].iter().copied().eq(from_left));
    }
}
