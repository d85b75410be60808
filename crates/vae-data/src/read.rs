//! From a name or a path to samples: finds out what the files are, and says so.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fetch::{FetchOptions, NamedSet, fetch};
use crate::folder::{Fit, FolderOptions};
use crate::mapped::{self, npy_shape};
use crate::table::{Header, Table, TableOptions};
use crate::{Array, DataError, Images, Labels, OnProgress, Shape, digits, folder, idx, npy, table};

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

const IDX_STEMS: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn find(folder: &Path, stem: &str) -> Option<PathBuf> {
    let candidates = [folder.join(stem), folder.join(format!("{stem}.gz"))];
    candidates.into_iter().find(|path| path.is_file())
}

fn open_file(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|cause| DataError::unreadable(path.display().to_string(), cause))
}

/// The four files of MNIST's layout, each gzipped or not.
fn idx_folder(folder: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    let part = |[images, labels]: [&'static str; 2]| {
        let path = |stem| {
            find(folder, stem).ok_or_else(|| DataError::MissingFile {
                folder: folder.to_owned(),
                stem,
            })
        };
        let [images, labels] = [path(images)?, path(labels)?];
        let named = |path: &Path| -> Result<_, DataError> {
            Ok((BufReader::new(open_file(path)?), path.display().to_string()))
        };
        if options.stream {
            let labels = labels_file(&labels)?;
            let array = mapped::open(&images, None, None)?;
            return labelled(&images, array, Some(labels)).map(Images::from);
        }
        idx::labelled(named(&images)?, named(&labels)?)
    };
    let [train_images, train_labels, test_images, test_labels] = IDX_STEMS;
    let train = part([train_images, train_labels])?;
    let test = part([test_images, test_labels])?;
    Ok(Source {
        test: Some(test),
        ..Source::new(&folder.display().to_string(), "IDX files", train)
    })
}

/// Names of folders that are parts of a data set, not classes.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];

fn image_folder(
    root: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let part = |names: &[&str]| {
        names
            .iter()
            .map(|name| root.join(name))
            .find(|path| path.is_dir())
    };
    let name = root.display().to_string();
    if let (Some(train), Some(test)) = (part(&TRAIN), part(&TEST)) {
        let train = image_files(&folder::list(&train)?, options, on_progress)?;
        let test = image_files(&folder::list(&test)?, options, on_progress)?;
        let format = format!("{}, in folders of training and test images", train.format);
        return Ok(Source {
            name,
            format,
            test: Some(test.train),
            notes: [train.notes, test.notes].concat(),
            ..train
        });
    }
    Ok(Source {
        name,
        ..image_files(&folder::list(root)?, options, on_progress)?
    })
}

fn image_files(
    listing: &folder::Listing,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let folder_options = FolderOptions {
        size: options.size,
        grey: options.grey,
        fit: options.fit,
        skip_bad: options.skip_bad,
    };
    let (array, kept, skipped) = if options.stream {
        let cache = crate::fetch::cache_folder()?.join("decoded");
        let (npy, decoded) =
            folder::decode_to_cache(listing, &folder_options, &cache, on_progress)?;
        let array = mapped::open(&npy, None, Some(Layout::ChannelsFirst))?;
        (array, decoded.kept, decoded.skipped)
    } else {
        let decoded = folder::decode(listing, &folder_options, on_progress)?;
        let shape = Shape {
            channels: decoded.channels,
            height: decoded.height,
            width: decoded.width,
        };
        (
            Array::bytes(decoded.pixels, shape),
            decoded.kept,
            decoded.skipped,
        )
    };
    let labels = listing.labels.as_ref().map(|labels| Labels {
        classes: kept.iter().map(|&file| labels[file]).collect(),
        names: listing.classes.clone(),
    });
    let file_name = |&file: &usize| listing.files[file].display().to_string();
    let array = Array {
        labels,
        names: Some(kept.iter().map(file_name).collect()),
        ..array
    };
    Ok(Source {
        notes: skipped,
        ..Source::new(&listing.root.display().to_string(), "image files", array)
    })
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

fn npy_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let array = if options.stream {
        mapped::open(path, options.size, options.layout)?
    } else {
        let array = npy::read(BufReader::new(open_file(path)?), &name)?;
        samples(&name, array, options)?
    };
    let labels = options.labels.as_ref();
    let labels = labels
        .map(|labels| labels_file(Path::new(labels)))
        .transpose()?;
    let format = format!("NPY of {:?}", array.element);
    Ok(Source::new(&name, format, labelled(path, array, labels)?))
}

fn npz_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    in_memory_only(path, options)?;
    let name = path.display().to_string();
    let mut npz = npy::Npz::open(path)?;
    let names: Vec<String> = npz.names().map(str::to_owned).collect();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let choose = |asked: Option<&String>, usual: &[&str]| {
        let usual = usual
            .iter()
            .find(|usual| has(usual))
            .map(ToString::to_string);
        asked.cloned().or(usual)
    };
    let mut part = |images: &str, labels: Option<String>| {
        let array = samples(&name, npz.read(images)?, options)?;
        let labels = labels
            .map(|labels| classes(&name, npz.read(&labels)?))
            .transpose()?;
        labelled(path, array, labels)
    };
    if options.array.is_none() && has("x_train") && has("x_test") {
        let train = part("x_train", has("y_train").then(|| "y_train".into()))?;
        let test = part("x_test", has("y_test").then(|| "y_test".into()))?;
        let format = "NPZ with x_train and x_test";
        return Ok(Source {
            test: Some(test.into()),
            ..Source::new(&name, format, train)
        });
    }
    let only = (names.len() == 1).then(|| names[0].clone());
    let images = choose(options.array.as_ref(), &["x", "images", "data"]).or(only);
    let Some(images) = images.filter(|images| has(images)) else {
        return Err(DataError::wrong(
            name,
            "array",
            "the samples in `x`, `images`, `data`, or what --array names",
            names.join(", "),
        ));
    };
    let labels = choose(options.labels.as_ref(), &["y", "labels"]);
    let array = part(&images, labels)?;
    Ok(Source::new(&name, format!("NPZ, array `{images}`"), array))
}

fn idx_file(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    let name = path.display().to_string();
    let array = if options.stream {
        mapped::open(path, None, None)?
    } else {
        let images: idx::IdxArray<3> = idx::read(open_file(path)?, &name)?;
        let [_, height, width] = images.shape;
        Array::bytes(images.bytes, Shape::grey(height, width))
    };
    let labels = options.labels.as_ref();
    let labels = labels
        .map(|labels| labels_file(Path::new(labels)))
        .transpose()?;
    Ok(Source::new(
        &name,
        "IDX images",
        labelled(path, array, labels)?,
    ))
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

/// An NPY array as samples, channels first.
fn samples(name: &str, array: npy::NpyArray, options: &ReadOptions) -> Result<Array, DataError> {
    let (_, shape, is_channels_last) = npy_shape(name, &array.shape, options.size, options.layout)?;
    let Shape {
        channels,
        height,
        width,
    } = shape;
    fn reordered<T: Copy>(values: Vec<T>, channels: usize, pixels: usize) -> Vec<T> {
        let images = values.chunks_exact(channels * pixels);
        let planes = |image: &[T]| -> Vec<T> {
            let places =
                (0..channels).flat_map(|channel| (0..pixels).map(move |pixel| (channel, pixel)));
            places
                .map(|(channel, pixel)| image[pixel * channels + channel])
                .collect()
        };
        images.flat_map(planes).collect()
    }
    let floats = |values: Vec<f32>| {
        let values = if is_channels_last {
            reordered(values, channels, height * width)
        } else {
            values
        };
        Array::floats(values, shape)
    };
    Ok(match array.values {
        npy::NpyValues::U8(bytes) if is_channels_last => {
            Array::bytes(reordered(bytes, channels, height * width), shape)
        }
        npy::NpyValues::U8(bytes) => Array::bytes(bytes, shape),
        npy::NpyValues::F32(values) => floats(values),
        npy::NpyValues::Integers(values) => {
            floats(values.into_iter().map(|value| value as f32).collect())
        }
    })
}

/// Labels out of an NPY or IDX file.
fn labels_file(path: &Path) -> Result<Labels, DataError> {
    let name = path.display().to_string();
    let mut start = Vec::new();
    let input = open_file(path)?.take(1).read_to_end(&mut start);
    input.map_err(|cause| DataError::unreadable(name.clone(), cause))?;
    if start == [0x93] {
        return classes(&name, npy::read(BufReader::new(open_file(path)?), &name)?);
    }
    let labels: idx::IdxArray<1> = idx::read(open_file(path)?, &name)?;
    let labels: Vec<i64> = labels.bytes.iter().map(|&byte| byte.into()).collect();
    Ok(Labels::of_integers(&labels))
}

fn classes(name: &str, array: npy::NpyArray) -> Result<Labels, DataError> {
    match (&array.shape[..], array.values) {
        ([_], npy::NpyValues::U8(labels)) => {
            let labels: Vec<i64> = labels.iter().map(|&byte| byte.into()).collect();
            Ok(Labels::of_integers(&labels))
        }
        ([_], npy::NpyValues::Integers(labels)) => Ok(Labels::of_integers(&labels)),
        (shape, _) => Err(DataError::wrong(
            name,
            "labels",
            "one integer for each sample",
            format!("an array of shape {shape:?}, or not of integers"),
        )),
    }
}

fn labelled(path: &Path, array: Array, labels: Option<Labels>) -> Result<Array, DataError> {
    let count = labels.as_ref().map(|labels| labels.classes.len());
    if let Some(count) = count.filter(|&count| count != array.rows()) {
        return Err(DataError::wrong(
            path.display().to_string(),
            "number of labels",
            format!("{}, as many as there are samples", array.rows()),
            count.to_string(),
        ));
    }
    Ok(Array { labels, ..array })
}
