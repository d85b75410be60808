//! Where the matrices of a program lie: those that are not needed at the same time share a place.

use std::ops::RangeInclusive;

use super::touched::Touched;
use super::{MatrixId, Pass, Program};

/// The place of each matrix of a program at some batch size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Of each matrix; none for those that no step touches.
    of: Vec<Option<usize>>,
    /// Numbers of each place: those of its largest matrix.
    lengths: Vec<usize>,
    /// Matrices, with their places, that are needed before the first step or behind the last one.
    stay: Vec<(usize, usize)>,
    /// Those that are needed from each step on.
    begin: Vec<Vec<(usize, usize)>>,
    /// Those that are needed until each step.
    end: Vec<Vec<(usize, usize)>>,
}

/// When a matrix is needed.
#[derive(Clone, Debug, PartialEq)]
enum Span {
    Always,
    Steps(RangeInclusive<usize>),
}

impl Span {
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Steps(one), Self::Steps(other)) => {
                other.start() <= one.end() && one.start() <= other.end()
            }
            _ => true,
        }
    }
}

impl Places {
    /// For matrices of so many numbers, which the steps touch in this order. Those that are `kept` are filled before the first step or
    /// read behind the last one; and one that is read before it is written holds what an earlier run has left.
    pub(crate) fn new(lengths: &[usize], steps: &[Touched], kept: &[MatrixId]) -> Self {
        let mut spans = vec![None; lengths.len()];
        for &MatrixId(matrix) in kept {
            spans[matrix] = Some(Span::Always);
        }
        for (step, touched) in steps.iter().enumerate() {
            for &MatrixId(matrix) in &touched.read {
                let span = spans[matrix].get_or_insert(Span::Always);
                lengthen(span, step);
            }
            for &MatrixId(matrix) in &touched.written {
                let span = spans[matrix].get_or_insert(Span::Steps(step..=step));
                lengthen(span, step);
            }
        }
        Self::assign(lengths, &spans, steps.len())
    }

    /// From the largest matrix to the smallest, each into the smallest place that is free all the time (Pisarchyk and Lee 2020).
    fn assign(sizes: &[usize], spans: &[Option<Span>], steps: usize) -> Self {
        let mut places = Self {
            of: vec![None; sizes.len()],
            lengths: Vec::new(),
            stay: Vec::new(),
            begin: vec![Vec::new(); steps],
            end: vec![Vec::new(); steps],
        };
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&matrix| std::cmp::Reverse(sizes[matrix]));
        let mut taken: Vec<Vec<&Span>> = Vec::new();
        for matrix in order {
            let Some(span) = &spans[matrix] else { continue };
            let is_free = |others: &Vec<&Span>| !others.iter().any(|other| other.overlaps(span));
            // Places are as long as their first matrix, so the last one is the smallest.
            let place = taken.iter().rposition(is_free).unwrap_or_else(|| {
                places.lengths.push(sizes[matrix]);
                taken.push(Vec::new());
                taken.len() - 1
            });
            taken[place].push(span);
            places.of[matrix] = Some(place);
            match span {
                Span::Always => places.stay.push((matrix, place)),
                Span::Steps(steps) => {
                    places.begin[*steps.start()].push((matrix, place));
                    places.end[*steps.end()].push((matrix, place));
                }
            }
        }
        places
    }

    /// Numbers of each place.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The place of a matrix, if a step touches it or it is kept.
    pub(crate) fn of(&self, matrix: MatrixId) -> Option<usize> {
        self.of[matrix.0]
    }

    /// The matrices that share their places with none, and those places.
    pub(crate) fn stay(&self) -> &[(usize, usize)] {
        &self.stay
    }

    /// The matrices that are needed from `step` on, with their places.
    pub(crate) fn begin(&self, step: usize) -> &[(usize, usize)] {
        &self.begin[step]
    }

    /// The matrices that are needed until `step`, with their places.
    pub(crate) fn end(&self, step: usize) -> &[(usize, usize)] {
        &self.end[step]
    }
}

fn lengthen(span: &mut Span, step: usize) {
    if let Span::Steps(steps) = span {
        *steps = *steps.start()..=step;
    }
}

impl Program {
    /// Places for `batch` rows, if its passes are the steps.
    pub(crate) fn places(&self, batch: usize, kept: &[MatrixId]) -> Places {
        let steps: Vec<Touched> = self.passes.iter().map(Pass::touched).collect();
        Places::new(&self.lengths(batch), &steps, kept)
    }

    /// Numbers of each matrix for `batch` rows.
    pub(crate) fn lengths(&self, batch: usize) -> Vec<usize> {
        let matrices = (0..self.columns.len()).map(MatrixId);
        matrices.map(|matrix| self.length(matrix, batch)).collect()
    }

    /// Bytes of all places for `batch` rows, on any executor, of which some compute gradients of parameters last.
    #[must_use]
    pub fn bytes(&self, batch: usize, kept: &[MatrixId]) -> usize {
        let is_last = |pass: &&Pass| matches!(pass, Pass::DenseBackwardParameters { .. });
        let (last, first): (Vec<&Pass>, Vec<&Pass>) = self.passes.iter().partition(is_last);
        let order = first.into_iter().map(Pass::touched);
        let mut end = Touched::default();
        for pass in last.into_iter().map(Pass::touched) {
            end.read.extend(pass.read);
        }
        let steps: Vec<Touched> = order.chain([end]).collect();
        let places = Places::new(&self.lengths(batch), &steps, kept);
        places.lengths().iter().sum::<usize>() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(read: &[usize], written: &[usize]) -> Touched {
        let of = |matrices: &[usize]| matrices.iter().copied().map(MatrixId).collect();
        Touched {
            read: of(read),
            written: of(written),
        }
    }

    #[test]
    fn what_is_not_needed_at_the_same_time_lies_in_one_place() {
        // 0 -> 1 -> 2 -> 3, of which 3 is read behind the last step.
        let steps = [
            step(&[], &[0]),
            step(&[0], &[1]),
            step(&[1], &[2]),
            step(&[2], &[3]),
        ];
        let places = Places::new(&[8, 10, 6, 2], &steps, &[MatrixId(3)]);
        assert_eq!(places.lengths(), [10, 8, 2]);
        let of: Vec<_> = (0..4).map(|matrix| places.of(MatrixId(matrix))).collect();
        assert_eq!(of, [Some(1), Some(0), Some(1), Some(2)]);
        assert_eq!(
            (places.begin(0), places.end(1)),
            (&[(0, 1)][..], &[(0, 1)][..])
        );
        assert_eq!(places.stay(), [(3, 2)]);
    }

    #[test]
    fn what_is_read_first_stays_from_run_to_run_and_what_no_step_touches_has_no_place() {
        let steps = [step(&[0], &[1]), step(&[1], &[2]), step(&[2, 0], &[0])];
        let places = Places::new(&[4, 4, 4, 100], &steps, &[]);
        assert_eq!(places.lengths(), [4, 4, 4]);
        assert_eq!(places.of(MatrixId(3)), None);
    }
}
