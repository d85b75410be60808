//! Corruption of images, for a denoising model to undo. The twin of `shaders/step/corrupt.wgsl`.

use vae_rng::{Generator, normals_of_block, uniform};

/// How an image is corrupted. Its random numbers are those of its row in a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corruption {
    /// Gaussian noise: `x + sigma eps`, clamped to [0, 1] if `clamp`.
    Gaussian {
        /// Standard deviation of the noise.
        sigma: f32,
        /// Whether the result is clamped to [0, 1].
        clamp: bool,
    },
    /// Salt-and-pepper noise: each value becomes 0 or 1, equally often, with this probability.
    SaltPepper {
        /// Probability that a value is replaced.
        probability: f32,
    },
    /// A mask: a square at a random place in the image is 0, in every channel.
    Mask {
        /// Side of the square; at most the image's height and width.
        side: u32,
        /// Height of the image.
        height: u32,
        /// Width of the image.
        width: u32,
    },
}

impl Corruption {
    /// Corrupts `image`, `[channels, height, width]`, which is `row` of `step`.
    pub fn apply(self, generator: Generator, step: u64, row: u32, image: &mut [f32]) {
        let blocks =
            |quads: std::ops::Range<u32>| quads.map(|quad| generator.block(step, row, quad));
        let quads = 0..image.len().div_ceil(4) as u32;
        match self {
            Self::Gaussian { sigma, clamp } => {
                for (values, words) in image.chunks_mut(4).zip(blocks(quads)) {
                    for (x, eps) in values.iter_mut().zip(normals_of_block(words)) {
                        let y = *x + sigma * eps;
                        *x = if clamp { y.clamp(0.0, 1.0) } else { y };
                    }
                }
            }
            Self::SaltPepper { probability } => {
                for (values, words) in image.chunks_mut(4).zip(blocks(quads)) {
                    for (x, u) in values.iter_mut().zip(words.map(uniform)) {
                        if u < probability {
                            *x = if u < 0.5 * probability { 0.0 } else { 1.0 };
                        }
                    }
                }
            }
            Self::Mask {
                side,
                height,
                width,
            } => {
                let [down, right, ..] = generator.block(step, row, 0);
                let top = scaled(down, height - side + 1);
                let left = scaled(right, width - side + 1);
                for (pixel, x) in (0..).zip(image) {
                    let (y, z) = (pixel / width % height, pixel % width);
                    if (top..top + side).contains(&y) && (left..left + side).contains(&z) {
                        *x = 0.0;
                    }
                }
            }
        }
    }
}

/// An integer in `0..bound`, which is small, from the upper half of a random word.
const fn scaled(word: u32, bound: u32) -> u32 {
    ((word >> 16) * bound) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae_rng::Stream;

    fn corrupted(corruption: Corruption, row: u32, brightness: f32) -> Vec<f32> {
        let mut image = vec![brightness; 3 * 20 * 30];
        corruption.apply(Generator::new(3, Stream::Corruption), 7, row, &mut image);
        image
    }

    #[test]
    fn gaussian_noise_has_its_deviation_and_stays_a_pixel_if_asked_to() {
        let noise = |clamp| corrupted(Corruption::Gaussian { sigma: 0.3, clamp }, 0, 0.5);
        let free = noise(false);
        let mean = free.iter().sum::<f32>() / free.len() as f32;
        let variance = free.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / free.len() as f32;
        // 1,800 draws: five standard deviations of a mean and of a variance.
        assert!((mean - 0.5).abs() < 5.0 * 0.3 / 1800f32.sqrt(), "{mean}");
        assert!(
            (variance - 0.09).abs() < 5.0 * 0.09 * (2.0 / 1800f32).sqrt(),
            "{variance}"
        );
        assert!(free.iter().any(|x| !(0.0..=1.0).contains(x)));
        let clamped = free.iter().map(|x| x.clamp(0.0, 1.0)).collect::<Vec<_>>();
        assert_eq!(noise(true), clamped);
    }

    #[test]
    fn salt_and_pepper_hit_as_often_as_asked_and_leave_the_rest() {
        let image = corrupted(Corruption::SaltPepper { probability: 0.2 }, 0, 0.5);
        let share = |value| image.iter().filter(|&&x| x == value).count() as f32 / 1800.0;
        // Five standard deviations of a binomial frequency.
        let tolerance = 5.0 * (0.1f32 * 0.9 / 1800.0).sqrt();
        for (value, expected) in [(0.0, 0.1), (1.0, 0.1), (0.5, 0.8)] {
            assert!(
                (share(value) - expected).abs() < 1.4 * tolerance,
                "{value}: {}",
                share(value)
            );
        }
    }

    #[test]
    fn a_mask_is_one_square_in_every_channel_and_wanders_over_the_whole_image() {
        let mask = Corruption::Mask {
            side: 8,
            height: 20,
            width: 30,
        };
        let (mut tops, mut lefts) = (Vec::new(), Vec::new());
        for row in 0..500 {
            let image = corrupted(mask, row, 1.0);
            let dark = |channel: usize| -> Vec<usize> {
                let channel = image[channel * 600..][..600].iter();
                channel
                    .enumerate()
                    .filter(|(_, x)| **x == 0.0)
                    .map(|(pixel, _)| pixel)
                    .collect()
            };
            let pixels = dark(0);
            assert_eq!(pixels.len(), 64);
            assert_eq!((&pixels, &pixels), (&dark(1), &dark(2)));
            assert_eq!(pixels[63], pixels[0] + 7 * 30 + 7);
            tops.push(pixels[0] / 30);
            lefts.push(pixels[0] % 30);
        }
        let reach = |places: &[usize]| (places.iter().min().copied(), places.iter().max().copied());
        assert_eq!(reach(&tops), (Some(0), Some(12)));
        assert_eq!(reach(&lefts), (Some(0), Some(22)));
    }
}
