//! Files that are replaced as a whole: whoever stops the program, or the machine, finds the old content or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process;

/// Replaces the file `path`, or creates it: the new content is written beside it, synchronised with the disk, and renamed; then the
/// folder is synchronised, without which a power loss could take the new name back. If it fails, the old content stays.
///
/// A file of the name `.<name>.<process>.tmp` lies beside it for so long, one for each process, so that none takes away another's.
/// It is never followed if it is a link.
///
/// # Errors
/// If the content or the file cannot be written, for example on a full disk.
pub fn replace(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    replace_unsynchronised(path, |out| {
        content(out)?;
        out.flush()?;
        out.get_ref().sync_all()
    })?;
    synchronise_folder(path)
}

/// The same without waiting for the disk, for one of many files: a stopped program leaves the old content or the new, a power loss
/// may leave a part.
pub(crate) fn replace_unsynchronised(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let write = || -> io::Result<()> {
        // What a killed process of the same number has left.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        let mut out = BufWriter::new(file);
        content(&mut out)?;
        out.flush()?;
        drop(out);
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one that matters.
        let _ = fs::remove_file(&temporary);
    })
}

/// Makes the names in the folder of `path` last.
fn synchronise_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // Some network file systems know no such thing, and a folder may be written to that may not be read.
            Err(error)
                if ![InvalidInput, PermissionDenied, Unsupported].contains(&error.kind()) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        replace(&path, |out| out.write_all(b"old")).expect("written");
        let failed = replace(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).expect("there"), b"old");
        replace(&path, |out| out.write_all(b"new")).expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        let names = fs::read_dir(folder.path()).expect("readable");
        assert_eq!(names.count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_lies_in_the_way_is_not_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "untouched").expect("written");
        let temporary = at(&format!(".a.txt.{}.tmp", process::id()));
        std::os::unix::fs::symlink(at("precious"), temporary).expect("linked");
        replace(&at("a.txt"), |out| out.write_all(b"new")).expect("written");
        assert_eq!(fs::read(at("precious")).expect("there"), b"untouched");
        // A link under the final name is replaced itself.
        std::os::unix::fs::symlink(at("precious"), at("b.txt")).expect("linked");
        replace(&at("b.txt"), |out| out.write_all(b"new")).expect("written");
        assert_eq!(fs::read(at("precious")).expect("there"), b"untouched");
        assert_eq!(fs::read(at("b.txt")).expect("there"), b"new");
    }
}
