//! Optimizers as plain data: names, settings, and the constants of their sources.

use serde::{Deserialize, Serialize};

/// How weights are stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// As Keras does it: `v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + eps)`, rho 0.9, eps 1e-7, no momentum.
    Rmsprop,
    /// As PyTorch does it: bias-corrected moments, `w -= lr m / (sqrt(v) + eps)`, betas 0.9 and 0.999, eps 1e-8.
    Adam,
    /// Adam after `w -= lr weight_decay w` (Loshchilov and Hutter 2019), as PyTorch does it.
    Adamw,
    /// `m = momentum m + g; w -= lr m`, as PyTorch does it, without dampening.
    Sgd,
}

impl Optimizer {
    /// What it remembers of each parameter, as its source calls it.
    #[must_use]
    pub const fn moment_names(self) -> &'static [&'static str] {
        match self {
            Self::Rmsprop => &["velocity"],
            Self::Adam | Self::Adamw => &["exp_avg", "exp_avg_sq"],
            Self::Sgd => &["momentum_buffer"],
        }
    }
}

/// An optimizer with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Which.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f32,
    /// Of [`Optimizer::Adamw`]; 0 for the others.
    pub weight_decay: f32,
    /// Of [`Optimizer::Sgd`]; 0 for the others.
    pub momentum: f32,
    /// The largest norm of all gradients together: longer ones are scaled down to it.
    pub clip_norm: Option<f32>,
}

/// Constants that are the sources' defaults (Keras 3 `RMSprop`, PyTorch 2 `Adam` and `AdamW`).
impl OptimizerConfig {
    /// Decay of RMSprop's mean of squares.
    pub const RMSPROP_RHO: f32 = 0.9;
    /// Added under RMSprop's root.
    pub const RMSPROP_EPS: f32 = 1e-7;
    /// Decay of Adam's mean.
    pub const ADAM_BETA1: f32 = 0.9;
    /// Decay of Adam's mean of squares.
    pub const ADAM_BETA2: f32 = 0.999;
    /// Added to Adam's root.
    pub const ADAM_EPS: f32 = 1e-8;
    /// AdamW's, if nothing is said.
    pub const WEIGHT_DECAY: f32 = 0.01;
    /// SGD's, if nothing is said; PyTorch's default is none, which few use.
    pub const MOMENTUM: f32 = 0.9;

    /// `optimizer` with its usual settings and no clipping.
    #[must_use]
    pub const fn new(optimizer: Optimizer, lr: f32) -> Self {
        Self {
            optimizer,
            lr,
            weight_decay: match optimizer {
                Optimizer::Adamw => Self::WEIGHT_DECAY,
                _ => 0.0,
            },
            momentum: match optimizer {
                Optimizer::Sgd => Self::MOMENTUM,
                _ => 0.0,
            },
            clip_norm: None,
        }
    }

    /// Adam's corrections of its zero start at its `update`-th update, counted from 1: `1 - beta1^t` and `1 - beta2^t`.
    /// In f64, for late in a run they differ from 1 by less than an f32 resolves.
    #[must_use]
    pub fn adam_corrections(update: u64) -> [f64; 2] {
        [Self::ADAM_BETA1, Self::ADAM_BETA2].map(|beta| 1.0 - f64::from(beta).powf(update as f64))
    }
}
