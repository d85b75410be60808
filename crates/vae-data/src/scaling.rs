//! Scaling of values before they enter the model, and its inverse for the outputs.

use serde::{Deserialize, Serialize};

use crate::{DataError, Element, Images, Shape};

/// Scaling method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// By the type of the values and their range, see [`Scale::auto`].
    Auto,
    /// No scaling: a byte of 255 is 255.
    None,
    /// All values from 0..255 to 0..1.
    Bytes,
    /// Each column of a table, or each channel of images, to 0..1.
    MinMax,
    /// All values from their common range to 0..1.
    Range,
    /// Each column of a table, or each channel of images, to mean 0 and standard deviation 1.
    Standardize,
}

/// The scaling that suits some data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AutoScale {
    /// This one.
    Known(Scale),
    /// None that could be told: these are integers from `low` to `high`.
    Unclear {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
}

impl Scale {
    /// Chooses the scaling of `train`, which means:
    ///
    /// - integers of at most 1: black and white, which stay 0 and 1 ([`Self::None`]);
    /// - integers from 0 to 255, the largest at least 128: bytes ([`Self::Bytes`]);
    /// - floats stay as they are ([`Self::None`]);
    /// - other values of images of 16 bits: their range is black to white ([`Self::Range`]).
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn auto(train: &Images) -> Result<AutoScale, DataError> {
        /// Smallest maximum of images that are taken for bytes.
        const BRIGHT: f64 = 128.0;
        if !train.array.is_integer {
            return Ok(AutoScale::Known(Self::None));
        }
        let unit = unit(train);
        let [low, high] = train.range()?.map(|x| (f64::from(x) * unit).round());
        Ok(if low >= 0.0 && high <= 1.0 {
            AutoScale::Known(Self::None)
        } else if low >= 0.0 && (BRIGHT..=255.0).contains(&high) {
            AutoScale::Known(Self::Bytes)
        } else if train.array.is_deep {
            AutoScale::Known(Self::Range)
        } else {
            AutoScale::Unclear { low, high }
        })
    }
}

/// Scaling `(x - offset) / range` of each column of a table, or each channel of images: fitted to training data and saved
/// with the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    offset: Vec<f64>,
    range: Vec<f64>,
}

impl Scaling {
    /// Fits `scale` to `train`, in units of its source; `None` if nothing needs to be done beyond [`Images::gather`].
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn fit(scale: Scale, train: &Images) -> Result<Option<Self>, DataError> {
        let is_byte = train.array.element == Element::U8;
        let columns = columns(train);
        let same = |offset: f64, range: f64| {
            Some(Self {
                offset: vec![offset; columns],
                range: vec![range; columns],
            })
        };
        Ok(match scale {
            Scale::Auto => None,
            Scale::Bytes if is_byte => None,
            Scale::Bytes => same(0.0, 255.0),
            Scale::None if is_byte => same(0.0, 1.0),
            Scale::None => None,
            Scale::Range => {
                let unit = unit(train);
                let [low, high] = train.range()?.map(|x| f64::from(x) * unit);
                same(low, if high > low { high - low } else { 1.0 })
            }
            Scale::MinMax | Scale::Standardize => {
                train.range()?;
                Some(Self::measure(scale, train, columns))
            }
        })
    }

    fn measure(scale: Scale, train: &Images, columns: usize) -> Self {
        let unit = unit(train);
        let group = train.image_length() / columns;
        let mut low = vec![f64::INFINITY; columns];
        let mut high = vec![f64::NEG_INFINITY; columns];
        // Welford's algorithm: stable for a column of large numbers that differ little.
        let (mut mean, mut squares) = (vec![0.0; columns], vec![0.0; columns]);
        let mut seen = vec![0.0; columns];
        train.each(|_, values| {
            for (place, &value) in values.iter().enumerate() {
                let (column, x) = (place / group, f64::from(value) * unit);
                low[column] = x.min(low[column]);
                high[column] = x.max(high[column]);
                seen[column] += 1.0;
                let off = x - mean[column];
                mean[column] += off / seen[column];
                squares[column] += off * (x - mean[column]);
            }
        });
        let (offset, range): (Vec<f64>, Vec<f64>) = if scale == Scale::MinMax {
            let range = low.iter().zip(&high).map(|(low, high)| high - low);
            (low.clone(), range.collect())
        } else {
            let deviation = squares
                .iter()
                .zip(&seen)
                .map(|(sum, count)| (sum / count).sqrt());
            (mean, deviation.collect())
        };
        // A constant column becomes 0.
        let range = range.into_iter().map(|x| if x > 0.0 { x } else { 1.0 });
        Self {
            offset,
            range: range.collect(),
        }
    }

    /// Whether it is one of samples of `shape`: a finite offset and range, not 0, for each column or channel.
    #[must_use]
    pub fn is_for(&self, shape: Shape) -> bool {
        let columns = parts(shape);
        let is_finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        [self.offset.len(), self.range.len()] == [columns; 2]
            && is_finite(&self.offset)
            && is_finite(&self.range)
            && !self.range.contains(&0.0)
    }

    /// Scales `images` from the units of their source.
    ///
    /// # Errors
    /// If their number of columns or channels differs from the fitted one.
    pub fn apply(&self, images: &Images) -> Result<Images, DataError> {
        let columns = columns(images);
        if columns != self.offset.len() {
            let what = format!(
                "expected {} columns, as the model was trained on, found {columns}",
                self.offset.len()
            );
            return Err(DataError::unfit("scaling", what));
        }
        let unit = unit(images);
        let places: Vec<u32> = (0..images.count() as u32).collect();
        let mut values = images.gather(&places);
        self.each(&mut values, images.image_length(), |x, offset, range| {
            (x * unit - offset) / range
        });
        Ok(images.with_values(values))
    }

    /// Converts model outputs `values`, `[count, length]`, back to the units of the source.
    pub fn undo(&self, values: &mut [f32], length: usize) {
        self.each(values, length, |x, offset, range| x * range + offset);
    }

    fn each(&self, values: &mut [f32], length: usize, change: impl Fn(f64, f64, f64) -> f64) {
        let group = length / self.offset.len();
        for row in values.chunks_mut(length) {
            for (values, (&offset, &range)) in row
                .chunks_mut(group)
                .zip(self.offset.iter().zip(&self.range))
            {
                for x in values {
                    *x = change(f64::from(*x), offset, range) as f32;
                }
            }
        }
    }
}

impl Images {
    /// What [`Scale::Auto`] meant by type alone, as in runs of format 3 and before: bytes are divided by 255, floats stay as
    /// they are.
    #[must_use]
    pub fn scale_by_type(&self) -> Scale {
        match self.array.element {
            Element::U8 => Scale::Bytes,
            Element::F32 => Scale::None,
        }
    }
}

/// Number of separately scaled parts: columns of a table, or channels of images.
fn columns(images: &Images) -> usize {
    parts(images.shape())
}

const fn parts(shape: Shape) -> usize {
    if shape.is_table() {
        shape.width
    } else {
        shape.channels
    }
}

/// The value of a gathered 1 in units of the source: 255 for bytes.
fn unit(images: &Images) -> f64 {
    match images.array.element {
        Element::U8 => 255.0,
        Element::F32 => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Array;

    fn table() -> Images {
        let values = vec![1e6, 5.0, -2.0, 1e6 + 1.0, 5.0, 2.0, 1e6 + 2.0, 5.0, 6.0];
        Images::from(Array::floats(values, Shape::grey(1, 3)))
    }

    #[test]
    fn min_max_takes_each_column_to_zero_and_one_and_back() {
        let scaling = Scaling::fit(Scale::MinMax, &table())
            .expect("finite")
            .expect("a scaling");
        let mut values = scaling.apply(&table()).expect("columns").gather(&[0, 1, 2]);
        assert_eq!(values, [0.0, 0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0]);
        scaling.undo(&mut values, 3);
        assert_eq!(values, table().gather(&[0, 1, 2]));
    }

    #[test]
    fn standardized_columns_have_mean_zero_and_deviation_one() {
        let scaling = Scaling::fit(Scale::Standardize, &table())
            .expect("finite")
            .expect("a scaling");
        let values = scaling.apply(&table()).expect("columns").gather(&[0, 1, 2]);
        let root = 1.5f32.sqrt();
        let expected = [-root, 0.0, -root, 0.0, 0.0, 0.0, root, 0.0, root];
        for (found, expected) in values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn channels_of_images_are_scaled_whole_and_bytes_in_units_of_bytes() {
        let shape = Shape {
            channels: 3,
            height: 1,
            width: 2,
        };
        let images = Images::from(Array::bytes(vec![10, 20, 0, 0, 7, 255], shape));
        let scaled = |scale| {
            let scaling = Scaling::fit(scale, &images).expect("finite");
            scaling.map(|scaling| scaling.apply(&images).expect("channels").gather(&[0]))
        };
        assert_eq!(
            scaled(Scale::MinMax),
            Some(vec![0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
        );
        assert_eq!(
            scaled(Scale::None),
            Some(vec![10.0, 20.0, 0.0, 0.0, 7.0, 255.0])
        );
        assert_eq!((scaled(Scale::Auto), scaled(Scale::Bytes)), (None, None));
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        let bad = table().with_values(vec![0.0, 1.0, 2.0, 3.0, f32::INFINITY, 5.0, 6.0, 7.0, 8.0]);
        let error = Scaling::fit(Scale::MinMax, &bad).expect_err("infinity");
        assert!(error.to_string().contains("sample 1, value 1"), "{error}");
    }
}
