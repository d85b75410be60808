//! Options of the optimizer, and of when to stop.

use clap::Args;
use vae_recipe::{LrSchedule, Metric, OnNan, RecipePatch, Stopping};
use vae_spec::Optimizer;

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Optimizer")]
pub(super) struct OptimizerArguments {
    /// Optimizer; rmsprop is computed as in Keras, the others as in PyTorch [default: rmsprop].
    #[arg(long, value_parser = one_of::<Optimizer>())]
    optimizer: Option<Optimizer>,
    /// Learning rate [default: 0.001].
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Learning rate schedule: how the learning rate changes during training, such as cosine:5 [default: constant]
    ///
    /// constant                         --lr throughout
    /// steps:20,40:0.1                  multiply by 0.1 after epochs 20 and 40
    /// exponential:0.95                 multiply by 0.95 after every epoch
    /// cosine[:WARMUP]                  decay to 0 along half a cosine, after a linear warm-up
    /// plateau[:FACTOR[:PATIENCE]]      multiply by FACTOR (0.1) when --best-by has not improved for
    ///                                  more than PATIENCE (10) epochs
    ///
    /// WARMUP is a number of epochs, such as 5, or of steps, such as 500steps.
    #[arg(long, verbatim_doc_comment, value_name = "KIND[:..]")]
    lr_schedule: Option<LrSchedule>,
    /// Number of samples in a batch [default: 100].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Training")]
    batch_size: Option<usize>,
    /// Gradient accumulation: average the gradients of this many batches in each step [default: 1].
    #[arg(long, value_parser = positive(), value_name = "BATCHES", help_heading = "Training")]
    accumulate: Option<usize>,
    /// Add up the gradients of each step's batch in this many pieces, in a fixed order: every number of MPI processes that divides it
    /// gives the same bits [default: the number of processes].
    #[arg(long, value_parser = positive(), value_name = "N", help_heading = "Training")]
    pub(super) pieces: Option<usize>,
    /// Let each MPI process take this many steps alone between averages of their weights (local SGD), for slow networks: another
    /// algorithm, with other results [default: add up the gradients of every step].
    #[arg(
        long,
        value_parser = clap::value_parser!(u64).range(1..),
        value_name = "STEPS",
        help_heading = "Training"
    )]
    local_steps: Option<u64>,
    /// Weight decay: decoupled with adamw, an L2 penalty with the others [default: 0.01 with adamw, else none].
    #[arg(long, value_name = "DECAY")]
    weight_decay: Option<f64>,
    /// Momentum of sgd [default: 0.9].
    #[arg(long)]
    momentum: Option<f64>,
    /// Epsilon in the optimizer's denominator [default: rmsprop 1e-7, adam, adamw and amsgrad 1e-8, adagrad 1e-10].
    #[arg(long, value_name = "EPSILON")]
    eps: Option<f64>,
    /// Clip gradients by their global norm: scale them down to NORM if it is larger [default: no clipping].
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f64>,
    /// Clip each component of the gradients to [-VALUE, VALUE] [default: no clipping].
    #[arg(long, value_name = "VALUE", conflicts_with = "clip_norm")]
    clip_value: Option<f64>,
    /// Validate and save an exponential moving average of the weights with this decay, such as 0.999 [default: none].
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Stop when --best-by has not improved for PATIENCE epochs, for example 10 or 10:0.5:20 [default: never]
    ///
    /// An improvement is more than MIN_DELTA [default: 0]. The first WARMUP epochs [default: 0] and those
    /// while the weight of the KL term rises do not count.
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "PATIENCE[:MIN_DELTA[:WARMUP]]",
        help_heading = "Training"
    )]
    early_stopping: Option<Stopping>,
    /// Metric that selects the best epoch, whose weights are kept as model.safetensors [default: validation.loss]
    ///
    /// validation.loss, .recon, .kl or .elbo (recon + kl: the negative ELBO), the same with train.,
    /// or active_units or mutual_information, of which more is better.
    #[arg(
        long,
        verbatim_doc_comment,
        value_name = "METRIC",
        help_heading = "Training"
    )]
    best_by: Option<Metric>,
    /// If a loss is not finite: stop, or resume from the last checkpoint at half the learning rate, at most three times
    /// [default: stop].
    #[arg(long, value_parser = one_of::<OnNan>(), help_heading = "Training")]
    on_nan: Option<OnNan>,
}

impl OptimizerArguments {
    pub(super) fn patch(&self) -> RecipePatch {
        RecipePatch {
            optimizer: self.optimizer,
            lr: self.lr,
            lr_schedule: self.lr_schedule.clone(),
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            local_steps: self.local_steps.map(Some),
            weight_decay: self.weight_decay.map(Some),
            momentum: self.momentum.map(Some),
            eps: self.eps.map(Some),
            clip_norm: self.clip_norm.map(Some),
            clip_value: self.clip_value.map(Some),
            ema: self.ema.map(Some),
            early_stopping: self.early_stopping.map(Some),
            best_by: self.best_by.clone(),
            on_nan: self.on_nan,
            ..RecipePatch::default()
        }
    }
}
