//! The built-in digits: 9,000 + 1,000 images from the training set of MNIST.

use crate::{DataError, Images, idx};

const TRAIN: [&[u8]; 2] = [
    include_bytes!("../../../assets/digits/train-images-idx3-ubyte.gz"),
    include_bytes!("../../../assets/digits/train-labels-idx1-ubyte.gz"),
];
const TEST: [&[u8]; 2] = [
    include_bytes!("../../../assets/digits/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../../../assets/digits/t10k-labels-idx1-ubyte.gz"),
];

/// Training and test images.
///
/// # Errors
/// Never, unless the program file is corrupt.
pub fn read() -> Result<(Images, Images), DataError> {
    let part = |[images, labels]: [&'static [u8]; 2]| {
        idx::labelled(
            (images, "built-in images".into()),
            (labels, "built-in labels".into()),
        )
    };
    Ok((part(TRAIN)?, part(TEST)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_built_in_digits_are_whole_and_balanced() {
        let (train, test) = super::read().expect("built in");
        assert_eq!((train.count(), test.count()), (9000, 1000));
        let classes = train.classes().expect("labels");
        for digit in 0..10 {
            let count = classes.iter().filter(|&&class| class == digit).count();
            assert!((750..1100).contains(&count), "{count} of digit {digit}");
        }
    }
}
