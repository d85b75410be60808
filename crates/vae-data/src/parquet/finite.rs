//! Keeps the `parquet` crate from lists without end: it goes through as many booleans as a header says there are, two billion times
//! nothing, where it skips a field that it does not know. No list of the format has booleans in what is read here.
//!
//! The headers are in Thrift's compact protocol (apache/thrift, doc/specs/thrift-compact-protocol.md).

use std::io::{self, BufReader, Read};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Most booleans of a list or map: none is known, and as many take no time.
const MOST: u64 = 1024;
/// Deepest nesting that is gone into; the `parquet` crate stops at 64.
const DEEPEST: u8 = 64;
/// The length of the metadata and the magic number, at the end of a file.
const FOOTER: u64 = 8;

/// A file whose metadata and page headers are looked at before they are read.
pub(super) struct Finite<F>(pub(super) F);

impl<F: Length> Length for Finite<F> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<F: ChunkReader> ChunkReader for Finite<F> {
    type T = F::T;

    /// Is asked for the header of a page, and for the footer.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        if start.saturating_add(FOOTER) < self.len() {
            check(BufReader::new(self.0.get_read(start)?))?;
        }
        self.0.get_read(start)
    }

    /// Is asked for the metadata, before the footer, and for the content of pages.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.0.get_bytes(start, length)?;
        let end = start.saturating_add(length as u64);
        if end.saturating_add(FOOTER) == self.len() {
            check(&bytes[..])?;
        }
        Ok(bytes)
    }
}

/// Refuses a structure with a list of more than [`MOST`] booleans. What else is wrong with it is for its reader to say.
fn check(mut input: impl Read) -> Result<()> {
    match skip(&mut input, STRUCTURE, DEEPEST) {
        Err(Stop::Endless(count)) => Err(ParquetError::General(format!(
            "expected at most {MOST} booleans in a list of a header, found {count}"
        ))),
        Ok(()) | Err(Stop::Other) => Ok(()),
    }
}

enum Stop {
    Endless(u64),
    Other,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Other
    }
}

const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCTURE: u8 = 12;

/// Goes past a value of this `kind`.
fn skip(input: &mut impl Read, kind: u8, depth: u8) -> std::result::Result<(), Stop> {
    let depth = depth.checked_sub(1).ok_or(Stop::Other)?;
    match kind {
        // Booleans of fields are in the kind.
        1 | 2 => Ok(()),
        3 => bytes(input, 1),
        4..=6 => number(input).map(drop),
        7 => bytes(input, 8),
        8 => {
            let length = number(input)?;
            bytes(input, length)
        }
        LIST | SET => {
            let header = byte(input)?;
            let (short, of) = (header >> 4, header & 15);
            let count = if short == 15 {
                number(input)?
            } else {
                short.into()
            };
            elements(input, count, &[of], depth)
        }
        MAP => {
            let count = number(input)?;
            if count == 0 {
                return Ok(());
            }
            let kinds = byte(input)?;
            elements(input, count, &[kinds >> 4, kinds & 15], depth)
        }
        STRUCTURE => loop {
            let header = byte(input)?;
            let (step, of) = (header >> 4, header & 15);
            if of == 0 {
                return Ok(());
            }
            if step == 0 {
                number(input)?;
            }
            skip(input, of, depth)?;
        },
        13 => bytes(input, 16),
        _ => Err(Stop::Other),
    }
}

/// Goes past `count` times a value of each of `kinds`. All but booleans take bytes, so that the end of the file is theirs.
fn elements(
    input: &mut impl Read,
    count: u64,
    kinds: &[u8],
    depth: u8,
) -> std::result::Result<(), Stop> {
    if count > MOST && kinds.iter().all(|kind| matches!(kind, 1 | 2)) {
        return Err(Stop::Endless(count));
    }
    for _ in 0..count {
        for &kind in kinds {
            skip(input, kind, depth)?;
        }
    }
    Ok(())
}

fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn bytes(input: &mut impl Read, count: u64) -> std::result::Result<(), Stop> {
    let skipped = io::copy(&mut input.take(count), &mut io::sink())?;
    if skipped < count {
        return Err(Stop::Other);
    }
    Ok(())
}

/// A number of seven bits a byte, the lowest first.
fn number(input: &mut impl Read) -> std::result::Result<u64, Stop> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = byte(input)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Stop::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_booleans_without_end_are_refused() {
        let refused = |bytes: &[u8]| check(bytes).is_err();
        // Field 1 is a list of 2^31 - 1 booleans.
        let endless = [0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
        assert!(refused(&endless));
        // The same as a set in a structure, and as a map from booleans to booleans.
        assert!(refused(&[&[0x1c, 0x1a], &endless[1..]].concat()));
        assert!(refused(&[0x1b, 0xff, 0xff, 0x7f, 0x12]));
        for finite in [
            // Three booleans; two billion bytes that are not there; nothing; half a number.
            &[0x19, 0x31, 0][..],
            &[0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0x07, 0],
            &[],
            &[0x15, 0xff],
        ] {
            assert!(!refused(finite), "{finite:?}");
        }
    }
}
