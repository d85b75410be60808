//! Options that several commands share. Those of one command stand in its file.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use vae_data::fetch::FetchOptions;
use vae_data::folder::Fit;
use vae_data::table::{Decimal, Header, Separator};
use vae_data::{Dataset, Images, Inherited, Layout, ReadOptions, Source};
use vae_device::Device;
use vae_infer::Inference;
use vae_recipe::{BackendChoice, RecipePatch};
use vae_run::SavedRun;

use crate::report;

/// Where named data sets are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct FetchArguments {
    /// Folder to find and store downloaded datasets in [default: the system's cache folder].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Never download; fail if a dataset is missing [default: false].
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
    /// Height and width in pixels, such as 64x64: resizes image files, shapes flat rows into images [default: as found].
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[usize; 2]>,
    /// Convert coloured image files to greyscale [default: false].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    grey: Option<bool>,
    /// How image files of another aspect ratio are fitted to --size: crop the centre, pad with black, or stretch
    /// [default: stop with an error].
    #[arg(long, value_parser = one_of::<Fit>())]
    fit: Option<Fit>,
    /// Skip image files that cannot be decoded and list them, instead of stopping [default: false].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    skip_bad: Option<bool>,
    /// Position of the channel axis in a 4-dimensional array [default: the axis of size 1 or 3].
    #[arg(long, value_parser = one_of::<Layout>())]
    layout: Option<Layout>,
    /// Where labels are: a column of a table, an array of an NPZ file, or an NPY or IDX file [default: as the source says].
    #[arg(long, value_name = "COLUMN|ARRAY|FILE")]
    labels: Option<String>,
    /// Column of a table that names its rows, by its name or, in a table without names, its number from 1: it is carried
    /// along and not learned [default: none].
    #[arg(long, value_name = "COLUMN")]
    ids: Option<String>,
    /// Whether the first line of a table holds the column names [default: auto].
    #[arg(long, value_parser = one_of::<Header>())]
    header: Option<Header>,
    /// What separates the cells of a text table [default: what makes numbers of them].
    #[arg(long, value_parser = one_of::<Separator>())]
    separator: Option<Separator>,
    /// What stands before the decimals in a text table, 0.5 or 0,5 [default: as found].
    #[arg(long, value_parser = one_of::<Decimal>())]
    decimal: Option<Decimal>,
    /// Array of an NPZ file that holds the samples [default: x, images or data].
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Read NPY, IDX and image files from disk as needed, for data larger than memory [default: false].
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
            ids: self.ids.clone().map(Some),
            header: self.header,
            separator: self.separator.map(Some),
            decimal: self.decimal.map(Some),
            array: self.array.clone().map(Some),
            stream: self.stream,
            ..RecipePatch::default()
        }
    }
}

/// A trained model and where it works.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArguments {
    /// Trained model: a run folder, or a .safetensors file of weights.
    pub(crate) run: PathBuf,
    /// TOML file with the settings of the model [default: the config.toml beside the weights].
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    config: Option<PathBuf>,
    /// Device to compute on; auto takes a hardware GPU if there is one, else the CPU.
    #[arg(long, default_value = "auto", value_parser = one_of::<BackendChoice>(), help_heading = "Model")]
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
    /// Label to decode with, required by models trained with --conditional (`sample` takes all labels in turn without it).
    #[arg(long, value_name = "NAME", help_heading = "Model")]
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
            "--label is missing: the model was trained with --conditional and needs one of its labels"
        );
        Ok(())
    }
}

/// Which images of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The training samples.
    Train,
    /// The validation samples.
    Validation,
    /// The test samples, used for neither training nor validation.
    Test,
}

/// The images that a trained model is used on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct InputArguments {
    /// Dataset name, file or folder, as in `train --data` [default: the data of the run].
    ///
    /// The options below, which say how to read it, default to the settings of the run.
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Part of the data to use [default: validation; of other --data the test samples, or all if there are none].
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
                let is_other = *name != run.recipe.data;
                let inherited = Inherited {
                    labels: is_other && self.read.labels.is_none(),
                    array: is_other && self.read.array.is_none(),
                    ids: is_other && self.read.ids.is_none(),
                };
                let options = ReadOptions {
                    inherited,
                    ..options
                };
                let source = Source::open(name, &options, &on_progress)?;
                let missing = |what: &str| {
                    anyhow::anyhow!(
                        "--part: {name} has no {what} samples of its own; leave --part out to take what it has"
                    )
                };
                let images = match self.part {
                    None => source.into_judged(),
                    Some(Part::Train) => source.train,
                    Some(Part::Validation) => {
                        source.validation.ok_or_else(|| missing("validation"))?
                    }
                    Some(Part::Test) => source.test.ok_or_else(|| missing("test"))?,
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
                            "{name}: no test samples are left beside the training and validation samples"
                        )
                    })?,
                };
                (name, images)
            }
        };
        report::note(&format!("data: {name}: {} samples", images.count()));
        let (images, was_other) = images.aligned(&run.recipe.columns, name)?;
        ensure!(
            images.shape() == run.recipe.image,
            "{name}: expected samples of {}, as the model was trained on, found {}; --size resizes image files",
            run.recipe.image,
            images.shape()
        );
        if was_other {
            report::note("columns: put in the order of the training data");
        }
        Ok(images)
    }

    /// The images as the model sees them.
    pub(crate) fn open(&self, run: &SavedRun) -> Result<Images> {
        Self::seen(&self.read(run)?, run)
    }

    fn seen(images: &Images, run: &SavedRun) -> Result<Images> {
        if let Some(clipped) = run.preprocessing.clipped(images)? {
            report::note(&clipped);
        }
        Ok(run.preprocessing.evaluation_images(images)?)
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
        Self::seen(&images.subset(&places), run)
    }
}

/// Images as [`InputArguments`] say, all of one class if a label says so.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabelledInputArguments {
    #[command(flatten)]
    input: InputArguments,
    /// Label that all samples are taken to have, for a model trained with --conditional [default: each its own].
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    label: Option<String>,
}

impl LabelledInputArguments {
    /// The images as the model sees them.
    pub(crate) fn open(&self, run: &SavedRun) -> Result<Images> {
        self.labelled(self.input.open(run)?, run)
    }

    /// The first `count` of them.
    pub(crate) fn first(&self, run: &SavedRun, count: usize) -> Result<Images> {
        self.labelled(self.input.first(run, count)?, run)
    }

    fn labelled(&self, images: Images, run: &SavedRun) -> Result<Images> {
        let Some(label) = &self.label else {
            return Ok(images);
        };
        run.preprocessing.class(label)?;
        Ok(images.labelled(label))
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

/// One of the names that a config file has for the values of `T`.
pub(crate) fn one_of<T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static>()
-> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names::<T>()).try_map(|name| by_name(&name))
}

/// What a config file calls the variants of the enum `T`.
pub(crate) fn names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // Always an error, for there is no value; the names came before it.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Keeps the names of the enum that is deserialized from it.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = names;
        Err(Error::custom("no value"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enum"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The value that a config file would call `name`.
pub(crate) fn by_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Error> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_config_file() {
        assert_eq!(names::<Fit>(), ["crop", "pad", "stretch"]);
        assert_eq!(names::<Layout>(), ["channels-first", "channels-last"]);
        assert!(names::<usize>().is_empty());
        assert!(
            names::<BackendChoice>()
                .iter()
                .all(|name| by_name::<BackendChoice>(name).is_ok())
        );
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(size("64x32"), Ok([64, 32]));
        for wrong in ["64", "64x", "x", "0x8", "64x32x3", "-1x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
