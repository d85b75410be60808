//! The data that a trained model is used on.

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_data::{Dataset, Images, Inherited, ReadOptions, Source};
use vae_run::SavedRun;

use super::ReadArguments;
use crate::report;

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
        let which = match self.part {
            Some(Part::Train) => "training ",
            Some(Part::Validation) => "validation ",
            Some(Part::Test) => "test ",
            None => "",
        };
        report::note(&format!("data: {name}: {} {which}samples", images.count()));
        let (images, was_other) = run.recipe.matching(&images, name)?;
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

    /// The training samples of the run, as the model sees them; `None` if they are the samples in question.
    pub(crate) fn others(&self, run: &SavedRun) -> Result<Option<Images>> {
        let InputArguments { data, part, .. } = &self.input;
        let is_own = data.as_ref().is_none_or(|data| *data == run.recipe.data);
        if is_own && *part == Some(Part::Train) {
            return Ok(None);
        }
        let train = InputArguments {
            data: None,
            part: Some(Part::Train),
            ..self.input.clone()
        };
        train.open(run).map(Some)
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
