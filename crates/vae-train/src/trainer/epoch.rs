//! The end of an epoch: validation, best weights, and updates of the schedules.

use vae_data::Scale;
use vae_infer::LatentUse;
use vae_recipe::{OutputBias, Stopping};
use vae_run::EpochReport;
use vae_spec::{Snapshot, Spread};

use super::Training;
use crate::TrainError;

impl Training<'_> {
    /// Validates the epoch whose weights are in `snapshot`; saves them if they are the best.
    pub(super) fn validate(
        &mut self,
        images_per_second: f64,
        snapshot: &Snapshot,
    ) -> Result<EpochReport, TrainError> {
        let (validation, latent_use, mu) = self.evaluate()?;
        if !validation.loss.is_finite() {
            return Err(self.diverged(Some(validation), Some("the validation loss".into())));
        }
        let last = self.step(self.manifest.steps.saturating_sub(1));
        let mut report = EpochReport {
            epoch: self.epoch,
            train: self.losses.iter().copied().zip(self.step_sizes()).collect(),
            validation,
            beta: last.weighting.beta,
            lr: last.lr,
            active_units: latent_use.active_units,
            mutual_information: latent_use.mutual_information,
            kl_per_dimension: latent_use.kl_per_dimension,
            images_per_second,
            is_best: false,
        };
        self.judge(&mut report, snapshot)?;
        if let Some(events) = &mut self.events {
            events.epoch(self.manifest.steps, &report, &mu)?;
        }
        Ok(report)
    }

    /// Compares the epoch with earlier ones.
    fn judge(&mut self, report: &mut EpochReport, snapshot: &Snapshot) -> Result<(), TrainError> {
        // The metric was checked when the recipe was resolved.
        let cost = report
            .cost(&self.task.recipe.best_by)
            .unwrap_or(report.validation.loss);
        // Older versions compared epochs by the validation loss only.
        let manifest = &mut self.manifest;
        let best = manifest.best_cost.or(manifest.best_validation_loss);
        report.is_best = best.is_none_or(|best| cost < best);
        if report.is_best {
            manifest.best_epoch = self.epoch;
            manifest.best_cost = Some(cost);
            manifest.best_validation_loss = Some(report.validation.loss);
            self.write_best(self.evaluated(snapshot));
        }
        let (steps, epochs) = (self.steps_per_epoch(), self.task.recipe.epochs);
        let ramp = self.task.recipe.kl_schedule.ramp_epochs(steps, epochs);
        // The loss may rise with the KL weight.
        if self.epoch > ramp {
            self.plateau.end_epoch(&self.task.recipe.lr_schedule, cost);
        }
        if let Some(stopping) = self.task.recipe.early_stopping {
            let stopping = Stopping {
                warmup: stopping.warmup.max(ramp),
                ..stopping
            };
            stopping.end_epoch(&mut self.stopping, self.epoch, cost);
        }
        Ok(())
    }

    /// Whether early stopping ends the run.
    pub(super) fn is_stopped(&self) -> bool {
        let stopping = self.task.recipe.early_stopping;
        stopping.is_some_and(|stopping| stopping.is_over(&self.stopping))
    }

    /// A message about inactive latent units, when their number grows.
    pub(super) fn latent_notice(&self) -> Option<String> {
        let mut latest = self.epochs.iter().rev().map(latent_use);
        latest.next()?.warning(latest.next().as_ref())
    }

    /// After the first epoch, a message if training began far from where it now is, or errors cost more than a network
    /// can learn from.
    pub(super) fn start_notice(&self) -> Option<String> {
        /// A first loss so many times the one after the epoch is far off.
        const FAR: f64 = 10.0;
        /// Nats per value: an error of six standard deviations of a normal distribution.
        const STEEP: f64 = 18.0;
        let [first] = &self.epochs[..] else {
            return None;
        };
        let recipe = self.task.recipe;
        let likelihood = recipe.model().likelihood;
        let has_fixed_sigma = matches!(likelihood.spread(), Some(Spread::Fixed(_)));
        let per_value = first.validation.recon / recipe.image.length() as f64;
        let (began, became) = (first.train.loss, first.validation.loss);
        let what = if began > FAR * became.abs().max(1.0) {
            format!(
                "a far-off start: the mean training loss of the first epoch, {began:.0}, is {:.0} times the loss after it, {became:.0}",
                began / became.abs().max(1.0)
            )
        } else if per_value > STEEP {
            format!(
                "steep losses: a value costs {per_value:.0} nats, for it is far from what is expected of it"
            )
        } else {
            return None;
        };
        // Nothing that was done already.
        let is_raw = likelihood.is_density() && recipe.scale == Scale::None;
        let has_init_bias = recipe.output_bias == OutputBias::Init;
        let ways_out = [
            (is_raw, "--scale standardize"),
            (has_fixed_sigma, "--sigma learned"),
            (has_init_bias, "--output-bias data"),
        ];
        let mut said: Vec<&str> = Vec::new();
        said.extend(ways_out.iter().filter(|way| way.0).map(|way| way.1));
        let rate = format!("a lower --lr than {}", recipe.lr);
        said.push(&rate);
        Some(format!("{what}; {} helps", said.join(" or ")))
    }

    /// After the last epoch, a message if validation is far worse than training.
    pub(super) fn gap_notice(&self) -> Option<String> {
        let last = self.epochs.last()?;
        let recipe = self.task.recipe;
        let values = recipe
            .model()
            .likelihood
            .is_density()
            .then(|| recipe.image.length());
        let (train, validation) = (last.train.loss, last.validation.loss);
        is_far_above(validation, train, values).then(|| {
            format!(
                "generalizes badly: the validation loss, {validation:.2}, is far above the training loss, {train:.2}; more samples, \
                 fewer --hidden or --latent, --early-stopping or --weight-decay help (the weights of epoch {} are kept, the best)",
                self.manifest.best_epoch
            )
        })
    }

    /// Number of samples in each step of an epoch.
    fn step_sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, size) = (
            self.task.train.count(),
            self.task.recipe.effective_batch_size(),
        );
        (0..count)
            .step_by(size)
            .map(move |first| size.min(count - first))
    }
}

/// Whether the loss `validation` is more than twice `train`. Losses of densities, of this many `values`, may be negative or
/// near 0 by nothing but the unit of the values, so these have to differ by half a nat a value, too: with a learned
/// Gaussian that is twice the squared error.
fn is_far_above(validation: f64, train: f64, values: Option<usize>) -> bool {
    let least = values.map_or(0.0, |values| values as f64 / 2.0);
    validation - train > train.max(least) && (train > 0.0 || least > 0.0)
}

/// Latent use in the epoch of `report`.
fn latent_use(report: &EpochReport) -> LatentUse {
    LatentUse {
        kl_per_dimension: report.kl_per_dimension.clone(),
        active_units: report.active_units,
        mutual_information: report.mutual_information,
    }
}

#[cfg(test)]
mod tests {
    use super::is_far_above;

    #[test]
    fn twice_the_training_loss_is_far_above_it_and_a_sign_misleads_nobody() {
        assert!(is_far_above(210.0, 100.0, None));
        assert!(!is_far_above(190.0, 100.0, None));
        assert!(!is_far_above(90.0, 100.0, None));
        // Densities of 30 values: the same errors in three units.
        for shift in [-100.0, -1.0, 0.0] {
            assert!(is_far_above(20.0 + shift, shift, Some(30)), "{shift}");
            assert!(!is_far_above(10.0 + shift, shift, Some(30)), "{shift}");
        }
        assert!(!is_far_above(3.0, 1.0, Some(30)), "near 0 by chance");
        assert!(!is_far_above(150.0, 100.0, Some(30)), "not twice");
        assert!(!is_far_above(f64::NAN, 1.0, None));
    }
}
