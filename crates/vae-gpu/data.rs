//! `vae-gpu data`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use vae_data::fetch::{NamedSet, fetch};
use vae_data::{Dataset, Format, Images, Source, did_you_mean, split, text_columns, write};

use crate::arguments::{FetchArguments, OverwriteArguments, ReadArguments, one_of};
use crate::command::examples;
use crate::merge::{self, MergeArguments};
use crate::report;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Print the format, shape, number of samples, range of values, labels and SHA-256 of data.
    #[command(after_help = examples!["vae-gpu data info digits", "vae-gpu data info table.csv --labels species"])]
    Info(InfoArguments),
    /// Download datasets and print the folder of each.
    #[command(after_help = examples!["vae-gpu data fetch mnist kmnist", "vae-gpu data fetch mnist --data-dir downloads"])]
    Fetch(FetchSetArguments),
    /// Split data at random into training and validation samples, stratified by label.
    #[command(after_help = examples!["vae-gpu data split table.csv --labels species --format csv --out parts", "vae-gpu data split photos/ --size 64x64 --fit crop --fraction 0.2 --out halves"])]
    Split(SplitArguments),
    /// Convert data to another format.
    #[command(after_help = examples!["vae-gpu data convert photos/ --size 64x64 --fit crop --out photos.npy", "vae-gpu data convert new.npz --out pictures/"])]
    Convert(ConvertArguments),
    /// Put the parts together that `encode`, `score`, `sample` and `reconstruct` wrote with --shard, in order.
    #[command(after_help = examples!["vae-gpu data merge codes.csv", "vae-gpu data merge codes.npy --force"])]
    Merge(MergeArguments),
}

#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// Dataset name, file or folder, as in `train --data`.
    data: String,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Debug, Args)]
pub(crate) struct FetchSetArguments {
    /// Datasets to download: mnist, fashion-mnist or kmnist.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    fetch: FetchArguments,
}

#[derive(Debug, Args)]
pub(crate) struct SplitArguments {
    /// Dataset name, file or folder, as in `train --data`.
    data: String,
    /// Fraction of the samples that become validation samples, above 0 and below 1.
    #[arg(
        long,
        default_value = "0.1",
        value_name = "FRACTION",
        help_heading = "Split"
    )]
    fraction: f64,
    /// Random seed of the split; `train --val-fraction` makes the same split from the same seed.
    #[arg(long, default_value = "0", help_heading = "Split")]
    seed: u64,
    /// Format of both parts.
    #[arg(long, default_value = "npz", value_parser = one_of::<Format>(), help_heading = "Output")]
    format: Format,
    /// Folder to write the parts `train` and `validation` into.
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// Dataset name, file or folder, as in `train --data`.
    data: String,
    /// File to write, or folder for PNG files; test samples are written beside it, with `-test` in the name.
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Output")]
    out: PathBuf,
    /// Output format [default: that of the extension of --out; png without an extension].
    #[arg(long, value_parser = one_of::<Format>(), help_heading = "Output")]
    format: Option<Format>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    read: ReadArguments,
}

pub(crate) fn run(command: &DataCommand) -> Result<ExitCode> {
    match command {
        DataCommand::Info(arguments) => info(arguments),
        DataCommand::Fetch(arguments) => fetch_sets(arguments),
        DataCommand::Split(arguments) => split_in_two(arguments),
        DataCommand::Convert(arguments) => convert(arguments),
        DataCommand::Merge(arguments) => merge::run(arguments),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn open(name: &str, read: &ReadArguments) -> Result<Source> {
    let options = read.patch().read_options(read.fetch.options());
    let source = Source::open(name, &options, &report::on_progress())?;
    for text in &source.notes {
        report::note(text);
    }
    Ok(source)
}

fn info(arguments: &InfoArguments) -> Result<()> {
    let source = open(&arguments.data, &arguments.read)?;
    report::result(&format!("{}: {}", source.name, source.format));
    let part = |name: &str, images: &Images| {
        report::result(&format!(
            "{name}: {} of {}{}, {}",
            images.count(),
            images.shape(),
            report::labels(images),
            report::range(images)
        ));
        if let Some(classes) = images.classes() {
            let names = images.class_names().iter().zip(0..);
            let counts = names.map(|(name, class)| {
                let count = classes.iter().filter(|&&found| found == class).count();
                format!("{name}: {count}")
            });
            report::result(&format!("  {}", few(&counts.collect::<Vec<_>>())));
        }
    };
    part("samples", &source.train);
    if let Some(validation) = &source.validation {
        part("validation samples", validation);
    }
    if let Some(test) = &source.test {
        part("test samples", test);
    }
    if let [first, .., last] = source.train.array.names.as_deref().unwrap_or_default() {
        report::result(&format!("ids: {first} to {last}"));
    }
    if let Some(columns) = &source.train.array.columns {
        report::result(&format!("columns: {}", few(columns)));
    }
    report::result(&format!("SHA-256: {}", Dataset::fingerprint_of(&source)));
    Ok(())
}

fn fetch_sets(arguments: &FetchSetArguments) -> Result<()> {
    for name in &arguments.names {
        let set = NamedSet::find(name).with_context(|| {
            let known = NamedSet::names().collect::<Vec<_>>().join(", ");
            let meant = did_you_mean(name, NamedSet::names());
            format!("`{name}` cannot be fetched{meant}: expected one of {known}")
        })?;
        let folder = fetch(set, &arguments.fetch.options(), &report::on_progress())?;
        report::result(&folder.display().to_string());
    }
    Ok(())
}

fn split_in_two(arguments: &SplitArguments) -> Result<()> {
    let is_share = arguments.fraction > 0.0 && arguments.fraction < 1.0;
    anyhow::ensure!(
        is_share,
        "fraction: expected a number above 0 and below 1, found {}",
        arguments.fraction
    );
    let source = open(&arguments.data, &arguments.read)?;
    let parts = split(&source.train, arguments.fraction, arguments.seed)?;
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("{}: cannot be written", arguments.out.display()))?;
    let path = |name: &str| {
        let path = arguments.out.join(name);
        path.with_extension(arguments.format.extension())
    };
    let [train, validation] = &parts;
    let parts = [(train, path("train")), (validation, path("validation"))];
    write_parts(&parts, arguments.format, arguments.overwrite)
}

fn convert(arguments: &ConvertArguments) -> Result<()> {
    let out = &arguments.out;
    let format = arguments.format.or_else(|| Format::of(out));
    let Some(format) = format else {
        bail!(
            "{}: expected a name that ends in .npy, .npz, .csv, .tsv or .idx, a folder for PNG files, or --format",
            out.display()
        );
    };
    let source = open(&arguments.data, &arguments.read)?;
    let mut parts = vec![(&source.train, out.clone())];
    for (part, name) in [(&source.validation, "validation"), (&source.test, "test")] {
        let Some(part) = part else { continue };
        let stem = out.file_stem().unwrap_or_default().to_string_lossy();
        let beside = out.with_file_name(format!("{stem}-{name}"));
        let extension = out.extension().unwrap_or_default();
        parts.push((part, beside.with_extension(extension)));
    }
    write_parts(&parts, format, arguments.overwrite)
}

/// The first of many, and how many more there are.
fn few(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Writes parts, each to its path, and says where; nothing if one of their files is there and may not be replaced.
fn write_parts(
    parts: &[(&Images, PathBuf)],
    format: Format,
    overwrite: OverwriteArguments,
) -> Result<()> {
    for (images, path) in parts {
        let files = format.files(images, path);
        files.iter().try_for_each(|file| overwrite.check(file))?;
    }
    for (images, path) in parts {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{}: cannot be written", folder.display()))?;
        }
        write(images, path, format, &report::on_progress())?;
        for made in format.files(images, path) {
            report::result(&format!("{}: {} samples", made.display(), images.count()));
        }
    }
    let texts = parts.first().map(|(images, _)| text_columns(images));
    let [ids, labels] = texts.unwrap_or_default();
    let options = [("--ids", ids), ("--labels", labels)].into_iter();
    let options = options.filter_map(|(option, column)| Some(format!("{option} {}", column?)));
    let options: Vec<String> = options.collect();
    let is_table = matches!(format, Format::Csv | Format::Tsv);
    if is_table && !options.is_empty() {
        report::note(&format!("read it back with {}", options.join(" ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::values::{by_name, names};

    #[test]
    fn every_format_has_the_end_of_name_that_stands_for_it() {
        for name in names::<Format>() {
            let format: Format = by_name(name).expect("a format");
            let path = PathBuf::from("x").with_extension(format.extension());
            assert_eq!(Format::of(&path), Some(format));
        }
    }
}
