//! Checks of the settings, alone and in combination.

use vae_data::{Scale, did_you_mean};
use vae_spec::{KlEstimate, Upsampling};

use super::resolve::{ensure, written, wrong};
use super::{
    Binarize, FreeBitsText, KERNEL, LikelihoodName, ObjectiveName, PriorText, Recipe, STRIDE, Sigma,
};
use crate::{Metric, RecipeError};

impl Recipe {
    /// Checks the settings; the error names the one that is invalid.
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        self.check_numbers()?;
        self.check_network()?;
        self.check_size()?;
        self.check_likelihood()?;
        self.check_objective()?;
        if let (Some(_), Some(data)) = (self.val_fraction, &self.val_data) {
            return Err(wrong("val_fraction", "none beside val_data", data));
        }
        if let Some(corrupt) = self.corrupt {
            corrupt.on(self.image, false)?;
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), RecipeError> {
        if let Some(steps) = self.local_steps {
            ensure(steps > 0, || wrong("local_steps", "at least 1", steps))?;
            ensure(self.pieces > 1, || {
                let expected = "none for a process that trains alone; several are started by mpirun or srun (docs/scaling.md)";
                wrong("local_steps", expected, steps)
            })?;
        }
        for (setting, value) in [
            ("latent", self.latent),
            ("batch_size", self.batch_size),
            ("accumulate", self.accumulate),
            ("pieces", self.pieces),
            ("epochs", self.epochs),
            ("samples", self.samples.unwrap_or(1)),
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("group_norm", self.group_norm.unwrap_or(1)),
            (
                "checkpoint_steps",
                self.checkpoint_steps
                    .map_or(1, |steps| steps.min(1) as usize),
            ),
        ] {
            ensure(value > 0, || wrong(setting, "at least 1", value))?;
        }
        let sigma = match self.sigma {
            Some(Sigma::Fixed(sigma)) => Some(sigma),
            Some(Sigma::Named(_)) | None => None,
        };
        for (setting, value) in [
            ("lr", Some(self.lr)),
            ("sigma", sigma),
            ("eps", self.eps),
            ("clip_norm", self.clip_norm),
            ("clip_value", self.clip_value),
            ("mmd_weight", self.mmd_weight),
            ("checkpoint_minutes", Some(self.checkpoint_minutes)),
        ] {
            if let Some(found) = value.filter(|value| !is_positive(*value)) {
                return Err(wrong(setting, "a number above 0", found));
            }
        }
        for (setting, value) in [
            ("weight_decay", self.weight_decay),
            ("momentum", self.momentum),
        ] {
            if let Some(found) = value.filter(|value| !(0.0..1.0).contains(value)) {
                return Err(wrong(setting, "a number from 0 to below 1", found));
            }
        }
        for (setting, value) in [("val_fraction", self.val_fraction), ("ema", self.ema)] {
            if let Some(found) = value.filter(|x| !(*x > 0.0 && *x < 1.0)) {
                return Err(wrong(setting, "a number above 0 and below 1", found));
            }
        }
        ensure(self.beta == 0.0 || is_positive(self.beta), || {
            wrong("beta", "a number of at least 0", self.beta)
        })?;
        ensure(
            self.clip_norm.is_none() || self.clip_value.is_none(),
            || {
                wrong(
                    "clip_value",
                    "none beside clip_norm",
                    self.clip_value.unwrap_or_default(),
                )
            },
        )
    }

    fn check_network(&self) -> Result<(), RecipeError> {
        for (setting, widths) in [
            ("hidden", Some(&self.hidden)),
            ("decoder_hidden", self.decoder_hidden.as_ref()),
            ("channels", Some(&self.channels)),
        ] {
            if let Some(found) = widths.filter(|widths| widths.contains(&0)) {
                return Err(wrong(setting, "widths of at least 1", format!("{found:?}")));
            }
        }
        if self.channels.is_empty() {
            let is_plain = (self.kernel, self.stride, self.upsampling)
                == (KERNEL, STRIDE, Upsampling::Transposed)
                && (self.group_norm, self.residual_blocks) == (None, 0);
            return ensure(is_plain, || {
                let settings = "kernel, stride, upsampling, group_norm and residual_blocks";
                let found = "one of another value, and nothing to convolve";
                wrong(
                    "channels",
                    format!("some (--channels 32,64) beside {settings}"),
                    found,
                )
            });
        }
        ensure(!self.image.is_table(), || {
            wrong(
                "channels",
                "none for a table, whose columns are no image",
                format!("{:?}", self.channels),
            )
        })?;
        ensure(self.kernel >= self.stride, || {
            wrong(
                "kernel",
                format!("at least the stride, {}", self.stride),
                self.kernel,
            )
        })?;
        let is_odd = self.kernel % 2 == 1;
        ensure(is_odd || self.upsampling == Upsampling::Transposed, || {
            wrong(
                "kernel",
                "an odd number with upsampling nearest",
                self.kernel,
            )
        })
    }

    fn check_likelihood(&self) -> Result<(), RecipeError> {
        let name = |what: &str| {
            format!("none with counts (likelihood poisson or negative-binomial), {what}")
        };
        if self.likelihood.is_count() {
            ensure(self.scale == Scale::None, || {
                wrong(
                    "scale",
                    name("which are whole numbers"),
                    written(&self.scale),
                )
            })?;
            ensure(self.binarize == Binarize::None, || {
                wrong(
                    "binarize",
                    name("which are not black and white"),
                    written(&self.binarize),
                )
            })?;
            if let Some(corrupt) = self.corrupt {
                return Err(wrong("corrupt", name("which must stay counts"), corrupt));
            }
        }
        ensure(
            self.likelihood != LikelihoodName::DiscretizedLogistic
                || self.binarize == Binarize::None,
            || {
                let found = written(&self.binarize);
                wrong(
                    "binarize",
                    "none with likelihood discretized-logistic, whose pixels are bytes",
                    found,
                )
            },
        )
    }

    fn check_objective(&self) -> Result<(), RecipeError> {
        let objective = self.objective();
        let is_normal = self.prior == PriorText::Normal;
        let needs_normal = matches!(
            self.objective,
            ObjectiveName::BetaTcvae | ObjectiveName::InfoVae
        );
        ensure(is_normal || !needs_normal, || {
            wrong(
                "prior",
                "normal with the objectives beta-tcvae and info-vae",
                self.prior,
            )
        })?;
        let is_vamp = matches!(self.prior, PriorText::Vamp(_));
        ensure(!(is_vamp && self.conditional), || {
            wrong(
                "prior",
                "normal or mixture:10 of a conditional model, for a VampPrior's images have no labels",
                self.prior,
            )
        })?;
        ensure(
            self.objective != ObjectiveName::BetaTcvae || objective.samples == 1,
            || wrong("samples", "1 with objective beta-tcvae", objective.samples),
        )?;
        if let Some(free_bits) = self.free_bits {
            let is_elbo = self.objective == ObjectiveName::Elbo;
            ensure(is_elbo && objective.kl == KlEstimate::Analytic, || {
                wrong(
                    "free_bits",
                    "none but with objective elbo and an analytic KL",
                    free_bits,
                )
            })?;
            let FreeBitsText(parts) = free_bits;
            if let vae_spec::FreeBitsPer::Group(size) = parts.per {
                ensure(self.latent.is_multiple_of(size), || {
                    wrong(
                        "free_bits",
                        format!("groups that divide {} latent dimensions", self.latent),
                        free_bits,
                    )
                })?;
            }
        }
        let names = Metric::names(objective.kind);
        ensure(names.contains(&self.best_by.to_string()), || {
            wrong(
                "best_by",
                format!("one of {}", names.join(", ")),
                format!(
                    "{}{}",
                    self.best_by,
                    did_you_mean(self.best_by.name(), names.iter().map(String::as_str))
                ),
            )
        })
    }
}

/// Whether a number is finite and above 0 in the single precision of the engines.
const fn is_positive(value: f64) -> bool {
    let value = value as f32;
    value.is_finite() && value > 0.0
}
