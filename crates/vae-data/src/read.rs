//! From a name or a path to samples: finds out what the files are, and says so.

mod arrays;
mod folders;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fetch::{FetchOptions, NamedSet, fetch};
use crate::folder::Fit;
use crate::table::{Header, Table, TableOptions};
use crate::{Array, DataError, Images, Labels, OnProgress, digits, folder, mapped, table};

use arrays::{idx_file, npy_file, npz_file};
use folders::{IDX_STEMS, find, idx_folder, image_files, image_folder};

/// Where the channels of an array of images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[samples, channels, height, width]`
    ChannelsFirst,
    /// `[samples, height, width, channels]`
    ChannelsLast,
}

/// How data are read, where the files leave a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// Where named sets are, and whether they may be fetched.
    pub fetch: FetchOptions,
    /// Height and width that image files are scaled to, or that flat rows are images of.
    pub size: Option<[usize; 2]>,
    /// Whether coloured image files become grey.
    pub grey: bool,
    /// What becomes of image files of another shape.
    pub fit: Option<Fit>,
    /// Whether image files that cannot be decoded are left out.
    pub skip_bad: bool,
    /// Where an array's channels are.
    pub layout: Option<Layout>,
    /// A table's column of labels, an NPZ file's array of them, or beside an NPY or IDX file a file of them.
    pub labels: Option<String>,
    /// Whether a table's first line names its columns.
    pub header: Header,
    /// The array of an NPZ file.
    pub array: Option<String>,
    /// Whether samples stay on disk until they are wanted.
    pub stream: bool,
}

/// What files say.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user gave it.
    pub name: String,
    /// What the files were found to be.
    pub format: String,
    /// Everything, or what is meant to be trained on.
    pub train: Images,
    /// What is meant to judge a model by, where the source says so.
    pub test: Option<Images>,
    /// What a user should know, for example of files that were left out.
    pub notes: Vec<String>,
}

impl Source {
    fn new(name: &str, format: impl Into<String>, train: impl Into<Images>) -> Self {
        Self {
            name: name.to_owned(),
            format: format.into(),
            train: train.into(),
            test: None,
            notes: Vec::new(),
        }
    }

    /// What to look at when no part is asked for: the test images if the source has such, else all.
    #[must_use]
    pub fn into_judged(self) -> Images {
        self.test.unwrap_or(self.train)
    }

    /// Reads what `name` stands for: `digits`, a set that can be fetched, or a path.
    ///
    /// # Errors
    /// If there is nothing, or it is not what it should be.
    pub fn open(
        name: &str,
        options: &ReadOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, DataError> {
        if name == "digits" {
            let (train, test) = digits::read()?;
            return Ok(Self {
                test: Some(test),
                ..Self::new(name, "built in", train)
            });
        }
        if let Some(set) = NamedSet::find(name) {
            let folder = fetch(set, &options.fetch, on_progress)?;
            return Ok(Self {
                name: name.to_owned(),
                ..idx_folder(&folder, options)?
            });
        }
        let path = Path::new(name);
        if path.is_dir() {
            let is_idx = IDX_STEMS.iter().any(|stem| find(path, stem).is_some());
            if is_idx {
                return idx_folder(path, options);
            }
            return image_folder(path, options, on_progress);
        }
        if !path.is_file() {
            return Err(DataError::NoSuchData(path.to_owned()));
        }
        file(path, options, on_progress)
    }
}

fn open_file(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|cause| DataError::unreadable(path.display().to_string(), cause))
}

/// A single file, told by its first bytes.
fn file(
    path: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let mut start = Vec::new();
    let unreadable = |cause| DataError::unreadable(name.clone(), cause);
    open_file(path)?
        .take(8)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match &start[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy_file(path, options),
        [b'P', b'K', 3, 4, ..] => npz_file(path, options),
        [0, 0, 8, 3, ..] | [0x1f, 0x8b, ..] => idx_file(path, options),
        #[cfg(feature = "parquet")]
        [b'P', b'A', b'R', b'1', ..] => {
            let table = crate::parquet::read(path, options.labels.as_deref())?;
            table_source(&name, "Parquet", table, options)
        }
        #[cfg(not(feature = "parquet"))]
        [b'P', b'A', b'R', b'1', ..] => Err(DataError::unfit(
            &name,
            "a Parquet file, which this build does not read; build with `--features parquet`, or convert it to CSV",
        )),
        _ if extension == "csv" || extension == "tsv" || extension == "txt" => {
            let table_options = TableOptions {
                delimiter: if extension == "csv" { b',' } else { b'\t' },
                header: options.header,
                label: options.labels.as_deref(),
            };
            let table = table::read(BufReader::new(open_file(path)?), &name, &table_options)?;
            let header = if table.had_header { "with" } else { "without" };
            table_source(&name, &format!("table {header} a header"), table, options)
        }
        _ if folder::is_image_name(path) => {
            let listing = folder::single(path);
            image_files(&listing, options, on_progress)
        }
        _ => Err(DataError::wrong(
            name,
            "format",
            "NPY, NPZ, IDX (gzipped or not), an image, or a table in a file called .csv or .tsv",
            format!("{:?}", String::from_utf8_lossy(&start)),
        )),
    }
}

fn table_source(
    name: &str,
    format: &str,
    table: Table,
    options: &ReadOptions,
) -> Result<Source, DataError> {
    in_memory_only(Path::new(name), options)?;
    let shape = mapped::flat(name, table.columns.len(), options.size)?;
    let array = Array {
        labels: table.labels.as_deref().map(Labels::of),
        columns: shape.is_table().then_some(table.columns),
        ..Array::floats(table.values, shape)
    };
    Ok(Source::new(name, format, array))
}

fn in_memory_only(path: &Path, options: &ReadOptions) -> Result<(), DataError> {
    if !options.stream {
        return Ok(());
    }
    let name = path.display().to_string();
    let what = format!(
        "only NPY, IDX and image files can be streamed; write it anew with `vae-gpu data convert {name} --out FILE.npy`"
    );
    Err(DataError::unfit(&name, what))
}
