//! Preprocessing: data as the model sees them, scaled, binarized if asked for, and checked against the likelihood.

use vae_data::table::Header;
use vae_data::{
    Dataset, Element, Images, Inherited, ReadOptions, Scale, Scaling, Validation,
    fetch::FetchOptions,
};
use vae_rng::{Generator, Stream};
use vae_spec::{Corruption, Likelihood};

use crate::{Binarize, Corrupt, Recipe, RecipeError, RecipePatch};

impl RecipePatch {
    /// The options for reading this recipe's data.
    #[must_use]
    pub fn read_options(&self, fetch: FetchOptions) -> ReadOptions {
        ReadOptions {
            fetch,
            size: self.size.flatten(),
            grey: self.grey.unwrap_or(false),
            fit: self.fit.flatten(),
            bits: self.bits.flatten(),
            skip_bad: self.skip_bad.unwrap_or(false),
            layout: self.layout.flatten(),
            labels: self.labels.clone().flatten(),
            ids: self.ids.clone().flatten(),
            header: self.header.unwrap_or(Header::Auto),
            separator: self.separator.flatten(),
            decimal: self.decimal.flatten(),
            array: self.array.clone().flatten(),
            stream: self.stream.unwrap_or(false),
            inherited: Inherited::default(),
        }
    }

    /// The choice of validation data.
    #[must_use]
    pub fn validation(&self) -> Validation {
        Validation {
            fraction: self.val_fraction.flatten(),
            data: self.val_data.clone().flatten(),
            seed: self.seed.unwrap_or(0),
        }
    }
}

/// The preprocessing of a recipe, including the scaling fitted to its training data.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    binarize: Binarize,
    scale: Scale,
    scaling: Option<Scaling>,
    likelihood: Likelihood,
    corrupt: Option<Corrupt>,
    /// Class names of a conditional model.
    classes: Vec<String>,
    /// Column names of the table that the model was trained on, if it has any.
    columns: Vec<String>,
    seed: u64,
}

impl Preprocessing {
    /// The preprocessing of `recipe`, fitted to the training part of `dataset`.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn fit(recipe: &Recipe, dataset: &Dataset) -> Result<Self, RecipeError> {
        let scaling = Scaling::fit(recipe.scale, &dataset.train)?;
        Ok(Self::saved(recipe, scaling))
    }

    /// The preprocessing of `recipe` with the `scaling` of a trained model.
    #[must_use]
    pub fn saved(recipe: &Recipe, scaling: Option<Scaling>) -> Self {
        Self {
            binarize: recipe.binarize,
            scale: recipe.scale,
            scaling,
            likelihood: recipe.model().likelihood,
            corrupt: recipe.corrupt,
            classes: recipe.classes.clone(),
            columns: recipe.columns.clone(),
            seed: recipe.seed,
        }
    }

    /// Describes what `recipe` does to the values of `train`, and why if it was decided by the data, as `asked` says.
    #[must_use]
    pub fn describe(recipe: &Recipe, train: &Images, asked: Scale) -> String {
        let fixed = match (recipe.scale, train.array.element, train.shape().is_table()) {
            (Scale::Auto, Element::U8, _) | (Scale::Bytes, ..) => "bytes, 0..255 to 0..1",
            (Scale::None, ..) if asked == Scale::Auto && train.array.is_integer => {
                "none, integers stay as they are (--scale bytes divides them by 255)"
            }
            (Scale::Auto | Scale::None, ..) => "none",
            (Scale::Range, ..) => {
                let range = train.range().unwrap_or_default();
                let [low, high] = range.map(|x| match train.array.element {
                    Element::U8 => x * 255.0,
                    Element::F32 => x,
                });
                return format!("range, {low} to {high} of the training samples to 0..1");
            }
            (Scale::MinMax, _, true) => "min-max of each column of the training samples to 0..1",
            (Scale::MinMax, ..) => "min-max of each channel of the training samples to 0..1",
            (Scale::Standardize, _, true) => {
                "each column of the training samples to mean 0 and deviation 1"
            }
            (Scale::Standardize, ..) => {
                "each channel of the training samples to mean 0 and deviation 1"
            }
        };
        fixed.to_owned()
    }

    /// Column names of the table that the model was trained on, if it has any.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The fitted scaling, if any.
    #[must_use]
    pub const fn scaling(&self) -> Option<&Scaling> {
        self.scaling.as_ref()
    }

    /// Preprocessed training images. Dynamic binarization is not applied here but at every step.
    ///
    /// # Errors
    /// If a value is outside the support of the model's likelihood.
    pub fn training_images(&self, images: &Images) -> Result<Images, RecipeError> {
        let images = self.scaled(images)?;
        Ok(match self.binarize {
            Binarize::None | Binarize::Dynamic => images,
            Binarize::Threshold => images.thresholded(),
            Binarize::Static => images.binarized(Generator::new(self.seed, Stream::Binarization)),
        })
    }

    /// Preprocessed images for evaluation.
    ///
    /// # Errors
    /// If a value is outside the support of the model's likelihood.
    pub fn evaluation_images(&self, images: &Images) -> Result<Images, RecipeError> {
        let images = self.scaled(images)?;
        Ok(match self.binarize {
            Binarize::None => images,
            Binarize::Threshold => images.thresholded(),
            Binarize::Static | Binarize::Dynamic => {
                let stream = Stream::EvaluationBinarization;
                images.binarized(Generator::new(self.seed, stream))
            }
        })
    }

    /// What is said of images with values outside the range of the training samples, which the likelihood does not allow:
    /// scaling by that range clips them.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn clipped(&self, images: &Images) -> Result<Option<String>, RecipeError> {
        let Some(scaling) = self.scaling.as_ref().filter(|_| self.clips()) else {
            return Ok(None);
        };
        let mut clipped = 0;
        scaling.apply(images)?.each(|_, values| {
            let is_inside = values.iter().all(|value| (0.0..=1.0).contains(value));
            clipped += usize::from(!is_inside);
        });
        let count = images.count();
        Ok((clipped > 0).then(|| {
            format!("clipped: {clipped} of {count} samples have values outside the range of the training samples")
        }))
    }

    /// Whether values outside the range of the training samples are clipped to it.
    fn clips(&self) -> bool {
        matches!(self.scale, Scale::MinMax | Scale::Range)
            && (self.likelihood.is_unit() || self.binarize != Binarize::None)
    }

    fn scaled(&self, images: &Images) -> Result<Images, RecipeError> {
        let mut images = match &self.scaling {
            Some(scaling) => scaling.apply(images)?,
            None => images.clone(),
        };
        if self.clips() && images.array.element == Element::F32 {
            // NaN stays NaN, and is named below.
            let inside = |x: f32| x.clamp(0.0, 1.0);
            let places: Vec<u32> = (0..images.count() as u32).collect();
            let values = images.gather(&places);
            if values.iter().any(|&x| inside(x) != x) {
                images = images.with_values(values.into_iter().map(inside).collect());
            }
        }
        // Bytes are always 0 to 1 here: no need to read data that may be on disk.
        if images.array.element == Element::U8 {
            return Ok(images);
        }
        let [low, high] = images.range()?;
        let is_binary = self.binarize != Binarize::None;
        let is_unit = (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high);
        let wrong = |expected: &str, found: String| {
            Err(RecipeError::Setting {
                setting: "data",
                expected: expected.into(),
                found,
            })
        };
        if (self.likelihood.is_unit() || is_binary) && !is_unit {
            return wrong(
                "values from 0 to 1, for this likelihood or binarization",
                format!(
                    "{low} to {high}; choose --scale bytes (values of 0 to 255) or --scale min-max, or --likelihood gaussian"
                ),
            );
        }
        if let Some((place, value)) = self.misfit(&images) {
            let expected = if self.likelihood.is_count() {
                "counts: whole numbers from 0, for this likelihood"
            } else {
                "bytes, 0 to 255 or as 255ths, for likelihood discretized-logistic"
            };
            return wrong(
                expected,
                format!(
                    "{value} in sample {}; choose another --likelihood",
                    images.id(place)
                ),
            );
        }
        Ok(images)
    }

    /// The first value that the likelihood does not allow (not a count, or not a byte), with the place of its sample.
    fn misfit(&self, images: &Images) -> Option<(usize, f32)> {
        let step = match self.likelihood {
            Likelihood::Poisson | Likelihood::NegativeBinomial(_) => 1.0,
            Likelihood::DiscretizedLogistic(_) => 255.0,
            _ => return None,
        };
        let fits = |value: f32| {
            let steps = value * step;
            value >= 0.0 && (steps - steps.round()).abs() < 1e-3
        };
        let mut found = None;
        images.each(|row, values| {
            let misfit = values.iter().find(|value| !fits(**value));
            found = found.or(misfit.map(|&value| (row, value)));
        });
        found
    }

    /// The class index of each image for a conditional model; empty if the model takes no labels.
    ///
    /// # Errors
    /// If an image has no label, or one that the model was not trained on.
    pub fn labels(&self, images: &Images) -> Result<Vec<u32>, RecipeError> {
        if self.classes.is_empty() {
            return Ok(Vec::new());
        }
        let unlabelled = || RecipeError::Setting {
            setting: "labels",
            expected: "a label for each sample, for a conditional model".into(),
            found: "none; --labels names a column, array or file of them".into(),
        };
        let classes = images.classes().ok_or_else(unlabelled)?;
        // Some of the source's classes may not occur among these images.
        let names = images.class_names().iter();
        let places: Vec<_> = names.map(|name| self.class(name)).collect();
        let known = classes
            .into_iter()
            .map(|class| match &places[class as usize] {
                Ok(place) => Ok(*place),
                Err(_) => self.class(&images.class_names()[class as usize]),
            });
        known.collect()
    }

    /// The index of the class `name`.
    ///
    /// # Errors
    /// If the model has no such class.
    pub fn class(&self, name: &str) -> Result<u32, RecipeError> {
        let place = self.classes.iter().position(|class| class == name);
        let place = place.ok_or_else(|| RecipeError::Setting {
            setting: "label",
            expected: if self.classes.is_empty() {
                "none: this model was not trained with --conditional".into()
            } else {
                format!("one of {}", self.classes.join(", "))
            },
            found: name.to_owned(),
        })?;
        Ok(place as u32)
    }

    /// Number of classes of a conditional model; 0 if it takes no labels.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Converts model outputs `values`, `[count, length]`, to units of the data (bytes that were not scaled: 0 to 1).
    pub fn undo(&self, values: &mut [f32], length: usize) {
        if let Some(scaling) = &self.scaling {
            scaling.undo(values, length);
        }
    }

    /// Converts model outputs to brightness, 0 to 1: standardized data are shown from two standard deviations below their
    /// mean to two above.
    pub fn to_pixels(&self, values: &mut [f32]) {
        for x in values {
            *x = match self.scale {
                Scale::Standardize => 0.5 + 0.25 * *x,
                // Counts; what a likelihood of 0 to 1 models is shown as it is.
                Scale::None if self.scaling.is_some() && !self.likelihood.is_unit() => *x / 255.0,
                _ => *x,
            };
        }
    }

    /// The corruption applied in training, if any, to the preprocessed `images`.
    ///
    /// # Errors
    /// If the corruption does not fit the images.
    pub fn corruption(&self, images: &Images) -> Result<Option<Corruption>, RecipeError> {
        let is_byte = images.array.element == Element::U8;
        let corrupt = self
            .corrupt
            .map(|corrupt| corrupt.on(images.shape(), is_byte));
        corrupt.transpose()
    }

    /// The values of `images` at `places`, clean and corrupted as in training; the same noise at every call.
    ///
    /// # Errors
    /// If the corruption does not fit the images.
    pub fn corrupted(
        &self,
        images: &Images,
        places: &[u32],
    ) -> Result<(Vec<f32>, Option<Vec<f32>>), RecipeError> {
        let values = images.gather(places);
        let damaged = self.corruption(images)?.map(|corruption| {
            let generator = Generator::new(self.seed, Stream::EvaluationCorruption);
            let mut damaged = values.clone();
            let rows = damaged.chunks_mut(images.image_length().max(1));
            for (&place, row) in places.iter().zip(rows) {
                corruption.apply(generator, 0, place, row);
            }
            damaged
        });
        Ok((values, damaged))
    }
}
