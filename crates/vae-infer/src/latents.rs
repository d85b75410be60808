//! Latent vectors in files, as `encode` writes and `decode` reads them.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use vae_data::npy::{self, NpyArrayRef, NpyValues};
use vae_data::{DataError, Images};
use vae_spec::Posterior;

use crate::{Evaluation, Score};

/// Posteriors of samples, optionally with a draw from each.
#[derive(Clone, Debug)]
pub struct Latents<'a> {
    /// The encoded samples.
    pub images: &'a Images,
    /// Posterior means and log-variances, `[count, latent]` each.
    pub posteriors: Posterior,
    /// Draws from the posteriors, `[count, latent]`.
    pub z: Option<Vec<f32>>,
    /// Number of latent dimensions.
    pub latent: usize,
}

impl Latents<'_> {
    /// The arrays to write, by name, each `[count, latent]`.
    fn parts(&self) -> Vec<(&'static str, &[f32])> {
        let Posterior { mu, log_var } = &self.posteriors;
        let z = self.z.as_deref().map(|z| ("z", z));
        [("mu", &mu[..]), ("log_var", log_var)]
            .into_iter()
            .chain(z)
            .collect()
    }

    /// Writes one line per sample: `id`, `label` if there are labels, `mu_1`, .., `log_var_1`, .., `z_1`, ...
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let parts = self.parts();
        let numbered = parts.iter().flat_map(|(name, _)| {
            (1..=self.latent).map(move |dimension| format!("{name}_{dimension}"))
        });
        let places = 0..self.images.count();
        write_csv(out, self.images, places, numbered.collect(), |place| {
            let values = parts
                .iter()
                .flat_map(|(_, values)| &values[place * self.latent..][..self.latent]);
            values.map(ToString::to_string).collect()
        })
    }

    /// Writes one array `[count, parts * latent]`: mu, log_var and z side by side.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_npy(&self, out: &mut impl Write) -> io::Result<()> {
        let parts = self.parts();
        let count = self.images.count();
        let row = |place: usize| {
            let row = parts
                .iter()
                .flat_map(move |(_, values)| &values[place * self.latent..][..self.latent]);
            row.copied()
        };
        let values: Vec<f32> = (0..count).flat_map(row).collect();
        npy::write_f32(out, &[count, parts.len() * self.latent], &values)
    }

    /// Writes arrays `mu`, `log_var`, `z`, and if there are labels `label`, the class indices.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_npz(&self, out: impl Write + io::Seek) -> io::Result<()> {
        let count = self.images.count();
        let (shape, length) = ([count, self.latent], [count]);
        let parts = self.parts();
        let parts = parts
            .iter()
            .map(|(name, values)| (*name, NpyArrayRef::F32(&shape, values)));
        let labels = self.images.classes();
        let labels = labels.map(|classes| classes.into_iter().map(i64::from).collect::<Vec<_>>());
        let labels = labels
            .as_ref()
            .map(|labels| ("label", NpyArrayRef::I64(&length, labels)));
        npy::write_npz(out, &parts.chain(labels).collect::<Vec<_>>())
    }
}

/// Writes one line for each of `places`: the sample's id, its label if it has one, and what `values` returns for its place.
fn write_csv(
    out: impl Write,
    images: &Images,
    places: impl IntoIterator<Item = usize>,
    columns: Vec<String>,
    values: impl Fn(usize) -> Vec<String>,
) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    let has_labels = images.array.labels.is_some();
    let label = has_labels.then(|| "label".to_owned());
    out.write_record(["id".to_owned()].into_iter().chain(label).chain(columns))?;
    for place in places {
        let label = images.label(place).map(str::to_owned);
        let first = [images.id(place).into_owned()].into_iter().chain(label);
        out.write_record(first.chain(values(place)))?;
    }
    out.flush()
}

/// Writes one line per sample: `id`, `label`, `recon`, `kl`, `elbo`, `nll` if estimated, and `rank`, 1 for the least likely;
/// in the order of the ranks if `is_sorted`, else of the data.
///
/// # Errors
/// If it cannot be written.
pub fn write_scores(
    out: impl Write,
    images: &Images,
    scores: &[Score],
    is_sorted: bool,
) -> io::Result<()> {
    let likelihood = |score: &Score| score.nll.map_or(score.elbo(), |nll| -nll);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| likelihood(&scores[a]).total_cmp(&likelihood(&scores[b])));
    let mut rank = vec![0; scores.len()];
    for (place, &index) in (1..).zip(&order) {
        rank[index] = place;
    }
    if !is_sorted {
        order.sort_unstable();
    }
    let has_nll = scores.first().is_some_and(|score| score.nll.is_some());
    let columns = ["recon", "kl", "elbo"]
        .into_iter()
        .chain(has_nll.then_some("nll"))
        .chain(["rank"]);
    let columns = columns.map(str::to_owned).collect();
    write_csv(out, images, order, columns, |place| {
        let score = &scores[place];
        let numbers = [score.recon, score.kl, score.elbo()]
            .into_iter()
            .chain(score.nll);
        let numbers = numbers.map(|x| x.to_string());
        numbers.chain([rank[place].to_string()]).collect()
    })
}

/// Writes one line per sample: `id`, `label`, `recon`, `kl`, `elbo`, `nll` by most importance samples, `mse`, and of images `psnr`
/// and, where it is defined, `ssim`.
///
/// # Errors
/// If it cannot be written.
pub fn write_evaluation(
    out: impl Write,
    images: &Images,
    evaluation: &Evaluation,
) -> io::Result<()> {
    let likeness = evaluation.reconstruction;
    let psnr = likeness.psnr.map(|_| "psnr");
    let ssim = likeness.ssim.map(|_| "ssim");
    let columns = ["recon", "kl", "elbo", "nll", "mse"].into_iter();
    let columns = columns.chain(psnr).chain(ssim).map(str::to_owned).collect();
    write_csv(out, images, 0..evaluation.samples, columns, |place| {
        let score = &evaluation.scores[place];
        let similarity = &evaluation.similarities[place];
        let numbers = [score.recon, score.kl, score.elbo()]
            .into_iter()
            .chain(score.nll)
            .chain([similarity.mse])
            .chain(psnr.map(|_| similarity.psnr))
            .chain(ssim.and(similarity.ssim));
        numbers.map(|x| x.to_string()).collect()
    })
}

/// Reads latent vectors `[count, latent]` from an NPY file, `z` or `mu` of an NPZ file, or the columns `z_1`, .. or `mu_1`, ..
/// of a CSV file.
///
/// # Errors
/// If the file cannot be read, or does not hold vectors of `latent` finite numbers.
pub fn read_latents(path: &Path, latent: usize) -> Result<Vec<f32>, DataError> {
    let name = path.display().to_string();
    let unreadable = |cause| DataError::unreadable(name.clone(), cause);
    let wrong = |field: String, expected: String, found: String| {
        DataError::wrong(name.clone(), field, expected, found)
    };
    let file = File::open(path).map_err(unreadable)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let (width, values) = if extension == "csv" {
        read_columns(BufReader::new(file), &name, latent)?
    } else {
        let array = if extension == "npz" {
            let mut npz = npy::Npz::open(path)?;
            let has_z = npz.names().any(|name| name == "z");
            npz.read(if has_z { "z" } else { "mu" })?
        } else {
            npy::read(BufReader::new(file), &name)?
        };
        match (&array.shape[..], array.values) {
            ([_, width], NpyValues::F32(values)) => (*width, values),
            (shape, _) => {
                let expected = format!("[count, {latent}] of f32 or f64");
                return Err(wrong("array".into(), expected, format!("{shape:?}")));
            }
        }
    };
    // `encode` writes log_var, and perhaps z, beside mu.
    let values = match width / latent.max(1) {
        _ if width == latent => values,
        2 | 3 if width.is_multiple_of(latent) => {
            let part = if width == 3 * latent { 2 } else { 0 };
            let rows = values.chunks_exact(width);
            rows.flat_map(|row| row[part * latent..][..latent].to_vec())
                .collect()
        }
        _ => {
            let expected = format!("{latent}, as many as the model has latent dimensions");
            return Err(wrong(
                "values of a vector".into(),
                expected,
                width.to_string(),
            ));
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => {
            let field = format!(
                "vector {}, value {}",
                place / latent + 1,
                place % latent + 1
            );
            Err(wrong(
                field,
                "a finite number".into(),
                values[place].to_string(),
            ))
        }
        None => Ok(values),
    }
}

fn read_columns(
    input: impl io::Read,
    name: &str,
    latent: usize,
) -> Result<(usize, Vec<f32>), DataError> {
    let wrong =
        |field: String, expected: &str, found: &str| DataError::wrong(name, field, expected, found);
    let broken = |error: csv::Error| {
        wrong(
            "table".into(),
            "lines of as many values each",
            &error.to_string(),
        )
    };
    let mut table = csv::Reader::from_reader(input);
    let header = table.headers().map_err(broken)?.clone();
    let of = |part: &str| -> Vec<usize> {
        let columns = (1..=latent).map(|dimension| format!("{part}_{dimension}"));
        columns
            .filter_map(|column| header.iter().position(|name| name == column))
            .collect()
    };
    let columns = [of("z"), of("mu")]
        .into_iter()
        .find(|columns| columns.len() == latent);
    let columns = columns.ok_or_else(|| {
        let expected =
            format!("z_1 to z_{latent} or mu_1 to mu_{latent}, as `vae-gpu encode` writes them");
        wrong(
            "columns".into(),
            &expected,
            &header.iter().collect::<Vec<_>>().join(", "),
        )
    })?;
    let mut values = Vec::new();
    for record in table.records() {
        let record = record.map_err(broken)?;
        for &column in &columns {
            let line = record.position().map_or(0, csv::Position::line);
            let cell = &record[column];
            let value = cell.trim().parse().map_err(|_| {
                wrong(
                    format!("line {line}, column {}", &header[column]),
                    "a number",
                    cell,
                )
            })?;
            values.push(value);
        }
    }
    Ok((latent, values))
}
