//! Folders of image files.

use std::path::{Path, PathBuf};

use super::{Layout, ReadOptions, Source};
use crate::folder::{self, FolderOptions};
use crate::{Array, DataError, Element, Labels, OnProgress, Shape, mapped};

/// Names of folders that hold a part of a data set, not a class, in any case.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// Whether a name in lower case is that of a part of a data set.
#[cfg(feature = "parquet")]
pub(super) fn is_part(name: &str) -> bool {
    is_training(name) || VALIDATION.contains(&name) || TEST.contains(&name)
}

/// Whether it is that of the part to train on.
#[cfg(feature = "parquet")]
pub(super) fn is_training(name: &str) -> bool {
    TRAIN.contains(&name)
}

pub(super) fn image_folder(
    root: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let name = root.display().to_string();
    let folders = folder::folders(root)?;
    let part = |names: &[&str]| -> Result<Option<&PathBuf>, DataError> {
        let is_one = |path: &&PathBuf| {
            let found = path.to_string_lossy().to_lowercase();
            names.contains(&found.as_str())
        };
        let found: Vec<&PathBuf> = folders.iter().filter(is_one).collect();
        match found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [one, other, ..] => Err(DataError::wrong(
                name.clone(),
                "folders",
                "one folder for each part of the data",
                format!("`{}` and `{}`", one.display(), other.display()),
            )),
        }
    };
    let parts = [part(&TRAIN)?, part(&VALIDATION)?, part(&TEST)?];
    let [Some(train), validation, test] = parts else {
        return Ok(Source {
            name,
            ..image_files(&folder::list(root)?, options, on_progress)?
        });
    };
    if validation.is_none() && test.is_none() {
        return Ok(Source {
            name,
            ..image_files(&folder::list(root)?, options, on_progress)?
        });
    }
    let others = folders.iter().filter(|path| !parts.contains(&Some(path)));
    let others: Vec<String> = others.map(|path| format!("`{}`", path.display())).collect();
    if !others.is_empty() {
        return Err(DataError::wrong(
            name,
            "folders",
            "either parts (`train` with `val` or `test`) or classes",
            format!("`{}` beside {}", train.display(), others.join(", ")),
        ));
    }
    let mut read =
        |part: &PathBuf| image_files(&folder::list(&root.join(part))?, options, on_progress);
    let train = read(train)?;
    let validation = validation.map(&mut read).transpose()?;
    let test = test.map(&mut read).transpose()?;
    let more = [&validation, &test].into_iter().flatten();
    let notes = more.flat_map(|part| part.notes.clone());
    let kinds = match (&validation, &test) {
        (Some(_), Some(_)) => "training, validation and test",
        (Some(_), None) => "training and validation",
        (None, _) => "training and test",
    };
    Ok(Source {
        name,
        format: format!("{}, in folders of {kinds} images", train.format),
        notes: train.notes.iter().cloned().chain(notes).collect(),
        validation: validation.map(|part| part.train),
        test: test.map(|part| part.train),
        ..train
    })
}

pub(super) fn image_files(
    listing: &folder::Listing,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    let folder_options = FolderOptions {
        size: options.size,
        grey: options.grey,
        fit: options.fit,
        bits: options.bits,
        skip_bad: options.skip_bad,
    };
    let (array, kept, skipped, notes) = if options.stream {
        let cache = crate::fetch::cache_folder()?.join("decoded");
        let (npy, decoded) =
            folder::decode_to_cache(listing, &folder_options, &cache, on_progress)?;
        let array = mapped::open(&npy, None, Some(Layout::ChannelsFirst))?;
        (array, decoded.kept, decoded.skipped, decoded.notes)
    } else {
        let decoded = folder::decode(listing, &folder_options, on_progress)?;
        let shape = Shape {
            channels: decoded.channels,
            height: decoded.height,
            width: decoded.width,
        };
        let array = Array {
            element: decoded.element,
            ..Array::bytes(decoded.pixels, shape)
        };
        (array, decoded.kept, decoded.skipped, decoded.notes)
    };
    let labels = listing.labels.as_ref().map(|labels| Labels {
        classes: kept.iter().map(|&file| labels[file]).collect(),
        names: listing.classes.clone(),
    });
    let is_deep = array.element == Element::F32;
    let format = if is_deep {
        "image files of 16 bits"
    } else {
        "image files"
    };
    let file_name = |&file: &usize| listing.files[file].display().to_string();
    let array = Array {
        labels,
        is_integer: true,
        is_deep,
        names: Some(kept.iter().map(file_name).collect()),
        ..array
    };
    Ok(Source {
        notes: skipped
            .iter()
            .map(|text| format!("skipped: {text}"))
            .chain(listing.left_out())
            .chain(notes)
            .collect(),
        ..Source::new(&listing.root.display().to_string(), format, array)
    })
}
