//! How large a network may be. A config file is a few hundred bytes, and may ask for more layers than there is memory to list; the
//! arithmetic of [`vae_spec::Network`] relies on these limits, which docs/formats.md names.

use super::resolve::{ensure, wrong};
use super::{PriorText, Recipe};
use crate::RecipeError;

/// Most values of a sample: an image of 16,384 x 16,384.
const MOST_VALUES: usize = 1 << 28;
/// Widest dense layer, most classes, components or pseudo-inputs.
const WIDEST: usize = 1 << 24;
/// Most channels of a convolution.
const MOST_CHANNELS: usize = 1 << 16;
/// Largest kernel and stride.
const LARGEST_KERNEL: usize = 255;
/// Most dense layers of a side, and residual blocks of a stage.
const MOST_LAYERS: usize = 256;
/// Most convolutional stages: each of a stride of 2 or more halves the image.
const MOST_STAGES: usize = 64;
/// Most numbers of all parameters: 256 GiB.
const MOST_PARAMETERS: usize = 1 << 36;

impl Recipe {
    /// Checks that the network can be listed, and that it is no larger than any machine could train.
    ///
    /// # Errors
    /// If a size is 0 or beyond its limit, or the convolutions do not fit the image; the error names the setting.
    pub fn check_size(&self) -> Result<(), RecipeError> {
        let pair = [self.image.height, self.image.width];
        let values = pair
            .into_iter()
            .try_fold(self.image.channels, usize::checked_mul);
        ensure(
            values.is_some_and(|values| (1..=MOST_VALUES).contains(&values)),
            || {
                let expected = format!("a shape of 1 to {MOST_VALUES} values");
                wrong("image", expected, self.image)
            },
        )?;
        let of_prior = match self.prior {
            PriorText::Normal => 1,
            PriorText::Mixture(count) | PriorText::Vamp(count) => count,
        };
        for (setting, value, most) in [
            ("latent", self.latent, WIDEST),
            ("classes", self.classes.len().max(1), WIDEST),
            ("prior", of_prior, WIDEST),
            ("kernel", self.kernel, LARGEST_KERNEL),
            ("stride", self.stride, LARGEST_KERNEL),
            ("group_norm", self.group_norm.unwrap_or(1), MOST_CHANNELS),
            ("residual_blocks", self.residual_blocks.max(1), MOST_LAYERS),
        ] {
            ensure((1..=most).contains(&value), || {
                wrong(setting, format!("at least 1 and at most {most}"), value)
            })?;
        }
        for (setting, widths, longest, widest) in [
            ("hidden", Some(&self.hidden), MOST_LAYERS, WIDEST),
            (
                "decoder_hidden",
                self.decoder_hidden.as_ref(),
                MOST_LAYERS,
                WIDEST,
            ),
            ("channels", Some(&self.channels), MOST_STAGES, MOST_CHANNELS),
        ] {
            let Some(widths) = widths else { continue };
            ensure(widths.len() <= longest, || {
                wrong(setting, format!("at most {longest} of them"), widths.len())
            })?;
            let odd = widths.iter().find(|width| !(1..=widest).contains(*width));
            if let Some(&width) = odd {
                let expected = format!("widths of at least 1 and at most {widest}");
                return Err(wrong(setting, expected, width));
            }
        }
        self.check_stages()?;
        let parameters = self
            .model()
            .parameters()
            .iter()
            .try_fold(0usize, |sum, spec| {
                let mut sizes = spec.shape.iter();
                let length = sizes.try_fold(1usize, |length, &size| length.checked_mul(size));
                sum.checked_add(length?)
            });
        ensure(
            parameters.is_some_and(|count| count <= MOST_PARAMETERS),
            || {
                let found = parameters.map_or("more than 2^64".into(), |count| count.to_string());
                wrong(
                    "hidden",
                    format!("a network of at most {MOST_PARAMETERS} parameters"),
                    found,
                )
            },
        )
    }

    fn check_stages(&self) -> Result<(), RecipeError> {
        let fits = self
            .model()
            .convolutions
            .is_none_or(|stages| stages.fits(self.model().image));
        ensure(fits, || {
            let found = format!(
                "{} stages of kernel {} and stride {} on {}",
                self.channels.len(),
                self.kernel,
                self.stride,
                self.image
            );
            wrong(
                "channels",
                "as few stages as the image can be shrunk by",
                found,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::RecipePatch;

    fn checked(settings: &str) -> Result<(), String> {
        let text = format!("image = [28, 28]\n{settings}");
        let patch: RecipePatch = toml::from_str(&text).map_err(|error| error.to_string())?;
        let recipe = patch.over_defaults().complete().ok_or("not complete")?;
        recipe.check_size().map_err(|error| error.to_string())
    }

    #[test]
    fn a_config_that_no_machine_could_list_is_refused_by_its_setting() {
        assert_eq!(checked(""), Ok(()));
        assert_eq!(checked("channels = [32, 64]\nresidual_blocks = 2"), Ok(()));
        let convolutional = "channels = [32, 64]\n";
        for (settings, said) in [
            ("latent = 0", "latent: expected at least 1"),
            ("latent = 9000000000", "at most 16777216"),
            ("hidden = [0]", "hidden: expected widths of at least 1"),
            (
                "hidden = [4294967296]",
                "at most 16777216, found 4294967296",
            ),
            (
                "hidden = [16777216, 16777216]",
                "at most 68719476736 parameters",
            ),
            ("prior = \"vamp:99999999\"", "prior: expected"),
            (
                &format!("{convolutional}stride = 0"),
                "stride: expected at least 1",
            ),
            (
                &format!("{convolutional}kernel = 0"),
                "kernel: expected at least 1",
            ),
            (
                &format!("{convolutional}kernel = 300"),
                "at most 255, found 300",
            ),
            ("channels = [1, 1, 1, 1, 1, 1]\nkernel = 4", "as few stages"),
            (
                &format!("{convolutional}group_norm = 0"),
                "group_norm: expected at least 1",
            ),
            (
                &format!("{convolutional}residual_blocks = 4000000000000"),
                "residual_blocks: expected at least 1 and at most 256",
            ),
            (
                "channels = [70000]",
                "channels: expected widths of at least 1 and at most 65536",
            ),
        ] {
            let error = checked(settings).expect_err(settings);
            assert!(error.contains(said), "{settings}: {error}");
        }
        for image in ["[0, 28]", "[4294967296, 4294967296]", "[3, 99999, 99999]"] {
            let text = format!("image = {image}");
            let patch: RecipePatch = toml::from_str(&text).expect("a patch");
            let recipe = patch.over_defaults().complete().expect("a recipe");
            let error = recipe.check_size().expect_err(image).to_string();
            assert!(
                error.contains("image: expected a shape of 1 to 268435456 values"),
                "{error}"
            );
        }
        let long = format!("hidden = {:?}", vec![1; 257]);
        assert!(
            checked(&long)
                .expect_err("long")
                .contains("at most 256 of them, found 257")
        );
    }
}
