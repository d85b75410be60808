//! Optimizers as plain data: names, settings, and the constants of their sources.

use serde::{Deserialize, Serialize};

/// The optimizers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// RMSprop as in Keras: `v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + eps)`, rho 0.9, eps 1e-7, no momentum.
    Rmsprop,
    /// Adam as in PyTorch: bias-corrected moments, `w -= lr m / (sqrt(v) + eps)`, betas 0.9 and 0.999, eps 1e-8.
    Adam,
    /// AdamW as in PyTorch: Adam after `w -= lr weight_decay w` (Loshchilov and Hutter 2019).
    Adamw,
    /// AMSGrad as in PyTorch: Adam with the largest `v` so far (Reddi et al. 2018).
    Amsgrad,
    /// Adagrad as in PyTorch: `v += g^2; w -= lr g / (sqrt(v) + eps)`, eps 1e-10 (Duchi et al. 2011).
    Adagrad,
    /// SGD with momentum as in PyTorch, without dampening: `m = momentum m + g; w -= lr m`.
    Sgd,
}

impl Optimizer {
    /// Names of the state kept per parameter, as its source calls it.
    #[must_use]
    pub const fn moment_names(self) -> &'static [&'static str] {
        match self {
            Self::Rmsprop => &["velocity"],
            Self::Adam | Self::Adamw => &["exp_avg", "exp_avg_sq"],
            Self::Amsgrad => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            Self::Adagrad => &["sum"],
            Self::Sgd => &["momentum_buffer"],
        }
    }

    /// Epsilon that its source adds to, or under, the root; `None` where there is no root.
    #[must_use]
    pub const fn eps(self) -> Option<f32> {
        match self {
            Self::Rmsprop => Some(1e-7),
            Self::Adam | Self::Adamw | Self::Amsgrad => Some(1e-8),
            Self::Adagrad => Some(1e-10),
            Self::Sgd => None,
        }
    }
}

/// Gradient clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Largest norm of all gradients together: larger ones are scaled down to it.
    Norm(f32),
    /// Largest magnitude of each gradient element: others are clamped to it.
    Value(f32),
}

/// An optimizer with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Which optimizer.
    pub optimizer: Optimizer,
    /// Weight decay: decoupled with [`Optimizer::Adamw`]; with the others `weight_decay w` is added to the gradient, after
    /// clipping.
    pub weight_decay: f32,
    /// Momentum of [`Optimizer::Sgd`]; 0 for the others.
    pub momentum: f32,
    /// Epsilon; see [`Optimizer::eps`].
    pub eps: f32,
    /// Gradient clipping, if any.
    pub clip: Option<Clip>,
    /// Decay of the exponential moving average of the weights, with which everything but training computes; `None` for no
    /// average.
    pub ema: Option<f32>,
}

/// Constants, the defaults of their sources (Keras 3 `RMSprop`, PyTorch 2 `Adam`, `AdamW` and `Adagrad`).
impl OptimizerConfig {
    /// Decay of RMSprop's mean of squared gradients.
    pub const RMSPROP_RHO: f32 = 0.9;
    /// Decay of Adam's first moment.
    pub const ADAM_BETA1: f32 = 0.9;
    /// Decay of Adam's second moment.
    pub const ADAM_BETA2: f32 = 0.999;
    /// Default weight decay of AdamW.
    pub const WEIGHT_DECAY: f32 = 0.01;
    /// Default momentum of SGD; PyTorch's default is none, which few use.
    pub const MOMENTUM: f32 = 0.9;
    /// Name of the average of the weights among the moments.
    pub const EMA: &str = "ema";

    /// `optimizer` with its usual settings, no clipping and no average.
    #[must_use]
    pub const fn new(optimizer: Optimizer) -> Self {
        Self {
            optimizer,
            weight_decay: match optimizer {
                Optimizer::Adamw => Self::WEIGHT_DECAY,
                _ => 0.0,
            },
            momentum: match optimizer {
                Optimizer::Sgd => Self::MOMENTUM,
                _ => 0.0,
            },
            eps: match optimizer.eps() {
                Some(eps) => eps,
                None => 0.0,
            },
            clip: None,
            ema: None,
        }
    }

    /// Names of the state kept per parameter: the optimizer's moments, and the average of the weights as the last.
    #[must_use]
    pub fn moment_names(&self) -> Vec<&'static str> {
        let moments = self.optimizer.moment_names().iter().copied();
        moments.chain(self.ema.map(|_| Self::EMA)).collect()
    }

    /// Decay of the average of the weights at its `update`-th update, counted from 1: smaller at first, so that the average soon
    /// forgets where it started.
    #[must_use]
    pub fn ema_decay(&self, update: u64) -> f32 {
        let soon = (1.0 + update as f64) / (10.0 + update as f64);
        self.ema.unwrap_or(0.0).min(soon as f32)
    }

    /// Adam's bias corrections at its `update`-th update, counted from 1: `1 - beta1^t` and `1 - beta2^t`. In f64, for late in a
    /// run they differ from 1 by less than an f32 resolves.
    #[must_use]
    pub fn adam_corrections(update: u64) -> [f64; 2] {
        [Self::ADAM_BETA1, Self::ADAM_BETA2].map(|beta| 1.0 - f64::from(beta).powf(update as f64))
    }
}
