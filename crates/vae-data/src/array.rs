//! All samples of a source: their values, in memory or mapped from a file, and what belongs to their rows.

use bytes::Bytes;
use vae_spec::Element;

use crate::{Labels, Shape};

/// All rows of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Values, `[rows, channels, height, width]`.
    pub pixels: Bytes,
    /// Element type of `pixels`.
    pub element: Element,
    /// Whether the source has integers: all bytes, and floats that were read from wider integers.
    pub is_integer: bool,
    /// Whether these are values of image files of 16 bits, of whose range many cameras use a part.
    pub is_deep: bool,
    /// Shape of one row.
    pub shape: Shape,
    /// Labels of the rows, if any.
    pub labels: Option<Labels>,
    /// Ids of the rows: their file names, or what a column says.
    pub names: Option<Vec<String>>,
    /// Column names of a table, if it has any.
    pub columns: Option<Vec<String>>,
    /// Name of the column that the labels came from.
    pub label_column: Option<String>,
    /// Name of the column that the ids came from.
    pub id_column: Option<String>,
    /// Files that the rows came from, each with the first of its rows; empty if they came from one.
    pub files: Vec<(usize, String)>,
}

impl Array {
    /// An array of bytes without labels or names.
    #[must_use]
    pub fn bytes(pixels: impl Into<Bytes>, shape: Shape) -> Self {
        Self {
            pixels: pixels.into(),
            element: Element::U8,
            is_integer: true,
            is_deep: false,
            shape,
            labels: None,
            names: None,
            columns: None,
            label_column: None,
            id_column: None,
            files: Vec::new(),
        }
    }

    /// An array of floats without labels or names.
    #[must_use]
    pub fn floats(values: Vec<f32>, shape: Shape) -> Self {
        Self {
            pixels: float_bytes(values),
            element: Element::F32,
            is_integer: false,
            ..Self::bytes(Bytes::new(), shape)
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.pixels.len() / self.row_bytes().max(1)
    }

    /// Where the user finds a row, in words: its place in its file if there are several. Empty if there is one.
    pub(crate) fn whereabouts(&self, row: usize) -> String {
        let after = self.files.partition_point(|(first, _)| *first <= row);
        let file = after.checked_sub(1).and_then(|place| self.files.get(place));
        file.map_or_else(String::new, |(first, name)| {
            format!(", which is row {} of {name}", row - first)
        })
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.shape.length() * self.element.size()
    }
}

/// `values` as little-endian bytes, without a copy on little-endian machines.
#[cfg(target_endian = "little")]
fn float_bytes(values: Vec<f32>) -> Bytes {
    struct Floats(Vec<f32>);
    impl AsRef<[u8]> for Floats {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Bytes::from_owner(Floats(values))
}

#[cfg(target_endian = "big")]
fn float_bytes(values: Vec<f32>) -> Bytes {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<u8>>()
        .into()
}
