//! NumPy arrays in and out without copies.

use std::slice;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use vae_data::{Array, Element, Images, Labels, Shape};

/// The memory of a NumPy array, which lives as long as this.
struct Borrowed {
    _array: Py<PyAny>,
    address: usize,
    length: usize,
}

impl AsRef<[u8]> for Borrowed {
    #[expect(
        unsafe_code,
        reason = "the array stays where it is; `borrowed` took its address and length from NumPy"
    )]
    fn as_ref(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the array is contiguous, has this address and length, and is alive. Whoever changes it from another thread
        // while it is read gets results of no value, as with NumPy's own functions.
        unsafe { slice::from_raw_parts(self.address as *const u8, self.length) }
    }
}

/// The bytes of `array`, a C-contiguous NumPy array whose elements are one of `types`, and which of them.
fn borrowed<'t>(array: &Bound<'_, PyAny>, types: &[&'t str]) -> PyResult<(Bytes, &'t str)> {
    let interface = array.getattr("__array_interface__")?;
    let interface = interface.cast::<PyDict>()?;
    let found: String = array.getattr("dtype")?.getattr("str")?.extract()?;
    let known = types.iter().find(|known| **known == found);
    let is_contiguous: bool = array.getattr("flags")?.getattr("c_contiguous")?.extract()?;
    let (Some(known), true) = (known, is_contiguous) else {
        let what = format!("expected a contiguous array of {types:?}, found one of {found}");
        return Err(PyValueError::new_err(what));
    };
    let data = interface.get_item("data")?;
    let (address, _): (usize, bool) = data
        .ok_or_else(|| PyValueError::new_err("an array without memory"))?
        .extract()?;
    let borrowed = Borrowed {
        address,
        length: array.getattr("nbytes")?.extract()?,
        _array: array.clone().unbind(),
    };
    Ok((Bytes::from_owner(borrowed), known))
}

/// Samples: `(array, (channels, height, width), is_integer, labels, columns)`, the labels whole numbers or text.
pub(crate) fn samples(given: &Bound<'_, PyAny>) -> PyResult<Images> {
    type Given<'py> = (
        Bound<'py, PyAny>,
        [usize; 3],
        bool,
        Option<Bound<'py, PyAny>>,
        Option<Vec<String>>,
    );
    let (array, [channels, height, width], is_integer, labels, columns): Given<'_> =
        given.extract()?;
    let (pixels, element) = borrowed(&array, &["|u1", "<f4"])?;
    let element = match element {
        "|u1" => Element::U8,
        _ => Element::F32,
    };
    let shape = Shape {
        channels,
        height,
        width,
    };
    Ok(Images::from(Array {
        element,
        is_integer,
        labels: labels.as_ref().map(classes).transpose()?,
        columns,
        ..Array::bytes(pixels, shape)
    }))
}

fn classes(labels: &Bound<'_, PyAny>) -> PyResult<Labels> {
    if let Ok(numbers) = labels.extract::<Vec<i64>>() {
        return Ok(Labels::of_integers(&numbers));
    }
    Ok(Labels::of(&labels.extract::<Vec<String>>()?))
}

/// The values of a contiguous array of 32-bit floats.
pub(crate) fn floats(array: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    let (bytes, _) = borrowed(array, &["<f4"])?;
    let (values, _) = bytes.as_chunks();
    Ok(values.iter().copied().map(f32::from_le_bytes).collect())
}

/// `(owner, address)`: memory that Python makes an array of, and that lives as long as its owner.
pub(crate) type Owned = (Py<PyAny>, usize);

/// Hands `values` over to Python.
pub(crate) fn owned<T: Send + 'static>(py: Python<'_>, values: Vec<T>) -> PyResult<Owned> {
    // The capsule keeps the vector, whose elements stay where they are.
    let address = values.as_ptr() as usize;
    let owner = PyCapsule::new_with_value(py, values, c"vae_gpu.values")?;
    Ok((owner.into_any().unbind(), address))
}
