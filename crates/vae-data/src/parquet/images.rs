//! Parquet files of images, as Hugging Face's `datasets` writes them: a structure of `bytes` and `path` in one column, a class in
//! another, whose names are in the metadata.

use std::fs::{self, File};
use std::path::Path;

use parquet::basic::Type;
use parquet::file::metadata::FileMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::cells::{Cell, text};
use super::finite::Finite;
use super::{Asked, Source, quietly};
use crate::DataError;
use crate::limits::{BLOCK, bomb, most_unpacked};

/// Images decoded at a time.
const BATCH: usize = 64;
/// Columns that hold the class unless another is named.
const CLASSES: [&str; 3] = ["label", "labels", "fine_label"];
/// Key of the metadata of `datasets`.
const METADATA: &str = "huggingface";

/// Whether a file has a column of images.
pub(crate) fn has_images(path: &Path) -> bool {
    let file = || SerializedFileReader::new(Finite(File::open(path).ok()?)).ok();
    let found = quietly(|| file().and_then(|file| images_column(file.metadata().file_metadata())));
    found.is_ok_and(|column| column.is_some())
}

/// Writes the images of a file into `folder`, in one sub-folder per class if there are labels, named by `part` and row.
///
/// # Errors
/// If the file is invalid, or a folder cannot be written.
pub(crate) fn unpack(
    path: &Path,
    label: Option<Asked<'_>>,
    folder: &Path,
) -> Result<(), DataError> {
    let source = Source(path);
    let length = fs::metadata(path).map_err(|cause| source.unreadable(cause))?;
    let most = most_unpacked(length.len());
    quietly(|| source.unpack(label, folder, most))
        .unwrap_or_else(|panic| Err(source.damaged(panic)))
}

impl Source<'_> {
    /// Writes files of `most` bytes in all.
    pub(super) fn unpack(
        self,
        label: Option<Asked<'_>>,
        folder: &Path,
        most: u64,
    ) -> Result<(), DataError> {
        let file = File::open(self.0).map_err(|cause| self.unreadable(cause))?;
        let file = SerializedFileReader::new(Finite(file)).map_err(|error| self.damaged(error))?;
        let metadata = file.metadata().file_metadata();
        let Some(images) = images_column(metadata) else {
            return Err(self.wrong(
                "columns",
                "one of images, a structure with `bytes`",
                "none".into(),
            ));
        };
        let schema = metadata.schema_descr().columns();
        let columns: Vec<String> = schema
            .iter()
            .map(|column| column.path().parts().join("."))
            .collect();
        let find = |name: &str| columns.iter().position(|column| column == name);
        let label = match label {
            Some(label) if !label.is_inherited => {
                Some(self.column("label column", &columns, label.name)?)
            }
            Some(label) => find(label.name),
            None => CLASSES.iter().find_map(|name| find(name)),
        };
        let names = label.map_or(Vec::new(), |label| class_names(metadata, &columns[label]));
        let stem = self.0.file_stem().unwrap_or_default().to_string_lossy();
        let mut left = most;
        let mut row = 0;
        for group in 0..file.num_row_groups() {
            let group = file
                .get_row_group(group)
                .map_err(|error| self.damaged(error))?;
            let mut classes = Vec::new();
            if let Some(label) = label {
                let field = format!("column `{}`", columns[label]);
                self.check_storage(&field, group.metadata().column(label))?;
                self.each_cell(&*group, label, super::BATCH, |cell| {
                    let class = text(cell).map_err(|(expected, found)| {
                        let place = format!("row {}, {field}", row + classes.len() + 1);
                        self.wrong(place, expected, found)
                    })?;
                    let name = class.parse().ok().and_then(|class: usize| names.get(class));
                    if classes.len() as u64 > most / BLOCK {
                        return Err(self.unreadable(bomb(most)));
                    }
                    classes.push(folder_name(name.unwrap_or(&class)));
                    Ok(())
                })?;
            }
            let field = format!("column `{}`", columns[images]);
            self.check_storage(&field, group.metadata().column(images))?;
            let first = row;
            self.each_cell(&*group, images, BATCH, |cell| {
                let Some(Cell::Text(bytes)) = cell else {
                    let place = format!("row {}, {field}", row + 1);
                    let found = "nothing (images that are files elsewhere are not read)";
                    return Err(self.wrong(place, "the bytes of an image", found.into()));
                };
                // One run of a repeated image stands for as many files as it says.
                left = left
                    .checked_sub(BLOCK + bytes.len() as u64)
                    .ok_or_else(|| self.unreadable(bomb(most)))?;
                let class = classes.get(row - first).map_or("", String::as_str);
                let target = folder.join(class);
                let file = target.join(format!("{stem}-{row:07}"));
                let written =
                    fs::create_dir_all(&target).and_then(|()| fs::write(&file, bytes.data()));
                written.map_err(|cause| DataError::Unwritable { path: file, cause })?;
                row += 1;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The column of images' bytes.
fn images_column(metadata: &FileMetaData) -> Option<usize> {
    let columns = metadata.schema_descr().columns();
    columns.iter().position(|column| {
        let is_bytes = column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0;
        is_bytes && matches!(column.path().parts(), [_, field] if field == "bytes")
    })
}

/// The names of the classes in `column`, from the metadata of `datasets`; empty if there are none.
fn class_names(metadata: &FileMetaData, column: &str) -> Vec<String> {
    let entries = metadata.key_value_metadata().into_iter().flatten();
    let text = entries
        .filter(|entry| entry.key == METADATA)
        .find_map(|entry| entry.value.as_deref());
    let features = text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let names = features.and_then(|features| {
        let names = features["info"]["features"][column]["names"]
            .as_array()?
            .clone();
        names
            .into_iter()
            .map(|name| Some(name.as_str()?.to_owned()))
            .collect()
    });
    names.unwrap_or_default()
}

/// A class as the name of a folder.
fn folder_name(class: &str) -> String {
    let is_odd = |c: char| c == '/' || c == '\\' || c == '\0';
    let name = class.replace(is_odd, "_");
    // Neither hidden nor a way up.
    if name.starts_with('.') {
        format!("_{name}")
    } else {
        name
    }
}
