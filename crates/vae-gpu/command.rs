//! The commands.

use clap::{Parser, Subcommand};

use crate::{
    data, decode, denoise, encode, export, import, interpolate, latent, manifold, reconstruct,
    sample, score, train, traverse,
};

/// Train variational autoencoders on any GPU through wgpu, or on the CPU, and use them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, or resume training; without options, the article's network on the built-in digits.
    Train(Box<train::TrainArguments>),
    /// List the devices that can train.
    Devices,
    /// Look at data, fetch, split or convert them.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Write the posterior of each image: mu, log_var, and a draw z.
    Encode(encode::EncodeArguments),
    /// Write the mean images of latent vectors.
    Decode(decode::DecodeArguments),
    /// Decode draws of the prior.
    Sample(sample::SampleArguments),
    /// Show images and what the model makes of them.
    Reconstruct(reconstruct::ReconstructArguments),
    /// Damage images and show what the model makes of that, or clean damaged ones.
    Denoise(denoise::DenoiseArguments),
    /// Walk from one image to another through the latent space.
    Interpolate(interpolate::InterpolateArguments),
    /// Change one latent dimension at a time.
    Traverse(traverse::TraverseArguments),
    /// Decode a grid of quantiles of the standard normal in a plane of the latent space.
    Manifold(manifold::ManifoldArguments),
    /// Show where images lie in a plane of the latent space, one colour per label.
    Latent(latent::LatentArguments),
    /// Say how likely each image is, for example to find the odd ones.
    Score(score::ScoreArguments),
    /// Write the model for other programs: ONNX, PyTorch.
    Export(export::ExportArguments),
    /// Make a model of a PyTorch state dict.
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
