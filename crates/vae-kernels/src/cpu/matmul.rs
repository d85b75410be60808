//! Matrix products by the `gemm` crate, on one core: the one place of the CPU executor that needs `unsafe`, for gemm takes
//! pointers.

use std::ops::{Add, AddAssign};

use gemm::{Parallelism, gemm};

/// Element types that gemm multiplies here: it panics for types that it does not know.
pub trait Real:
    Copy + Default + Add<Output = Self> + AddAssign + From<f32> + Send + Sync + 'static
{
}

impl Real for f32 {}
impl Real for f64 {}

/// A view of a row-major matrix, or of its transpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T = f32> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// # Panics
    /// If `values` are not `rows * columns`.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            values.len(),
            rows * columns,
            "a matrix of {rows} x {columns}"
        );
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Columns `first .. first + columns` of rows that are `stride` long.
    ///
    /// # Panics
    /// If they do not fit.
    pub(crate) fn columns(values: &'a [T], stride: usize, first: usize, columns: usize) -> Self {
        let whole = Self::new(values, values.len() / stride, stride);
        assert!(
            first + columns <= stride,
            "{columns} columns from {first} of {stride}"
        );
        Self {
            values: &values[first..],
            columns,
            ..whole
        }
    }

    /// The rows of a matrix that is not transposed.
    pub(super) fn rows(self) -> impl Iterator<Item = &'a [T]> {
        let rows = self.values.chunks(self.row_stride);
        rows.map(move |row| &row[..self.columns])
    }

    pub(crate) const fn transposed(self) -> Self {
        let Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride,
        } = self;
        Self {
            values,
            rows: columns,
            columns: rows,
            row_stride: column_stride,
            column_stride: row_stride,
        }
    }
}

/// `out = a b`, or `out += a b` if `accumulate`; rows of `out` begin `stride` apart.
///
/// # Panics
/// If the sizes do not fit.
#[expect(
    unsafe_code,
    reason = "gemm takes pointers and strides; they come from slices whose lengths are checked"
)]
pub(crate) fn matmul<T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [T],
    stride: usize,
    accumulate: bool,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(b.rows, k, "the product of {m} x {k} and {} x {n}", b.rows);
    assert!(
        m > 0 && n <= stride && out.len() >= (m - 1) * stride + n,
        "the product of {m} x {k} and {k} x {n} in rows {stride} apart"
    );
    // SAFETY: the last index that gemm forms, (rows - 1) * row_stride + (columns - 1) * column_stride, lies in the slice:
    // both constructors of `Matrix` and `transposed` see to it; `out` reaches to the end of its last row and is borrowed
    // mutably, so it overlaps neither input.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0.into(),
            1.0.into(),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: Matrix<'_>, b: Matrix<'_>, start: f32) -> Vec<f32> {
        let at = |x: Matrix<'_>, i: usize, j: usize| {
            f64::from(x.values[i * x.row_stride + j * x.column_stride])
        };
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                out.push(
                    start
                        + (0..a.columns)
                            .map(|k| at(a, i, k) * at(b, k, j))
                            .sum::<f64>() as f32,
                );
            }
        }
        out
    }

    #[test]
    fn products_of_odd_sizes_and_transposes_are_the_plain_sums() {
        let values = vae_rng::Generator::new(1, vae_rng::Stream::Init).uniforms(0, 0, 1, 70 * 70);
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (33, 17, 65), (70, 3, 1), (1, 70, 13)] {
            let (a, b) = (
                Matrix::new(&values[..m * k], m, k),
                Matrix::new(&values[..k * n], k, n),
            );
            let (a_t, b_t) = (
                Matrix::new(&values[..m * k], k, m),
                Matrix::new(&values[..k * n], n, k),
            );
            for (a, b) in [
                (a, b),
                (a_t.transposed(), b),
                (a, b_t.transposed()),
                (a_t.transposed(), b_t.transposed()),
            ] {
                for accumulate in [false, true] {
                    let mut out = vec![2.0; m * n];
                    matmul(a, b, &mut out, n, accumulate);
                    let expected = plain(a, b, if accumulate { 2.0 } else { 0.0 });
                    // Sums of k products below 1, each rounded to 2^-24 of a sum of at most k + 2.
                    let tolerance = k as f32 * (k + 2) as f32 * 2f32.powi(-24);
                    assert!(
                        out.iter()
                            .zip(&expected)
                            .all(|(a, b)| (a - b).abs() <= tolerance),
                        "{m} x {k} x {n}"
                    );
                }
            }
        }
    }
}
