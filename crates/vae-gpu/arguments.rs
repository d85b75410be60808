//! Options that several commands share. Those of one command stand in its file.

mod input;
pub(crate) mod values;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use vae_data::Layout;
use vae_data::fetch::FetchOptions;
use vae_data::folder::{Bits, Fit};
use vae_data::table::{Decimal, Header, Separator};
use vae_device::Device;
use vae_infer::Inference;
use vae_recipe::{BackendChoice, RecipePatch};
use vae_run::SavedRun;

use crate::report;

pub(crate) use input::{InputArguments, LabelledInputArguments};
pub(crate) use values::{one_of, positive, size};

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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    grey: Option<bool>,
    /// How image files of another aspect ratio are fitted to --size: crop the centre, pad with black, or stretch
    /// [default: stop with an error].
    #[arg(long, value_parser = one_of::<Fit>())]
    fit: Option<Fit>,
    /// Bits of the values of image files; 8 takes the upper ones of 16 [default: as found].
    #[arg(long, value_parser = one_of::<Bits>())]
    bits: Option<Bits>,
    /// Skip image files that cannot be decoded and list them, instead of stopping [default: false].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    skip_bad: Option<bool>,
    /// Position of the channel axis in a 4-dimensional array [default: the axis of size 1 or 3].
    #[arg(long, value_parser = one_of::<Layout>())]
    layout: Option<Layout>,
    /// Where labels are: a column of a table, an array of an NPZ file, an NPY or IDX file, or a folder with a file of them for
    /// each of several NPY files [default: as the source says].
    #[arg(long, value_name = "COLUMN|ARRAY|FILE|FOLDER")]
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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
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
            bits: self.bits.map(Some),
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

/// Whether results may take the place of what is there.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OverwriteArguments {
    /// Replace files that are there already [default: stop with an error].
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,
}

impl OverwriteArguments {
    /// Refuses an `out` that is there: a file unless it may be replaced, and a folder with anything in it, for what is left of it
    /// would be taken for results.
    pub(crate) fn check(self, out: &Path) -> Result<()> {
        self.check_of("--out", out)
    }

    /// The same of an `out` that another option named.
    pub(crate) fn check_of(self, option: &str, out: &Path) -> Result<()> {
        if out.is_dir() {
            let is_empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
            ensure!(
                is_empty,
                "{}: a folder that is not empty; choose another {option}, or delete it",
                out.display()
            );
        } else {
            ensure!(
                self.force || !out.exists(),
                "{}: is there already; choose another {option}, or replace it with --force",
                out.display()
            );
        }
        Ok(())
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
