//! Known factors of data in files, as dSprites has them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use vae_data::DataError;
use vae_data::npy::{self, NpyArray, NpyValues};

use crate::metrics::Factors;

/// Arrays of an NPZ file that hold factors, the first that is there: those of dSprites are the second.
const NAMES: [&str; 3] = ["factors", "latents_classes", "latents_values"];

/// Reads the factors of `count` samples: an NPY array `[count, factors]`, an array of an NPZ file with the name `factors`,
/// `latents_classes` or `latents_values`, or a CSV table with a header.
///
/// # Errors
/// If the file cannot be read, or does not hold so many rows of finite numbers.
pub fn read_factors(path: &Path, count: usize) -> Result<Factors, DataError> {
    let name = path.display().to_string();
    let wrong = |field: &str, expected: String, found: String| {
        DataError::wrong(name.clone(), field, expected, found)
    };
    let unreadable = |cause| DataError::unreadable(name.clone(), cause);
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let (rows, columns, values) = if extension == "csv" {
        read_table(BufReader::new(File::open(path).map_err(unreadable)?), &name)?
    } else {
        let NpyArray { shape, values } = if extension == "npz" {
            let mut npz = npy::Npz::open(path)?;
            let found: Vec<String> = npz.names().map(str::to_owned).collect();
            let array = NAMES
                .into_iter()
                .find(|name| found.iter().any(|found| found == name));
            let missing = || {
                wrong(
                    "array",
                    format!("one of {}", NAMES.join(", ")),
                    found.join(", "),
                )
            };
            npz.read(array.ok_or_else(missing)?)?
        } else {
            npy::read(BufReader::new(File::open(path).map_err(unreadable)?), &name)?
        };
        let numbers: Vec<f32> = match values {
            NpyValues::U8(values) => values.into_iter().map(f32::from).collect(),
            NpyValues::F32(values) => values,
            NpyValues::Integers(values) => values.into_iter().map(|value| value as f32).collect(),
            NpyValues::Text(_) => {
                return Err(wrong("array", "numbers".into(), "texts".into()));
            }
        };
        let [rows, columns] = shape[..] else {
            return Err(wrong(
                "array",
                "[samples, factors]".into(),
                format!("{shape:?}"),
            ));
        };
        (rows, columns, numbers)
    };
    if rows != count || columns == 0 {
        let expected = format!(
            "{count}, one for each evaluated sample; --data and --part choose which samples are evaluated"
        );
        return Err(wrong("rows", expected, rows.to_string()));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(wrong(
            &format!(
                "row {}, factor {}",
                place / columns + 1,
                place % columns + 1
            ),
            "a finite number".into(),
            values[place].to_string(),
        )),
        None => Ok(Factors {
            values,
            count: columns,
        }),
    }
}

fn read_table(
    input: impl std::io::Read,
    name: &str,
) -> Result<(usize, usize, Vec<f32>), DataError> {
    let broken = |error: csv::Error| {
        DataError::wrong(
            name,
            "table",
            "lines of as many values each",
            error.to_string(),
        )
    };
    let mut table = csv::Reader::from_reader(input);
    let columns = table.headers().map_err(broken)?.len();
    let mut values = Vec::new();
    for record in table.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, csv::Position::line);
        for cell in &record {
            let value = cell.trim().parse().map_err(|_| {
                DataError::wrong(name, format!("line {line}"), "a number", cell.to_owned())
            })?;
            values.push(value);
        }
    }
    Ok((values.len() / columns.max(1), columns, values))
}
