//! Survey of a folder's images, which determines their common shape, and the decoding.
//!
//! A first pass reads only headers, to determine channels and size before any pixel is decoded; a second pass decodes, a
//! chunk of files at a time on all cores, in the order of the listing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use image::ImageResult;
use rayon::prelude::*;

use vae_spec::Element;

use super::file::{self, Header, MAX_SIDE};
use super::{Bits, FORMATS, FolderOptions, Listing};
use crate::{DataError, OnProgress, Progress};

/// Target size of a chunk of decoded images; a chunk has at least one image per core.
/// Small in tests, so that their small images make several chunks.
const CHUNK_BYTES: usize = if cfg!(test) { 64 } else { 64 << 20 };

/// The files to decode, and their common shape.
pub(super) struct Survey<'a> {
    listing: &'a Listing,
    options: &'a FolderOptions,
    /// Files with a valid header: the index in the listing, and the header.
    pub(super) files: Vec<(usize, Header)>,
    /// Skipped files: the index in the listing, and the reason.
    bad: Vec<(usize, String)>,
    /// Shape of every decoded image: channels, height and width.
    pub(super) shape: [usize; 3],
    /// Type of their values: bytes, or floats of images of 16 bits.
    pub(super) element: Element,
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        listing: &'a Listing,
        options: &'a FolderOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, DataError> {
        let counter = Counter::new("reading image headers", listing.files.len(), on_progress);
        let headers: Vec<_> = listing
            .files
            .par_iter()
            .map(|file| {
                let header = Header::read(&listing.root.join(file));
                counter.step();
                header
            })
            .collect();
        let mut survey = Self {
            listing,
            options,
            files: Vec::with_capacity(headers.len()),
            bad: Vec::new(),
            shape: [0; 3],
            element: Element::U8,
        };
        for (index, header) in headers.into_iter().enumerate() {
            if let Some(header) = survey.good(index, header)? {
                survey.files.push((index, header));
            }
        }
        let is_grey = options.grey || survey.files.iter().all(|(_, header)| header.is_grey);
        let [height, width] = survey.size()?;
        survey.shape = [if is_grey { 1 } else { 3 }, height, width];
        survey.element = survey.element()?;
        Ok(survey)
    }

    /// The type that holds the values of all images. Values of 8 and 16 bits share no scale: many cameras leave the upper bits
    /// of the latter empty.
    fn element(&self) -> Result<Element, DataError> {
        let asked = self.options.bits;
        if asked == Some(Bits::Eight) {
            return Ok(Element::U8);
        }
        let first = |is_deep: bool| {
            let mut files = self.files.iter();
            let found = files.find(|(_, header)| header.is_deep == is_deep);
            found.map(|(index, _)| self.path(*index))
        };
        let mixed = |path: &Path, expected: String, found: &str| {
            Err(wrong(path, "bits of a value", expected, found.to_owned()))
        };
        match (first(true), first(false)) {
            (Some(deep), Some(other)) => mixed(
                &other,
                format!("16, as {} has", deep.display()),
                "8 (`--bits 8` takes the upper 8 of those of 16)",
            ),
            (None, Some(other)) if asked == Some(Bits::Sixteen) => {
                let expected = "16, as --bits says or the model was trained on";
                mixed(&other, expected.to_owned(), "8")
            }
            (Some(_), None) => Ok(Element::F32),
            (None, _) => Ok(Element::U8),
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        self.listing.root.join(&self.listing.files[index])
    }

    /// Height and width of all decoded images.
    fn size(&self) -> Result<[usize; 2], DataError> {
        let Some(&(first, Header { size, .. })) = self.files.first() else {
            return Err(self.nothing_left());
        };
        let Some([height, width]) = self.options.size else {
            let other = self.files.iter().find(|(_, header)| header.size != size);
            return other.map_or(Ok(size), |&(index, other)| {
                Err(wrong(
                    &self.path(index),
                    "size",
                    format!("{}, as {} has", shown(size), self.path(first).display()),
                    format!("{} (`--size HxW` scales all images)", shown(other.size)),
                ))
            });
        };
        if [height, width]
            .iter()
            .any(|&side| side == 0 || side > MAX_SIDE as usize)
        {
            return Err(wrong(
                &self.listing.root,
                "--size",
                format!("a height and a width from 1 to {MAX_SIDE}"),
                shown([height, width]),
            ));
        }
        let is_other = |[h, w]: [usize; 2]| h as u64 * width as u64 != w as u64 * height as u64;
        let mut files = self.files.iter();
        match files.find(|(_, header)| self.options.fit.is_none() && is_other(header.size)) {
            Some(&(index, header)) => Err(wrong(
                &self.path(index),
                "size",
                format!("the aspect ratio of {}", shown([height, width])),
                format!(
                    "{} (choose `--fit crop`, `pad` or `stretch`)",
                    shown(header.size)
                ),
            )),
            None => Ok([height, width]),
        }
    }

    /// Decodes the files chunk by chunk and passes each image to `sink` in order; returns the indices of those decoded.
    pub(super) fn decode(
        &mut self,
        on_progress: OnProgress<'_>,
        mut sink: impl FnMut(&[u8]) -> Result<(), DataError>,
    ) -> Result<Vec<usize>, DataError> {
        let length = self.image_length();
        let files = std::mem::take(&mut self.files);
        let counter = Counter::new("decoding images", files.len(), on_progress);
        let chunk_images = (CHUNK_BYTES / length).max(rayon::current_num_threads());
        let chunk_images = chunk_images.min(files.len());
        let mut pixels = vec![0; chunk_images * length];
        let mut kept = Vec::with_capacity(files.len());
        for chunk in files.chunks(chunk_images) {
            let results: Vec<_> = pixels
                .par_chunks_exact_mut(length)
                .zip(chunk)
                .map(|(image, &(index, header))| {
                    let (shape, fit) = (self.shape, self.options.fit);
                    let path = self.path(index);
                    let result = file::decode_into(&path, header, shape, self.element, fit, image);
                    counter.step();
                    result
                })
                .collect();
            for ((image, result), &(index, _)) in
                pixels.chunks_exact(length).zip(results).zip(chunk)
            {
                if self.good(index, result)?.is_some() {
                    sink(image)?;
                    kept.push(index);
                }
            }
        }
        if kept.is_empty() {
            return Err(self.nothing_left());
        }
        Ok(kept)
    }

    /// Size of a decoded image in bytes.
    pub(super) fn image_length(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element.size()
    }

    /// The result of reading a file, or `None` if it failed and bad files are skipped.
    fn good<T>(&mut self, index: usize, result: ImageResult<T>) -> Result<Option<T>, DataError> {
        match result {
            Ok(good) => Ok(Some(good)),
            Err(reason) if self.options.skip_bad => {
                self.bad.push((index, reason.to_string()));
                Ok(None)
            }
            Err(reason) => Err(wrong(
                &self.path(index),
                "image",
                format!("a {FORMATS} file that can be decoded"),
                format!("`{reason}` (`--skip-bad` leaves such files out)"),
            )),
        }
    }

    fn nothing_left(&self) -> DataError {
        let found = match self.skipped().first() {
            Some(first) => format!("{} bad ones, the first {first}", self.bad.len()),
            None => "none".into(),
        };
        let expected = format!("{FORMATS} files, at least one that can be decoded");
        wrong(&self.listing.root, "images", expected, found)
    }

    /// One line per skipped file, in the order of the listing.
    pub(super) fn skipped(&self) -> Vec<String> {
        let mut bad: Vec<_> = self.bad.iter().collect();
        bad.sort();
        bad.iter()
            .map(|(index, reason)| format!("{}: {reason}", self.listing.files[*index].display()))
            .collect()
    }

    /// What is left of files that hold more: frames and pages, and bits.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |is_more: fn(&Header) -> bool, what: &str, left: &str| {
            let more = self.files.iter().filter(|(_, header)| is_more(header));
            let more: Vec<usize> = more.map(|(index, _)| *index).collect();
            let first = self.listing.files[*more.first()?].display();
            Some(format!("{} {what}, the first {first}: {left}", more.len()))
        };
        let more = note(
            |header| header.has_more,
            "of several frames or pages",
            "the first frame or page of each is taken",
        );
        let deep = note(
            |header| header.is_deep,
            "of 16 bits",
            "the upper 8 are taken, as --bits says or the model was trained on",
        );
        let deep = deep.filter(|_| self.element == Element::U8);
        [more, deep].into_iter().flatten().collect()
    }
}

/// Reports progress for each finished file, from any thread.
struct Counter<'a> {
    what: &'static str,
    done: AtomicU64,
    total: u64,
    on_progress: OnProgress<'a>,
}

impl<'a> Counter<'a> {
    fn new(what: &'static str, total: usize, on_progress: OnProgress<'a>) -> Self {
        Self {
            what,
            done: AtomicU64::new(0),
            total: total as u64,
            on_progress,
        }
    }

    fn step(&self) {
        (self.on_progress)(Progress {
            what: self.what,
            done: self.done.fetch_add(1, Ordering::Relaxed) + 1,
            total: Some(self.total),
            bytes: false,
        });
    }
}

fn shown([height, width]: [usize; 2]) -> String {
    format!("{height} x {width}")
}

pub(super) fn wrong(
    path: &Path,
    field: &str,
    expected: impl Into<String>,
    found: String,
) -> DataError {
    DataError::wrong(path.display().to_string(), field, expected, found)
}
