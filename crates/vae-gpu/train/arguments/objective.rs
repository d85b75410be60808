//! Options of the training objective.

use clap::Args;
use vae_recipe::{Capacity, FreeBitsText, KlSchedule, ObjectiveName, RecipePatch};
use vae_spec::{KlEstimate, MmdKernel};

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Objective")]
pub(super) struct ObjectiveArguments {
    /// Training objective [default: elbo]
    ///
    /// elbo         the negative ELBO: reconstruction + beta * KL
    /// capacity     reconstruction + beta * |KL - capacity| (Burgess et al. 2018)
    /// beta-tcvae   beta weights the total correlation alone (Chen et al. 2018)
    /// info-vae     adds a maximum mean discrepancy (MMD); with --beta 0 it is WAE-MMD
    /// iwae         the importance-weighted bound (Burda et al. 2016)
    /// dreg         iwae with the doubly reparameterized gradient (Tucker et al. 2019)
    #[arg(long, verbatim_doc_comment, value_parser = one_of::<ObjectiveName>())]
    objective: Option<ObjectiveName>,
    /// Weight of the KL term; with beta-tcvae, of the total correlation [default: 1; with capacity 30].
    #[arg(long, value_name = "WEIGHT")]
    beta: Option<f64>,
    /// KL annealing: how the weight of the KL term rises during training, such as linear:10 [default: constant]
    ///
    /// constant                       --beta throughout
    /// linear[:LENGTH]                rise from 0 to --beta [default LENGTH: half the run]
    /// cosine[:LENGTH]                the same along half a cosine
    /// sigmoid[:LENGTH]               the same along a sigmoid
    /// cyclical[:CYCLES[:LENGTH]]     repeated rises [default: 4 cycles over the whole run]
    ///
    /// LENGTH is a number of epochs, such as 10, or of steps, such as 2000steps.
    #[arg(long, verbatim_doc_comment, value_name = "KIND[:..]")]
    kl_schedule: Option<KlSchedule>,
    /// Compute the KL term in closed form (analytic) or estimate it from draws (sampled) [default: analytic where possible].
    ///
    /// It is sampled with a learned prior and with the objectives beta-tcvae, iwae and dreg.
    #[arg(long, value_parser = one_of::<KlEstimate>())]
    kl: Option<KlEstimate>,
    /// Number of latent vectors drawn for each sample in a step [default: 1; with iwae and dreg 5].
    #[arg(long, value_parser = positive(), value_name = "K")]
    samples: Option<usize>,
    /// Free bits: do not reduce a part of the KL term below NATS, for example 0.1 or 0.5:group-4:image [default: none]
    ///
    /// PART is dimension (each latent dimension, the default), group-SIZE (groups of SIZE dimensions)
    /// or total. The limit holds for the mean over a batch (batch, the default) or for each sample (image).
    #[arg(long, verbatim_doc_comment, value_name = "NATS[:PART[:batch|image]]")]
    free_bits: Option<FreeBitsText>,
    /// Target of the KL term with --objective capacity, such as 25:10 for 25 nats from epoch 10 on [default: 25].
    ///
    /// The target rises linearly from 0 over LENGTH epochs, or steps as in 2000steps; by default over half the run.
    #[arg(long, value_name = "NATS[:LENGTH]")]
    capacity: Option<Capacity>,
    /// Weight of the MMD with --objective info-vae [default: 100].
    #[arg(long, value_name = "WEIGHT")]
    mmd_weight: Option<f64>,
    /// Kernel of the MMD with --objective info-vae: inverse multiquadratic (imq) or Gaussian (rbf) [default: imq].
    #[arg(long, value_parser = one_of::<MmdKernel>())]
    mmd_kernel: Option<MmdKernel>,
}

impl ObjectiveArguments {
    pub(super) fn patch(&self) -> RecipePatch {
        RecipePatch {
            objective: self.objective,
            beta: self.beta,
            kl_schedule: self.kl_schedule,
            kl: self.kl.map(Some),
            samples: self.samples.map(Some),
            free_bits: self.free_bits.map(Some),
            capacity: self.capacity.map(Some),
            mmd_weight: self.mmd_weight.map(Some),
            mmd_kernel: self.mmd_kernel.map(Some),
            ..RecipePatch::default()
        }
    }
}
