//! Damages files as a fuzzer does: bits, bytes, numbers in headers and in text, ends, and parts of other files.

/// A small generator of random numbers, the same on every machine (SplitMix64, Steele et al. 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn choice<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
/// The same in text, with some that are none.
const TEXTS: [&str; 12] = [
    "0",
    "-1",
    "65536",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999",
    "1e400",
    "nan",
    "0.0000001",
    "[]",
    "\"x\"",
];
/// Bytes of a file in which most headers lie.
const HEADER: usize = 64;

/// `file` with one to four changes, some of them with parts of `other`.
pub(crate) fn mutated(file: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + random.below(4) {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let length = bytes.len();
    if length == 0 {
        bytes.extend_from_slice(other);
        return;
    }
    // Every second change is in the header.
    let reach = if random.below(2) == 0 {
        length.min(HEADER)
    } else {
        length
    };
    let at = random.below(reach);
    let end = at + random.below((length - at).min(32)) + 1;
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => {
            let number = random.choice(&NUMBERS);
            let size = random.choice(&[1, 2, 4, 8]).min(length - at);
            let ends = [number.to_le_bytes(), number.to_be_bytes()];
            let number = if random.below(2) == 0 {
                &ends[0][..size]
            } else {
                &ends[1][8 - size..]
            };
            bytes[at..at + size].copy_from_slice(number);
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        6 if !other.is_empty() => {
            let start = random.below(other.len());
            let part = &other[start..start + random.below((other.len() - start).min(64)) + 1];
            bytes.splice(at..end, part.iter().copied());
        }
        _ => replace_number(bytes, at, random),
    }
}

/// Replaces the first number in text from `at` on.
fn replace_number(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[at..]
        .iter()
        .position(is_digit)
        .map(|place| at + place)
    else {
        return;
    };
    let digits = bytes[start..].iter().take_while(|byte| is_digit(byte));
    let end = start + digits.count();
    let text = random.choice(&TEXTS);
    bytes.splice(start..end, text.bytes());
}
