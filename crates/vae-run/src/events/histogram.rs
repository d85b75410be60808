//! Histograms as TensorBoard keeps them.

use super::proto::Histogram;

/// Number of buckets, of equal width.
const BUCKETS: usize = 30;

/// The histogram of `values`; those that are no numbers are left out.
pub(super) fn histogram(values: impl Iterator<Item = f32> + Clone) -> Histogram {
    let values = values.map(f64::from).filter(|x| x.is_finite());
    let min = values.clone().fold(f64::INFINITY, f64::min);
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if min > max {
        return Histogram::default();
    }
    let width = ((max - min) / BUCKETS as f64).max(f64::MIN_POSITIVE);
    let mut histogram = Histogram {
        min,
        max,
        limits: (1..=BUCKETS)
            .map(|bucket| min + bucket as f64 * width)
            .collect(),
        buckets: vec![0.0; BUCKETS],
        ..Histogram::default()
    };
    // The largest value lies in the last bucket, whatever rounding says.
    if let Some(last) = histogram.limits.last_mut() {
        *last = last.max(max);
    }
    for value in values {
        let bucket = ((value - min) / width) as usize;
        histogram.buckets[bucket.min(BUCKETS - 1)] += 1.0;
        histogram.count += 1.0;
        histogram.sum += value;
        histogram.sum_of_squares += value * value;
    }
    histogram
}
