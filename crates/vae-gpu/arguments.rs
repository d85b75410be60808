//! Options that several commands share. Those of one command stand in its file.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, de::IntoDeserializer};
use vae_data::fetch::FetchOptions;
use vae_data::folder::Fit;
use vae_data::table::Header;
use vae_data::{Dataset, Images, Layout, Source};
use vae_device::Device;
use vae_infer::Inference;
use vae_recipe::{BackendChoice, RecipePatch};
use vae_run::SavedRun;

use crate::report;

/// Where named data sets are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct FetchArguments {
    /// Where named data sets are, or are put [default: the system's cache folder].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Download nothing.
    #[arg(long)]
    offline: bool,
}

impl FetchArguments {
    pub(crate) fn options(&self) -> FetchOptions {
        FetchOptions {
            data_dir: self.data_dir.clone(),
            offline: self.offline,
        }
    }
}

/// How data are read, where their files leave a choice.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct ReadArguments {
    /// Height and width that image files are scaled to, or that flat rows are images of.
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[usize; 2]>,
    /// Make coloured image files grey.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    grey: Option<bool>,
    /// What becomes of image files whose shape is not that of --size.
    #[arg(long, value_parser = one_of::<Fit>(FITS))]
    fit: Option<Fit>,
    /// Leave out image files that cannot be decoded, naming them.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    skip_bad: Option<bool>,
    /// Where the channels of an array of images are [default: where there are one or three].
    #[arg(long, value_parser = one_of::<Layout>(LAYOUTS))]
    layout: Option<Layout>,
    /// A table's column of labels, an NPZ file's array of them, or an NPY or IDX file of them.
    #[arg(long, value_name = "COLUMN|ARRAY|FILE")]
    labels: Option<String>,
    /// Whether a table's first line names its columns [default: auto].
    #[arg(long, value_parser = one_of::<Header>(HEADERS))]
    header: Option<Header>,
    /// The array of an NPZ file [default: x, images or data].
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Leave samples on disk until they are wanted: for data larger than memory.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    stream: Option<bool>,
    #[command(flatten)]
    pub(crate) fetch: FetchArguments,
}

impl ReadArguments {
    /// As settings of a recipe.
    pub(crate) fn patch(&self) -> RecipePatch {
        RecipePatch {
            size: self.size.map(Some),
            grey: self.grey,
            fit: self.fit.map(Some),
            skip_bad: self.skip_bad,
            layout: self.layout.map(Some),
            labels: self.labels.clone().map(Some),
            header: self.header,
            array: self.array.clone().map(Some),
            stream: self.stream,
            ..RecipePatch::default()
        }
    }
}

/// A trained model and where it works.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArguments {
    /// A run folder, or a .safetensors file with its config.toml beside it.
    pub(crate) run: PathBuf,
    /// The config of a .safetensors file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, default_value = "auto", value_parser = one_of::<BackendChoice>(BACKENDS))]
    backend: BackendChoice,
}

impl ModelArguments {
    pub(crate) fn open(&self) -> Result<SavedRun> {
        Ok(SavedRun::open(&self.run, self.config.as_deref())?)
    }

    pub(crate) fn device(&self) -> Result<Device> {
        let device = Device::open(self.backend)?;
        report::device(&device);
        Ok(device)
    }
}

/// The label of latents that are no image's.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabelArguments {
    /// The label that a conditional model is told, as its data call it.
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
}

impl LabelArguments {
    /// Tells `inference`, if there is a label.
    pub(crate) fn set_on(&self, inference: &mut Inference<'_>) -> Result<bool> {
        let Some(label) = &self.label else {
            return Ok(false);
        };
        let class = inference.preprocessing().class(label)?;
        inference.set_label(class);
        Ok(true)
    }

    /// The same; a conditional model must be told one.
    pub(crate) fn require_on(&self, inference: &mut Inference<'_>) -> Result<()> {
        let is_set = self.set_on(inference)?;
        ensure!(
            is_set || inference.preprocessing().classes() == 0,
            "--label: the model was trained with --conditional: expected one of its labels, found none"
        );
        Ok(())
    }
}

/// Which images of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Those trained on.
    Train,
    /// Those validated on.
    Validation,
    /// Those kept from training and validation.
    Test,
}

/// The images that a trained model is used on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct InputArguments {
    /// A data set, file or folder as `train --data` takes it [default: what the run was validated on].
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Which part of it [default: of the run's data those validated on; of other data the test part, else all].
    #[arg(long)]
    part: Option<Part>,
    #[command(flatten)]
    read: ReadArguments,
}

impl InputArguments {
    /// The images as they are read.
    fn read(&self, run: &SavedRun) -> Result<Images> {
        let patch = self.read.patch().over(run.recipe.clone().into());
        let options = patch.read_options(self.read.fetch.options());
        let on_progress = report::on_progress();
        let (name, images) = match &self.data {
            Some(name) => {
                let source = Source::open(name, &options, &on_progress)?;
                let images = match self.part {
                    Some(Part::Train) => source.train,
                    _ => source.into_judged(),
                };
                (name, images)
            }
            None => {
                let name = &run.recipe.data;
                let dataset = Dataset::open(name, &options, &patch.validation(), &on_progress)?;
                let images = match self.part {
                    Some(Part::Train) => dataset.train,
                    None | Some(Part::Validation) => dataset.validation,
                    Some(Part::Test) => dataset.test.ok_or_else(|| {
                        anyhow::anyhow!(
                            "{name}: no part is left for a test beside training and validation"
                        )
                    })?,
                };
                (name, images)
            }
        };
        ensure!(
            images.shape() == run.recipe.image,
            "{name}: expected samples of {}, as the model was trained on, found {}; image files can be scaled with --size",
            run.recipe.image,
            images.shape()
        );
        report::note(&format!("data: {name}: {} samples", images.count()));
        Ok(images)
    }

    /// The images as the model sees them.
    pub(crate) fn open(&self, run: &SavedRun) -> Result<Images> {
        Ok(run.preprocessing.evaluation_images(&self.read(run)?)?)
    }

    /// Those of the training part, as the model sees them.
    pub(crate) fn open_train(&self, run: &SavedRun) -> Result<Images> {
        let train = Self {
            part: Some(Part::Train),
            ..self.clone()
        };
        train.open(run)
    }

    /// The first `count` of them.
    pub(crate) fn first(&self, run: &SavedRun, count: usize) -> Result<Images> {
        let images = self.read(run)?;
        let places: Vec<u32> = (0..images.count().min(count) as u32).collect();
        Ok(run
            .preprocessing
            .evaluation_images(&images.subset(&places))?)
    }
}

/// `28x28`
pub(crate) fn size(text: &str) -> Result<[usize; 2], String> {
    let sides = text.split_once(['x', 'X']);
    let sides = sides.and_then(|(height, width)| Some([height.parse().ok()?, width.parse().ok()?]));
    sides
        .filter(|sides| !sides.contains(&0))
        .ok_or_else(|| "expected height and width, for example 64x64".into())
}

pub(crate) fn positive() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

pub(crate) const BACKENDS: &[&str] = &["auto", "wgpu", "vulkan", "metal", "dx12", "cpu", "ndarray"];
const FITS: &[&str] = &["crop", "pad", "stretch"];
const LAYOUTS: &[&str] = &["channels-first", "channels-last"];
const HEADERS: &[&str] = &["auto", "yes", "no"];

/// One of `names`, each of which a config file would call the same.
pub(crate) fn one_of<T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| by_name(&name))
}

/// The value that a config file would call `name`.
pub(crate) fn by_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Error> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name)
}

/// Checks that a config file knows all `names`.
#[cfg(test)]
pub(crate) fn check_names<T: for<'de> Deserialize<'de>>(names: &[&str]) {
    assert!(
        names.iter().all(|name| by_name::<T>(name).is_ok()),
        "{names:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<BackendChoice>(BACKENDS);
        check_names::<Fit>(FITS);
        check_names::<Layout>(LAYOUTS);
        check_names::<Header>(HEADERS);
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(size("64x32"), Ok([64, 32]));
        for wrong in ["64", "64x", "x", "0x8", "64x32x3", "-1x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
