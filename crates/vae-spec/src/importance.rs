//! Importance sampling of likelihoods: `log p(x) ~ log mean_k p(x, z_k) / q(z_k | x)` with draws from the posterior (Burda et al.
//! 2016). Which draws are made together, so that every engine makes the same ones, and their running sum.

/// Rows of draws and images that are computed at once: enough to fill a device, and little memory.
pub const IMPORTANCE_ROWS: usize = 8_192;

/// Consecutive draws of each image, of which [`Self::at_once`] are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Index of the first one.
    pub first: usize,
    /// Their number, a multiple of `at_once`.
    pub count: usize,
    /// Number of draws of an image that are made together, with the generator's step [`Self::steps`] and one row for each.
    pub at_once: usize,
}

impl Draws {
    /// All draws of each image for estimates with each of `counts`, which rise. Where they are cut does not depend on which other
    /// counts are asked for, as long as those are powers of ten.
    #[must_use]
    pub fn of(counts: &[usize]) -> Vec<Self> {
        /// Fewer would make encoding and reading images again noticeable, more would leave less rows for images.
        const AT_ONCE: usize = 64;
        let last = counts.last().copied().unwrap_or_default();
        let powers = (0..).map(|power| 10usize.saturating_pow(power));
        let mut ends: Vec<usize> = powers.take_while(|&end| end < last).collect();
        ends.extend(counts);
        ends.sort_unstable();
        ends.dedup();
        let firsts = [0].into_iter().chain(ends.iter().copied());
        let cut = |(first, end): (usize, &usize)| {
            let count = end - first;
            let divides = |&at_once: &usize| count.is_multiple_of(at_once);
            let at_once = (1..=AT_ONCE).rev().find(divides).unwrap_or(1);
            Self {
                first,
                count,
                at_once,
            }
        };
        firsts.zip(&ends).map(cut).collect()
    }

    /// The generator's steps, one for each set of draws that is made together; step 0 is that of plain evaluations.
    pub fn steps(self) -> impl ExactSizeIterator<Item = u64> {
        let sets = 0..self.count / self.at_once;
        sets.map(move |set| (self.first + set * self.at_once) as u64 + 1)
    }

    /// Number of draws after the last of these.
    #[must_use]
    pub const fn end(self) -> usize {
        self.first + self.count
    }
}

/// A running `log sum exp` of an image's log-weights.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    largest: f64,
    sum: f64,
}

impl Evidence {
    /// Of no draw.
    pub const NONE: Self = Self {
        largest: f64::NEG_INFINITY,
        sum: 0.0,
    };

    /// Adds `sum exp(largest)`, that of other draws.
    pub fn add(&mut self, largest: f64, sum: f64) {
        let both = self.largest.max(largest);
        let scaled = |largest: f64, sum: f64| {
            if largest == f64::NEG_INFINITY {
                0.0
            } else {
                sum * (largest - both).exp()
            }
        };
        self.sum = scaled(self.largest, self.sum) + scaled(largest, sum);
        self.largest = both;
    }

    /// The negative log-likelihood by `count` draws, nats.
    #[must_use]
    pub fn nll(self, count: usize) -> f64 {
        (count as f64).ln() - self.largest - self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_cut_at_powers_of_ten_and_all_are_made_once() {
        let all = Draws::of(&[5_000]);
        assert_eq!(all, Draws::of(&[1, 10, 100, 1_000, 5_000]));
        let ends: Vec<usize> = all.iter().map(|draws| draws.end()).collect();
        assert_eq!(ends, [1, 10, 100, 1_000, 5_000]);
        let at_once: Vec<usize> = all.iter().map(|draws| draws.at_once).collect();
        assert_eq!(at_once, [1, 9, 45, 60, 50]);
        let draws: Vec<u64> = all
            .iter()
            .flat_map(|draws| {
                let at_once = draws.at_once as u64;
                draws
                    .steps()
                    .flat_map(move |step| step - 1..step - 1 + at_once)
            })
            .collect();
        assert!(draws.into_iter().eq(0..5_000));
        assert_eq!(Draws::of(&[1]).len(), 1);
        assert_eq!(Draws::of(&[13]).last().map(|draws| draws.end()), Some(13));
    }

    #[test]
    fn evidence_in_parts_is_that_of_all_draws() {
        let logs = [-900.0, -901.5, -899.0, -1_500.0f64];
        let mut all = Evidence::NONE;
        for log in logs {
            all.add(log, 1.0);
        }
        let mut halves = [Evidence::NONE; 2];
        for (index, log) in logs.into_iter().enumerate() {
            halves[index / 2].add(log, 1.0);
        }
        let [mut one, other] = halves;
        one.add(other.largest, other.sum);
        let sum: f64 = logs.iter().map(|log| (log + 900.0).exp()).sum();
        let expected = 900.0 + 4f64.ln() - sum.ln();
        assert!((all.nll(4) - expected).abs() < 1e-12);
        assert!((one.nll(4) - expected).abs() < 1e-12);
        assert_eq!(Evidence::NONE.nll(1), f64::INFINITY);
    }
}
