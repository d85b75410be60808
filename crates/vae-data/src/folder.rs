//! Image folders as training data: the files they contain, their classes, and the name of their cache entry.
//!
//! The layout is that of torchvision's `ImageFolder`: the folders directly below the root are the classes, and everything
//! at any depth below one belongs to it. Images directly in the root have no classes. Decoding is in `decode`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use serde::{Deserialize, Serialize};

use crate::DataError;

mod cache;
mod decode;
mod file;
mod survey;
#[cfg(test)]
mod tests;

pub use cache::decode_to_cache;
pub use decode::{DecodedFile, DecodedImages, decode, decode_to_file};

/// Extensions of files that are images without a look at their content; the others are known by their first bytes.
const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"];
const FORMATS: &str = "PNG, JPEG, GIF, BMP, WebP, TIFF or PNM";
/// Files that file managers leave behind, which nobody means.
const SILENT: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// Part of every cache key: incremented when the same files would be decoded to other pixels.
const DECODING: &str = "vae-data folder 2";

/// How images of another aspect ratio are fitted to the target size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Center crop, as large as fits in the image, then scaled.
    Crop,
    /// The whole image scaled to fit, padded with black.
    Pad,
    /// Height and width scaled independently.
    Stretch,
}

/// Bits of an image's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bits {
    /// A byte; of 16 bits the upper 8.
    #[serde(rename = "8")]
    Eight,
    /// All that images of 16 bits have.
    #[serde(rename = "16")]
    Sixteen,
}

/// Options for decoding images into an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Height and width to scale to; if unset, all images must have the same size.
    pub size: Option<[usize; 2]>,
    /// Whether colour images are converted to grayscale (luma of ITU-R BT.709).
    pub grey: bool,
    /// How images of another aspect ratio than `size` are fitted; they are an error if unset.
    pub fit: Option<Fit>,
    /// Bits to keep; those that all images have if unset.
    pub bits: Option<Bits>,
    /// Whether files that cannot be decoded are skipped; else they are an error.
    pub skip_bad: bool,
}

/// The image files of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Path of the folder.
    pub root: PathBuf,
    /// Paths of the images relative to `root`, sorted bytewise, folder by folder.
    pub files: Vec<PathBuf>,
    /// Index into `classes` for each file; `None` if the images are directly in `root`.
    pub labels: Option<Vec<u32>>,
    /// Names of the class folders, sorted bytewise; folders without images are not classes.
    pub classes: Vec<String>,
    /// Number of files that are not images, by their extension (with its dot, in lower case; else `without an extension`).
    pub left_out: BTreeMap<String, usize>,
}

impl Listing {
    /// What was left out, in words; `None` if nothing was.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        left_out(&self.left_out, "images")
    }
}

/// What is said of files that are not `wanted`, counted by their kind; `None` if there are none.
fn left_out(kinds: &BTreeMap<String, usize>, wanted: &str) -> Option<String> {
    let count: usize = kinds.values().sum();
    let files = if count == 1 { "file" } else { "files" };
    let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
    let kinds: Vec<String> = kinds.collect();
    (count > 0).then(|| {
        format!(
            "{count} {files} left out, which are not {wanted}: {}",
            kinds.join(", ")
        )
    })
}

/// What is said of the files in `folder`, and in folders in it, that are not among those that are `read`, which are `wanted`.
pub(crate) fn beside(folder: &Path, read: &[PathBuf], wanted: &str) -> Option<String> {
    let mut kinds = BTreeMap::new();
    let (mut images, folders) = entries(folder, Path::new(""), &mut kinds).ok()?;
    for deeper in folders {
        images.extend(below(folder, &deeper, &mut kinds).ok()?);
    }
    for image in images {
        *kinds.entry(kind_of(&image)).or_default() += 1;
    }
    for file in read {
        if let Some(count) = kinds.get_mut(&kind_of(file)) {
            *count = count.saturating_sub(1);
        }
    }
    kinds.retain(|_, count| *count > 0);
    left_out(&kinds, wanted)
}

/// Whether there are images in `root` or in folders in it.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn holds_images(root: &Path) -> Result<bool, DataError> {
    let kinds = &mut BTreeMap::new();
    let (images, folders) = entries(root, Path::new(""), kinds)?;
    if !images.is_empty() {
        return Ok(true);
    }
    for folder in folders {
        if !below(root, &folder, kinds)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lists the images in `root`: files that end in png, jpg, jpeg, bmp, webp, tif or tiff, in any case, or begin as an image.
/// Hidden files and folders are skipped. Links to files and to class folders are followed, links to folders below those are not.
///
/// # Errors
/// If `root` is not a folder, cannot be read, holds no images, or holds images both directly and in class folders.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    if !root.is_dir() {
        return Err(DataError::NoSuchData(root.to_owned()));
    }
    let wrong = |expected: String, found: String| {
        DataError::wrong(root.display().to_string(), "images", expected, found)
    };
    let mut left_out = BTreeMap::new();
    let (mut files, mut folders) = entries(root, Path::new(""), &mut left_out)?;
    files.sort();
    folders.sort();
    let direct = files.first().cloned();
    let (mut labels, mut classes) = (Vec::new(), Vec::new());
    for folder in folders {
        let mut images = below(root, &folder, &mut left_out)?;
        let Some(image) = images.first() else {
            continue;
        };
        if let Some(direct) = &direct {
            return Err(wrong(
                "images either directly in the folder (no classes) or in one sub-folder per class"
                    .into(),
                format!("both `{}` and `{}`", direct.display(), image.display()),
            ));
        }
        labels.resize(labels.len() + images.len(), classes.len() as u32);
        classes.push(folder.to_string_lossy().into_owned());
        files.append(&mut images);
    }
    if files.is_empty() {
        let kinds = left_out.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let found = if kinds.is_empty() {
            "none".to_owned()
        } else {
            let are_deeper = [".npy", ".npz", ".csv", ".tsv", ".parquet"]
                .iter()
                .any(|kind| left_out.contains_key(*kind));
            let way_out = if are_deeper {
                " (arrays and tables are read from the folder that they are directly in: name that)"
            } else {
                ""
            };
            format!("none, but other files: {}{way_out}", kinds.join(", "))
        };
        return Err(wrong(
            format!("{FORMATS} files, directly or in one sub-folder per class"),
            found,
        ));
    }
    Ok(Listing {
        root: root.to_owned(),
        files,
        labels: (!classes.is_empty()).then_some(labels),
        classes,
        left_out,
    })
}

/// The folders directly in `root`, sorted, without hidden ones.
///
/// # Errors
/// If `root` cannot be read.
pub fn folders(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (_, mut folders) = entries(root, Path::new(""), &mut BTreeMap::new())?;
    folders.sort();
    Ok(folders)
}

/// All images at any depth below `folder`, sorted.
fn below(
    root: &Path,
    folder: &Path,
    left_out: &mut BTreeMap<String, usize>,
) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    let mut unvisited = vec![folder.to_owned()];
    while let Some(folder) = unvisited.pop() {
        let (here, deeper) = entries(root, &folder, left_out)?;
        images.extend(here);
        unvisited.extend(deeper);
    }
    images.sort();
    Ok(images)
}

/// The images and the folders directly in `folder`, all relative to `root`.
fn entries(
    root: &Path,
    folder: &Path,
    left_out: &mut BTreeMap<String, usize>,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let path = root.join(folder);
    // Links to folders are followed only at the top level, and never upwards, so that link cycles end.
    let is_top = folder.as_os_str().is_empty();
    let is_above =
        |link: &Path| io::Result::Ok(fs::canonicalize(root)?.starts_with(fs::canonicalize(link)?));
    let mut read = || -> io::Result<_> {
        let (mut images, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = entry.file_type()?;
            let relative = folder.join(name);
            let is_class_link = || io::Result::Ok(is_top && path.is_dir() && !is_above(&path)?);
            if kind.is_dir() || kind.is_symlink() && is_class_link()? {
                folders.push(relative);
                continue;
            }
            // A broken link is kept, so that decoding reports it.
            let is_file = || fs::metadata(&path).map_or(true, |data| data.is_file());
            if !kind.is_file() && !is_file() {
                continue;
            }
            if is_image_name(&relative) || begins_as_image(&path) {
                images.push(relative);
            } else if !is_silent(&relative) {
                *left_out.entry(kind_of(&relative)).or_default() += 1;
            }
        }
        Ok((images, folders))
    };
    read().map_err(unreadable(&path))
}

/// A listing of a single file, as if it were alone in its folder.
#[must_use]
pub fn single(file: &Path) -> Listing {
    Listing {
        root: file.parent().unwrap_or(Path::new("")).to_owned(),
        files: file.file_name().map(PathBuf::from).into_iter().collect(),
        labels: None,
        classes: Vec::new(),
        left_out: BTreeMap::new(),
    }
}

/// Whether the first bytes of a file are those of an image that can be decoded.
fn begins_as_image(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    let format = read.ok().and_then(|_| image::guess_format(&start).ok());
    format.is_some_and(|format| format.reading_enabled())
}

fn is_silent(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    SILENT
        .iter()
        .any(|silent| name.eq_ignore_ascii_case(silent))
}

fn kind_of(path: &Path) -> String {
    path.extension().map_or_else(
        || "without an extension".to_owned(),
        |extension| format!(".{}", extension.to_string_lossy().to_lowercase()),
    )
}

/// Whether a file has the extension of an image.
#[must_use]
pub fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// The cache key of the decoded images: the hexadecimal SHA-256 over `options`, the folder's path and each file's name, size
/// and modification time.
///
/// # Errors
/// If the folder no longer exists.
pub fn cache_key(listing: &Listing, options: &FolderOptions) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(DECODING.as_bytes());
    add(format!("{options:?}").as_bytes());
    // Unpacked archives can agree in all names, sizes (BMP) and modification times.
    let place = fs::canonicalize(&listing.root).map_err(unreadable(&listing.root))?;
    add(place.as_os_str().as_encoded_bytes());
    for file in &listing.files {
        let path = listing.root.join(file);
        // A file that cannot be read is reported or skipped when it is decoded.
        let data = fs::metadata(path);
        let size_and_change = data
            .and_then(|data| Ok((data.len(), data.modified()?)))
            .ok();
        add(file.as_os_str().as_encoded_bytes());
        add(format!("{size_and_change:?}").as_bytes());
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let source_name = path.display().to_string();
    |cause| DataError::unreadable(source_name, cause)
}
