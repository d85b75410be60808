//! Views of subsets of an array's rows: the samples of a part of a data set.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vae_rng::Generator;
use vae_spec::Element;

use crate::table::listed;
use crate::{Array, DataError, Labels, Shape};

/// A view of some rows of an [`Array`] in a given order, for example the training samples of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Underlying array.
    pub array: Arc<Array>,
    /// Indices of the rows in `array`.
    pub rows: Arc<[u32]>,
}

impl From<Array> for Images {
    fn from(array: Array) -> Self {
        Self {
            rows: (0..array.rows() as u32).collect(),
            array: Arc::new(array),
        }
    }
}

impl Images {
    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Shape of each sample.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.array.shape
    }

    /// Number of values of one sample.
    #[must_use]
    pub fn image_length(&self) -> usize {
        self.shape().length()
    }

    /// The samples at `places` of this view.
    #[must_use]
    pub fn subset(&self, places: &[u32]) -> Self {
        Self {
            array: Arc::clone(&self.array),
            rows: places
                .iter()
                .map(|&place| self.rows[place as usize])
                .collect(),
        }
    }

    /// Class index of each sample, `[count]`.
    #[must_use]
    pub fn classes(&self) -> Option<Vec<u32>> {
        let labels = self.array.labels.as_ref()?;
        let class = |&row: &u32| labels.classes[row as usize];
        Some(self.rows.iter().map(class).collect())
    }

    /// Class names; empty without labels.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        let labels = self.array.labels.as_ref();
        labels.map_or(&[], |labels| &labels.names)
    }

    /// The label of the sample at `place`.
    #[must_use]
    pub fn label(&self, place: usize) -> Option<&str> {
        let labels = self.array.labels.as_ref()?;
        let class = labels.classes[self.rows[place] as usize];
        labels.names.get(class as usize).map(String::as_str)
    }

    /// Identifier of the sample at `place` in its source: its file name or what `ids` named, else its row index.
    #[must_use]
    pub fn id(&self, place: usize) -> Cow<'_, str> {
        let row = self.rows[place] as usize;
        match &self.array.names {
            Some(names) => Cow::Borrowed(&names[row]),
            None => Cow::Owned(row.to_string()),
        }
    }

    /// The stored bytes of the sample at `place`.
    #[must_use]
    pub fn bytes(&self, place: usize) -> &[u8] {
        let length = self.array.row_bytes();
        &self.array.pixels[self.rows[place] as usize * length..][..length]
    }

    /// The samples at `places`, bytes scaled to `[0, 1]`: `[places, channels * height * width]`.
    ///
    /// # Panics
    /// If a place is not below [`Images::count`].
    #[must_use]
    pub fn gather(&self, places: &[u32]) -> Vec<f32> {
        let mut gathered = Vec::with_capacity(places.len() * self.image_length());
        for &place in places {
            self.append(place as usize, &mut gathered);
        }
        gathered
    }

    fn append(&self, place: usize, values: &mut Vec<f32>) {
        let bytes = self.bytes(place);
        match self.array.element {
            Element::U8 => values.extend(bytes.iter().map(|&byte| f32::from(byte) / 255.0)),
            Element::F32 => {
                let floats = bytes.as_chunks().0.iter();
                values.extend(floats.map(|&bytes| f32::from_le_bytes(bytes)));
            }
        }
    }

    /// Calls `visit` with each place and its values as returned by [`Self::gather`].
    pub fn each(&self, mut visit: impl FnMut(usize, &[f32])) {
        let mut values = Vec::new();
        for place in 0..self.count() {
            values.clear();
            self.append(place, &mut values);
            visit(place, &values);
        }
    }

    /// The same labels and names with other values, `[count, channels * height * width]`.
    #[must_use]
    pub fn with_values(&self, values: Vec<f32>) -> Self {
        self.replaced(Array::floats(values, self.shape()))
    }

    /// The same labels and names with the values of `array`, which has the rows of this view.
    fn replaced(&self, array: Array) -> Self {
        let source = &self.array;
        let labels = source.labels.as_ref().map(|labels| Labels {
            classes: self.classes().unwrap_or_default(),
            names: labels.names.clone(),
        });
        let names = source.names.as_ref();
        let named = |names: &Vec<String>| -> Vec<String> {
            let rows = self.rows.iter();
            rows.map(|&row| names[row as usize].clone()).collect()
        };
        Self::from(Array {
            labels,
            names: names.map(named),
            columns: source.columns.clone(),
            label_column: source.label_column.clone(),
            id_column: source.id_column.clone(),
            ..array
        })
    }

    /// The same samples, all with this label.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Self {
        let labels = Labels {
            classes: vec![0; self.array.rows()],
            names: vec![label.to_owned()],
        };
        let array = Array {
            labels: Some(labels),
            ..Array::clone(&self.array)
        };
        Self {
            array: Arc::new(array),
            rows: Arc::clone(&self.rows),
        }
    }

    /// Minimum and maximum value, bytes scaled to `[0, 1]`.
    ///
    /// # Errors
    /// If a value is NaN or infinite; the error names the first.
    pub fn range(&self) -> Result<[f32; 2], DataError> {
        if self.array.element == Element::U8 {
            let mut range = [u8::MAX, 0];
            for place in 0..self.count() {
                let bytes = self.bytes(place).iter();
                range = bytes.fold(range, |[low, high], &byte| [low.min(byte), high.max(byte)]);
            }
            return Ok(range.map(|byte| f32::from(byte) / 255.0));
        }
        let mut range = [f32::INFINITY, f32::NEG_INFINITY];
        let (mut first, mut bad) = (None, 0_usize);
        self.each(|place, values| {
            for (column, &value) in values.iter().enumerate() {
                range = [range[0].min(value), range[1].max(value)];
                if !value.is_finite() {
                    first = first.or(Some((place, column)));
                    bad += 1;
                }
            }
        });
        let Some((place, column)) = first else {
            return Ok(range);
        };
        let more = match bad {
            1 => "the only one".to_owned(),
            _ => format!("the first of {bad}"),
        };
        let what = format!(
            "sample {}{}, value {column} (counted from 0): not a finite number, {more}; remove or fill NaN and infinity",
            self.id(place),
            self.array.whereabouts(self.rows[place] as usize)
        );
        Err(DataError::unfit("data", what))
    }

    /// The same samples with their columns in the order of `expected`, and whether they were in another order. Samples without
    /// column names, and an `expected` without names, are taken as they are.
    ///
    /// # Errors
    /// If a column of `expected` is missing, or one is not among `expected`; `source_name` is named.
    pub fn aligned(
        &self,
        expected: &[String],
        source_name: &str,
    ) -> Result<(Self, bool), DataError> {
        let found = match &self.array.columns {
            Some(found) if !expected.is_empty() && found != expected => found,
            _ => return Ok((self.clone(), false)),
        };
        let places: HashMap<&str, usize> = found.iter().map(String::as_str).zip(0..).collect();
        let names: HashSet<&str> = expected.iter().map(String::as_str).collect();
        let order: Vec<usize> = expected
            .iter()
            .filter_map(|name| places.get(name.as_str()).copied())
            .collect();
        let counts = [order.len(), found.len(), names.len(), places.len()];
        if counts.iter().any(|&count| count != expected.len()) {
            let only = |of: &[String], other: &dyn Fn(&str) -> bool| -> Vec<String> {
                let only = of.iter().filter(|name| !other(name));
                only.cloned().collect()
            };
            let missing = only(expected, &|name| places.contains_key(name));
            let unknown = only(found, &|name| names.contains(name));
            let said = [("missing", missing), ("unknown", unknown)].into_iter();
            let said = said.filter(|(_, names)| !names.is_empty());
            let said: Vec<String> = said
                .map(|(what, names)| format!("{what}: {}", listed(&names)))
                .collect();
            let found = if said.is_empty() {
                "the same name twice".to_owned()
            } else {
                said.join("; ")
            };
            let expected = format!(
                "the {} columns that the model was trained on: {}",
                expected.len(),
                listed(expected)
            );
            return Err(DataError::wrong(source_name, "columns", expected, found));
        }
        let all: Vec<u32> = (0..self.count() as u32).collect();
        let values = self.gather(&all);
        let rows = values.chunks_exact(self.image_length().max(1));
        let values = rows.flat_map(|row| order.iter().map(|&place| row[place]));
        let mut images = self.with_values(values.collect());
        Arc::make_mut(&mut images.array).columns = Some(expected.to_vec());
        Ok((images, true))
    }

    /// Binarized images: each pixel is drawn once, with its brightness as the probability of white.
    #[must_use]
    pub fn binarized(&self, generator: Generator) -> Self {
        self.map(
            |place, bytes| generator.binarize(0, place, bytes).collect(),
            |place, values| generator.binarize_floats(0, place, values),
        )
    }

    /// Binarized images: pixels brighter than one half become white.
    #[must_use]
    pub fn thresholded(&self) -> Self {
        self.map(
            |_, bytes| {
                bytes
                    .iter()
                    .map(|&byte| if byte > 127 { 255 } else { 0 })
                    .collect()
            },
            |_, values| {
                for value in values {
                    *value = f32::from(u8::from(*value > 0.5));
                }
            },
        )
    }

    fn map(&self, bytes: impl Fn(u32, &[u8]) -> Vec<u8>, floats: impl Fn(u32, &mut [f32])) -> Self {
        if self.array.element == Element::U8 {
            let images = (0..self.count()).flat_map(|place| bytes(place as u32, self.bytes(place)));
            let pixels: Vec<u8> = images.collect();
            return self.replaced(Array::bytes(pixels, self.shape()));
        }
        let places: Vec<u32> = (0..self.count() as u32).collect();
        let mut values = self.gather(&places);
        for (place, image) in (0..).zip(values.chunks_mut(self.image_length().max(1))) {
            floats(place, image);
        }
        self.with_values(values)
    }
}
