//! Valid files of every format, small, most of them made here.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use vae_data::npy::{NpyArrayRef, write_f32, write_i64, write_npz, write_u8};
use vae_data::{Dataset, Scale, Scaling};
use vae_recipe::{Recipe, RecipePatch};
use vae_run::{
    DataSummary, EpochReport, ExportFormat, FORMAT_VERSION, Manifest, Position, Rollback,
    RunFolder, SavedRun, State, StepReport, export,
};
use vae_spec::{Losses, Snapshot, Weights};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Names, by whose endings formats are told, with contents.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

fn named(files: Vec<(&str, Vec<u8>)>) -> Files {
    let files = files.into_iter();
    files
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).expect("in memory");
    gzip.finish().expect("in memory")
}

/// An IDX file of elements of this `kind`, with zeros and ones in turn.
fn idx_of(kind: u8, size: usize, shape: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|length| length.to_be_bytes()));
    let count = shape.iter().product::<u32>() as usize;
    let element = |index: usize| {
        let mut element = vec![0; size];
        element[size - 1] = (index % 2) as u8;
        element
    };
    bytes.extend((0..count).flat_map(element));
    bytes
}

pub(crate) fn idx() -> Files {
    let images = idx_of(8, 1, &[12, 2, 3]);
    named(vec![
        ("images-idx3-ubyte.gz", gzipped(&images)),
        ("images-idx3-ubyte", images),
        ("i16-ubyte", idx_of(0x0b, 2, &[12, 4])),
        ("f64-ubyte", idx_of(0x0e, 8, &[12, 1, 2, 2])),
    ])
}

pub(crate) fn npy() -> Files {
    let written = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut bytes = Vec::new();
        write(&mut bytes).expect("in memory");
        bytes
    };
    let bytes: Vec<u8> = (0..48).map(|byte| 5 * byte).collect();
    let floats: Vec<f32> = (0..48).map(|x| x as f32 / 48.0).collect();
    let i64s: Vec<i64> = (-24..24).collect();
    let floats = written(&|out| write_f32(out, &[12, 4], &floats));
    let text = String::from_utf8_lossy(&floats[..128]).into_owned();
    assert!(text.contains("False"));
    let mut fortran = floats.clone();
    let place = floats.windows(5).position(|word| word == b"False");
    fortran[place.expect("there")..][..5].copy_from_slice(b"True ");
    named(vec![
        (
            "bytes.npy",
            written(&|out| write_u8(out, &[12, 2, 2], &bytes)),
        ),
        (
            "channels.npy",
            written(&|out| write_u8(out, &[8, 1, 3, 2], &bytes)),
        ),
        (
            "integers.npy",
            written(&|out| write_i64(out, &[48, 1], &i64s)),
        ),
        ("floats.npy", floats),
        ("fortran.npy", fortran),
    ])
}

pub(crate) fn npz() -> Files {
    let bytes: Vec<u8> = (0..48).map(|byte| 5 * byte).collect();
    let ids: Vec<String> = (0..12).map(|id| format!("id {id}")).collect();
    let labels: Vec<i64> = (0..12).map(|row| row % 3).collect();
    let written = |arrays: &[(&str, NpyArrayRef<'_>)]| {
        let mut out = Cursor::new(Vec::new());
        write_npz(&mut out, arrays).expect("in memory");
        out.into_inner()
    };
    let x = NpyArrayRef::U8(&[12, 2, 2], &bytes);
    let y = NpyArrayRef::I64(&[12], &labels);
    named(vec![
        (
            "named.npz",
            written(&[("x", x), ("y", y), ("ids", NpyArrayRef::Text(&[12], &ids))]),
        ),
        (
            "parts.npz",
            written(&[("x_train", x), ("y_train", y), ("x_test", x)]),
        ),
    ])
}

pub(crate) fn tables() -> Files {
    let rows = |separator: &str, decimal: &str| {
        let mut text = ["name", "length", "width", "kind"].join(separator) + "\n";
        for row in 0..12 {
            let cells = [
                format!("a{row}"),
                format!("{row}{decimal}5"),
                format!("-{row}{decimal}25e1"),
                format!("\"k{}\"", row % 3),
            ];
            text += &(cells.join(separator) + "\r\n");
        }
        text.into_bytes()
    };
    let numbers = |separator: &str| {
        let line = |row: usize| format!("{row}{separator}{}{separator}0.5\n", row + 1);
        (0..12).map(line).collect::<String>().into_bytes()
    };
    named(vec![
        ("named.csv", rows(",", ".")),
        ("comma.csv", rows(";", ",")),
        ("named.tsv", rows("\t", ".")),
        ("numbers.csv", numbers(",")),
        ("numbers.csv.gz", gzipped(&numbers(","))),
        ("spaces.txt", [b"# x y z\n", &numbers("  ")[..]].concat()),
    ])
}

pub(crate) fn matrices() -> Files {
    let values: String = (0..24).map(|value| format!("{value}.5\n")).collect();
    let entries: String = (1..13)
        .map(|row| format!("{row} {} 7\n", 1 + row % 3))
        .collect();
    let dense = format!("%%MatrixMarket matrix array real general\n12 2\n{values}");
    let sparse =
        format!("%%MatrixMarket matrix coordinate integer general\n% by hand\n12 3 12\n{entries}");
    let symmetric = "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n";
    named(vec![
        ("dense.mtx", dense.into_bytes()),
        ("sparse.mtx.gz", gzipped(sparse.as_bytes())),
        ("sparse.mtx", sparse.into_bytes()),
        ("symmetric.mtx", symmetric.into()),
    ])
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).expect("in memory");
    out.into_inner()
}

pub(crate) fn images() -> Files {
    let shade = |x: u32, y: u32| (40 * x + 7 * y) as u8;
    let colour = image::RgbImage::from_fn(5, 4, |x, y| image::Rgb([shade(x, y), 9, shade(y, x)]));
    let colour = DynamicImage::from(colour);
    let deep =
        image::ImageBuffer::from_fn(5, 4, |x, y| image::Luma([257 * u16::from(shade(x, y))]));
    let deep = DynamicImage::from(deep);
    let (grey, alpha) = (colour.to_luma8().into(), colour.to_rgba8().into());
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    let files = [
        ("grey.png", &grey, Png),
        ("alpha.png", &alpha, Png),
        ("deep.png", &deep, Png),
        ("colour.jpg", &colour, Jpeg),
        ("colour.bmp", &colour, Bmp),
        ("alpha.webp", &alpha, WebP),
        ("deep.tiff", &deep, Tiff),
        ("colour.tif", &colour, Tiff),
        // These two are known by their first bytes in folders, and here by the name of another.
        ("colour.gif.png", &alpha, Gif),
        ("grey.pgm.png", &grey, Pnm),
    ];
    let files = files.map(|(name, image, format)| (name, encoded(image, format)));
    named(files.into())
}

pub(crate) fn zips() -> Files {
    let images = images();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for index in 0..12 {
        let name = format!("data/class {}/{index}.png", index % 2);
        zip.start_file(name, options).expect("in memory");
        zip.write_all(&images[0].1).expect("in memory");
    }
    vec![(
        "images.zip".into(),
        zip.finish().expect("in memory").into_inner(),
    )]
}

/// Written by `crates/vae-data/assets/pandas_parquet.py`.
pub(crate) fn parquet() -> Files {
    let pandas = include_bytes!("../../../vae-data/assets/pandas.parquet");
    vec![("pandas.parquet".into(), pandas.to_vec())]
}

/// The config of the run that is written into `folder`, and one with convolutions.
pub(crate) fn configs(folder: &Path) -> Files {
    let mut files = run(folder);
    files.truncate(1);
    let stages = "channels = [4, 8]\nkernel = 3\nstride = 2\ngroup_norm = 2\nresidual_blocks = 1\n";
    let stages =
        format!("image = [3, 8, 8]\n{stages}hidden = [8]\nlatent = 2\nprior = \"vamp:5\"\n");
    files.push(("stages.toml".into(), stages.into_bytes()));
    files
}

pub(crate) fn sweeps() -> Files {
    let grid = "seeds = 2\n[base]\nepochs = 3\nhidden = [8]\n[grid]\nbeta = [1, 4.5]\nlatent = [2, 8]\nprior = [\"normal\", \"vamp:5\"]\n";
    let seeds = "seeds = [3, 7]\n[base]\npreset = \"conv\"\ndata = \"../x\"\n[grid]\nkl_schedule = [\"constant\", \"linear:10\"]\n";
    named(vec![
        ("grid.toml", grid.into()),
        ("seeds.toml", seeds.into()),
    ])
}

/// Writes a run with all its files into `folder`, and returns these.
pub(crate) fn run(folder: &Path) -> Files {
    let patch = "hidden = [3]\nlatent = 2\nprior = \"mixture:3\"\nlikelihood = \"gaussian\"\nscale = \"min-max\"\n";
    let patch: RecipePatch = toml::from_str(patch).expect("settings");
    let table = folder.join("table.csv");
    fs::create_dir_all(folder).expect("writable");
    fs::write(&table, &tables()[3].1).expect("writable");
    let name = table.to_string_lossy();
    let dataset = Dataset::open(&name, &Default::default(), &Default::default(), &|_| {});
    let dataset = dataset.expect("a table");
    fs::remove_file(table).expect("there");
    let recipe = Recipe::resolve(patch, &dataset).expect("a recipe");
    let scaling = Scaling::fit(Scale::MinMax, &dataset.train).expect("finite");
    let weights = |seed| Weights::initial(&recipe.model(), seed);
    let moments = recipe.optimizer_config().moment_names().len() as u64;
    let run = RunFolder::create(folder).expect("writable");
    run.write_best(&weights(1), scaling.as_ref())
        .expect("writable");
    run.log_step(&StepReport::default()).expect("writable");
    let epoch = EpochReport {
        kl_per_dimension: vec![0.5; 2],
        ..EpochReport::default()
    };
    run.log_epoch(&epoch).expect("writable");
    let rollback = Rollback {
        rollback: 1,
        epoch: 1,
        step: 2,
        lr: 0.5,
        reason: "NaN".into(),
    };
    run.log_rollback(&rollback).expect("writable");
    let state = State {
        position: Position {
            format_version: FORMAT_VERSION,
            manifest: Manifest::new("cpu".into(), DataSummary::of(&dataset), 3),
            recipe: recipe.clone(),
            epoch: 2,
            metrics_bytes: run.metrics_bytes().expect("readable"),
            plateau: Default::default(),
            stopping: Default::default(),
            lr_scale: 0.5,
            rollbacks: 1,
        },
        losses: vec![Losses::of_elbo(0.5, 1.25, 1.0); 3],
        snapshot: Snapshot {
            weights: weights(1),
            moments: (0..moments).map(weights).collect(),
        },
    };
    run.write_state(&state, scaling.as_ref()).expect("writable");
    run.write_recipe(&recipe).expect("writable");
    let names = [
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "model.safetensors",
        "state.safetensors",
    ];
    let read = |name: &str| (name.to_owned(), fs::read(folder.join(name)).expect("there"));
    names.map(read).into()
}

/// State dicts after the renaming of their layers; a run is written into `folder` for it.
pub(crate) fn imports(folder: &Path) -> Files {
    run(folder);
    let patch = "image = [2, 2]\nhidden = [3]\nlatent = 2\n";
    let patch: RecipePatch = toml::from_str(patch).expect("settings");
    let recipe = patch.over_defaults().complete().expect("a recipe");
    let saved = SavedRun::open(folder, None).expect("a run");
    let weights = Weights::initial(&recipe.model(), 1);
    let saved = SavedRun {
        recipe,
        weights,
        manifest: None,
        ..saved
    };
    let out = folder.join("exported");
    let files = export(&saved, ExportFormat::Pytorch, &out, true).expect("writable");
    let file = fs::read(&files[0]).expect("there");
    let renamed = [b"fc1=encoder.9\nfc21=mu\n\n", &file[..]].concat();
    named(vec![
        ("plain", [b"\n\n", &file[..]].concat()),
        ("renamed", renamed),
    ])
}
