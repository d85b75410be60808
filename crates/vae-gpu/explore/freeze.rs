//! The page as one file: samples, thumbnails and the decoder with its weights are in it, so that it needs neither a server nor this
//! program.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use vae_data::Shape;
use vae_device::PortableDecoder;
use vae_infer::Inference;
use vae_run::SavedRun;
use vae_spec::GROUP_NORM_EPS;
use vae_view::Thumbnails;

use super::page;
use super::samples::{About, Samples, bytes_of};
use crate::runs::name;

/// What is in the file; docs/formats.md describes it.
#[derive(Serialize)]
struct Frozen<'a> {
    schema: u32,
    model: &'a About,
    points: String,
    /// Thumbnails as a PNG file.
    #[serde(skip_serializing_if = "Option::is_none")]
    atlas: Option<String>,
    /// Rows of a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<String>,
    decoder: Decoder,
}

#[derive(Serialize)]
struct Decoder {
    parameters: String,
    program: Program,
    shown: Shown,
}

#[derive(Serialize)]
struct Program {
    #[serde(flatten)]
    decoder: PortableDecoder,
    /// Added to the variance in group normalisation.
    epsilon: f64,
}

/// What becomes of the decoder's output: `mean(output) scale + shift`, each with one number for all values or one for each.
#[derive(Serialize)]
struct Shown {
    likelihood: String,
    spread: Vec<f64>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// Version of the file's layout.
const SCHEMA: u32 = 1;

/// Refuses more samples than fit into one picture: browsers draw none of more than 16,384 pixels a side.
pub(super) fn check_count(count: usize, shape: Shape) -> Result<()> {
    const SIDE: usize = 16_384;
    let Shape { height, width, .. } = Thumbnails::of(shape).shape;
    let most = (SIDE / height.max(width).max(1)).pow(2);
    ensure!(
        shape.is_table() || count <= most,
        "--count: expected at most {most} samples of this size in a file, found {count}"
    );
    Ok(())
}

/// The file's text.
pub(super) fn freeze(
    run: &SavedRun,
    samples: &Samples,
    inference: &Inference<'_>,
) -> Result<String> {
    let config = run.recipe.model();
    let decoder = PortableDecoder::new(&config, &run.weights)
        .context("this decoder has an operation that a page cannot compute")?;
    let mut about = samples.about.clone();
    about.can_encode = false;
    let is_table = about.is_table;
    let rows = || -> Vec<u32> { (0..samples.count() as u32).collect() };
    let atlas = (!is_table).then(|| samples.atlas(inference)).transpose()?;
    let frozen = Frozen {
        schema: SCHEMA,
        model: &about,
        points: STANDARD.encode(&samples.points),
        atlas: atlas.map(|png| format!("data:image/png;base64,{}", STANDARD.encode(png))),
        values: is_table.then(|| STANDARD.encode(samples.shown(inference, &rows()))),
        decoder: Decoder {
            parameters: STANDARD.encode(bytes_of(&decoder.parameters).collect::<Vec<u8>>()),
            shown: shown(run, is_table),
            program: Program {
                decoder,
                epsilon: GROUP_NORM_EPS,
            },
        },
    };
    Ok(page::frozen(&serde_json::to_string(&frozen)?))
}

fn shown(run: &SavedRun, is_table: bool) -> Shown {
    let length = if is_table {
        run.recipe.image.length()
    } else {
        1
    };
    // Both are linear: what they make of 0 and 1 says all.
    let of = |value: f32| {
        let mut values = vec![value; length];
        match is_table {
            true => run.preprocessing.undo(&mut values, length),
            false => run.preprocessing.to_pixels(&mut values),
        }
        values
    };
    let (shift, one) = (of(0.0), of(1.0));
    Shown {
        likelihood: name(&run.recipe.likelihood),
        spread: run.weights.spread(&run.recipe.model()),
        scale: one
            .iter()
            .zip(&shift)
            .map(|(one, shift)| one - shift)
            .collect(),
        shift,
    }
}
