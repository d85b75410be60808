//! A folder of images as training data: which files count, their classes, and the name of their cache entry.
//!
//! The layout is that of torchvision's `ImageFolder`: the folders directly below the root are the classes, and everything
//! at any depth below one belongs to it. Images that lie directly in the root have no classes. Pixels are in `decode`.

use std::fs;
use std::io;
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

const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"];
const FORMATS: &str = "PNG, JPEG, BMP, WebP or TIFF";

/// Part of every cache key: counted up when the same files would be decoded to other pixels.
const DECODING: &str = "vae-data folder 1";

/// What becomes of images of another shape than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The middle is cut out, as large as fits in the image, and scaled.
    Crop,
    /// The whole image is scaled until it fits in, with black around it.
    Pad,
    /// Height and width are scaled each for itself.
    Stretch,
}

/// How images become an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Height and width to scale to; without it all images must have the same.
    pub size: Option<[usize; 2]>,
    /// Whether coloured images become grey ones (luma of ITU-R BT.709).
    pub grey: bool,
    /// For images of another aspect ratio than `size`, which are an error without it.
    pub fit: Option<Fit>,
    /// Whether files that cannot be decoded are left out; else they are an error.
    pub skip_bad: bool,
}

/// The image files of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The folder.
    pub root: PathBuf,
    /// Its images relative to `root`, sorted bytewise, folder by folder.
    pub files: Vec<PathBuf>,
    /// Each file's index into `classes`; `None` if the images lie directly in `root`.
    pub labels: Option<Vec<u32>>,
    /// The names of the class folders, sorted bytewise; folders without images are no classes.
    pub classes: Vec<String>,
}

/// Lists the images in `root`: files ending in png, jpg, jpeg, bmp, webp, tif or tiff, in any case. Hidden files and folders
/// are passed over. Links to files and to class folders are followed, links to folders below those are not.
///
/// # Errors
/// If `root` is no folder, cannot be read, holds no images, or holds images both directly and in class folders.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    if !root.is_dir() {
        return Err(DataError::NoSuchData(root.to_owned()));
    }
    let wrong = |expected: String, found: String| {
        DataError::wrong(root.display().to_string(), "images", expected, found)
    };
    let (mut files, mut folders) = entries(root, Path::new(""))?;
    files.sort();
    folders.sort();
    let direct = files.first().cloned();
    let (mut labels, mut classes) = (Vec::new(), Vec::new());
    for folder in folders {
        let mut images = below(root, &folder)?;
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
        let extensions = EXTENSIONS.join(", .");
        return Err(wrong(
            format!("{FORMATS} files (.{extensions}), directly or in one sub-folder per class"),
            "none".into(),
        ));
    }
    Ok(Listing {
        root: root.to_owned(),
        files,
        labels: (!classes.is_empty()).then_some(labels),
        classes,
    })
}

/// All images at any depth below `folder`, sorted.
fn below(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    let mut unvisited = vec![folder.to_owned()];
    while let Some(folder) = unvisited.pop() {
        let (here, deeper) = entries(root, &folder)?;
        images.extend(here);
        unvisited.extend(deeper);
    }
    images.sort();
    Ok(images)
}

/// The images and the folders directly in `folder`, all relative to `root`.
fn entries(root: &Path, folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let path = root.join(folder);
    // Links to folders are followed only at the top, and never upwards, so that a loop of them ends.
    let is_top = folder.as_os_str().is_empty();
    let is_above =
        |link: &Path| io::Result::Ok(fs::canonicalize(root)?.starts_with(fs::canonicalize(link)?));
    let read = || -> io::Result<_> {
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
            // A link that leads nowhere stays, for the decoding to name it.
            let is_file = || fs::metadata(path).map_or(true, |data| data.is_file());
            if is_image_name(&relative) && (kind.is_file() || is_file()) {
                images.push(relative);
            }
        }
        Ok((images, folders))
    };
    read().map_err(unreadable(&path))
}

/// A single file, as if it lay alone in its folder.
#[must_use]
pub fn single(file: &Path) -> Listing {
    Listing {
        root: file.parent().unwrap_or(Path::new("")).to_owned(),
        files: file.file_name().map(PathBuf::from).into_iter().collect(),
        labels: None,
        classes: Vec::new(),
    }
}

/// Whether a file's name ends as those of images do.
#[must_use]
pub fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// The name of the decoded images in a cache: the hexadecimal SHA-256 over `options`, the folder's place and each file's
/// name, size and time of last change.
///
/// # Errors
/// If the folder is gone.
pub fn cache_key(listing: &Listing, options: &FolderOptions) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(DECODING.as_bytes());
    add(format!("{options:?}").as_bytes());
    // Unpacked archives can agree in all names, sizes (BMP) and times.
    let place = fs::canonicalize(&listing.root).map_err(unreadable(&listing.root))?;
    add(place.as_os_str().as_encoded_bytes());
    for file in &listing.files {
        let path = listing.root.join(file);
        // One that cannot be read is named, or skipped, when it is decoded.
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
