//! Work on many rows in parts that the device's memory holds, where the rows have nothing to do with each other.

use std::ops::Range;

use vae_spec::EngineError;

/// Does `work` on `rows` rows, at most `most` at once; when the memory is full, on half as many from then on. Returns what each part came to.
pub(super) fn in_parts<T>(
    rows: usize,
    most: &mut usize,
    mut work: impl FnMut(Range<usize>) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let (mut first, mut done) = (0, Vec::new());
    while first < rows {
        let count = (*most).min(rows - first);
        match work(first..first + count) {
            Err(EngineError::OutOfMemory { .. }) if count > 1 => *most = count.div_ceil(2),
            result => {
                done.push(result?);
                first += count;
            }
        }
    }
    Ok(done)
}

/// Rows `rows` of `values`, of `columns` each; of none none.
pub(super) fn rows<'a, T>(values: &'a [T], columns: usize, rows: &Range<usize>) -> &'a [T] {
    match values {
        [] => values,
        values => &values[rows.start * columns..rows.end * columns],
    }
}
