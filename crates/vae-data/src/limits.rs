//! How much a compressed file may unpack to. A few kilobytes of deflate can stand for gigabytes of zeros, so that what a file
//! holds is known only by unpacking it: this stops where no honest file goes on. docs/formats.md lists all limits.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

/// Bytes that anything may unpack to, however small it is.
const ALWAYS: u64 = 256 << 20;
/// Bytes that each stored byte may stand for beyond that. Deflate reaches 1,032; the archive of dSprites, black and white shapes
/// that are among the best compressed of all published data, 115.
const RATIO: u64 = 256;
/// What a file takes on a disk at least, bytes: many empty files fill it too.
pub(crate) const BLOCK: u64 = 4096;

/// Bytes that something may unpack to of which `stored` bytes are in the file.
pub(crate) const fn most_unpacked(stored: u64) -> u64 {
    let most = stored.saturating_mul(RATIO);
    if most > ALWAYS { most } else { ALWAYS }
}

/// The error for what unpacks to more than `most` bytes.
pub(crate) fn bomb(most: u64) -> io::Error {
    let what = format!(
        "expected at most {most} bytes unpacked ({RATIO} times what is stored, and always {} MiB), found more: a damaged file, or one \
         made to fill the memory; if it is neither, unpack it and name what was in it",
        ALWAYS >> 20
    );
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

/// The content of a gzipped `input`, with an error where it grows beyond [`most_unpacked`] of what was read of it.
pub(crate) fn gunzip<'a>(input: impl Read + 'a) -> impl Read + 'a {
    let stored = Rc::new(Cell::new(0));
    let counted = Counted {
        input,
        count: stored.clone(),
    };
    Bounded {
        input: MultiGzDecoder::new(counted),
        stored,
        unpacked: 0,
    }
}

/// What `input` unpacks of `stored` bytes of a file, with the same error.
pub(crate) fn bounded(input: impl Read, stored: u64) -> impl Read {
    Bounded {
        input,
        stored: Rc::new(Cell::new(stored)),
        unpacked: 0,
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

struct Bounded<R> {
    input: R,
    /// Bytes of the file that have been read.
    stored: Rc<Cell<u64>>,
    unpacked: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.unpacked += length as u64;
        let most = most_unpacked(self.stored.get());
        if self.unpacked > most {
            return Err(bomb(most));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn zeros(mebibytes: usize) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..mebibytes {
            gzip.write_all(&zeros).expect("in memory");
        }
        gzip.finish().expect("in memory")
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit_and_what_is_below_it_is_read() {
        let unpacked = |file: &[u8]| io::copy(&mut gunzip(file), &mut io::sink());
        assert_eq!(unpacked(&zeros(256)).expect("at the limit"), ALWAYS);
        let bomb = zeros(257);
        let error = unpacked(&bomb).expect_err("a bomb").to_string();
        assert!(
            error.starts_with("expected at most 268435456 bytes unpacked"),
            "{error}"
        );
        // Of as many stored bytes as this one has, more may be made.
        assert_eq!(most_unpacked(bomb.len() as u64), ALWAYS);
        assert_eq!(most_unpacked(2 << 20), 512 << 20);
        assert_eq!(most_unpacked(u64::MAX), u64::MAX);
    }
}
