//! The commands.

use clap::{Parser, Subcommand};

use crate::{
    data, decode, denoise, encode, eval, export, import, interpolate, latent, manifold,
    reconstruct, sample, score, train, traverse,
};

/// Train variational autoencoders (VAEs) on any GPU through wgpu or on the CPU, and use the trained models.
///
/// Example: vae-gpu train, then vae-gpu sample runs/digits-1
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, or resume a run; without options, a small network on the built-in digits.
    ///
    /// A setting is taken from its option, else from --config, else from --preset, else from its default.
    ///
    /// Example: vae-gpu train --data photos/ --size 64x64 --fit crop --channels 32,64 --latent 32
    Train(Box<train::TrainArguments>),
    /// List the GPUs and the CPU, the --backend that selects each, and what --backend auto takes.
    Devices,
    /// Inspect, download, split or convert data.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Encode samples: write the mean (mu) and log-variance (log_var) of each posterior.
    ///
    /// Example: vae-gpu encode runs/digits-1 --data new.npz --out latents.csv
    Encode(encode::EncodeArguments),
    /// Decode latent vectors into images or table rows.
    ///
    /// Example: vae-gpu decode runs/digits-1 latents.csv --out images.npy
    Decode(decode::DecodeArguments),
    /// Generate samples: draw latent vectors from the prior and decode them.
    ///
    /// Example: vae-gpu sample runs/digits-1 --count 64 --temperature 0.8 --out grid.png
    Sample(sample::SampleArguments),
    /// Reconstruct samples: encode them and decode the posterior means.
    ///
    /// Example: vae-gpu reconstruct runs/photos-1 --data photos/ --count 20
    Reconstruct(reconstruct::ReconstructArguments),
    /// Denoise samples: corrupt clean ones and measure how well they are restored, or restore corrupted ones.
    ///
    /// Example: vae-gpu denoise runs/digits-1 --corrupt gaussian:0.3
    Denoise(denoise::DenoiseArguments),
    /// Interpolate between two samples in the latent space.
    ///
    /// Example: vae-gpu interpolate runs/digits-1 --from 3 --to 8 --walk spherical --out walk.gif
    Interpolate(interpolate::InterpolateArguments),
    /// Vary one latent dimension at a time and decode the result: a row of images for each dimension.
    ///
    /// Example: vae-gpu traverse runs/digits-1 --image 7 --dims 1,2
    Traverse(traverse::TraverseArguments),
    /// Decode a grid of points in two latent dimensions into one picture.
    ///
    /// Example: vae-gpu manifold runs/digits-1 --side 20
    Manifold(manifold::ManifoldArguments),
    /// Plot the posterior means of samples in two dimensions, coloured by label.
    ///
    /// Example: vae-gpu latent runs/digits-1 --pca
    Latent(latent::LatentArguments),
    /// Score how likely each sample is under the model, for example to find anomalies.
    ///
    /// Example: vae-gpu score runs/digits-1 --data new.npz --importance-samples 500
    Score(score::ScoreArguments),
    /// Evaluate the model: likelihood, use of the latents, reconstructions, and what the latents tell of labels and factors.
    ///
    /// Example: vae-gpu eval runs/digits-1 --k 1000 --per-sample samples.csv
    Eval(eval::EvalArguments),
    /// Export the model as ONNX files or as a PyTorch state dict.
    ///
    /// Example: vae-gpu export runs/digits-1 --format onnx
    Export(export::ExportArguments),
    /// Import a PyTorch state dict as a model.
    ///
    /// Example: vae-gpu import vae.safetensors --config vae.toml --map fc1=encoder.0 --out runs/imported
    Import(import::ImportArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
