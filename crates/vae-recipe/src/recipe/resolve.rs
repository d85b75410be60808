//! Completes a patch with the defaults and checks it against the data.

use vae_data::folder::Bits;
use vae_data::{AutoScale, DataError, Dataset, Element, Images, Scale};
use vae_spec::{KlEstimate, MmdKernel, Optimizer, OptimizerConfig};

use super::{Binarize, Capacity, ObjectiveName, PriorText, Recipe, RecipePatch};
use crate::RecipeError;

/// The error `setting: expected .., found ..`.
pub(super) fn wrong(
    setting: &'static str,
    expected: impl Into<String>,
    found: impl ToString,
) -> RecipeError {
    RecipeError::Setting {
        setting,
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// Returns the error unless the condition `holds`.
pub(super) fn ensure(holds: bool, error: impl FnOnce() -> RecipeError) -> Result<(), RecipeError> {
    if holds { Ok(()) } else { Err(error()) }
}

/// A value as written in a config file, without quotes.
pub(super) fn written(value: &impl serde::Serialize) -> String {
    let value = toml::Value::try_from(value);
    let text = value.map_or_else(|error| error.to_string(), |value| value.to_string());
    text.trim_matches('"').to_owned()
}

/// Fills in the default of a setting where it applies, and refuses the setting where it does not.
fn belongs<T: Clone + serde::Serialize>(
    setting: &'static str,
    value: &mut Option<T>,
    default: Option<T>,
    belongs_to: &str,
) -> Result<(), RecipeError> {
    if let (Some(found), None) = (&*value, &default) {
        return Err(wrong(
            setting,
            format!("none without {belongs_to}"),
            written(found),
        ));
    }
    *value = value.take().or(default);
    Ok(())
}

/// Default weight of the maximum mean discrepancy.
const MMD_WEIGHT: f64 = 100.0;
/// Default target of the objective `capacity`, nats: the final value of Burgess et al. 2018.
const CAPACITY: f64 = 25.0;
/// Default number of importance samples: the smallest above one in Burda et al. 2016.
const IMPORTANCE_SAMPLES: usize = 5;

/// Labels that are fractions, more than which are no classes but a quantity.
const MOST_FRACTIONS: usize = 20;

impl Recipe {
    /// `images`, which are called `name`, as samples of this model, their columns in the order of its training samples; and
    /// whether they were in another.
    ///
    /// # Errors
    /// If they have another shape, other columns or other bits than the model was trained on.
    pub fn matching(&self, images: &Images, name: &str) -> Result<(Images, bool), DataError> {
        let (images, was_other) = images.aligned(&self.columns, name)?;
        let unfit = |what: String| DataError::Unfit {
            name: name.to_owned(),
            what,
        };
        if images.shape() != self.image {
            return Err(unfit(format!(
                "expected samples of {}, as the model was trained on, found {}; --size resizes image files",
                self.image,
                images.shape()
            )));
        }
        if self.bits == Some(Bits::Sixteen) && images.array.element == Element::U8 {
            let what = "expected images of 16 bits, as the model was trained on, found values of 8, which have no common scale \
                with those";
            return Err(unfit(what.to_owned()));
        }
        Ok((images, was_other))
    }

    /// Completes `patch` with the defaults and checks it against the data.
    ///
    /// # Errors
    /// If a setting is out of range, or the patch was made for other data.
    pub fn resolve(patch: RecipePatch, dataset: &Dataset) -> Result<Self, RecipeError> {
        let found = dataset.train.shape();
        if let Some(expected) = patch.image.filter(|expected| *expected != found) {
            let expected = format!("{expected} as the config says");
            return Err(wrong(
                "image",
                expected,
                format!("{found} in {}", dataset.name),
            ));
        }
        let patch = RecipePatch {
            image: Some(found),
            data: patch.data.clone().or(Some(dataset.name.clone())),
            ..patch.over_defaults()
        };
        let Some(mut recipe) = patch.complete() else {
            return Err(wrong("config", "every setting", "one without a default"));
        };
        recipe.bits = Some(if dataset.train.array.is_deep {
            Bits::Sixteen
        } else {
            Bits::Eight
        });
        recipe.resolve_columns(dataset)?;
        recipe.resolve_labels(dataset)?;
        recipe.resolve_defaults()?;
        recipe.resolve_scale(dataset)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Sets the class names of a conditional model.
    fn resolve_labels(&mut self, dataset: &Dataset) -> Result<(), RecipeError> {
        if !self.conditional {
            self.classes.clear();
            return Ok(());
        }
        let found = dataset.train.class_names();
        ensure(!found.is_empty(), || {
            let expected = "samples with labels (--labels names a column, array or file of them)";
            wrong("conditional", expected, format!("none in {}", dataset.name))
        })?;
        ensure(self.classes.is_empty() || self.classes == found, || {
            let expected = format!("{} as the config says", self.classes.join(", "));
            wrong(
                "classes",
                expected,
                format!("{} in {}", found.join(", "), dataset.name),
            )
        })?;
        let numbers: Option<Vec<f64>> = found.iter().map(|name| name.parse().ok()).collect();
        let fractions = numbers.map_or(0, |numbers| {
            numbers
                .iter()
                .filter(|number| number.fract() != 0.0)
                .count()
        });
        ensure(fractions <= MOST_FRACTIONS, || {
            let expected = "classes, to be told to encoder and decoder";
            let found = format!(
                "{} different numbers in {}, such as {}: a quantity; sort it into classes, or leave --conditional out",
                found.len(),
                dataset.name,
                found[0]
            );
            wrong("labels", expected, found)
        })?;
        self.classes = found.to_vec();
        Ok(())
    }

    /// Takes the column names of a table, which are part of the model.
    fn resolve_columns(&mut self, dataset: &Dataset) -> Result<(), RecipeError> {
        let found = dataset.train.array.columns.clone().unwrap_or_default();
        let are_other = !self.columns.is_empty() && self.columns != found;
        ensure(!are_other, || {
            let expected = format!("{} as the config says", self.columns.join(", "));
            let found = if found.is_empty() {
                format!("none in {}", dataset.name)
            } else {
                format!("{} in {}", found.join(", "), dataset.name)
            };
            wrong("columns", expected, found)
        })?;
        self.columns = found;
        Ok(())
    }

    /// Chooses the scaling that suits the data, if none was asked for.
    fn resolve_scale(&mut self, dataset: &Dataset) -> Result<(), RecipeError> {
        if self.scale != Scale::Auto {
            return Ok(());
        }
        let train = &dataset.train;
        let needs_unit = self.model().likelihood.is_unit() || self.binarize != Binarize::None;
        self.scale = match Scale::auto(train)? {
            AutoScale::Known(scale) => scale,
            AutoScale::Unclear { low, high } if needs_unit => {
                let expected = format!(
                    "integers 0 and 1, integers from 0 to 255, or floats from 0 to 1, for likelihood {}",
                    written(&self.likelihood)
                );
                let found = format!(
                    "integers from {low} to {high} in {}; choose --scale min-max to map these to 0..1, or --scale bytes if 255 is \
                     white",
                    dataset.name
                );
                return Err(wrong("scale", expected, found));
            }
            AutoScale::Unclear { .. } => train.scale_by_type(),
        };
        Ok(())
    }

    /// Fills in the defaults that depend on other settings.
    fn resolve_defaults(&mut self) -> Result<(), RecipeError> {
        let sigma = self.likelihood.default_sigma(self.image.is_table());
        belongs(
            "sigma",
            &mut self.sigma,
            sigma,
            "a likelihood of a width: gaussian, laplace, discretized-logistic or negative-binomial",
        )?;

        let defaults = OptimizerConfig::new(self.optimizer);
        let is_sgd = self.optimizer == Optimizer::Sgd;
        let momentum = is_sgd.then_some(short(defaults.momentum));
        belongs("momentum", &mut self.momentum, momentum, "optimizer sgd")?;
        let eps = self.optimizer.eps().map(short);
        belongs("eps", &mut self.eps, eps, "an optimizer with a root")?;
        if self.optimizer == Optimizer::Adamw {
            self.weight_decay = self.weight_decay.or(Some(short(defaults.weight_decay)));
        }

        let has_mmd = self.objective == ObjectiveName::InfoVae;
        let weight = has_mmd.then_some(MMD_WEIGHT);
        belongs(
            "mmd_weight",
            &mut self.mmd_weight,
            weight,
            "objective info-vae",
        )?;
        let kernel = has_mmd.then_some(MmdKernel::Imq);
        belongs(
            "mmd_kernel",
            &mut self.mmd_kernel,
            kernel,
            "objective info-vae",
        )?;
        let capacity = (self.objective == ObjectiveName::Capacity).then_some(Capacity {
            nats: CAPACITY,
            span: None,
        });
        belongs(
            "capacity",
            &mut self.capacity,
            capacity,
            "objective capacity",
        )?;

        let is_weighted = matches!(self.objective, ObjectiveName::Iwae | ObjectiveName::Dreg);
        let samples = if is_weighted { IMPORTANCE_SAMPLES } else { 1 };
        self.samples = self.samples.or(Some(samples));
        let has_closed_form = self.prior == PriorText::Normal
            && !is_weighted
            && self.objective != ObjectiveName::BetaTcvae;
        let kl = if has_closed_form {
            KlEstimate::Analytic
        } else {
            KlEstimate::Sampled
        };
        ensure(
            has_closed_form || self.kl != Some(KlEstimate::Analytic),
            || {
                let expected =
                    "sampled with a learned prior or the objectives iwae, dreg and beta-tcvae";
                wrong("kl", expected, "analytic")
            },
        )?;
        self.kl = self.kl.or(Some(kl));

        if self.likelihood.is_count() && self.scale == Scale::Auto {
            self.scale = Scale::None;
        }
        Ok(())
    }
}

/// A single-precision constant as it is usually written: 0.9, not 0.8999999761581421.
fn short(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests {
    use vae_data::Shape;

    use super::*;
    use crate::{LikelihoodName, Preset, Sigma, SigmaName};

    fn digits() -> Dataset {
        Dataset::digits().expect("built in")
    }

    #[test]
    fn the_default_is_the_article_on_the_digits() {
        let recipe = Recipe::resolve(RecipePatch::default(), &digits()).expect("valid");
        assert_eq!(
            (recipe.data.as_str(), &recipe.hidden[..], recipe.latent),
            ("digits", &[256][..], 2)
        );
        assert_eq!(
            (recipe.optimizer, recipe.batch_size, recipe.image),
            (Optimizer::Rmsprop, 100, Shape::grey(28, 28))
        );
    }

    #[test]
    fn flags_win_over_config_over_preset_over_default() {
        let patch = |latent, lr, epochs| RecipePatch {
            latent,
            lr,
            epochs,
            ..RecipePatch::default()
        };
        let flags = patch(Some(5), None, None);
        let config = patch(Some(6), Some(0.5), None);
        let patch = flags.over(config).over(Preset::Pytorch.patch());
        let recipe = Recipe::resolve(patch, &digits()).expect("valid");
        assert_eq!(
            (recipe.latent, recipe.lr, recipe.epochs, recipe.seed),
            (5, 0.5, 10, 0)
        );
    }

    #[test]
    fn the_written_config_reads_back_as_itself() {
        let recipe = Recipe::resolve(Preset::Pytorch.patch(), &digits()).expect("valid");
        let text = toml::to_string(&recipe).expect("serialisable");
        let patch: RecipePatch = toml::from_str(&text).expect("its own output");
        assert_eq!(Recipe::resolve(patch, &digits()).expect("valid"), recipe);
    }

    #[test]
    fn a_setting_belongs_to_its_optimizer_or_likelihood() {
        let resolve = |patch| Recipe::resolve(patch, &digits());
        let adamw = RecipePatch {
            optimizer: Some(Optimizer::Adamw),
            ..RecipePatch::default()
        };
        let recipe = resolve(adamw.clone()).expect("valid");
        assert_eq!((recipe.weight_decay, recipe.momentum), (Some(0.01), None));
        let text = toml::to_string(&recipe).expect("serialisable");
        let patch: RecipePatch = toml::from_str(&text).expect("its own output");
        assert_eq!(resolve(patch).expect("valid"), recipe);
        let patch = RecipePatch {
            momentum: Some(Some(0.5)),
            ..adamw
        };
        assert_eq!(
            resolve(patch).expect_err("not SGD's").to_string(),
            "momentum: expected none without optimizer sgd, found 0.5"
        );
    }

    #[test]
    fn tables_learn_their_spread_unless_told() {
        let numbers = vae_data::Array::floats(vec![0.5; 40], Shape::grey(1, 2));
        let part = vae_data::Images::from(numbers);
        let table = Dataset {
            train: part.clone(),
            validation: part,
            ..digits()
        };
        let sigma = |likelihood, sigma, dataset: &Dataset| {
            let patch = RecipePatch {
                likelihood: Some(likelihood),
                sigma,
                ..RecipePatch::default()
            };
            Recipe::resolve(patch, dataset).expect("valid").sigma
        };
        let learned = Some(Sigma::Named(SigmaName::Learned));
        for likelihood in [LikelihoodName::Gaussian, LikelihoodName::Laplace] {
            assert_eq!(sigma(likelihood, None, &table), learned);
            assert_eq!(sigma(likelihood, None, &digits()), Some(Sigma::Fixed(0.1)));
            let told = Some(Sigma::Fixed(0.3));
            assert_eq!(sigma(likelihood, Some(told), &table), told);
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |patch| {
            Recipe::resolve(patch, &digits())
                .expect_err("out of range")
                .to_string()
        };
        let none = RecipePatch::default;
        assert_eq!(
            message(RecipePatch {
                latent: Some(0),
                ..none()
            }),
            "latent: expected at least 1, found 0"
        );
        assert_eq!(
            message(RecipePatch {
                lr: Some(-1.0),
                ..none()
            }),
            "lr: expected a number above 0, found -1"
        );
        assert_eq!(
            message(RecipePatch {
                beta: Some(f64::NAN),
                ..none()
            }),
            "beta: expected a number of at least 0, found NaN"
        );
        assert_eq!(
            message(RecipePatch {
                image: Some(Shape::grey(32, 32)),
                ..none()
            }),
            "image: expected 32 x 32 as the config says, found 28 x 28 in digits"
        );
    }
}
