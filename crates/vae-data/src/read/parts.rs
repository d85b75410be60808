//! Folders of arrays or tables, whose files are the parts of one data set, in the natural order of their names: `part-2` comes before
//! `part-10`. How they are put together is in `join`.

mod disk;
mod join;
mod names;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arrays::{labelled, labels_file};
use super::folders::{are_parts, beginning, is_test, is_training, kinds_of};
use super::{ReadOptions, Source, file, in_memory_only, open_file, table_options_fit};
use crate::limits::{bomb, most_unpacked};
use crate::{Array, DataError, Images, Labels, OnProgress, Progress, folder, mapped, npy};

/// Endings of the files that can be parts; those of text tables may be followed by `.gz`.
const ENDINGS: [&str; 5] = ["npy", "npz", "csv", "tsv", "parquet"];
/// How the name of a file of labels ends, beside the array that they belong to, as `data convert` writes it.
const LABELS: &str = ".labels.npy";

/// The files of a folder that are read as one data set.
pub(super) struct Parts {
    root: PathBuf,
    /// In natural order.
    files: Vec<PathBuf>,
    /// Files of labels among them, which are no samples.
    labels: Vec<PathBuf>,
}

/// The arrays or tables directly in the folder `root`; `None` if there are none, or images, which come first, in it or in folders in
/// it.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn in_folder(root: &Path) -> Result<Option<Parts>, DataError> {
    let unreadable = |cause| DataError::unreadable(root.display().to_string(), cause);
    let mut files = Vec::new();
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // A broken link is kept, so that reading reports it.
        let is_file = || fs::metadata(&path).map_or(true, |data| data.is_file());
        let is_hidden = names::of(&path).starts_with('.');
        if !is_hidden && names::ending(&path).is_some() && is_file() {
            files.push(path);
        }
    }
    if files.is_empty() || folder::holds_images(root)? {
        return Ok(None);
    }
    files.sort_by(|a, b| names::natural(&names::stem(a), &names::stem(b)));
    let arrays: HashSet<String> = files.iter().map(|file| names::of(file)).collect();
    let is_labels = |file: &PathBuf| {
        let name = names::of(file);
        let stem = name.strip_suffix(LABELS);
        stem.is_some_and(|stem| arrays.contains(&format!("{stem}.npy")))
    };
    let (labels, samples) = files.iter().cloned().partition(is_labels);
    Ok(Some(Parts {
        root: root.to_owned(),
        files: samples,
        labels,
    }))
}

impl Parts {
    /// Reads the files as one data set; those whose names begin with parts of the data, such as `train-0.npy` and `test-0.npy`, as
    /// these.
    ///
    /// # Errors
    /// If a file is invalid, two do not fit together, or it is in doubt which belong to the data.
    pub(super) fn read(
        &self,
        options: &ReadOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Source, DataError> {
        let name = self.root.display().to_string();
        names::check(&self.root, &self.files)?;
        table_options_fit(&name, &self.files[0], options)?;
        let ending = names::ending(&self.files[0]).unwrap_or_default();
        if options.stream && ending != "npy" {
            in_memory_only(&self.root, options)?;
        }
        let beginnings = self.files.iter().map(|file| beginning(file)).collect();
        let has_parts = are_parts(&beginnings).map_err(|found| {
            let expected = "files named by parts of the data (train-, and validation- or test-), or none of them";
            DataError::wrong(&name, "files", expected, found)
        })?;
        let mut notes = Vec::new();
        let mut read = |is_wanted: &dyn Fn(&str) -> bool| -> Result<Option<Source>, DataError> {
            let files = self.files.iter().filter(|file| is_wanted(&beginning(file)));
            let files: Vec<PathBuf> = files.cloned().collect();
            if files.is_empty() {
                return Ok(None);
            }
            let source = self.group(&files, has_parts, options, on_progress)?;
            for note in &source.notes {
                if !notes.contains(note) {
                    notes.push(note.clone());
                }
            }
            Ok(Some(source))
        };
        let train = read(&|name| !has_parts || is_training(name))?;
        let (mut validation, mut test) = (None, None);
        if has_parts {
            validation = read(&|name| !is_training(name) && !is_test(name))?;
            test = read(&is_test)?;
        }
        let Some(train) = train else {
            return Err(DataError::NoSuchData(self.root.clone()));
        };
        let reads_labels = options.labels.is_some() && !options.inherited.labels;
        if !self.labels.is_empty() && !reads_labels {
            notes.push(format!(
                "left out: {} files of labels (*{LABELS}), which --labels {name} reads",
                self.labels.len()
            ));
        }
        let used = [&self.files[..], &self.labels].concat();
        let wanted = format!("parts of the data (.{ending})");
        notes.extend(folder::beside(&self.root, &used, &wanted));
        let format = if has_parts {
            let kinds = kinds_of(validation.is_some(), test.is_some());
            format!("{}, in files of {kinds}", train.format)
        } else {
            train.format.clone()
        };
        Ok(Source {
            name,
            format,
            notes,
            validation: validation.map(|part| part.train),
            test: test.map(|part| part.train),
            ..train
        })
    }

    /// Reads these of its files as one array.
    fn group(
        &self,
        files: &[PathBuf],
        is_one_of_several: bool,
        options: &ReadOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Source, DataError> {
        let is_npy = names::ending(&files[0]) == Some("npy");
        if is_npy {
            self.check_headers(files, options)?;
        }
        let own = ReadOptions {
            labels: options.labels.clone().filter(|_| !is_npy),
            ..options.clone()
        };
        let asked = options.labels.as_ref();
        let asked = asked.filter(|_| is_npy && !options.inherited.labels);
        let asked = asked.map(Path::new);
        let folder_of_labels = asked.filter(|labels| labels.is_dir());
        if let Some(labels) = asked.filter(|labels| is_one_of_several && !labels.is_dir()) {
            let expected =
                "a folder with labels for each of the files, which are several parts of the data";
            let found = labels.display().to_string();
            return Err(DataError::wrong(
                self.root.display().to_string(),
                "labels",
                expected,
                found,
            ));
        }
        // Many small files may not unpack to more than one large one.
        let stored = files.iter().filter_map(|file| fs::metadata(file).ok());
        let most = most_unpacked(stored.map(|facts| facts.len()).sum());
        let mut unpacked = 0;
        let (mut arrays, mut notes, mut format) = (Vec::new(), Vec::new(), None);
        for (index, path) in files.iter().enumerate() {
            let source = file(path, &own, on_progress)?;
            let mut array = whole(path, source.train, source.validation.or(source.test))?;
            if let Some(folder) = folder_of_labels {
                array = labelled(path, array, Some(labels_of(path, folder)?))?;
            }
            unpacked += array.pixels.len() as u64;
            if unpacked > most {
                let name = self.root.display().to_string();
                return Err(DataError::unreadable(name, bomb(most)));
            }
            arrays.push(array);
            for note in source.notes {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            format = format.or(Some(source.format));
            on_progress(Progress {
                what: "reading files",
                done: index as u64 + 1,
                total: Some(files.len() as u64),
                bytes: false,
            });
        }
        let (mut array, more) = join::join(files, arrays, options.stream, on_progress)?;
        notes.extend(more);
        if let Some(labels) = asked.filter(|labels| !labels.is_dir()) {
            array = labelled(&self.root, array, Some(labels_file(labels)?))?;
        }
        let count = match files.len() {
            1 => String::new(),
            // What is said of the parts of the data is enough.
            _ if is_one_of_several => String::new(),
            count => format!(", in {count} files"),
        };
        let format = format.unwrap_or_default() + &count;
        Ok(Source {
            notes,
            ..Source::new(&self.root.display().to_string(), format, array)
        })
    }

    /// Refuses NPY files of which one has other rows than the first, or cannot be mapped if that is asked for, before any is read.
    fn check_headers(&self, files: &[PathBuf], options: &ReadOptions) -> Result<(), DataError> {
        let all = self.root.display().to_string();
        let mut first = None;
        for path in files {
            let name = path.display().to_string();
            let header = npy::read_header(&mut open_file(path)?, &name)?;
            let rows = format!("rows of {:?} of {:?}", &header.shape[1..], header.element);
            let (first_name, expected) = first.get_or_insert_with(|| (name.clone(), rows.clone()));
            if *expected != rows {
                return Err(join::unlike(&name, expected, first_name, &rows));
            }
            if options.stream {
                mapped::laid_out([&name, &all], &header, options.size, options.layout)?;
            }
        }
        Ok(())
    }
}

/// The array of a file that has no parts of its own.
fn whole(path: &Path, all: Images, more: Option<Images>) -> Result<Array, DataError> {
    if more.is_some() {
        let expected = "one array of samples in each of several files, as --array names it";
        let found = "training samples and others (name this file alone)";
        return Err(DataError::wrong(
            path.display().to_string(),
            "arrays",
            expected,
            found,
        ));
    }
    Ok(Arc::unwrap_or_clone(all.array))
}

/// The labels of the part `path`, under its name in `folder`: `part-0.labels.npy` or `part-0.npy` of `part-0.npy`.
fn labels_of(path: &Path, folder: &Path) -> Result<Labels, DataError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!("{stem}{LABELS}"));
    let same = folder.join(names::of(path));
    let is_itself = fs::canonicalize(&same).ok() == fs::canonicalize(path).ok();
    if beside.exists() {
        labels_file(&beside)
    } else if same.exists() && !is_itself {
        labels_file(&same)
    } else {
        let found = format!("neither {stem}{LABELS} nor another {stem}.npy in it");
        let expected = format!("the labels of {}", path.display());
        Err(DataError::wrong(
            folder.display().to_string(),
            "labels",
            expected,
            found,
        ))
    }
}
