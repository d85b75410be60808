//! The commands.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::processes::Processes;
use crate::{
    data, decode, denoise, devices, doctor, encode, eval, explore, export, import, interpolate,
    latent, manifold, manual, page, reconstruct, runs, sample, score, show, sweep, train, traverse,
};

/// Two commands, as they are typed, below the options of another.
macro_rules! examples {
    ($first:literal, $second:literal) => {
        concat!("Examples:\n  ", $first, "\n  ", $second)
    };
}
pub(crate) use examples;

/// Train variational autoencoders (VAEs) on any GPU through wgpu or on the CPU, and use the trained models.
///
/// Example: vae-gpu train, then vae-gpu sample runs/digits-1
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = examples!["vae-gpu train", "vae-gpu sample runs/digits-1 --out more.png"]
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, or resume a run; without options, a small network on the built-in digits.
    ///
    /// A setting is taken from its option, else from --config, else from --preset, else from its default.
    #[command(after_help = examples!["vae-gpu train --preset pytorch --epochs 3", "vae-gpu train --data photos/ --size 64x64 --fit crop --channels 32,64 --latent 32"])]
    Train(Box<train::TrainArguments>),
    /// Train a model for every combination of some settings, with several seeds each, and compare them in one table.
    ///
    /// FILE is TOML:
    ///
    ///   seeds = 3                  # 0, 1 and 2; or a list of seeds
    ///   [base]                     # settings of all runs, named as in --config of train
    ///   preset = "pytorch"
    ///   epochs = 20
    ///   [grid]                     # every combination of these is trained
    ///   latent = [2, 10]
    ///   beta = [1, 4]
    ///
    /// Each run has a folder of its own. The same command goes on with a sweep that
    /// was interrupted, and takes points and seeds that were added to FILE.
    /// Processes, also of several machines, may work on one sweep: each takes the
    /// next run that is free. The table has mean and standard deviation over the
    /// seeds of each point. Exit code 1: some runs failed.
    #[command(verbatim_doc_comment, after_help = examples!["vae-gpu sweep grid.toml", "vae-gpu sweep grid.toml --out runs/more --dry-run"])]
    Sweep(sweep::SweepArguments),
    /// List the GPUs and the CPU, the --backend that selects each, and what --backend auto takes.
    #[command(after_help = examples!["vae-gpu devices", "vae-gpu devices | grep backend"])]
    Devices,
    /// Check that this machine computes what it should, and print what a bug report needs.
    ///
    /// Every kernel of training is compared with its twin on the CPU, whole steps and both engines with each other. Exit code 0:
    /// training here can be trusted; 1: it cannot.
    #[command(after_help = examples!["vae-gpu doctor", "vae-gpu doctor --backend cpu > report.txt"])]
    Doctor(doctor::DoctorArguments),
    /// Inspect, download, split or convert data.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Encode samples: write the mean (mu) and log-variance (log_var) of each posterior.
    #[command(after_help = examples!["vae-gpu encode runs/digits-1 --data new.npz --out new.csv", "vae-gpu encode runs/digits-1 --part train --with-z --out train.npz"])]
    Encode(encode::EncodeArguments),
    /// Decode latent vectors into images or table rows.
    #[command(after_help = examples!["vae-gpu decode runs/digits-1 latents.csv --out images.npy", "vae-gpu decode runs/digits-1 latents.csv --out decoded.png"])]
    Decode(decode::DecodeArguments),
    /// Generate samples: draw latent vectors from the prior and decode them.
    #[command(after_help = examples!["vae-gpu sample runs/digits-1 --count 64 --temperature 0.8 --out grid.png", "vae-gpu sample runs/digits-1 --fit-mixture 10 --draw-pixels --out drawn.npy"])]
    Sample(sample::SampleArguments),
    /// Reconstruct samples: encode them and decode the posterior means.
    #[command(after_help = examples!["vae-gpu reconstruct runs/digits-1", "vae-gpu reconstruct runs/digits-1 --data new.npz --count 20 --out new.png"])]
    Reconstruct(reconstruct::ReconstructArguments),
    /// Denoise samples: corrupt clean ones and measure how well they are restored, or restore corrupted ones.
    #[command(after_help = examples!["vae-gpu denoise runs/digits-1 --corrupt gaussian:0.3", "vae-gpu denoise runs/digits-1 --data new.npz --corrupted --out clean.npy"])]
    Denoise(denoise::DenoiseArguments),
    /// Interpolate between two samples in the latent space.
    #[command(after_help = examples!["vae-gpu interpolate runs/digits-1 --from 3 --to 8", "vae-gpu interpolate runs/digits-1 --from 3 --to 8 --walk spherical --out walk.gif"])]
    Interpolate(interpolate::InterpolateArguments),
    /// Vary one latent dimension at a time and decode the result: a row of images for each dimension.
    #[command(after_help = examples!["vae-gpu traverse runs/digits-1", "vae-gpu traverse runs/digits-1 --image 7 --dims 1,2 --out seven.gif"])]
    Traverse(traverse::TraverseArguments),
    /// Decode a grid of points in two latent dimensions into one picture.
    #[command(after_help = examples!["vae-gpu manifold runs/digits-1", "vae-gpu manifold runs/digits-1 --side 20 --out large.png"])]
    Manifold(manifold::ManifoldArguments),
    /// Plot the posterior means of samples in two dimensions, coloured by label.
    #[command(after_help = examples!["vae-gpu latent runs/digits-1", "vae-gpu latent runs/digits-1 --data new.npz --pca --out new.png"])]
    Latent(latent::LatentArguments),
    /// Score how likely each sample is under the model, for example to find anomalies.
    #[command(after_help = examples!["vae-gpu score runs/digits-1 --sort", "vae-gpu score runs/digits-1 --data new.npz --importance-samples 50 --out new.csv"])]
    Score(score::ScoreArguments),
    /// Evaluate the model: likelihood, use of the latents, reconstructions, and what the latents tell of labels and factors.
    #[command(after_help = examples!["vae-gpu eval runs/digits-1 --k 100", "vae-gpu eval runs/digits-1 --part train --k 10 --json > eval.json"])]
    Eval(eval::EvalArguments),
    /// List runs: data, network, objective, best loss, when, and whether they are finished.
    #[command(after_help = examples!["vae-gpu runs", "vae-gpu runs runs --sort best --format csv > runs.csv"])]
    Runs(runs::RunsArguments),
    /// Show one run: settings, best epoch, what its latents carry, its pictures, and its metrics as a table.
    #[command(after_help = examples!["vae-gpu show runs/digits-1", "vae-gpu show runs/digits-1 --format csv > metrics.csv"])]
    Show(show::ShowArguments),
    /// Write one page of HTML about a run, or about two side by side: settings, curves, latents, pictures, how to repeat it.
    ///
    /// Everything is in the one file; nothing is loaded from a network.
    #[command(after_help = examples!["vae-gpu report runs/digits-1", "vae-gpu report runs/digits-1 runs/digits-2 --out both.html"])]
    Report(page::ReportArguments),
    /// Explore the latent space on a page in the browser: samples in a plane, decoded points, walks, selections.
    ///
    /// The page is served on this machine alone, under an address with a key in it. With --export it is one file, which decodes by
    /// itself and opens without this program.
    #[command(after_help = examples!["vae-gpu explore runs/digits-1", "vae-gpu explore runs/digits-1 --data new.npz --export page.html"])]
    Explore(Box<explore::ExploreArguments>),
    /// Export the model as ONNX files or as a PyTorch state dict.
    #[command(after_help = examples!["vae-gpu export runs/digits-1 --format onnx", "vae-gpu export runs/digits-1 --format pytorch --out weights"])]
    Export(export::ExportArguments),
    /// Import a PyTorch state dict as a model.
    #[command(after_help = examples!["vae-gpu import vae.safetensors --config vae.toml --out runs/imported", "vae-gpu import theirs.safetensors --config vae.toml --map fc1=encoder.0 --out runs/renamed"])]
    Import(import::ImportArguments),
    /// Print a script that lets a shell complete commands and options.
    #[command(after_help = examples![
        "vae-gpu completions bash > vae-gpu.bash",
        "vae-gpu completions fish > vae-gpu.fish"
    ])]
    Completions(manual::CompletionsArguments),
    /// Print the manual page, or write the pages of all commands.
    #[command(after_help = examples!["vae-gpu man > vae-gpu.1", "vae-gpu man --to man1"])]
    Man(manual::ManArguments),
}

impl Command {
    /// Joins the processes that were started together, if this command shares its work with them.
    pub(crate) fn join(&self) -> Result<Processes> {
        match self {
            Self::Train(arguments) if !arguments.print_config => Processes::join(true),
            Self::Encode(encode::EncodeArguments { shard, .. })
            | Self::Score(score::ScoreArguments { shard, .. })
                if shard.is_for_all() =>
            {
                Processes::join(false)
            }
            Self::Eval(_) => Processes::join(false),
            _ => Ok(Processes::default()),
        }
    }

    pub(crate) fn run(&self, processes: &Processes) -> Result<ExitCode> {
        match self {
            Self::Train(arguments) => train::run(arguments, processes),
            Self::Sweep(arguments) => sweep::run(arguments),
            Self::Devices => devices::run(),
            Self::Doctor(arguments) => doctor::run(arguments),
            Self::Data(command) => data::run(command),
            Self::Encode(arguments) => encode::run(arguments, processes),
            Self::Decode(arguments) => decode::run(arguments),
            Self::Sample(arguments) => sample::run(arguments),
            Self::Reconstruct(arguments) => reconstruct::run(arguments),
            Self::Denoise(arguments) => denoise::run(arguments),
            Self::Interpolate(arguments) => interpolate::run(arguments),
            Self::Traverse(arguments) => traverse::run(arguments),
            Self::Manifold(arguments) => manifold::run(arguments),
            Self::Latent(arguments) => latent::run(arguments),
            Self::Score(arguments) => score::run(arguments, processes),
            Self::Eval(arguments) => eval::run(arguments, processes),
            Self::Runs(arguments) => runs::run(arguments),
            Self::Show(arguments) => show::run(arguments),
            Self::Report(arguments) => page::run(arguments),
            Self::Explore(arguments) => explore::run(arguments),
            Self::Export(arguments) => export::run(arguments),
            Self::Import(arguments) => import::run(arguments),
            Self::Completions(arguments) => manual::completions(arguments),
            Self::Man(arguments) => manual::pages(arguments),
        }
    }
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
