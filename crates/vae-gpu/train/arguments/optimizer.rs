//! Flags of how weights are stepped, and when to stop.

use clap::Args;
use vae_recipe::{LrSchedule, Metric, OnNan, RecipePatch, Stopping};
use vae_spec::Optimizer;

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Optimizer")]
pub(super) struct OptimizerArguments {
    /// RMSprop as Keras does it, or the others as PyTorch does them [default: rmsprop].
    #[arg(long, value_parser = one_of::<Optimizer>(OPTIMIZERS))]
    optimizer: Option<Optimizer>,
    /// Learning rate [default: 0.001].
    #[arg(long)]
    lr: Option<f64>,
    /// How it changes: constant, steps:EPOCH,EPOCH..:FACTOR, exponential:FACTOR (after each epoch), cosine[:WARMUP] or
    /// plateau[:FACTOR[:PATIENCE]] [default: constant].
    #[arg(long, value_name = "KIND[:..]")]
    lr_schedule: Option<LrSchedule>,
    /// Images whose gradients are computed together [default: 100].
    #[arg(long, value_parser = positive())]
    batch_size: Option<usize>,
    /// Take a step by the mean gradient of so many batches [default: 1].
    #[arg(long, value_parser = positive(), value_name = "BATCHES")]
    accumulate: Option<usize>,
    /// Weight decay: decoupled with adamw, added to the gradient with the others [default: 0.01 of adamw, else none].
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Momentum of sgd [default: 0.9].
    #[arg(long)]
    momentum: Option<f64>,
    /// Added to the optimizer's root [default: 1e-7 of rmsprop, 1e-8 of adam, adamw and amsgrad, 1e-10 of adagrad].
    #[arg(long)]
    eps: Option<f64>,
    /// Scale gradients down to this norm, all parameters together [default: never].
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f64>,
    /// Cut each number of the gradients to this magnitude [default: never].
    #[arg(long, value_name = "VALUE", conflicts_with = "clip_norm")]
    clip_value: Option<f64>,
    /// Validate, save and show an average of the weights with this decay, for example 0.999 [default: none].
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Stop when the epochs get no better for PATIENCE epochs, by more than MIN_DELTA; the first WARMUP epochs, and those while
    /// the weight of the KL term rises, do not count [default: never].
    #[arg(long, value_name = "PATIENCE[:MIN_DELTA[:WARMUP]]")]
    early_stopping: Option<Stopping>,
    /// Keep the weights of the epoch that is best by this number of metrics.jsonl: validation or train with .loss, .recon, .kl
    /// or .elbo (recon + kl), active_units, mutual_information, .. [default: validation.loss].
    #[arg(long, value_name = "METRIC")]
    best_by: Option<Metric>,
    /// When a loss is not finite: stop, or go back to the last checkpoint at half the learning rate, three times at most
    /// [default: stop].
    #[arg(long, value_parser = one_of::<OnNan>(ON_NAN))]
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

const OPTIMIZERS: &[&str] = &["rmsprop", "adam", "adamw", "amsgrad", "adagrad", "sgd"];
const ON_NAN: &[&str] = &["stop", "rollback"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::check_names;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<Optimizer>(OPTIMIZERS);
        check_names::<OnNan>(ON_NAN);
    }
}
