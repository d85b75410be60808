//! What the server answers: the page, the samples, and what the model computes of latents and images.

use anyhow::{Result, ensure};
use vae_data::{Array, Images};
use vae_infer::Inference;

use super::http::Reply;
use super::page;
use super::samples::{Samples, bytes_of};

const BINARY: &str = "application/octet-stream";
/// Samples whose images are asked for at once.
const IMAGES: usize = 1000;
/// Latents that are decoded at once.
const DECODED: usize = 1000;

/// The model and the samples.
pub(super) struct Answerer<'a, 'b> {
    pub(super) inference: &'a mut Inference<'b>,
    pub(super) samples: &'a Samples,
}

impl Answerer<'_, '_> {
    /// The reply to a request for `path`.
    pub(super) fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        let computed = |bytes: Result<Vec<u8>>| match bytes {
            Ok(bytes) => Reply::ok(BINARY, bytes),
            Err(error) => Reply::refusal(400, format!("{error:#}.")),
        };
        match (method, path) {
            ("GET", "") => Reply::ok("text/html; charset=utf-8", page::served()),
            ("GET", "explore.css") => Reply::ok("text/css; charset=utf-8", page::STYLE),
            ("GET", "explore.js") => Reply::ok("text/javascript; charset=utf-8", page::script()),
            ("GET", "model.json") => match serde_json::to_vec(&self.samples.about) {
                Ok(json) => Reply::ok("application/json", json),
                Err(error) => Reply::refusal(500, error.to_string()),
            },
            ("GET", "points") => Reply::ok(BINARY, self.samples.points.clone()),
            ("POST", "images") => computed(self.images(body)),
            ("POST", "decode") => computed(self.decode(body)),
            ("POST", "reconstruct") => computed(self.reconstruct(body)),
            (_, "" | "explore.css" | "explore.js" | "model.json" | "points" | "images")
            | (_, "decode" | "reconstruct") => {
                Reply::refusal(405, "This is not asked for in this way.")
            }
            _ => Reply::refusal(404, "There is no such page."),
        }
    }

    /// The samples at the places in `body`, numbers of 4 bytes.
    fn images(&self, body: &[u8]) -> Result<Vec<u8>> {
        let places: Vec<u32> = words(body)?.map(u32::from_le_bytes).collect();
        let (count, asked) = (self.samples.count(), places.len());
        ensure!(
            asked <= IMAGES,
            "expected at most {IMAGES} samples at once, found {asked}"
        );
        if let Some(beyond) = places.iter().find(|&&place| place as usize >= count) {
            anyhow::bail!("expected places of samples below {count}, found {beyond}");
        }
        Ok(self.samples.shown(self.inference, &places))
    }

    /// The likelihood's means at the latents behind a class: brightness with channels first, or values of a table's row in units
    /// of the data.
    fn decode(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let (class, rest) = class_of(body)?;
        let z: Vec<f32> = words(rest)?.map(f32::from_le_bytes).collect();
        let latent = self.inference.latent();
        let count = z.len() / latent;
        ensure!(
            !z.is_empty() && z.len().is_multiple_of(latent) && count <= DECODED,
            "expected 1 to {DECODED} vectors of {latent} numbers, found {} numbers",
            z.len()
        );
        ensure!(
            z.iter().all(|x| x.is_finite()),
            "expected finite numbers as latents"
        );
        self.set_class(class)?;
        let means = self.inference.decode(&z)?;
        Ok(bytes_of(&self.shown(means)).collect())
    }

    /// Posterior, recon, kl, image and reconstruction of the bytes of an image with channels first, behind its class.
    fn reconstruct(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let (class, bytes) = class_of(body)?;
        let shape = self.inference.shape();
        ensure!(
            self.samples.about.can_encode && bytes.len() == shape.length(),
            "expected the {} bytes of an image of {shape}, found {}",
            shape.length(),
            bytes.len()
        );
        let class = self.set_class(class)?;
        let preprocessing = self.inference.preprocessing();
        let image = Images::from(Array::bytes(bytes.to_vec(), shape));
        let mut image = preprocessing.evaluation_images(&image)?;
        if let Some(label) = class {
            image = image.labelled(&label);
        }
        let posterior = self.inference.encode(&image)?;
        let score = self.inference.score(&image, None)?;
        let means = self.inference.reconstruct(&image)?;
        let terms = score.iter().flat_map(|score| [score.recon, score.kl]);
        let terms: Vec<f32> = terms.map(|term| term as f32).collect();
        let (image, means) = (self.shown(image.gather(&[0])), self.shown(means));
        let all = [&posterior.mu, &posterior.log_var, &terms, &image, &means];
        Ok(all
            .into_iter()
            .flat_map(|values| bytes_of(values))
            .collect())
    }

    /// Values of the model in units of what is shown.
    fn shown(&self, mut values: Vec<f32>) -> Vec<f32> {
        let preprocessing = self.inference.preprocessing();
        if self.samples.about.is_table {
            preprocessing.undo(&mut values, self.inference.shape().length());
        } else {
            preprocessing.to_pixels(&mut values);
        }
        values
    }

    /// Takes a class for what follows and gives its name; a model that takes none is told none.
    fn set_class(&mut self, class: Option<u32>) -> Result<Option<String>> {
        let names = self.samples.labels();
        ensure!(
            class.is_some() != names.is_empty(),
            "expected {}",
            if names.is_empty() {
                "no class, for the model takes no labels"
            } else {
                "a class, for the model was trained with --conditional"
            }
        );
        let Some(class) = class else { return Ok(None) };
        let name = names.get(class as usize);
        let Some(name) = name.cloned() else {
            anyhow::bail!("expected a class below {}, found {class}", names.len());
        };
        self.inference.set_label(class);
        Ok(Some(name))
    }
}

/// The class that `body` begins with, and the rest; a negative number is none.
fn class_of(body: &[u8]) -> Result<(Option<u32>, &[u8])> {
    let Some((class, rest)) = body.split_first_chunk() else {
        anyhow::bail!("expected a class in 4 bytes, found {}", body.len());
    };
    Ok((u32::try_from(i32::from_le_bytes(*class)).ok(), rest))
}

/// `bytes` as numbers of 4 bytes.
fn words(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; 4]>> {
    let (words, rest) = bytes.as_chunks();
    ensure!(
        rest.is_empty(),
        "expected numbers of 4 bytes each, found {} bytes",
        bytes.len()
    );
    Ok(words.iter().copied())
}
