//! Reads a name or a path into samples, detecting the format of the files.

mod arrays;
mod folders;
mod foreign;
mod mnist_layout;
mod parts;
mod unpacked;
mod zipped;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fetch::{FetchOptions, NamedSet, fetch};
use crate::folder::{Bits, Fit};
use crate::limits::gunzip;
use crate::table::{Decimal, Header, Separator, Table, TableOptions};
use crate::{
    Array, DataError, Images, Labels, OnProgress, digits, folder, mapped, matrix_market, npy, table,
};

use arrays::{idx_file, matrix_file, npy_file, npz_file};
use folders::{data_folder, image_files};

/// Axis order of an array of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[samples, channels, height, width]` (NCHW).
    ChannelsFirst,
    /// `[samples, height, width, channels]` (NHWC).
    ChannelsLast,
}

/// Options for reading data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// Location of named data sets, and whether they may be downloaded.
    pub fetch: FetchOptions,
    /// Height and width that image files are scaled to, or that flat rows are reshaped to.
    pub size: Option<[usize; 2]>,
    /// Whether colour images are converted to grayscale.
    pub grey: bool,
    /// How image files of another aspect ratio are fitted to `size`.
    pub fit: Option<Fit>,
    /// Bits of the values of image files; those that they have if unset.
    pub bits: Option<Bits>,
    /// Whether image files that cannot be decoded are skipped.
    pub skip_bad: bool,
    /// Axis order of image arrays: channels first or last.
    pub layout: Option<Layout>,
    /// Label column of a table, label array of an NPZ file, or label file of an NPY or IDX file; a folder of label files of
    /// several NPY files.
    pub labels: Option<String>,
    /// Column of a table that names its rows.
    pub ids: Option<String>,
    /// Whether the first line of a table holds the column names.
    pub header: Header,
    /// What separates the cells of a text table.
    pub separator: Option<Separator>,
    /// What stands before the decimals in a text table.
    pub decimal: Option<Decimal>,
    /// Name of the array to read from an NPZ file.
    pub array: Option<String>,
    /// Whether samples stay on disk and are read on demand.
    pub stream: bool,
    /// What names of the above are those of other data.
    pub inherited: Inherited,
}

/// What [`ReadOptions`] name because other data have it: taken where it is found, and else left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// The labels. A file of them belongs to its data alone.
    pub labels: bool,
    /// The array of samples.
    pub array: bool,
    /// The column of ids.
    pub ids: bool,
}

/// Contents of a data source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name as given by the user.
    pub name: String,
    /// Format of the files, as detected.
    pub format: String,
    /// Training samples, or all samples if the source has no parts.
    pub train: Images,
    /// Validation samples, if the source has such a part.
    pub validation: Option<Images>,
    /// Test samples, if the source has such a part.
    pub test: Option<Images>,
    /// Notes for the user, for example about skipped files.
    pub notes: Vec<String>,
}

impl Source {
    pub(crate) fn new(name: &str, format: impl Into<String>, train: impl Into<Images>) -> Self {
        Self {
            name: name.to_owned(),
            format: format.into(),
            train: train.into(),
            validation: None,
            test: None,
            notes: Vec::new(),
        }
    }

    /// Samples for evaluation: the test samples if the source has any, else the validation samples, else all.
    #[must_use]
    pub fn into_judged(self) -> Images {
        self.test.or(self.validation).unwrap_or(self.train)
    }

    /// Reads a data source: `digits`, a downloadable data set, or a path.
    ///
    /// # Errors
    /// If there is no such source, or it is invalid.
    pub fn open(
        name: &str,
        options: &ReadOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, DataError> {
        let path = Path::new(name);
        if !path.is_dir() {
            table_options_fit(name, path, options)?;
        }
        if name == "digits" {
            let (train, test) = digits::read()?;
            return Ok(Self {
                test: Some(test),
                ..Self::new(name, "built in", train)
            });
        }
        if let Some(set) = NamedSet::find(name) {
            let folder = fetch(set, &options.fetch, on_progress)?;
            let read = mnist_layout::read(&folder, options)?;
            let found = read.ok_or(DataError::NoSuchData(folder))?;
            return Ok(Self {
                name: name.to_owned(),
                ..found
            });
        }
        if path.is_dir() {
            if let Some(found) = mnist_layout::read(path, options)? {
                table_options_fit(name, path, options)?;
                return Ok(found);
            }
            #[cfg(feature = "parquet")]
            if let shards = unpacked::shards_in(path)
                && !shards.is_empty()
            {
                table_options_fit(name, path, options)?;
                let mut source = unpacked::shards(path, &shards, options, on_progress)?;
                let within = shards[0].parent().unwrap_or(path);
                let beside = folder::beside(within, &shards, "Parquet files of images");
                source.notes.extend(beside);
                return Ok(source);
            }
            return data_folder(path, options, on_progress);
        }
        if !path.is_file() {
            return Err(DataError::NoSuchData(path.to_owned()));
        }
        file(path, options, on_progress)
    }
}

/// Refuses options of tables for data in `path` that are none.
fn table_options_fit(name: &str, path: &Path, options: &ReadOptions) -> Result<(), DataError> {
    let is_text_option = options.separator.is_some() || options.decimal.is_some();
    let is_own = options.inherited == Inherited::default();
    let is_text = usual_separator(path).is_some();
    let is_table = is_text || path.extension().is_some_and(|ending| ending == "parquet");
    if is_own && (is_text_option && !is_text || options.ids.is_some() && !is_table) {
        let what = "--separator and --decimal are for tables in files called .csv, .tsv or .txt, --ids for those and .parquet";
        return Err(DataError::unfit(name, what));
    }
    Ok(())
}

/// Bytes of a file by which its format is known, and of a gzipped one, where a tar archive says so late.
const START: u64 = 32;
const GZIPPED_START: u64 = 512;

fn open_file(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|cause| DataError::unreadable(path.display().to_string(), cause))
}

/// Reads a single file; its format is detected by its first bytes, that of text tables and images by its extension.
fn file(
    path: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let mut start = Vec::new();
    let unreadable = |cause| DataError::unreadable(name.clone(), cause);
    open_file(path)?
        .take(START)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let is_gzip = start.starts_with(&[0x1f, 0x8b]);
    match &start[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy_file(path, options),
        [b'P', b'K', 3, 4, ..] if has_arrays(path)? => npz_file(path, options),
        [b'P', b'K', 3, 4, ..] => unpacked::zip_file(path, options, on_progress),
        [0, 0, 8..=14, 1..=4, ..] => idx_file(path, options),
        [0x1f, 0x8b, ..] if usual_separator(path).is_none() => {
            let mut start = Vec::new();
            let inner = gunzip(open_file(path)?);
            inner
                .take(GZIPPED_START)
                .read_to_end(&mut start)
                .map_err(unreadable)?;
            match start[..] {
                [0, 0, _, 1..=4, ..] => idx_file(path, options),
                _ if start.starts_with(matrix_market::MAGIC) => {
                    let matrix = BufReader::new(gunzip(open_file(path)?));
                    matrix_file(path, matrix, options)
                }
                _ => Err(foreign::refused_gzip(&name, &start)),
            }
        }
        #[cfg(feature = "parquet")]
        [b'P', b'A', b'R', b'1', ..] => {
            if crate::parquet::has_images(path) {
                return unpacked::shards(path, &[path.to_owned()], options, on_progress);
            }
            let ids = options.ids.as_deref().map(|name| crate::parquet::Asked {
                name,
                is_inherited: options.inherited.ids,
            });
            let table = crate::parquet::read(path, parquet_label(options), ids)?;
            table_source(&name, "Parquet", table, options)
        }
        #[cfg(not(feature = "parquet"))]
        [b'P', b'A', b'R', b'1', ..] => Err(DataError::unfit(
            &name,
            "a Parquet file, which this build does not read; build with `--features parquet`, or convert it to CSV",
        )),
        _ if start.starts_with(matrix_market::MAGIC) => {
            matrix_file(path, BufReader::new(open_file(path)?), options)
        }
        _ if let Some(usual) = usual_separator(path) => {
            let table_options = TableOptions {
                usual,
                separator: options.separator,
                decimal: options.decimal,
                header: options.header,
                label: options.labels.as_deref(),
                ids: options.ids.as_deref(),
                inherited: options.inherited,
            };
            let input = BufReader::new(open_file(path)?);
            let table = if is_gzip {
                table::read(gunzip(input), &name, &table_options)?
            } else {
                table::read(input, &name, &table_options)?
            };
            let header = if table.had_header { "with" } else { "without" };
            let format = format!("table {header} a header{}", table.dialect);
            table_source(&name, &format, table, options)
        }
        _ if folder::is_image_name(path) => {
            let listing = folder::single(path);
            image_files(&listing, options, on_progress)
        }
        _ if let Some(error) = foreign::refused(&name, &start) => Err(error),
        _ => Err(DataError::wrong(
            name,
            "format",
            "NPY, NPZ, IDX or Matrix Market (gzipped or not), an image, or a table in a file called .csv or .tsv",
            format!("{:?}", String::from_utf8_lossy(&start)),
        )),
    }
}

#[cfg(feature = "parquet")]
fn parquet_label(options: &ReadOptions) -> Option<crate::parquet::Asked<'_>> {
    let name = options.labels.as_deref()?;
    Some(crate::parquet::Asked {
        name,
        is_inherited: options.inherited.labels,
    })
}

fn has_arrays(path: &Path) -> Result<bool, DataError> {
    Ok(npy::Npz::open(path)?.names().next().is_some())
}

/// What usually separates the cells of a text table, by the ending of its file; `None` if it is none.
fn usual_separator(path: &Path) -> Option<Separator> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let ending = name
        .strip_suffix(".gz")
        .unwrap_or(&name)
        .rsplit_once('.')?
        .1;
    match ending {
        "csv" => Some(Separator::Comma),
        "tsv" | "txt" => Some(Separator::Tab),
        _ => None,
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
    let is_numbered = |from: usize| {
        let numbers = table.columns.iter().zip(from..);
        numbers
            .into_iter()
            .all(|(name, number)| *name == number.to_string())
    };
    let has_names = table.had_header && !is_numbered(0) && !is_numbered(1);
    let named = |column: &Option<String>| column.clone().filter(|_| table.had_header);
    let label_column = named(&options.labels);
    let id_column = named(&options.ids);
    let array = Array {
        labels: table.labels.as_deref().map(Labels::of),
        columns: (shape.is_table() && has_names).then_some(table.columns),
        label_column,
        id_column,
        names: table.ids,
        ..Array::floats(table.values, shape)
    };
    Ok(Source {
        notes: table.notes,
        ..Source::new(name, format, array)
    })
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
