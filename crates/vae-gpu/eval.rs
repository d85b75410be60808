//! `vae-gpu eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use vae_infer::metrics::Mean;
use vae_infer::{
    Evaluation, EvaluationData, Inference, LatentUse, Nll, read_factors, write_evaluation,
};
use vae_recipe::{Binarize, LikelihoodName};
use vae_run::SavedRun;
use vae_train::Group;

use crate::arguments::{LabelledInputArguments, ModelArguments, OverwriteArguments, positive};
use crate::processes::Processes;
use crate::share::{Share, Work};
use crate::{output, report};

#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    input: LabelledInputArguments,
    /// Importance samples of each log-likelihood; those with 1, 10, 100 and so on are printed, too, from the same draws.
    #[arg(long, value_name = "K", default_value = "5000", value_parser = positive(), help_heading = "Evaluation")]
    k: usize,
    /// Known factors of the evaluated samples, for MIG, SAP and DCI: .npy or .csv, or .npz as dSprites [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Evaluation")]
    factors: Option<PathBuf>,
    /// Print one JSON object instead of text [default: false].
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Table to write, with the columns id, label, recon, kl, elbo, nll, mse, psnr and ssim of each sample [default: none].
    #[arg(long, value_name = "FILE.csv", help_heading = "Output")]
    per_sample: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArguments,
}

/// An evaluation with what it was made of.
#[derive(Serialize)]
struct Report<'a> {
    likelihood: LikelihoodName,
    pixels: &'static str,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

pub(crate) fn run(arguments: &EvalArguments, processes: &Processes) -> Result<ExitCode> {
    if let Some(file) = &arguments.per_sample {
        ensure!(
            !arguments.json || file.as_os_str() != "-",
            "--per-sample -: --json has the standard output; name a file"
        );
        arguments.overwrite.check(file)?;
    }
    let run = arguments.model.open()?;
    let images = arguments.input.open(&run)?;
    let factors = arguments
        .factors
        .as_ref()
        .map(|file| read_factors(file, images.count()))
        .transpose()?;
    let train = match images.classes() {
        Some(_) => arguments.input.others(&run).unwrap_or_else(|error| {
            report::note(&format!(
                "labels are not judged, without training samples: {error:#}"
            ));
            None
        }),
        None => None,
    };
    let device = arguments.model.device()?;
    let on_progress = report::on_progress();
    let counts = counts(arguments.k);
    let mut inference = Inference::open(&run, &device, &on_progress)?;
    let nll = match processes.group() {
        Some(group) => {
            let Work { images, first } = Share::of(group).work(images.clone())?;
            inference = inference.starting_at(first);
            let nll = inference.importance_nll(&images, &counts)?;
            let Some(nll) = gathered(group, nll)? else {
                return Ok(ExitCode::SUCCESS);
            };
            inference = inference.starting_at(0);
            Some(nll)
        }
        None => None,
    };
    let evaluation = inference.evaluate(&EvaluationData {
        images: &images,
        train: train.as_ref(),
        factors: factors.as_ref(),
        counts: &counts,
        nll,
    })?;
    if let Some(file) = &arguments.per_sample {
        let bytes = output::seekable(|out| write_evaluation(out, &images, &evaluation))?;
        output::write(file, &bytes)?;
    }
    if arguments.json {
        let report = Report {
            likelihood: run.recipe.likelihood,
            pixels: pixels(&run),
            evaluation: &evaluation,
        };
        report::result(&serde_json::to_string_pretty(&report)?);
    } else {
        print(&evaluation, &run, train.map_or(0, |train| train.count()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The likelihoods of all samples, `[counts][samples]`, from those of each process; `None` but on the first.
fn gathered(group: &dyn Group, nll: Vec<Vec<f64>>) -> Result<Option<Vec<Vec<f64>>>> {
    let mut all: Option<Vec<Vec<f64>>> = None;
    for part in group.gather(&serde_json::to_vec(&nll)?) {
        let part: Vec<Vec<f64>> = serde_json::from_slice(&part)?;
        match &mut all {
            None => all = Some(part),
            Some(all) => {
                let pairs = all.iter_mut().zip(part);
                pairs.for_each(|(all, part)| all.extend(part));
            }
        }
    }
    Ok(all)
}

/// 1, 10, 100 and so on below `k`, then `k`.
fn counts(k: usize) -> Vec<usize> {
    let powers = (0..).map(|power| 10usize.saturating_pow(power));
    powers.take_while(|&count| count < k).chain([k]).collect()
}

/// What the likelihood is that of.
const fn pixels(run: &SavedRun) -> &'static str {
    match run.recipe.binarize {
        Binarize::None => "values as they are",
        Binarize::Threshold => "pixels white above one half",
        Binarize::Static | Binarize::Dynamic => "pixels drawn once as 0 or 1",
    }
}

fn print(evaluation: &Evaluation, run: &SavedRun, train: usize) -> Result<()> {
    let nats = |Mean {
                    mean,
                    standard_error,
                }: Mean| format!("{mean:.2} +- {standard_error:.2}");
    let line = |what: &str, text: &str| report::result(&format!("{what:<16}{text}"));
    line(
        "samples",
        &format!(
            "{} of {}; {}, {}",
            evaluation.samples,
            run.recipe.image,
            serde_json::to_value(run.recipe.likelihood)?
                .as_str()
                .unwrap_or_default(),
            pixels(run)
        ),
    );
    line(
        "-ELBO",
        &format!(
            "{} nats, {:.3} bits per dimension; recon {:.2}, kl {:.2}",
            nats(evaluation.negative_elbo),
            evaluation.bits_per_dimension,
            evaluation.recon,
            evaluation.kl
        ),
    );
    for &Nll {
        importance_samples,
        nats: estimate,
        bits_per_dimension,
    } in &evaluation.nll
    {
        let what = format!("NLL, k = {importance_samples}");
        let text = format!(
            "{} nats, {bits_per_dimension:.3} bits per dimension",
            nats(estimate)
        );
        line(&what, &text);
    }
    let latent = evaluation.kl_per_dimension.len();
    line(
        "active units",
        &format!(
            "{} of {latent} (variance of mu above {}); mutual information {:.2} nats of at most {:.2}",
            evaluation.active_units,
            LatentUse::ACTIVE,
            evaluation.mutual_information,
            (evaluation.samples.min(LatentUse::IMAGES) as f64).ln(),
        ),
    );
    let kl = evaluation.kl_per_dimension.iter();
    let kl: Vec<String> = kl.map(|kl| format!("{kl:.2}")).collect();
    // The prior may be another one.
    line(
        "kl per latent",
        &format!("{} (from the standard normal)", kl.join(" ")),
    );
    let mut likeness = format!("MSE {:.5}", evaluation.reconstruction.mse);
    if let Some(psnr) = evaluation.reconstruction.psnr {
        likeness += &format!(", PSNR {psnr:.2} dB");
    }
    if let Some(ssim) = evaluation.reconstruction.ssim {
        likeness += &format!(", SSIM {ssim:.4}");
    }
    line("reconstruction", &likeness);
    if let Some(labels) = &evaluation.labels {
        line(
            "labels",
            &format!(
                "kNN accuracy {:.4}, linear probe {:.4} (of mu, fitted to {train} training samples)",
                labels.knn_accuracy, labels.linear_accuracy
            ),
        );
    }
    if let Some(factors) = &evaluation.factors {
        line(
            "factors",
            &format!(
                "MIG {:.4}, SAP {:.4}, DCI disentanglement {:.4}, completeness {:.4}, informativeness {:.4}",
                factors.mig,
                factors.sap,
                factors.disentanglement,
                factors.completeness,
                factors.informativeness
            ),
        );
    }
    Ok(())
}
