//! Table of the data sets that can be downloaded, and verification of files against it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

/// Size limit of a download; the largest file of any set has 47,040,016 bytes.
pub(super) const LARGEST: u64 = 64 << 20;

/// A downloadable data set: the four files of the MNIST layout.
#[derive(Debug)]
pub struct NamedSet {
    /// Name of the set in `--data`.
    pub name: &'static str,
    /// Base addresses of `<stem>.gz`, best first.
    pub(super) mirrors: &'static [&'static str],
    /// File stems and checksums.
    pub(super) files: [(&'static str, Sum); 4],
}

/// A hexadecimal SHA-256, of the plain or of the gzipped file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sum {
    /// Checksum of the IDX file: it may be recompressed.
    Plain(&'static str),
    /// Checksum of the published `.gz`, where none of the IDX file is known.
    Gzip(&'static str),
}

pub(super) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(super) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(super) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(super) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

#[rustfmt::skip] // One line a file.
static SETS: [NamedSet; 3] = [
    NamedSet {
        name: "mnist",
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ],
        files: [
            (TRAIN_IMAGES, Sum::Plain("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db")),
            (TRAIN_LABELS, Sum::Plain("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5")),
            (TEST_IMAGES, Sum::Plain("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7")),
            (TEST_LABELS, Sum::Plain("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2")),
        ],
    },
    NamedSet {
        name: "fashion-mnist",
        mirrors: &[
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        ],
        files: [
            (TRAIN_IMAGES, Sum::Plain("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888")),
            (TRAIN_LABELS, Sum::Plain("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9")),
            (TEST_IMAGES, Sum::Plain("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b")),
            (TEST_LABELS, Sum::Plain("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34")),
        ],
    },
    NamedSet {
        name: "kmnist",
        mirrors: &[
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist",
        ],
        files: [
            (TRAIN_IMAGES, Sum::Gzip("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4")),
            (TRAIN_LABELS, Sum::Plain("2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b")),
            (TEST_IMAGES, Sum::Plain("76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e")),
            (TEST_LABELS, Sum::Plain("a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6")),
        ],
    },
];

impl NamedSet {
    /// The set with this `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// The names of all sets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SETS.iter().map(|set| set.name)
    }
}

impl Sum {
    pub(super) fn hex(self) -> &'static str {
        match self {
            Self::Plain(hex) | Self::Gzip(hex) => hex,
        }
    }

    pub(super) fn of_what(self) -> &'static str {
        match self {
            Self::Plain(_) => "SHA-256 of the uncompressed bytes",
            Self::Gzip(_) => "SHA-256 of the .gz as published",
        }
    }

    /// What the file has instead, if its checksum does not match.
    pub(super) fn mismatch(self, path: &Path) -> Option<String> {
        match self.found(path) {
            Ok(found) if found == self.hex() => None,
            Ok(found) => Some(found),
            Err(cause) => Some(format!("an unreadable file: {cause}")),
        }
    }

    fn found(self, path: &Path) -> io::Result<String> {
        let mut input = BufReader::new(File::open(path)?);
        let is_gzip = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let input: &mut dyn Read = match self {
            Self::Plain(_) if is_gzip => &mut MultiGzDecoder::new(input),
            _ => &mut input,
        };
        let mut hash = Sha256::new();
        io::copy(&mut input.take(LARGEST), &mut hash)?;
        let digest = hash.finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
