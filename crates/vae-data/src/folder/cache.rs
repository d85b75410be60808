//! Disk cache of decoded folders, for data larger than memory and for later runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DecodedFile, FolderOptions, Listing, cache_key, decode_to_file};
use crate::{DataError, OnProgress};

/// The NPY file of [`decode_to_file`] for `listing` in the folder `cache`, written now if it is missing.
///
/// # Errors
/// The same as [`decode_to_file`].
pub fn decode_to_cache(
    listing: &Listing,
    options: &FolderOptions,
    cache: &Path,
    on_progress: OnProgress<'_>,
) -> Result<(PathBuf, DecodedFile), DataError> {
    let key = cache_key(listing, options)?;
    let npy = cache.join(format!("{key}.npy"));
    // Written after the pixels: where it exists, they do.
    let summary = cache.join(format!("{key}.json"));
    let known = fs::read(&summary).ok();
    let known = known.and_then(|bytes| serde_json::from_slice::<DecodedFile>(&bytes).ok());
    if let Some(decoded) = known.filter(|_| npy.is_file()) {
        return Ok((npy, decoded));
    }
    let unwritable = |cause| DataError::Unwritable {
        path: summary.clone(),
        cause,
    };
    fs::create_dir_all(cache).map_err(unwritable)?;
    let decoded = decode_to_file(listing, options, &npy, on_progress)?;
    let bytes = serde_json::to_vec(&decoded).map_err(|error| unwritable(error.into()))?;
    fs::write(&summary, bytes).map_err(unwritable)?;
    Ok((npy, decoded))
}
