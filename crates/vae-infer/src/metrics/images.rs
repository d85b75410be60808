//! How alike images are: mean squared error, peak signal-to-noise ratio and structural similarity.

use vae_data::Shape;

/// Side of the windows that structural similarity compares, as in scikit-image.
const WINDOW: usize = 7;

/// Likeness of an image and its reconstruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Mean squared error over all values.
    pub mse: f64,
    /// Peak signal-to-noise ratio, `-10 log10 mse` of values in `[0, 1]`, dB; infinite if there is no error.
    pub psnr: f64,
    /// Structural similarity (Wang et al. 2004) of values in `[0, 1]`, the mean over windows of 7 x 7 and channels; `None` for
    /// smaller images.
    pub ssim: Option<f64>,
}

/// Likeness of two images `[channels * height * width]` of values in `[0, 1]`.
#[must_use]
pub fn similarity(one: &[f32], other: &[f32], shape: Shape) -> Similarity {
    let squares = one
        .iter()
        .zip(other)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mse = squares.sum::<f64>() / one.len() as f64;
    let is_large = shape.height >= WINDOW && shape.width >= WINDOW;
    let pixels = shape.height * shape.width;
    Similarity {
        mse,
        psnr: -10.0 * mse.log10(),
        ssim: is_large.then(|| {
            let planes = one.chunks_exact(pixels).zip(other.chunks_exact(pixels));
            let of_planes = planes.map(|(one, other)| structural([one, other], shape.width));
            of_planes.sum::<f64>() / shape.channels as f64
        }),
    }
}

/// The mean over all windows of a plane, with unbiased variances and constants as in the paper.
fn structural([one, other]: [&[f32]; 2], width: usize) -> f64 {
    const COUNT: f64 = (WINDOW * WINDOW) as f64;
    const OF_MEANS: f64 = 0.01 * 0.01;
    const OF_VARIANCES: f64 = 0.03 * 0.03;
    let height = one.len() / width;
    let mut total = 0.0;
    for top in 0..=height - WINDOW {
        for left in 0..=width - WINDOW {
            let [mut a, mut b, mut aa, mut bb, mut ab] = [0.0; 5];
            for row in top..top + WINDOW {
                let first = row * width + left;
                let pixels = one[first..][..WINDOW].iter().zip(&other[first..]);
                for (&x, &y) in pixels {
                    let (x, y) = (f64::from(x), f64::from(y));
                    a += x;
                    b += y;
                    aa += x * x;
                    bb += y * y;
                    ab += x * y;
                }
            }
            let (mean_a, mean_b) = (a / COUNT, b / COUNT);
            let covariance = |sum: f64, x: f64, y: f64| (sum - COUNT * x * y) / (COUNT - 1.0);
            let variances = covariance(aa, mean_a, mean_a) + covariance(bb, mean_b, mean_b);
            let both = covariance(ab, mean_a, mean_b);
            total += (2.0 * mean_a * mean_b + OF_MEANS) * (2.0 * both + OF_VARIANCES)
                / ((mean_a * mean_a + mean_b * mean_b + OF_MEANS) * (variances + OF_VARIANCES));
        }
    }
    total / ((height - WINDOW + 1) * (width - WINDOW + 1)) as f64
}
