//! A data set: training and test images with their labels, and where they come from.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use vae_rng::Generator;

use crate::DataError;
use crate::idx::{self, IdxArray};

/// Grey images of one size with a label each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// `[count, height, width]`, 0 is black.
    pub pixels: Arc<[u8]>,
    /// `[count]`
    pub labels: Vec<u8>,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
}

impl Images {
    /// The number of images.
    #[must_use]
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Pixels of one image.
    #[must_use]
    pub fn image_length(&self) -> usize {
        self.height * self.width
    }

    /// The same images in black and white, each pixel drawn once with its brightness as the probability of white.
    #[must_use]
    pub fn binarized(&self, generator: Generator) -> Self {
        let rows = (0..).zip(self.pixels.chunks(self.image_length().max(1)));
        let pixels =
            rows.flat_map(|(row, image)| generator.binarize(0, row, image).collect::<Vec<_>>());
        Self {
            pixels: pixels.collect(),
            ..self.clone()
        }
    }

    /// The images at `indices`, scaled to `[0, 1]`: `[indices, height * width]`.
    ///
    /// # Panics
    /// If an index is not below [`Images::count`].
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> Vec<f32> {
        let length = self.image_length();
        let mut gathered = Vec::with_capacity(indices.len() * length);
        for &index in indices {
            let image = &self.pixels[index as usize * length..][..length];
            gathered.extend(image.iter().map(|&byte| f32::from(byte) / 255.0));
        }
        gathered
    }
}

/// Training images and test images; the test images are never trained on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name given by the user: `digits` or a path.
    pub name: String,
    /// What the model is fitted to.
    pub train: Images,
    /// What it is judged by.
    pub test: Images,
}

const DIGITS: [(&str, &[u8]); 4] = [
    (
        "train-images-idx3-ubyte",
        include_bytes!("../../../assets/digits/train-images-idx3-ubyte.gz"),
    ),
    (
        "train-labels-idx1-ubyte",
        include_bytes!("../../../assets/digits/train-labels-idx1-ubyte.gz"),
    ),
    (
        "t10k-images-idx3-ubyte",
        include_bytes!("../../../assets/digits/t10k-images-idx3-ubyte.gz"),
    ),
    (
        "t10k-labels-idx1-ubyte",
        include_bytes!("../../../assets/digits/t10k-labels-idx1-ubyte.gz"),
    ),
];

impl Dataset {
    /// The data set that `--data` names: `digits`, or a folder in MNIST's layout.
    ///
    /// # Errors
    /// If there is no such folder, or a file of it is missing or wrong.
    pub fn open(name: &str) -> Result<Self, DataError> {
        if name == "digits" {
            Self::digits()
        } else {
            Self::folder(Path::new(name))
        }
    }

    /// The built-in digits: 9,000 + 1,000 images of MNIST's training set.
    ///
    /// # Errors
    /// Never, unless the program file is damaged.
    pub fn digits() -> Result<Self, DataError> {
        Self::assemble("digits", |stem| {
            let built_in = DIGITS
                .iter()
                .find(|(name, _)| *name == stem)
                .map(|(_, bytes)| *bytes);
            let name = format!("built-in {stem}.gz");
            built_in
                .map(|bytes| (bytes, name))
                .ok_or(DataError::MissingFile {
                    folder: "built-in digits".into(),
                    stem,
                })
        })
    }

    /// A folder that holds the four files of MNIST's layout, each gzipped or not.
    ///
    /// # Errors
    /// If there is no such folder, or a file of it is missing or wrong.
    pub fn folder(folder: &Path) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(DataError::NoSuchData(folder.to_owned()));
        }
        Self::assemble(&folder.to_string_lossy(), |stem| {
            let candidates = [folder.join(stem), folder.join(format!("{stem}.gz"))];
            let path = candidates.iter().find(|path| path.exists());
            let path = path.ok_or_else(|| DataError::MissingFile {
                folder: folder.to_owned(),
                stem,
            })?;
            let source_name = path.display().to_string();
            match File::open(path) {
                Ok(file) => Ok((file, source_name)),
                Err(cause) => Err(DataError::Unreadable { source_name, cause }),
            }
        })
    }

    fn assemble<R: Read>(
        name: &str,
        open: impl Fn(&'static str) -> Result<(R, String), DataError>,
    ) -> Result<Self, DataError> {
        let part = |images_stem, labels_stem| {
            let (input, source_name) = open(images_stem)?;
            let images: IdxArray<3> = idx::read(input, &source_name)?;
            let (input, source_name) = open(labels_stem)?;
            let labels: IdxArray<1> = idx::read(input, &source_name)?;
            let [count, height, width] = images.shape;
            same(
                name,
                "number of images and of labels",
                count,
                labels.shape[0],
            )?;
            Ok(Images {
                pixels: images.bytes.into(),
                labels: labels.bytes,
                height,
                width,
            })
        };
        let train = part("train-images-idx3-ubyte", "train-labels-idx1-ubyte")?;
        let test = part("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")?;
        let what = "height and width of training and test images";
        same(
            name,
            what,
            (train.height, train.width),
            (test.height, test.width),
        )?;
        Ok(Self {
            name: name.to_owned(),
            train,
            test,
        })
    }

    /// SHA-256 over sizes, pixels and labels, in hexadecimal: equal if and only if the data are.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.train, &self.test] {
            for size in [part.count(), part.height, part.width] {
                hash.update((size as u64).to_le_bytes());
            }
            hash.update(&part.pixels);
            hash.update(&part.labels);
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    name: &str,
    what: &'static str,
    left: T,
    right: T,
) -> Result<(), DataError> {
    if left == right {
        return Ok(());
    }
    Err(DataError::Mismatch {
        folder: name.into(),
        what,
        left: format!("{left:?}"),
        right: format!("{right:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_digits_are_whole_and_balanced() {
        let digits = Dataset::digits().expect("built in");
        assert_eq!((digits.train.count(), digits.test.count()), (9000, 1000));
        for digit in 0..10 {
            let count = digits
                .train
                .labels
                .iter()
                .filter(|&&label| label == digit)
                .count();
            assert!((750..1100).contains(&count), "{count} of digit {digit}");
        }
    }

    #[test]
    fn gathering_scales_bytes_to_zero_and_one_in_the_order_asked_for() {
        let images = Images {
            pixels: [0, 51, 255, 102].into(),
            labels: vec![0, 1],
            height: 1,
            width: 2,
        };
        assert_eq!(images.gather(&[1, 0]), [1.0, 0.4, 0.0, 0.2]);
    }

    #[test]
    fn binarized_images_are_black_and_white_and_as_bright_as_before() {
        let digits = Dataset::digits().expect("built in").test;
        let generator = |seed| Generator::new(seed, vae_rng::Stream::Binarization);
        let binarized = digits.binarized(generator(1));
        assert!(
            binarized
                .pixels
                .iter()
                .all(|&pixel| pixel == 0 || pixel == 255)
        );
        let mean = |images: &Images| {
            images
                .pixels
                .iter()
                .map(|&pixel| f64::from(pixel))
                .sum::<f64>()
                / images.pixels.len() as f64
        };
        // 784,000 draws of a standard deviation below 128: five of their mean's.
        assert!((mean(&binarized) - mean(&digits)).abs() < 0.75);
        assert_eq!(binarized, digits.binarized(generator(1)));
        assert_ne!(binarized, digits.binarized(generator(2)));
    }

    #[test]
    fn the_fingerprint_changes_with_any_byte() {
        let digits = Dataset::digits().expect("built in");
        let mut changed = digits.clone();
        changed.test.labels[999] ^= 1;
        assert_ne!(changed.fingerprint(), digits.fingerprint());
        assert_eq!(digits.fingerprint().len(), 64);
    }
}
