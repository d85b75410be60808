//! The samples that are shown: their posteriors, their losses, how they look, and what the page has to know of the model.

use anyhow::Result;
use serde::Serialize;
use vae_data::Images;
use vae_infer::Inference;
use vae_run::SavedRun;
use vae_view::Thumbnails;

use crate::runs::{network, objective};

/// What the page knows of model and samples beside their numbers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    title: String,
    about: String,
    count: usize,
    latent: usize,
    /// Channels, height and width of a sample.
    shape: [usize; 3],
    /// The same of a thumbnail.
    thumbnail: [usize; 3],
    pub(super) is_table: bool,
    /// Names of a table's columns.
    columns: Vec<String>,
    /// Names of the data's labels.
    classes: Vec<String>,
    /// Those of a conditional model.
    labels: Vec<String>,
    ids: Vec<String>,
    /// Whether images can be encoded.
    pub(super) can_encode: bool,
    /// What decodes, where that is not the page itself.
    pub(super) device: String,
}

/// Samples with what the model makes of them.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) about: About,
    /// As the model sees them.
    images: Images,
    thumbnails: Thumbnails,
    /// recon, kl, class, mu and log_var of all, little-endian numbers of 4 bytes.
    pub(super) points: Vec<u8>,
}

impl Samples {
    /// At most `most` of `images`, evenly spread over them, encoded and scored. `name` is the run's.
    pub(super) fn new(
        run: &SavedRun,
        name: &str,
        inference: &mut Inference<'_>,
        images: &Images,
        most: usize,
    ) -> Result<Self> {
        let all = images.count();
        let count = all.min(most);
        let places: Vec<u32> = (0..count).map(|i| (i * all / count) as u32).collect();
        let images = images.subset(&places);
        let posteriors = inference.encode(&images)?;
        let scores = inference.score(&images, None)?;
        let classes = images.classes();
        let class = |place: usize| match &classes {
            Some(classes) => classes[place] as i32,
            None => -1,
        };
        let mut points = Vec::new();
        let losses = scores.iter().map(|score| score.recon);
        let losses = losses.chain(scores.iter().map(|score| score.kl));
        points.extend(losses.flat_map(|loss| (loss as f32).to_le_bytes()));
        points.extend((0..count).flat_map(|place| class(place).to_le_bytes()));
        points.extend(bytes_of(&posteriors.mu));
        points.extend(bytes_of(&posteriors.log_var));
        let shape = inference.shape();
        let thumbnails = Thumbnails::of(shape);
        let sizes = |shape: vae_data::Shape| [shape.channels, shape.height, shape.width];
        let shown = match count == all {
            true => format!("{count} samples"),
            false => format!("{count} of {all} samples, evenly spread"),
        };
        let about = About {
            title: name.to_owned(),
            about: format!(
                "{}; {}; {shown} of {}.",
                network(&run.recipe),
                objective(&run.recipe),
                run.recipe.data
            ),
            count,
            latent: inference.latent(),
            shape: sizes(shape),
            thumbnail: sizes(thumbnails.shape),
            is_table: shape.is_table(),
            columns: run.preprocessing.columns().to_vec(),
            classes: images.class_names().to_vec(),
            labels: run.recipe.classes.clone(),
            ids: (0..count)
                .map(|place| images.id(place).into_owned())
                .collect(),
            can_encode: !shape.is_table() && [1, 3].contains(&shape.channels),
            device: String::new(),
        };
        Ok(Self {
            about,
            images,
            thumbnails,
            points,
        })
    }

    /// Names of the classes that a conditional model is told.
    pub(super) fn labels(&self) -> &[String] {
        &self.about.labels
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.images.count()
    }

    /// The samples at `places`: thumbnails as bytes, `[count, height, width, channels]`, or the values of a table's rows in units of
    /// the data, as numbers of 4 bytes.
    pub(super) fn shown(&self, inference: &Inference<'_>, places: &[u32]) -> Vec<u8> {
        let mut values = self.images.gather(places);
        if self.about.is_table {
            let length = inference.shape().length();
            inference.preprocessing().undo(&mut values, length);
            return bytes_of(&values).collect();
        }
        inference.preprocessing().to_pixels(&mut values);
        self.thumbnails.bytes(&values)
    }

    /// Thumbnails of all in one PNG file, as many beside each other as below.
    pub(super) fn atlas(&self, inference: &Inference<'_>) -> Result<Vec<u8>> {
        let places: Vec<u32> = (0..self.count() as u32).collect();
        let columns = vae_view::square_columns(self.count());
        let bytes = self.shown(inference, &places);
        Ok(self.thumbnails.atlas(&bytes, columns)?)
    }
}

/// Numbers as their little-endian bytes.
pub(super) fn bytes_of(values: &[f32]) -> impl Iterator<Item = u8> {
    values.iter().flat_map(|value| value.to_le_bytes())
}
