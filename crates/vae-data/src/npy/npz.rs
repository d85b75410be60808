//! NPZ files: named arrays in a zip.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{NpyArray, read, write_f32, write_i64, write_text, write_u8};
use crate::limits::bounded;
use crate::{DataError, did_you_mean};

/// An NPZ file: named arrays in a zip, stored or deflated.
pub struct Npz<R = BufReader<File>> {
    archive: ZipArchive<R>,
    /// Length of the file in bytes.
    length: u64,
    source_name: String,
}

impl Npz {
    /// Opens a file and reads its directory of arrays.
    ///
    /// # Errors
    /// If there is no such file, or it is not a zip.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let source_name = path.display().to_string();
        let file = File::open(path).map_err(|cause| DataError::unreadable(&source_name, cause))?;
        Self::new(BufReader::new(file), &source_name)
    }
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the directory of arrays; errors contain `source_name`.
    ///
    /// # Errors
    /// If it is not a zip.
    pub fn new(mut input: R, source_name: &str) -> Result<Self, DataError> {
        let length = input.seek(SeekFrom::End(0));
        let length = length.map_err(|cause| DataError::unreadable(source_name, cause))?;
        Ok(Self {
            archive: ZipArchive::new(input)
                .map_err(|cause| DataError::unreadable(source_name, cause))?,
            length,
            source_name: source_name.to_owned(),
        })
    }

    /// Names of the arrays, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.archive.file_names();
        names.filter_map(|name| name.strip_suffix(".npy"))
    }

    /// Reads one array.
    ///
    /// # Errors
    /// If there is no array of that name, or it is corrupt or not supported by [`read`].
    pub fn read(&mut self, name: &str) -> Result<NpyArray, DataError> {
        if !self.names().any(|known| known == name) {
            let names: Vec<_> = self.names().collect();
            let expected = format!("one of {}", names.join(", "));
            let field = format!("array `{name}`");
            return Err(DataError::wrong(
                &self.source_name,
                field,
                expected,
                format!("none of that name{}", did_you_mean(name, self.names())),
            ));
        }
        let file_name = format!("{name}.npy");
        let source_name = format!("{}: {file_name}", self.source_name);
        let entry = self.archive.by_name(&file_name);
        let entry = entry.map_err(|cause| DataError::unreadable(&source_name, cause))?;
        // What the directory says of its size may be a lie.
        let stored = entry.compressed_size().min(self.length);
        read(bounded(entry, stored), &source_name)
    }
}

/// An array to write: its shape and its values in C order.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the elements")]
pub enum NpyArrayRef<'a> {
    U8(&'a [usize], &'a [u8]),
    F32(&'a [usize], &'a [f32]),
    I64(&'a [usize], &'a [i64]),
    Text(&'a [usize], &'a [String]),
}

/// Writes named arrays as a deflated NPZ file; the same arrays give the same bytes.
///
/// # Errors
/// If `output` cannot be written, or a shape does not match its number of values.
pub fn write_npz(output: impl Write + Seek, arrays: &[(&str, NpyArrayRef<'_>)]) -> io::Result<()> {
    let mut zip = ZipWriter::new(output);
    // As in NumPy: without this an array of more than 4 GiB fails.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true);
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), options)?;
        match *array {
            NpyArrayRef::U8(shape, values) => write_u8(&mut zip, shape, values)?,
            NpyArrayRef::F32(shape, values) => write_f32(&mut zip, shape, values)?,
            NpyArrayRef::I64(shape, values) => write_i64(&mut zip, shape, values)?,
            NpyArrayRef::Text(shape, values) => write_text(&mut zip, shape, values)?,
        }
    }
    zip.finish()?.flush()
}
