//! `vae-gpu score`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vae_infer::{Inference, write_scores};

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments, positive};
use crate::processes::Processes;
use crate::share::{ShardArguments, Work};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct ScoreArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Also estimate each log-likelihood with K importance samples, and rank by it [default: the ELBO alone].
    #[arg(long, value_name = "K", value_parser = positive(), help_heading = "Score")]
    importance_samples: Option<usize>,
    /// Write the least likely samples first, instead of the order of the data [default: false].
    #[arg(long, help_heading = "Output")]
    sort: bool,
    /// Table to write, with the columns id, label, recon, kl, elbo, nll (if estimated) and rank; - for stdout.
    ///
    /// recon, kl, elbo and nll are in nats; rank 1 is the least likely sample.
    #[arg(
        long,
        default_value = "scores.csv",
        value_name = "FILE.csv",
        help_heading = "Output"
    )]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArguments,
    #[command(flatten)]
    pub(crate) shard: ShardArguments,
}

pub(crate) fn run(arguments: &ScoreArguments, processes: &Processes) -> Result<ExitCode> {
    let share = arguments.shard.share(processes);
    let Some(out) = share.out(&arguments.out, arguments.overwrite)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let run = arguments.model.open()?;
    let Work { images, first } = share.work(arguments.input.open(&run)?)?;
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let mut inference = Inference::open(&run, &device, &on_progress)?.starting_at(first);
    let scores = inference.score(&images, arguments.importance_samples)?;
    let elbo = scores.iter().map(|score| score.elbo()).sum();
    let nll = scores.iter().filter_map(|score| score.nll).sum();
    let [count, elbo, nll] = share.sums([scores.len() as f64, elbo, nll]);
    let [elbo, nll] = [elbo, nll].map(|sum: f64| sum / count);
    report::note(&format!("mean ELBO {elbo:.2} nats per sample"));
    if let Some(samples) = arguments.importance_samples {
        report::note(&format!(
            "mean NLL {nll:.2} nats per sample, {samples} importance samples"
        ));
    }
    let bytes = output::seekable(|out| write_scores(out, &images, &scores, arguments.sort))?;
    share.write(&out, &arguments.out, &bytes)?;
    Ok(ExitCode::SUCCESS)
}
