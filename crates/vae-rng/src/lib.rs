//! Counter-based random numbers: the only source of randomness in vae-gpu.
//!
//! A number is a function of (seed, stream, step, row, column) and of nothing else: not of the thread count, the backend,
//! or how many numbers were drawn before. `shaders/random.wgsl` computes the same function on the GPU, with bit-identical
//! integers. This crate is not cryptographic and keeps no state.

mod normal;
mod philox;

pub use normal::{normals_of_block, normals_of_lanes};
use philox::philox_lanes;
pub use philox::philox4x32_10;

/// Blocks that are drawn side by side: the widest vectors hold so many words.
pub const LANES: usize = 16;

/// Purpose of a random number. Streams of one seed are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights: the step is the parameter's index.
    Init,
    /// Order of the training set: the step is the epoch.
    Shuffle,
    /// `eps` of the reparameterised sample while training: the step is the training step.
    Noise,
    /// `eps` while evaluating, the same in every epoch: the row is the index in the dataset.
    EvaluationNoise,
    /// Latent vectors drawn from the prior.
    Prior,
    /// Binarization of training pixels: the step is the training step, or 0 if they are drawn once.
    Binarization,
    /// Binarization of test pixels, drawn once: the row is the image's index.
    EvaluationBinarization,
    /// Corruption of training images: the step is the training step.
    Corruption,
    /// Corruption of images outside training: the row is the image's index.
    EvaluationCorruption,
    /// Choice of the validation set: the step is the class.
    Split,
    /// Draws from the prior that an objective compares latents with: the step is the training step.
    PriorNoise,
    /// Draws of pixels from a likelihood: the step is the pixel's index among all, the row counts its uniforms.
    Pixels,
}

impl Stream {
    /// A constant per stream, on which saved runs depend, so it is never reused for another purpose.
    const fn tag(self) -> u32 {
        match self {
            Self::Init => 1,
            Self::Shuffle => 2,
            Self::Noise => 3,
            Self::EvaluationNoise => 4,
            Self::Prior => 5,
            Self::Binarization => 6,
            Self::EvaluationBinarization => 7,
            Self::Corruption => 8,
            Self::EvaluationCorruption => 9,
            Self::Split => 10,
            Self::PriorNoise => 11,
            Self::Pixels => 12,
        }
    }
}

/// The random numbers of one stream under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    key: [u32; 2],
}

impl Generator {
    /// The generator of `stream` under `seed`.
    ///
    /// Its Philox key is itself a Philox output, keyed by the seed and counted by the stream, so that all 64 bits of the
    /// seed count and no two streams share a key.
    #[must_use]
    pub fn new(seed: u64, stream: Stream) -> Self {
        let [low, high, ..] = philox4x32_10([stream.tag(), 0, 0, 0], halves(seed));
        Self { key: [low, high] }
    }

    /// The Philox key, for a shader that draws from this generator.
    #[must_use]
    pub const fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The four random words that cover columns `4 * quad .. 4 * quad + 4` of `row` at `step`.
    #[must_use]
    pub fn block(&self, step: u64, row: u32, quad: u32) -> [u32; 4] {
        let [step_low, step_high] = halves(step);
        philox4x32_10([quad, row, step_low, step_high], self.key)
    }

    /// The words of [`LANES`] blocks, in loops that the compiler vectorises in a caller that is compiled for wide vectors: word `k` of
    /// block `i`, that of `rows[i]` and `quads[i]`, is `words[k][i]`.
    #[inline(always)]
    #[must_use]
    pub fn lanes(&self, step: u64, rows: [u32; LANES], quads: [u32; LANES]) -> [[u32; LANES]; 4] {
        let steps = halves(step).map(|half| [half; LANES]);
        philox_lanes([quads, rows, steps[0], steps[1]], self.key)
    }

    /// Standard normals `[rows, columns]`, row-major, for rows `first_row ..` of `step`.
    #[must_use]
    pub fn normals(&self, step: u64, first_row: u32, rows: usize, columns: usize) -> Vec<f32> {
        self.fill(step, first_row, rows, columns, normals_of_block)
    }

    /// Uniforms in `[0, 1)`, `[rows, columns]`, row-major, each a multiple of 2^-24.
    #[must_use]
    pub fn uniforms(&self, step: u64, first_row: u32, rows: usize, columns: usize) -> Vec<f32> {
        self.fill(step, first_row, rows, columns, |block| block.map(uniform))
    }

    /// A permutation of `0..n` (Fisher-Yates), uniform over all permutations up to the generator.
    #[must_use]
    pub fn permutation(&self, step: u64, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for last in (1..n).rev() {
            let chosen = self.below(step, last, last + 1);
            order.swap(last as usize, chosen as usize);
        }
        order
    }

    /// An unbiased integer in `0..bound` (Lemire 2019): a draw that would favour some values is drawn again.
    fn below(&self, step: u64, row: u32, bound: u32) -> u32 {
        let reject_below = bound.wrapping_neg() % bound;
        let mut quad = 0;
        loop {
            for word in self.block(step, row, quad) {
                let product = u64::from(word) * u64::from(bound);
                let [low, high] = halves(product);
                if low >= reject_below {
                    return high;
                }
            }
            quad += 1;
        }
    }

    /// Binarizes `bytes`, columns of `row` at `step`: each is 255 with probability `byte / 255`, else 0.
    pub fn binarize<'a>(
        &'a self,
        step: u64,
        row: u32,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = u8> + 'a {
        let quads = (0..).zip(bytes.chunks(4));
        quads.flat_map(move |(quad, bytes)| {
            let words = self.block(step, row, quad);
            let pairs = bytes.iter().zip(words);
            pairs.map(|(&byte, word)| if is_bright(word, byte) { 255 } else { 0 })
        })
    }

    /// Binarizes `values`, columns of `row` at `step`: each becomes 1 with probability `value`, else 0.
    pub fn binarize_floats(&self, step: u64, row: u32, values: &mut [f32]) {
        for (quad, values) in (0..).zip(values.chunks_mut(4)) {
            let words = self.block(step, row, quad);
            for (x, u) in values.iter_mut().zip(words.map(uniform)) {
                *x = if u < *x { 1.0 } else { 0.0 };
            }
        }
    }

    fn fill(
        &self,
        step: u64,
        first_row: u32,
        rows: usize,
        columns: usize,
        values: impl Fn([u32; 4]) -> [f32; 4],
    ) -> Vec<f32> {
        let mut out = Vec::with_capacity(rows * columns);
        for row in (first_row..).take(rows) {
            for quad in 0..columns.div_ceil(4) {
                let lanes = (columns - 4 * quad).min(4);
                let block = self.block(step, row, quad as u32);
                out.extend_from_slice(&values(block)[..lanes]);
            }
        }
        out
    }
}

/// The generators that an engine draws from, all under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generators {
    /// [`Stream::Noise`]
    pub noise: Generator,
    /// [`Stream::EvaluationNoise`]
    pub evaluation_noise: Generator,
    /// [`Stream::PriorNoise`]
    pub prior_noise: Generator,
    /// [`Stream::Binarization`]
    pub binarization: Generator,
    /// [`Stream::Corruption`]
    pub corruption: Generator,
}

impl Generators {
    /// The generators under `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let of = |stream| Generator::new(seed, stream);
        Self {
            noise: of(Stream::Noise),
            evaluation_noise: of(Stream::EvaluationNoise),
            prior_noise: of(Stream::PriorNoise),
            binarization: of(Stream::Binarization),
            corruption: of(Stream::Corruption),
        }
    }
}

/// Source of a batch's noise: its row `i` gets row `first_row + i` of `generator` at `step`.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// Generator of the stream.
    pub generator: Generator,
    /// The training step, or another count that makes the draw new.
    pub step: u64,
    /// The row of the batch's first image.
    pub first_row: u32,
}

impl Noise {
    /// Standard normals `[rows, columns]`, row-major.
    #[must_use]
    pub fn normals(&self, rows: usize, columns: usize) -> Vec<f32> {
        self.generator
            .normals(self.step, self.first_row, rows, columns)
    }
}

/// Whether a random `word` makes a pixel of brightness `byte` white: in integers, so that every device decides alike. A black
/// pixel never becomes white, a white one always does.
#[must_use]
pub const fn is_bright(word: u32, byte: u8) -> bool {
    (word >> 8) * 255 < (byte as u32) << 24
}

/// The top 24 bits of a random word as a number in `[0, 1)`: 24 bits is what an `f32` holds exactly.
#[must_use]
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * 2f32.powi(-24)
}

/// The low and the high half of a 64-bit number.
const fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_pixel_is_white_as_often_as_it_is_bright() {
        let generator = Generator::new(5, Stream::Binarization);
        let bytes = [0, 1, 51, 128, 254, 255];
        let rows = 100_000;
        let mut white = [0u32; 6];
        for row in 0..rows {
            for (count, pixel) in white.iter_mut().zip(generator.binarize(3, row, &bytes)) {
                assert!(pixel == 0 || pixel == 255);
                *count += u32::from(pixel == 255);
            }
        }
        for (count, byte) in white.iter().zip(bytes) {
            let p = f64::from(byte) / 255.0;
            // Five standard deviations of a binomial frequency.
            let tolerance = 5.0 * (p * (1.0 - p) / f64::from(rows)).sqrt();
            let frequency = f64::from(*count) / f64::from(rows);
            assert!((frequency - p).abs() <= tolerance, "{byte}: {frequency}");
        }
    }

    #[test]
    fn blocks_side_by_side_are_those_of_their_rows_and_quads() {
        let generator = Generator::new(7, Stream::Noise);
        let step = 1 << 40 | 3;
        let rows = std::array::from_fn(|i| u32::MAX - i as u32);
        let quads = std::array::from_fn(|i| 3 * i as u32);
        let words = generator.lanes(step, rows, quads);
        for i in 0..LANES {
            let block = words.map(|lanes| lanes[i]);
            assert_eq!(block, generator.block(step, rows[i], quads[i]));
            assert_ne!(block, generator.block(step, quads[i], rows[i]));
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours_or_on_the_matrix_width() {
        let generator = Generator::new(7, Stream::Noise);
        let whole = generator.normals(3, 0, 5, 6);
        assert_eq!(generator.normals(3, 2, 1, 6), whole[12..18]);
        assert_eq!(generator.normals(3, 0, 1, 3), whole[..3]);
    }

    #[test]
    fn seed_stream_and_step_each_change_the_numbers() {
        let base = Generator::new(7, Stream::Noise).block(1, 0, 0);
        assert_ne!(Generator::new(8, Stream::Noise).block(1, 0, 0), base);
        assert_ne!(
            Generator::new(7 | 1 << 40, Stream::Noise).block(1, 0, 0),
            base
        );
        assert_ne!(Generator::new(7, Stream::Init).block(1, 0, 0), base);
        assert_ne!(Generator::new(7, Stream::Noise).block(2, 0, 0), base);
        assert_ne!(
            Generator::new(7, Stream::Noise).block(1 | 1 << 40, 0, 0),
            base
        );
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_moves_them() {
        for n in [0, 1, 2, 1000] {
            let order = Generator::new(1, Stream::Shuffle).permutation(0, n);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>());
            if n == 1000 {
                let fixed = order.iter().zip(0..).filter(|(a, b)| **a == *b).count();
                assert!(
                    fixed < 10,
                    "{fixed} of 1000 indices did not move, 1 is expected"
                );
            }
        }
    }

    #[test]
    fn permutations_of_three_are_equally_frequent() {
        let generator = Generator::new(5, Stream::Shuffle);
        let mut counts = std::collections::HashMap::new();
        for step in 0..6000 {
            *counts.entry(generator.permutation(step, 3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Binomial(6000, 1/6) has a standard deviation of 28.9: five of them.
        assert!(
            counts
                .values()
                .all(|&count: &i32| (count - 1000).abs() < 145),
            "{counts:?}"
        );
    }

    #[test]
    fn uniforms_have_the_moments_of_a_uniform() {
        let n = 100_000;
        let u = Generator::new(2, Stream::Init).uniforms(0, 0, 1, n);
        assert!(u.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = u.iter().map(|&u| f64::from(u)).sum::<f64>() / n as f64;
        // The mean of n uniforms has a standard deviation of sqrt(1 / 12 n) = 0.0009: five of them.
        assert!((mean - 0.5).abs() < 0.0046, "{mean}");
    }
}
