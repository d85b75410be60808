//! Flags of what is minimised.

use clap::Args;
use vae_recipe::{Capacity, FreeBitsText, KlSchedule, ObjectiveName, RecipePatch};
use vae_spec::{KlEstimate, MmdKernel};

use crate::arguments::{one_of, positive};

#[derive(Debug, Args)]
#[command(next_help_heading = "Objective")]
pub(super) struct ObjectiveArguments {
    /// What is minimised: the negative ELBO; with the KL term drawn to a capacity; with its total correlation weighted by beta;
    /// with a maximum mean discrepancy (at --beta 0 that of WAE-MMD); or the importance-weighted bound, with its own gradient
    /// or the doubly reparameterized one [default: elbo].
    #[arg(long, value_parser = one_of::<ObjectiveName>(OBJECTIVES))]
    objective: Option<ObjectiveName>,
    /// Weight of the KL term; of the total correlation in beta-tcvae [default: 1; of capacity 30].
    #[arg(long)]
    beta: Option<f64>,
    /// How that weight rises: constant, linear, cosine or sigmoid[:LENGTH], or cyclical[:CYCLES[:LENGTH]]; a length is epochs, or
    /// steps as in 2000steps [default: constant; half the run, 4 cycles over all of it].
    #[arg(long, value_name = "KIND[:LENGTH]")]
    kl_schedule: Option<KlSchedule>,
    /// The KL term in closed form, or at the draws [default: analytic, but with a learned prior and the objectives beta-tcvae,
    /// iwae and dreg].
    #[arg(long, value_parser = one_of::<KlEstimate>(KLS))]
    kl: Option<KlEstimate>,
    /// Draws of the latents for each image [default: 1; of iwae and dreg 5].
    #[arg(long, value_parser = positive(), value_name = "K")]
    samples: Option<usize>,
    /// Count parts of the KL term as no less than this: each dimension, group-SIZE or the total; as a mean over the batch, or
    /// of each image [default: none; parts: dimension:batch].
    #[arg(long, value_name = "NATS[:PART[:batch|image]]")]
    free_bits: Option<FreeBitsText>,
    /// KL term that objective capacity asks for, reached after a length [default: 25, after half the run].
    #[arg(long, value_name = "NATS[:LENGTH]")]
    capacity: Option<Capacity>,
    /// Weight of the discrepancy of info-vae [default: 100].
    #[arg(long, value_name = "WEIGHT")]
    mmd_weight: Option<f64>,
    /// Its kernel: inverse multiquadratics, or a Gaussian [default: imq].
    #[arg(long, value_parser = one_of::<MmdKernel>(KERNELS))]
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

const OBJECTIVES: &[&str] = &["elbo", "capacity", "beta-tcvae", "info-vae", "iwae", "dreg"];
const KLS: &[&str] = &["analytic", "sampled"];
const KERNELS: &[&str] = &["imq", "rbf"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::check_names;

    #[test]
    fn every_name_on_the_command_line_is_one_of_the_config_file() {
        check_names::<ObjectiveName>(OBJECTIVES);
        check_names::<KlEstimate>(KLS);
        check_names::<MmdKernel>(KERNELS);
    }
}
