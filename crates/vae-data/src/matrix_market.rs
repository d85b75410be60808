//! Matrix Market files: one matrix as text, dense (`array`) or by its entries (`coordinate`), after Boisvert, Pozo and Remington
//! 1996 (NISTIR 5935). Complex numbers are not read.

use std::io::BufRead;

use crate::DataError;

/// What a file begins with.
pub(crate) const MAGIC: &[u8] = b"%%MatrixMarket";

/// Most values of a matrix with its zeros: 4 GiB. Matrices of entries promise many more than anybody has memory for.
const MOST: usize = 1 << 30;
/// Most values for each entry of a matrix of more than [`SMALL`] values. The sparsest matrices of words in texts have one in some
/// 10,000.
const SPARSEST: usize = 1 << 16;
/// Values that any matrix may have, 256 MiB.
const SMALL: usize = 1 << 26;

/// A matrix with all its zeros.
#[derive(Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Values, `[rows, columns]`.
    pub(crate) values: Vec<f32>,
    /// Whether the file says that they are integers, or that they are 0 and 1.
    pub(crate) is_integer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Real,
    Integer,
    /// Entries without values, which are 1.
    Pattern,
}

/// What a value says of that on the other side of the diagonal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symmetry {
    Nothing,
    Same,
    Opposite,
}

impl Symmetry {
    /// The first row of which a dense file has the value in `column`.
    const fn first_row(self, column: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Same => column,
            Self::Opposite => column + 1,
        }
    }
}

/// Reads a whole matrix.
///
/// # Errors
/// If the file is invalid, or the matrix too large with its zeros; the error names the line, counted from 1.
pub(crate) fn read(input: impl BufRead, source_name: &str) -> Result<Matrix, DataError> {
    let mut lines = Lines {
        input,
        number: 0,
        source_name,
    };
    let header = lines.raw()?.unwrap_or_default().to_lowercase();
    let words: Vec<&str> = header.split_whitespace().collect();
    let kind = match words[..] {
        [_, "matrix", layout, field, symmetry] => kind(layout, field, symmetry),
        _ => None,
    };
    let Some((is_dense, field, symmetry)) = kind else {
        let expected = "`%%MatrixMarket matrix`, array or coordinate, real, integer or pattern, and general, symmetric or \
            skew-symmetric";
        return lines.wrong(expected, &header);
    };

    let line = lines.next("the sizes of the matrix")?;
    let sizes = line.split_whitespace().map(str::parse);
    let sizes: Vec<usize> = sizes.collect::<Result<_, _>>().unwrap_or_default();
    let (rows, columns, entries) = match sizes[..] {
        [rows, columns] if is_dense => (rows, columns, 0),
        [rows, columns, entries] if !is_dense => (rows, columns, entries),
        _ => {
            let expected = if is_dense {
                "the numbers of rows and columns"
            } else {
                "the numbers of rows, columns and entries"
            };
            return lines.wrong(expected, &line);
        }
    };
    if symmetry != Symmetry::Nothing && rows != columns {
        return lines.wrong("as many rows as columns, for it is symmetric", &line);
    }
    let length = rows.checked_mul(columns).filter(|&length| length <= MOST);
    let Some(length) = length.filter(|&length| length > 0) else {
        let expected = format!(
            "rows and columns, and at most {MOST} values with all zeros (4 GiB); leave out columns that tell little"
        );
        return lines.wrong(&expected, &format!("{rows} rows of {columns} columns"));
    };
    // Memory grows with the lines that arrive, not with what the sizes claim. Both are below 2^32, for their product is.
    let (mut dense, mut found) = (Vec::new(), Vec::new());
    if is_dense {
        for column in 0..columns {
            for _ in symmetry.first_row(column)..rows {
                let line = lines.next("one more value")?;
                dense.push(lines.number(line.trim(), field)?);
            }
        }
    } else {
        let sparsest = entries.saturating_mul(SPARSEST).max(SMALL);
        if length > sparsest {
            let expected = format!(
                "at most {sparsest} values with all zeros for {entries} entries, {SPARSEST} for each; leave out columns that tell \
                 little"
            );
            return lines.wrong(&expected, &format!("{rows} rows of {columns} columns"));
        }
        for _ in 0..entries {
            let line = lines.next("one more entry, as many as the sizes say")?;
            let words: Vec<&str> = line.split_whitespace().collect();
            let (place, value) = match words[..] {
                [row, column] if field == Field::Pattern => ([row, column], 1.0),
                [row, column, value] if field != Field::Pattern => {
                    ([row, column], lines.number(value, field)?)
                }
                _ => return lines.wrong("a row, a column and, unless pattern, a value", &line),
            };
            let [row, column] = place.map(|word| word.parse::<usize>().unwrap_or(0));
            if !(1..=rows).contains(&row) || !(1..=columns).contains(&column) {
                let expected = format!("a row from 1 to {rows} and a column from 1 to {columns}");
                return lines.wrong(&expected, &line);
            }
            found.push(([row as u32 - 1, column as u32 - 1], value));
        }
    }
    if let Some(line) = lines.some()? {
        return lines.wrong("nothing more, as the sizes say", &line);
    }
    let mut values: Vec<f32> = Vec::new();
    if values.try_reserve_exact(length).is_err() {
        let expected = format!(
            "a matrix that fits in memory with its zeros, {} MiB",
            (length * size_of::<f32>()) >> 20
        );
        return lines.wrong(&expected, &format!("{rows} rows of {columns} columns"));
    }
    values.resize(length, 0.0);
    let mut matrix = Matrix {
        rows,
        columns,
        values,
        is_integer: field != Field::Real,
    };
    let mut dense = dense.into_iter();
    for column in 0..columns {
        for (row, value) in (symmetry.first_row(column)..rows).zip(&mut dense) {
            matrix.add(row, column, value, symmetry);
        }
    }
    for ([row, column], value) in found {
        matrix.add(row as usize, column as usize, value, symmetry);
    }
    Ok(matrix)
}

/// Whether a file is dense, and what its values are, by the words of its first line.
fn kind(layout: &str, field: &str, symmetry: &str) -> Option<(bool, Field, Symmetry)> {
    let is_dense = match layout {
        "array" => true,
        "coordinate" => false,
        _ => return None,
    };
    let field = match field {
        "real" | "double" => Field::Real,
        "integer" => Field::Integer,
        "pattern" if !is_dense => Field::Pattern,
        _ => return None,
    };
    let symmetry = match symmetry {
        "general" => Symmetry::Nothing,
        "symmetric" => Symmetry::Same,
        "skew-symmetric" => Symmetry::Opposite,
        _ => return None,
    };
    Some((is_dense, field, symmetry))
}

impl Matrix {
    /// Adds to a value, for entries of the same place are summed, and to the one on the other side of the diagonal.
    fn add(&mut self, row: usize, column: usize, value: f32, symmetry: Symmetry) {
        self.values[row * self.columns + column] += value;
        if row != column && symmetry != Symmetry::Nothing {
            let other = if symmetry == Symmetry::Same {
                value
            } else {
                -value
            };
            self.values[column * self.columns + row] += other;
        }
    }
}

/// The lines of a file.
struct Lines<'a, R> {
    input: R,
    /// Number of the latest line.
    number: usize,
    source_name: &'a str,
}

impl<R: BufRead> Lines<'_, R> {
    fn raw(&mut self) -> Result<Option<String>, DataError> {
        let mut line = String::new();
        let read = self.input.read_line(&mut line);
        let length = read.map_err(|cause| DataError::unreadable(self.source_name, cause))?;
        self.number += 1;
        Ok((length > 0).then_some(line))
    }

    /// The next line that is neither empty nor a comment.
    fn some(&mut self) -> Result<Option<String>, DataError> {
        while let Some(line) = self.raw()? {
            if !line.trim().is_empty() && !line.starts_with('%') {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn next(&mut self, expected: &str) -> Result<String, DataError> {
        match self.some()? {
            Some(line) => Ok(line),
            None => self.wrong(expected, "the end of the file (truncated?)"),
        }
    }

    fn number(&self, word: &str, field: Field) -> Result<f32, DataError> {
        let value: f64 = match word.parse() {
            Ok(value) => value,
            Err(_) => return self.wrong("a number", word),
        };
        let rounded = value as f32;
        if !rounded.is_finite() {
            return self.wrong("a finite number of at most 3.4e38", word);
        }
        if field == Field::Integer && f64::from(rounded) != value {
            return self.wrong(
                "integers that 32-bit floats hold exactly, up to 16777216 (2^24)",
                word,
            );
        }
        Ok(rounded)
    }

    fn wrong<T>(&self, expected: &str, found: &str) -> Result<T, DataError> {
        let field = format!("line {}", self.number);
        let found = format!("`{}`", found.trim());
        Err(DataError::wrong(self.source_name, field, expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Matrix, String> {
        super::read(text.as_bytes(), "m.mtx").map_err(|error| error.to_string())
    }

    fn values(text: &str) -> Vec<f32> {
        read(text).expect(text).values
    }

    #[test]
    fn every_layout_field_and_symmetry_gives_its_values() {
        let entries = "%%MatrixMarket matrix coordinate integer general\n% by hand\n\n2 3 4\n1 1 5\n2 3 -7\n1 2 1\n1 2 2\n";
        let matrix = read(entries).expect("a matrix");
        assert_eq!(
            (matrix.rows, matrix.columns, matrix.is_integer),
            (2, 3, true)
        );
        assert_eq!(matrix.values, [5.0, 3.0, 0.0, 0.0, 0.0, -7.0]);
        let text =
            "%%MatrixMarket matrix coordinate real symmetric\n3 3 3\n1 1 0.5\n3 1 2e3\n3 2 -1\n";
        assert!(!read(text).expect("a matrix").is_integer);
        assert_eq!(values(text), [0.5, 0., 2e3, 0., 0., -1., 2e3, -1., 0.]);
        let text = "%%matrixmarket MATRIX coordinate pattern symmetric\n2 2 2\n2 1\n2 2\n";
        assert_eq!(values(text), [0.0, 1.0, 1.0, 1.0]);
        // Column by column.
        let text = "%%MatrixMarket matrix array real general\n2 3\n1\n2\n3\n4\n5\n6\n";
        assert_eq!(values(text), [1., 3., 5., 2., 4., 6.]);
        let text = "%%MatrixMarket matrix array integer symmetric\n2 2\n1\n2\n3\n";
        assert_eq!(values(text), [1.0, 2.0, 2.0, 3.0]);
        let text = "%%MatrixMarket matrix array real skew-symmetric\n2 2\n4\n";
        assert_eq!(values(text), [0.0, -4.0, 4.0, 0.0]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let general = "%%MatrixMarket matrix coordinate integer general\n";
        for (text, line, part) in [
            (
                "%%MatrixMarket matrix coordinate complex general\n1 1 0\n",
                1,
                "real, integer or pattern",
            ),
            (&format!("{general}2 x 1\n"), 2, "rows, columns and entries"),
            (&format!("{general}2 2 2\n1 1 1\n"), 4, "truncated?"),
            (&format!("{general}2 2 1\n3 1 1\n"), 3, "a row from 1 to 2"),
            (&format!("{general}2 2 1\n0 1 1\n"), 3, "a row from 1 to 2"),
            (&format!("{general}2 2 1\n1 1\n"), 3, "unless pattern"),
            (&format!("{general}2 2 1\n1 1 x\n"), 3, "a number"),
            (&format!("{general}2 2 1\n1 1 16777217\n"), 3, "2^24"),
            (
                &format!("{general}2 2 1\n1 1 1\n2 2 2\n"),
                4,
                "nothing more",
            ),
            (&format!("{general}0 2 0\n"), 2, "rows and columns"),
            // 33,538 genes of 10 million cells: refused before memory is asked for.
            (
                &format!("{general}10000000 33538 1\n"),
                2,
                "at most 1073741824 values",
            ),
            // 64 bytes that would take 4 GiB.
            (
                &format!("{general}32768 32768 1\n1 1 1\n"),
                2,
                "at most 67108864 values with all zeros for 1 entries",
            ),
            (
                "%%MatrixMarket matrix array real general\n32768 32768\n1\n",
                4,
                "truncated?",
            ),
            (
                &format!("{general}{0} {0} 1\n", usize::MAX),
                2,
                "at most 1073741824 values",
            ),
        ] {
            let said = read(text).expect_err(text);
            let line = format!("m.mtx: line {line}: ");
            assert!(said.starts_with(&line) && said.contains(part), "{said}");
        }
    }
}
