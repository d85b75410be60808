//! What latents tell of labels: accuracies of two simple classifiers that are fitted to the latents of training samples.

use rayon::prelude::*;
use serde::Serialize;

use super::Standardization;
use super::lbfgs::minimum;

/// Neighbours that vote.
pub const NEIGHBOURS: usize = 5;

/// Latents `[count, latent]` with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// Posterior means.
    pub mu: &'a [f32],
    /// Class of each.
    pub classes: &'a [u32],
}

/// Shares of samples that are classified correctly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Probes {
    /// By the majority of the five nearest training samples; of as many votes, the class of the smaller index.
    pub knn_accuracy: f64,
    /// By multinomial logistic regression on standardised latents, with an L2 penalty of 1 as scikit-learn's default.
    pub linear_accuracy: f64,
    /// Mean cross-entropy of that classifier, nats.
    pub linear_loss: f64,
}

impl Probes {
    /// Of classifiers of `classes` classes fitted to `train` and judged on `test`, latents of `latent` dimensions.
    #[must_use]
    pub fn of(train: Labelled<'_>, test: Labelled<'_>, latent: usize, classes: usize) -> Self {
        let scaling = Standardization::of(train.mu, latent);
        let weights = regression(&scaling.apply(train.mu), train.classes, latent, classes);
        let rows = scaling.apply(test.mu);
        let judged = rows.chunks_exact(latent).zip(test.classes);
        let judged: Vec<(bool, f64)> = judged
            .map(|(row, &class)| {
                let logits = logits(&weights, row, classes);
                let best = (0..classes).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                let loss = log_sum_exp(&logits) - logits[class as usize];
                (best == Some(class as usize), loss)
            })
            .collect();
        let count = judged.len() as f64;
        let right = judged.iter().filter(|(is_right, _)| *is_right).count();
        Self {
            knn_accuracy: neighbours(train, test, latent, classes),
            linear_accuracy: right as f64 / count,
            linear_loss: judged.iter().map(|(_, loss)| loss).sum::<f64>() / count,
        }
    }
}

fn neighbours(train: Labelled<'_>, test: Labelled<'_>, latent: usize, classes: usize) -> f64 {
    let rows = test.mu.par_chunks_exact(latent).zip(test.classes);
    let right = rows.filter(|(row, class)| {
        // The nearest so far, the farthest of them last.
        let mut nearest: Vec<(f32, u32)> = Vec::with_capacity(NEIGHBOURS + 1);
        for (other, &class) in train.mu.chunks_exact(latent).zip(train.classes) {
            let distance: f32 = row.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
            let is_full = nearest.len() == NEIGHBOURS;
            if is_full && nearest.last().is_some_and(|(far, _)| distance >= *far) {
                continue;
            }
            let place = nearest.partition_point(|(near, _)| *near <= distance);
            nearest.insert(place, (distance, class));
            nearest.truncate(NEIGHBOURS);
        }
        let mut votes = vec![0; classes];
        nearest
            .iter()
            .for_each(|(_, class)| votes[*class as usize] += 1);
        let most = votes.iter().max();
        votes.iter().position(|count| Some(count) == most) == Some(**class as usize)
    });
    right.count() as f64 / test.classes.len() as f64
}

fn logits(weights: &[f64], row: &[f64], classes: usize) -> Vec<f64> {
    let (weights, biases) = weights.split_at(row.len() * classes);
    let mut logits = biases.to_vec();
    for (x, weights) in row.iter().zip(weights.chunks_exact(classes)) {
        logits
            .iter_mut()
            .zip(weights)
            .for_each(|(l, w)| *l += x * w);
    }
    logits
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    largest + sum.ln()
}

/// Weights `[columns, classes]` and biases of a multinomial logistic regression: the sum of the losses of all rows and half the
/// squares of the weights is least.
fn regression(rows: &[f64], labels: &[u32], columns: usize, classes: usize) -> Vec<f64> {
    /// Rows whose losses are added up in one task, in an order that does not depend on the threads.
    const TASK: usize = 1_024;
    let count = labels.len() as f64;
    let length = (columns + 1) * classes;
    let function = |weights: &[f64]| {
        let tasks = rows
            .par_chunks(TASK * columns)
            .zip(labels.par_chunks(TASK))
            .map(|(rows, labels)| {
                let (mut value, mut gradient) = (0.0, vec![0.0; length]);
                for (row, &label) in rows.chunks_exact(columns).zip(labels) {
                    let mut residuals = logits(weights, row, classes);
                    let whole = log_sum_exp(&residuals);
                    value += whole - residuals[label as usize];
                    residuals.iter_mut().for_each(|x| *x = (*x - whole).exp());
                    residuals[label as usize] -= 1.0;
                    let inputs = row.iter().copied().chain([1.0]);
                    for (x, gradient) in inputs.zip(gradient.chunks_exact_mut(classes)) {
                        let pairs = gradient.iter_mut().zip(&residuals);
                        pairs.for_each(|(gradient, residual)| *gradient += x * residual);
                    }
                }
                (value, gradient)
            });
        let tasks: Vec<(f64, Vec<f64>)> = tasks.collect();
        let (mut value, mut gradient) = (0.0, vec![0.0; length]);
        for (of_task, gradients) in tasks {
            value += of_task;
            gradient
                .iter_mut()
                .zip(gradients)
                .for_each(|(g, of_task)| *g += of_task);
        }
        for (gradient, weight) in gradient.iter_mut().zip(&weights[..columns * classes]) {
            value += 0.5 * weight * weight;
            *gradient += weight;
        }
        gradient.iter_mut().for_each(|gradient| *gradient /= count);
        (value / count, gradient)
    };
    minimum(vec![0.0; length], function)
}
