//! The constants of a step, as the shaders see them.

use bytemuck::{Pod, Zeroable};
use vae_spec::Clip;

use crate::executor::{Piece, Run};
use crate::program::{Rule, Update};

/// Mirrors `Step` in `shaders/step/step.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct StepConstants {
    noise_key: [u32; 2],
    binarization_key: [u32; 2],
    corruption_key: [u32; 2],
    step: [u32; 2],
    first_row: u32,
    /// Start of the batch in the list of rows.
    pub(super) rows: u32,
    /// Slot of the losses.
    pub(super) slot: u32,
    beta: f32,
    clip: f32,
    weight_decay: f32,
    ema: f32,
    /// Number of rows of the whole batch.
    batch: f32,
    /// Index of the first row in it.
    piece: u32,
    anneal: f32,
    capacity: f32,
    data_count: f32,
    prior_key: [u32; 2],
    prior_step: [u32; 2],
    rule: [[f32; 4]; 2],
}

impl StepConstants {
    pub(super) fn new(run: &Run, piece: Piece, update: Option<Update>) -> Self {
        let step = run.noise.step;
        let of_update = update.map_or_else(Self::zeroed, Self::of_update);
        Self {
            noise_key: run.noise.generator.key(),
            binarization_key: run.binarization.key(),
            corruption_key: run.corruption.key(),
            step: halves(step),
            first_row: run.noise.first_row + piece.first as u32,
            beta: run.weighting.beta,
            batch: piece.batch as f32,
            piece: piece.first as u32,
            anneal: run.weighting.anneal,
            capacity: run.weighting.capacity,
            data_count: run.data_count as f32,
            prior_key: run.prior.0.key(),
            prior_step: halves(run.prior.1),
            ..of_update
        }
    }

    /// What an update alone needs.
    pub(super) fn of_update(update: Update) -> Self {
        let rule = match update.rule {
            Rule::Rmsprop { lr, rho, eps } => [[lr, rho, eps, 0.0], [0.0; 4]],
            Rule::Adam {
                step_size,
                root_correction,
                beta1,
                beta2,
                eps,
                keep,
                is_amsgrad: _,
            } => [
                [step_size, root_correction, beta1, beta2],
                [eps, keep, 0.0, 0.0],
            ],
            Rule::Adagrad { lr, eps } => [[lr, eps, 0.0, 0.0], [0.0; 4]],
            Rule::Sgd { lr, momentum } => [[lr, momentum, 0.0, 0.0], [0.0; 4]],
        };
        Self {
            clip: match update.clip {
                Some(Clip::Norm(largest) | Clip::Value(largest)) => largest,
                None => 0.0,
            },
            weight_decay: update.weight_decay,
            ema: update.ema.unwrap_or(0.0),
            rule,
            ..Self::zeroed()
        }
    }
}

/// Low and high half.
const fn halves(step: u64) -> [u32; 2] {
    [step as u32, (step >> 32) as u32]
}
