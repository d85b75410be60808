//! The step programs of a model: what the engine runs to encode, decode, evaluate and train.

use vae_kernels::executor::TrainingProgram;
use vae_kernels::program::{KlGradient, LearnedSpread, MatrixId, NLL_COLUMNS, Pass, Program};
use vae_spec::network::{Network, Op};
use vae_spec::{Batch, KlEstimate, ModelConfig, Objective, ObjectiveKind, Spread, TrainingImages};

use crate::layout::Layout;
use crate::tape::{Records, Tape, Value};

/// A model to plan programs for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) network: &'a Network,
    pub(super) layout: &'a Layout,
}

/// A program that makes one matrix of others.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) program: Program,
    /// Images or latents, or latents and images; images channels first.
    pub(super) inputs: Vec<MatrixId>,
    /// The number of the class of each row, if the model sees labels.
    pub(super) labels: Option<MatrixId>,
    pub(super) output: MatrixId,
}

/// Program from images to the loss, and on to every gradient.
#[derive(Debug)]
pub(super) struct LossPlan {
    pub(super) program: Program,
    /// The passes before the backward ones: all that evaluation needs.
    pub(super) forward: Program,
    /// Channels first.
    pub(super) images: MatrixId,
    /// Input of the encoder; `images` unless they are corrupted.
    pub(super) seen: MatrixId,
    pub(super) labels: Option<MatrixId>,
    pub(super) recon: MatrixId,
    pub(super) kl: MatrixId,
    /// What is minimised instead of `recon + beta kl`, if anything.
    pub(super) bound: Option<MatrixId>,
    /// The matrices that the forward passes fill, by the names of their layers.
    pub(super) names: Vec<(String, MatrixId)>,
}

/// The negative log-likelihoods of a batch, and where gradients begin.
struct Reconstruction {
    recon: MatrixId,
    d_output: MatrixId,
    spread: Option<LearnedSpread>,
}

impl Plan {
    fn new(tape: Tape<'_>, inputs: Vec<MatrixId>, output: MatrixId) -> Self {
        Self {
            inputs,
            output,
            labels: tape.labels,
            program: tape.program,
        }
    }
}

impl<'a> Model<'a> {
    fn tape(&self, has_backward: bool) -> Tape<'a> {
        Tape::new(self.layout, self.config, has_backward)
    }

    /// Channels of images that lie in another order inside the engine.
    fn channels(&self) -> Option<usize> {
        let channels = self.config.image[0];
        (self.config.convolutions.is_some() && channels > 1).then_some(channels)
    }

    /// Images in the order of the engine.
    fn arranged(&self, tape: &mut Tape<'_>, images: MatrixId) -> MatrixId {
        self.channels()
            .map_or(images, |rows| transposed(tape, images, rows))
    }

    /// From images in the order of the engine to the posterior.
    fn encoder(&self, tape: &mut Tape<'_>, mut seen: MatrixId) -> (MatrixId, Records) {
        if self.config.likelihood.is_count() {
            // Counts may be of any size; their logarithms are of a size that networks work with.
            let output = tape.matrix(self.config.pixels());
            tape.push(Pass::LogOfCounts {
                input: seen,
                output,
            });
            seen = output;
        }
        let images = tape.value(seen);
        let (features, mut records) = tape.forward(&self.network.encoder, images);
        let posterior = tape.dense(&self.network.mu, 2, features, None, &mut records);
        (posterior.matrix, records)
    }

    /// Images to the posterior, mu | log_var.
    pub(super) fn encode(&self) -> Plan {
        let mut tape = self.tape(false);
        let input = tape.matrix(self.config.pixels());
        let images = self.arranged(&mut tape, input);
        let (output, _) = self.encoder(&mut tape, images);
        Plan::new(tape, vec![input], output)
    }

    /// Latents to the decoder's output.
    pub(super) fn decode(&self) -> Plan {
        let mut tape = self.tape(false);
        let input = tape.matrix(self.config.latent);
        let z = tape.value(input);
        let (output, _) = tape.forward(&self.network.decoder, z);
        let mut output = output.matrix;
        if let Some(channels) = self.channels() {
            let pixels = self.config.pixels() / channels;
            output = transposed(&mut tape, output, pixels);
        }
        Plan::new(tape, vec![input], output)
    }

    /// Latents and images to the parts of the images' negative log-likelihoods.
    pub(super) fn nll(&self) -> Plan {
        let mut tape = self.tape(false);
        let [z, images] =
            [self.config.latent, self.config.pixels()].map(|columns| tape.matrix(columns));
        let arranged = self.arranged(&mut tape, images);
        let z_value = tape.value(z);
        let (Reconstruction { recon, .. }, _) = self.reconstruction(&mut tape, z_value, arranged);
        Plan::new(tape, vec![z, images], recon)
    }

    /// From latents to the likelihood of `images`, which are in the order of the engine.
    fn reconstruction(
        &self,
        tape: &mut Tape<'_>,
        z: Value,
        images: MatrixId,
    ) -> (Reconstruction, Records) {
        let likelihood = self.config.likelihood;
        if let (Some((Op::Dense(last), before)), None) =
            (self.network.decoder.split_last(), self.network.log_spread)
        {
            let (features, mut records) = tape.forward(before, z);
            let [recon, d_output] =
                tape.dense_nll(last, features, images, likelihood, &mut records);
            let reconstruction = Reconstruction {
                recon,
                d_output,
                spread: None,
            };
            return (reconstruction, records);
        }
        let (output, records) = tape.forward(&self.network.decoder, z);
        let pixels = self.config.pixels();
        let parts = pixels.div_ceil(NLL_COLUMNS);
        let [recon, d_output] = [parts, pixels].map(|columns| tape.matrix(columns));
        let spread = self.network.log_spread.map(|parameter| {
            let length = self.layout.length(parameter);
            let columns = match likelihood.spread() {
                Some(Spread::PerDimension) => pixels,
                _ => parts,
            };
            LearnedSpread {
                offset: self.layout.offset(parameter),
                length,
                d_spread: tape.matrix(columns),
            }
        });
        tape.push(Pass::Nll {
            output: output.matrix,
            images,
            likelihood,
            spread,
            recon,
            d_output,
        });
        let reconstruction = Reconstruction {
            recon,
            d_output,
            spread,
        };
        (reconstruction, records)
    }

    /// With `corrupts`, the encoder sees other images than those to be reconstructed.
    pub(super) fn loss(&self, objective: &Objective, corrupts: bool) -> LossPlan {
        let (pixels, latent) = (self.config.pixels(), self.config.latent);
        let mut tape = self.tape(true);
        let images = tape.matrix(pixels);
        let seen = if corrupts {
            tape.matrix(pixels)
        } else {
            images
        };
        tape.name("images", seen);
        let arranged = self.arranged(&mut tape, images);
        let arranged_seen = match corrupts {
            true => self.arranged(&mut tape, seen),
            false => arranged,
        };
        let (posterior, encoder) = self.encoder(&mut tape, arranged_seen);

        tape.draws = objective.samples;
        let posterior = tape.repeated(posterior);
        let [z, kl] = [latent, 1].map(|columns| tape.matrix(columns));
        let is_weighted = matches!(objective.kind, ObjectiveKind::Iwae | ObjectiveKind::Dreg);
        let estimate = match is_weighted {
            true => KlEstimate::Sampled,
            false => objective.kl,
        };
        tape.push(Pass::SampleKlForward {
            posterior,
            z,
            kl,
            estimate,
        });
        tape.name("kl", kl);
        tape.name("z", z);
        let targets = tape.repeated(arranged);
        let z_value = tape.value(z);
        let (reconstruction, decoder) = self.reconstruction(&mut tape, z_value, targets);
        let Reconstruction {
            recon,
            d_output,
            spread,
        } = reconstruction;
        tape.name("recon", recon);
        let weighted = is_weighted.then(|| {
            let weights = tape.matrix(1);
            let bound = tape.program.matrix(1);
            tape.push(Pass::Importance {
                recon,
                kl,
                weights,
                bound,
            });
            (weights, bound)
        });
        let forward = tape.program.clone();

        if let Some((weights, _)) = weighted {
            let scaled = [Some(d_output), spread.map(|spread| spread.d_spread)];
            for values in scaled.into_iter().flatten() {
                tape.push(Pass::ScaleRows { values, weights });
            }
        }
        if let Some(spread) = spread {
            tape.push(Pass::Sums {
                values: spread.d_spread,
                columns: spread.length,
                offset: spread.offset,
            });
        }
        let through = match (weighted, objective.kind, estimate) {
            (Some((weights, _)), ObjectiveKind::Dreg, _) => {
                KlGradient::DoublyReparameterized(weights)
            }
            (Some((weights, _)), ..) => KlGradient::Weighted(weights),
            (None, _, KlEstimate::Sampled) => KlGradient::Sampled,
            (None, _, KlEstimate::Analytic) => KlGradient::Analytic,
        };
        if let Some(d_z) = tape.backward(&decoder, d_output, true) {
            let mut d_posterior = tape.matrix(2 * latent);
            tape.push(Pass::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
                through,
            });
            if std::mem::replace(&mut tape.draws, 1) > 1 {
                let input = std::mem::replace(&mut d_posterior, tape.matrix(2 * latent));
                tape.push(Pass::SumRows {
                    input,
                    output: d_posterior,
                });
            }
            tape.backward(&encoder, d_posterior, false);
        }
        LossPlan {
            forward,
            images,
            seen,
            recon,
            kl,
            bound: weighted.map(|(_, bound)| bound),
            labels: tape.labels,
            names: tape.names,
            program: tape.program,
        }
    }
}

/// A matrix whose rows, `rows` rows each, are transposed.
fn transposed(tape: &mut Tape<'_>, input: MatrixId, rows: usize) -> MatrixId {
    let output = tape.matrix(tape.program.columns[input.0]);
    tape.push(Pass::Transpose {
        input,
        output,
        rows,
    });
    output
}

impl LossPlan {
    /// The plan for uncorrupted or for corrupted images, as `batch` is.
    pub(super) const fn of<'a>([plain, denoising]: [&'a Self; 2], batch: &Batch<'_>) -> &'a Self {
        match batch.corrupted {
            Some(_) => denoising,
            None => plain,
        }
    }

    /// The matrices that `batch` fills, with their values; `labels` are those of [`labels`].
    pub(super) fn inputs<'a>(
        &self,
        batch: &Batch<'a>,
        labels: &'a [f32],
    ) -> Vec<(MatrixId, &'a [f32])> {
        let corrupted = batch.corrupted.map(|corrupted| (self.seen, corrupted));
        [(self.images, batch.images)]
            .into_iter()
            .chain(corrupted)
            .chain(self.labels.map(|matrix| (matrix, labels)))
            .collect()
    }

    /// The program of a training step, which gathers its images from the dataset.
    pub(super) fn training(&self, from: &TrainingImages) -> TrainingProgram {
        let mut program = self.program.clone();
        let images = self.images;
        let gather = Pass::Gather {
            images,
            element: from.element,
            binarize: from.binarize,
        };
        let labels = self.labels.map(|labels| Pass::GatherLabels { labels });
        let corrupt = from.corruption.map(|corruption| Pass::Corrupt {
            images,
            corrupted: self.seen,
            corruption,
        });
        let first = [gather].into_iter().chain(labels).chain(corrupt);
        program.passes.splice(0..0, first);
        TrainingProgram {
            program,
            recon: self.recon,
            kl: self.kl,
            bound: self.bound,
        }
    }
}
