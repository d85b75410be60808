//! Completes a patch with the defaults and checks it against the data.

use vae_data::Dataset;
use vae_model::{Optimizer, OptimizerConfig};

use super::{LikelihoodName, Recipe, RecipePatch, SIGMA};
use crate::TrainError;

impl Recipe {
    /// Completes `patch` with the defaults and checks it against the data.
    ///
    /// # Errors
    /// If a setting is out of range, or the patch was made for images of another size.
    pub fn resolve(patch: RecipePatch, dataset: &Dataset) -> Result<Self, TrainError> {
        let found = dataset.train.shape();
        let wrong = |setting, expected: &str, found: String| {
            Err(TrainError::Setting {
                setting,
                expected: expected.to_owned(),
                found,
            })
        };
        if let Some(expected) = patch.image.filter(|expected| *expected != found) {
            let expected = format!("{expected} as the config says");
            return wrong("image", &expected, format!("{found} in {}", dataset.name));
        }
        let patch = RecipePatch {
            image: Some(found),
            ..patch.over(RecipePatch::defaults())
        };
        let Some(mut recipe) = patch.complete() else {
            return wrong("config", "every setting", "one without a default".into());
        };
        let defaults = OptimizerConfig::new(recipe.optimizer, 0.0);
        for (setting, value, default, belongs_to) in [
            (
                "sigma",
                &mut recipe.sigma,
                (recipe.likelihood == LikelihoodName::Gaussian).then_some(SIGMA),
                "likelihood gaussian",
            ),
            (
                "weight_decay",
                &mut recipe.weight_decay,
                (recipe.optimizer == Optimizer::Adamw).then_some(short(defaults.weight_decay)),
                "optimizer adamw",
            ),
            (
                "momentum",
                &mut recipe.momentum,
                (recipe.optimizer == Optimizer::Sgd).then_some(short(defaults.momentum)),
                "optimizer sgd",
            ),
        ] {
            match (*value, default) {
                (Some(found), None) => {
                    return wrong(
                        setting,
                        &format!("none without {belongs_to}"),
                        found.to_string(),
                    );
                }
                (found, default) => *value = found.or(default),
            }
        }
        if recipe.hidden.contains(&0) {
            return wrong(
                "hidden",
                "widths of at least 1",
                format!("{:?}", recipe.hidden),
            );
        }
        for (setting, value) in [
            ("latent", recipe.latent),
            ("batch_size", recipe.batch_size),
            ("epochs", recipe.epochs),
        ] {
            if value == 0 {
                return wrong(setting, "at least 1", "0".into());
            }
        }
        if !is_positive(recipe.lr) {
            return wrong("lr", "a number above 0", recipe.lr.to_string());
        }
        for (setting, value) in [("sigma", recipe.sigma), ("clip_norm", recipe.clip_norm)] {
            if let Some(found) = value.filter(|value| !is_positive(*value)) {
                return wrong(setting, "a number above 0", found.to_string());
            }
        }
        for (setting, value) in [
            ("weight_decay", recipe.weight_decay),
            ("momentum", recipe.momentum),
        ] {
            if let Some(found) = value.filter(|value| !(0.0..1.0).contains(value)) {
                return wrong(setting, "a number from 0 to below 1", found.to_string());
            }
        }
        if !(recipe.beta == 0.0 || is_positive(recipe.beta)) {
            return wrong("beta", "a number of at least 0", recipe.beta.to_string());
        }
        if let Some(found) = recipe.val_fraction.filter(|x| !(*x > 0.0 && *x < 1.0)) {
            return wrong(
                "val_fraction",
                "a number above 0 and below 1",
                found.to_string(),
            );
        }
        if let (Some(_), Some(data)) = (recipe.val_fraction, &recipe.val_data) {
            return wrong("val_fraction", "none beside val_data", data.clone());
        }
        if !is_positive(recipe.checkpoint_minutes) {
            let found = recipe.checkpoint_minutes.to_string();
            return wrong("checkpoint_minutes", "a number above 0", found);
        }
        if recipe.checkpoint_steps == Some(0) {
            return wrong("checkpoint_steps", "at least 1", "0".into());
        }
        if let Some(corrupt) = recipe.corrupt {
            corrupt.on(recipe.image, false)?;
        }
        Ok(recipe)
    }
}

/// Whether engines, which compute in single precision, see a number above 0.
const fn is_positive(value: f64) -> bool {
    let value = value as f32;
    value.is_finite() && value > 0.0
}

/// A constant of single precision as one writes it: 0.9, not 0.8999999761581421.
fn short(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use vae_data::Shape;

    use super::*;
    use crate::Preset;

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
