//! Folders of samples: of images, or of the files of one data set, which may be in folders for its parts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Layout, ReadOptions, Source, parts, table_options_fit};
use crate::folder::{self, FolderOptions};
use crate::table::listed;
use crate::{Array, DataError, Element, Labels, OnProgress, Shape, mapped};

/// Names of folders that hold a part of a data set, not a class, in any case.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// Whether a name in lower case is that of a part of a data set.
fn is_part(name: &str) -> bool {
    is_training(name) || VALIDATION.contains(&name) || is_test(name)
}

/// Whether it is that of the part to train on.
pub(super) fn is_training(name: &str) -> bool {
    TRAIN.contains(&name)
}

/// Whether it is that of the part to test on.
pub(super) fn is_test(name: &str) -> bool {
    TEST.contains(&name)
}

/// What the name of a file begins with, in lower case: `train` of `train-00000-of-00002.parquet`.
pub(super) fn beginning(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut pieces = stem.split(['-', '_', '.']);
    pieces.next().unwrap_or_default().to_lowercase()
}

/// Whether what the names of files begin with are parts of the data, among them one to train on; what was found, if some are
/// and some are not: as folders they would be taken for classes.
pub(super) fn are_parts(beginnings: &BTreeSet<String>) -> Result<bool, String> {
    let known = beginnings.iter().filter(|name| is_part(name)).count();
    let has_training = beginnings.iter().any(|name| is_training(name));
    if known == 0 || beginnings.len() == 1 {
        return Ok(false);
    }
    if known == beginnings.len() && has_training {
        return Ok(true);
    }
    let found: Vec<String> = beginnings.iter().cloned().collect();
    Err(listed(&found))
}

/// What data have, beside those to train on.
pub(super) const fn kinds_of(has_validation: bool, has_test: bool) -> &'static str {
    match (has_validation, has_test) {
        (true, true) => "training, validation and test samples",
        (true, false) => "training and validation samples",
        (false, _) => "training and test samples",
    }
}

/// Reads a folder of images, or of the files of one data set, which may be in folders for its parts.
pub(super) fn data_folder(
    root: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    if let Some(parts) = parts::in_folder(root)? {
        return parts.read(options, on_progress);
    }
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
        return samples_in(root, options, on_progress);
    };
    if validation.is_none() && test.is_none() {
        return samples_in(root, options, on_progress);
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
    let mut read = |part: &PathBuf| {
        let source = samples_in(&root.join(part), options, on_progress)?;
        if source.validation.is_some() || source.test.is_some() {
            let expected = "parts of the data told by folders or by names of files, not by both";
            let found = format!("`{}` with {}", part.display(), source.format);
            return Err(DataError::wrong(name.clone(), "folders", expected, found));
        }
        Ok(source)
    };
    let train = read(train)?;
    let validation = validation.map(&mut read).transpose()?;
    let test = test.map(&mut read).transpose()?;
    let more = [&validation, &test].into_iter().flatten();
    let notes = more.flat_map(|part| part.notes.clone());
    let kinds = kinds_of(validation.is_some(), test.is_some());
    Ok(Source {
        name,
        format: format!("{}, in folders of {kinds}", train.format),
        notes: train.notes.iter().cloned().chain(notes).collect(),
        validation: validation.map(|part| part.train),
        test: test.map(|part| part.train),
        ..train
    })
}

/// Reads the files in a folder that are samples: images, else arrays or tables.
fn samples_in(
    root: &Path,
    options: &ReadOptions,
    on_progress: OnProgress<'_>,
) -> Result<Source, DataError> {
    if let Some(parts) = parts::in_folder(root)? {
        return parts.read(options, on_progress);
    }
    let name = root.display().to_string();
    table_options_fit(&name, root, options)?;
    Ok(Source {
        name,
        ..image_files(&folder::list(root)?, options, on_progress)?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_parts_only_if_all_their_names_say_so() {
        let are_parts =
            |names: &[&str]| are_parts(&names.iter().map(ToString::to_string).collect());
        assert_eq!(are_parts(&["train", "test"]), Ok(true));
        assert_eq!(are_parts(&["train", "validation", "test"]), Ok(true));
        assert_eq!(are_parts(&["train"]), Ok(false));
        assert_eq!(are_parts(&["0000", "0001"]), Ok(false));
        assert!(are_parts(&["train", "unsupervised"]).is_err());
        assert!(are_parts(&["validation", "test"]).is_err());
    }
}
