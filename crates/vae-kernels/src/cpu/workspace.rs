//! The matrices of the program that runs, in places that some of them share.

use std::ops::{Deref, DerefMut};

use crate::program::{MatrixId, Places, Program};

/// A matrix: the first numbers of a place. It is empty while no pass needs it.
#[derive(Debug, Default)]
pub(super) struct Values {
    place: Vec<f32>,
    length: usize,
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.place[..self.length]
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.place[..self.length]
    }
}

/// Matrices of a program at a batch size.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) matrices: Vec<Values>,
    /// The numbers of each place, while no matrix has them.
    free: Vec<Vec<f32>>,
    places: Places,
    lengths: Vec<usize>,
    laid: Option<(Program, usize)>,
}

impl Workspace {
    /// Makes room for `program` on `batch` rows; `kept` are filled before its first pass or read behind its last.
    pub(super) fn lay(&mut self, program: &Program, batch: usize, kept: &[MatrixId]) {
        let is_laid = |(of, rows): &(Program, usize)| *rows == batch && of == program;
        if self.laid.as_ref().is_some_and(is_laid) {
            return;
        }
        let places = program.places(batch, kept);
        let before = self.matrices.drain(..).map(|matrix| matrix.place);
        let mut before: Vec<_> = before.chain(self.free.drain(..)).collect();
        before.sort_by_key(Vec::len);
        let place = |&length: &usize| {
            let mut place = before.pop().unwrap_or_default();
            place.resize(length, 0.0);
            place
        };
        self.free = places.lengths().iter().map(place).collect();
        self.lengths = program.lengths(batch);
        self.matrices
            .resize_with(self.lengths.len(), Values::default);
        self.places = places;
        give(
            self.places.stay(),
            &self.lengths,
            &mut self.free,
            &mut self.matrices,
        );
        self.laid = Some((program.clone(), batch));
    }

    /// Gives the matrices that are needed from pass `step` on their places.
    pub(super) fn begin(&mut self, step: usize) {
        give(
            self.places.begin(step),
            &self.lengths,
            &mut self.free,
            &mut self.matrices,
        );
    }

    /// Frees the places of those that are needed no longer behind pass `step`.
    pub(super) fn end(&mut self, step: usize) {
        for &(matrix, place) in self.places.end(step) {
            self.free[place] = std::mem::take(&mut self.matrices[matrix]).place;
        }
    }
}

/// Gives matrices their places.
fn give(which: &[(usize, usize)], lengths: &[usize], free: &mut [Vec<f32>], to: &mut [Values]) {
    for &(matrix, place) in which {
        to[matrix] = Values {
            place: std::mem::take(&mut free[place]),
            length: lengths[matrix],
        };
    }
}
