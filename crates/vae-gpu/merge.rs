//! `vae-gpu data merge`.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write, copy};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vae_data::npy::{self, NpyElement};

use crate::arguments::OverwriteArguments;
use crate::report;
use crate::shard::Shard;

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// File to write, a .csv table or a .npy array, whose parts lie beside it, such as latents.3-of-8.csv for latents.csv.
    file: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

pub(crate) fn run(arguments: &MergeArguments) -> Result<()> {
    let file = &arguments.file;
    arguments.overwrite.check(file)?;
    merge(file, &parts(file)?)?;
    report::result(&file.display().to_string());
    Ok(())
}

/// Writes `file` from its parts.
pub(crate) fn merge(file: &Path, parts: &[PathBuf]) -> Result<()> {
    let extension = file.extension().unwrap_or_default();
    let unwritable = || format!("{}: cannot be written", file.display());
    if extension == "npy" {
        let arrays = arrays(parts)?;
        vae_data::replace(file, |out| write_arrays(arrays, out)).with_context(unwritable)?;
    } else {
        let table = table(parts)?;
        vae_data::replace(file, |out| out.write_all(&table)).with_context(unwritable)?;
    }
    Ok(())
}

/// The files of all parts, in order.
fn parts(file: &Path) -> Result<Vec<PathBuf>> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let entries =
        fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
    let mut found: Vec<Shard> = entries
        .flatten()
        .filter_map(|entry| Shard::named(&entry.file_name().to_string_lossy(), file))
        .collect();
    found.sort_by_key(|shard| (shard.count(), shard.index()));
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        bail!(
            "{}: no parts beside it; expected files such as those that `--shard 1/8 --out {0}` writes",
            file.display()
        );
    };
    ensure!(
        first.count() == last.count(),
        "{}: parts of {} and of {} lie beside it; remove those of one kind",
        file.display(),
        first.count(),
        last.count()
    );
    let is_there = |index: &usize| found.iter().any(|shard| shard.index() == *index);
    let missing: Vec<String> = (1..=first.count())
        .filter(|index| !is_there(index))
        .map(|index| index.to_string())
        .collect();
    ensure!(
        missing.is_empty(),
        "{}: of {} parts {} missing; compute them with --shard",
        file.display(),
        first.count(),
        match &missing[..] {
            [one] => format!("{one} is"),
            many => format!("{} are", many.join(", ")),
        }
    );
    Ok(found.into_iter().map(|shard| shard.path(file)).collect())
}

/// The rows of all tables below one header. Ranks are those among all rows.
fn table(parts: &[PathBuf]) -> Result<Vec<u8>> {
    let mut header: Option<csv::StringRecord> = None;
    let mut rows = Vec::new();
    for part in parts {
        let broken = || format!("{}: cannot be read as a table", part.display());
        let mut reader = csv::Reader::from_path(part).with_context(broken)?;
        let of_part = reader.headers().with_context(broken)?.clone();
        let known = header.get_or_insert_with(|| of_part.clone());
        ensure!(
            *known == of_part,
            "{}: expected the columns of the first part, {known:?}, found {of_part:?}",
            part.display()
        );
        for row in reader.into_records() {
            rows.push(row.with_context(broken)?);
        }
    }
    let header = header.unwrap_or_default();
    let column = |name: &str| header.iter().position(|column| column == name);
    if let Some(rank) = column("rank") {
        let (by, sign) = match column("nll") {
            Some(nll) => (Some(nll), -1.0),
            None => (column("elbo"), 1.0),
        };
        let by = by.context("a table with ranks has the column nll or elbo")?;
        rank_rows(&mut rows, rank, |row| {
            sign * row
                .get(by)
                .and_then(|cell| cell.parse().ok())
                .unwrap_or(f64::NAN)
        });
    }
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&header)?;
    for row in &rows {
        out.write_record(row)?;
    }
    Ok(out.into_inner()?)
}

/// Sets the column `rank` of each row: 1 is the least likely.
fn rank_rows(
    rows: &mut [csv::StringRecord],
    rank: usize,
    likelihood: impl Fn(&csv::StringRecord) -> f64,
) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| likelihood(&rows[a]).total_cmp(&likelihood(&rows[b])));
    for (place, index) in (1..).zip(order) {
        let cells = rows[index].iter().enumerate();
        let place = format!("{place}");
        let row = cells.map(|(column, cell)| if column == rank { &*place } else { cell });
        rows[index] = row.collect();
    }
}

/// Files of arrays that have the same rows, and the shape of all together.
struct Arrays {
    files: Vec<(BufReader<File>, u64)>,
    shape: Vec<usize>,
}

fn arrays(parts: &[PathBuf]) -> Result<Arrays> {
    let mut arrays = Arrays {
        files: Vec::new(),
        shape: Vec::new(),
    };
    for part in parts {
        let name = part.display().to_string();
        let file = File::open(part).with_context(|| format!("{name}: cannot be read"))?;
        let mut file = BufReader::new(file);
        let header = npy::read_header(&mut file, &name)?;
        let is_plain = header.element == NpyElement::F32 && !header.big_endian;
        ensure!(
            is_plain && !header.fortran_order,
            "{name}: expected an array of f32 in C order, as vae-gpu writes it"
        );
        match &mut arrays.shape[..] {
            [] => arrays.shape = header.shape.clone(),
            [rows, of_row @ ..] => {
                ensure!(
                    header.shape.get(1..) == Some(of_row),
                    "{name}: expected rows of {of_row:?} as in the first part, found {:?}",
                    header.shape
                );
                *rows += header.shape[0];
            }
        }
        let bytes = header.length() as u64 * size_of::<f32>() as u64;
        file.seek(SeekFrom::Start(header.data_offset as u64))
            .with_context(|| format!("{name}: cannot be read"))?;
        arrays.files.push((file, bytes));
    }
    Ok(arrays)
}

fn write_arrays(arrays: Arrays, out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(&npy::header_bytes("<f4", &arrays.shape))?;
    for (file, bytes) in arrays.files {
        if copy(&mut file.take(bytes), out)? < bytes {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
