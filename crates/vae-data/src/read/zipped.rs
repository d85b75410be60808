//! Unpacks a zip into a folder: nothing beside it, no links, and no more than the zip may hold.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use zip::ZipArchive;

use crate::DataError;
use crate::limits::{BLOCK, bomb, most_unpacked};

const CHUNK: usize = 64 << 10;

/// Unpacks all files of `zip`, whose own file `source_name` has `stored` bytes, into the folder `target`.
///
/// # Errors
/// If an entry is damaged, is a link or leads out of the folder, if all unpack to more than [`most_unpacked`], or if a file cannot be
/// written.
pub(super) fn unzip(
    zip: &mut ZipArchive<impl Read + Seek>,
    stored: u64,
    target: &Path,
    source_name: &str,
) -> Result<(), DataError> {
    let most = most_unpacked(stored);
    let mut left = most;
    let mut take = |length: u64| {
        left = left
            .checked_sub(length)
            .ok_or_else(|| DataError::unreadable(source_name, bomb(most)))?;
        Ok::<_, DataError>(())
    };
    let mut chunk = vec![0; CHUNK];
    for index in 0..zip.len() {
        let entry = zip.by_index(index);
        let mut entry = entry.map_err(|cause| DataError::unreadable(source_name, cause))?;
        let name = entry.name().to_owned();
        let wrong = |expected: &str, found: &str| {
            let found = format!("{found} (unpack it yourself, and name the folder)");
            DataError::wrong(source_name, format!("entry `{name}`"), expected, found)
        };
        let Some(path) = entry.enclosed_name() else {
            return Err(wrong(
                "a name within the zip",
                "one that leads out of its folder",
            ));
        };
        if entry.is_symlink() {
            return Err(wrong("a file or a folder", "a link"));
        }
        let path = target.join(path);
        let unwritable = |cause| DataError::Unwritable {
            path: path.clone(),
            cause,
        };
        take(BLOCK)?;
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(unwritable)?;
            continue;
        }
        let folder = path.parent().unwrap_or(target);
        fs::create_dir_all(folder).map_err(unwritable)?;
        let mut file = File::create(&path).map_err(unwritable)?;
        loop {
            let length = match entry.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    return Err(DataError::unreadable(
                        format!("{source_name}: {name}"),
                        cause,
                    ));
                }
            };
            take(length as u64)?;
            file.write_all(&chunk[..length]).map_err(unwritable)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// Unpacks what `write` puts into a zip, and says what is wrong with it.
    fn unpacked(
        write: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>, SimpleFileOptions),
    ) -> (tempfile::TempDir, Result<(), String>) {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        write(&mut zip, SimpleFileOptions::default());
        let file = zip.finish().expect("in memory").into_inner();
        let outer = tempfile::tempdir().expect("a folder");
        let target = outer.path().join("in");
        fs::create_dir(&target).expect("writable");
        let stored = file.len() as u64;
        let mut zip = ZipArchive::new(Cursor::new(file)).expect("a zip");
        let done = unzip(&mut zip, stored, &target, "a.zip");
        let said = |error: DataError| match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        (outer, done.map_err(said))
    }

    #[test]
    fn no_entry_leaves_the_folder() {
        for name in ["../up.png", "a/../../up.png", "/abs.png", "a/../b.png"] {
            let (outer, done) = unpacked(|zip, options| {
                zip.start_file(name, options).expect("in memory");
                zip.write_all(b"image").expect("in memory");
            });
            let beside = fs::read_dir(outer.path()).expect("readable").count();
            assert_eq!(beside, 1, "{name}");
            if name.contains("up") {
                let error = done.expect_err(name);
                assert!(error.contains("leads out of its folder"), "{error}");
            }
        }
    }

    #[test]
    fn a_link_is_refused() {
        let (outer, done) = unpacked(|zip, options| {
            zip.add_symlink("a.png", "/etc/hostname", options)
                .expect("in memory");
        });
        assert!(fs::symlink_metadata(outer.path().join("in/a.png")).is_err());
        let error = done.expect_err("a link");
        assert!(
            error.contains("expected a file or a folder, found a link"),
            "{error}"
        );
    }

    #[test]
    fn a_bomb_is_refused_as_one_file_and_as_many() {
        let (outer, done) = unpacked(|zip, options| {
            for name in ["a.png", "b.png", "c.png"] {
                zip.start_file(name, options).expect("in memory");
                for _ in 0..90 {
                    zip.write_all(&vec![0; 1 << 20]).expect("in memory");
                }
            }
        });
        let error = done.expect_err("a bomb");
        assert!(error.contains("268435456 bytes"), "{error}");
        drop(outer);
        let (_outer, done) = unpacked(|zip, options| {
            zip.start_file("a/b.png", options).expect("in memory");
            zip.write_all(b"image").expect("in memory");
        });
        done.expect("an honest zip");
    }
}
