//! Folders of image files, and of the four files of the MNIST layout.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::arrays::{labelled, labels_file};
use super::{Layout, ReadOptions, Source, open_file};
use crate::folder::{self, FolderOptions};
use crate::{Array, DataError, Images, Labels, OnProgress, Shape, idx, mapped};

pub(super) const IDX_STEMS: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

pub(super) fn find(folder: &Path, stem: &str) -> Option<PathBuf> {
    let candidates = [folder.join(stem), folder.join(format!("{stem}.gz"))];
    candidates.into_iter().find(|path| path.is_file())
}

/// Reads the four files of the MNIST layout, each gzipped or not.
pub(super) fn idx_folder(folder: &Path, options: &ReadOptions) -> Result<Source, DataError> {
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

/// Names of folders that hold a split of a data set, not a class.
const TRAIN: [&str; 2] = ["train", "training"];

const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];

pub(super) fn image_folder(
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

pub(super) fn image_files(
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
        notes: skipped
            .iter()
            .map(|text| format!("skipped: {text}"))
            .collect(),
        ..Source::new(&listing.root.display().to_string(), "image files", array)
    })
}
