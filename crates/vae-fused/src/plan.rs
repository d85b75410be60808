//! The programs of a model: what the engine runs to encode, to decode, and for the likelihood, which is also a part of the loss.

use vae_kernels::program::{LearnedSpread, MatrixId, NLL_COLUMNS, Pass, Program, Rows};
use vae_spec::network::{Network, Op};
use vae_spec::{KlEstimate, ModelConfig, Spread};

use crate::layout::Layout;
use crate::loss::Compared;
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

/// The negative log-likelihoods of a batch, and where gradients begin.
pub(super) struct Reconstruction {
    pub(super) recon: MatrixId,
    /// If gradients will be wanted.
    pub(super) d_output: Option<MatrixId>,
    pub(super) spread: Option<LearnedSpread>,
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
    pub(super) fn tape(&self, has_backward: bool) -> Tape<'a> {
        Tape::new(self.layout, self.config, has_backward)
    }

    /// Channels of images that lie in another order inside the engine.
    fn channels(&self) -> Option<usize> {
        let channels = self.config.image[0];
        (self.config.convolutions.is_some() && channels > 1).then_some(channels)
    }

    /// Images in the order of the engine.
    pub(super) fn arranged(&self, tape: &mut Tape<'_>, images: MatrixId) -> MatrixId {
        self.channels()
            .map_or(images, |rows| transposed(tape, images, rows))
    }

    /// From images in the order of the engine to the posterior.
    pub(super) fn encoder(&self, tape: &mut Tape<'_>, mut seen: MatrixId) -> (MatrixId, Records) {
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

    /// Images to the posterior, mu | log_var; with the pseudo-inputs of a VampPrior behind them, if there are such.
    pub(super) fn encode(&self, with_pseudo_inputs: bool) -> Plan {
        let mut tape = self.tape(false);
        let input = tape.matrix(self.config.pixels());
        let mut images = self.arranged(&mut tape, input);
        if with_pseudo_inputs {
            tape.rows = self.encoded_rows();
            images = self.with_pseudo_inputs(&mut tape, images);
        }
        let (output, _) = self.encoder(&mut tape, images);
        Plan::new(tape, vec![input], output)
    }

    /// Posteriors and images to the importance weights of `draws` draws of each posterior, which are added to those of the runs
    /// before: the output is also an input.
    pub(super) fn importance(&self, draws: usize) -> Plan {
        let mut tape = self.tape(false);
        let images = tape.matrix(self.config.pixels());
        let sums = tape.matrix(2);
        let latent = self.config.latent;
        let rows = self.encoded_rows();
        let posterior = tape.program.matrix_of(rows, 2 * latent);
        let arranged = self.arranged(&mut tape, images);
        tape.rows = Rows::draws(draws);
        let drawn_from = tape.repeated(posterior);
        let [z, kl] = [latent, 1].map(|columns| tape.matrix(columns));
        let normals = self.prior(&mut tape, posterior);
        tape.push(Pass::SampleKlForward {
            posterior: drawn_from,
            z,
            kl,
            estimate: KlEstimate::Sampled,
            learned_prior: normals.is_some(),
        });
        if let Some(normals) = normals {
            Compared::forward(&mut tape, z, normals, Some(kl));
        }
        let z = tape.value(z);
        let (Reconstruction { recon, .. }, _) = self.reconstruction(&mut tape, z, arranged);
        tape.push(Pass::ImportanceSum { recon, kl, sums });
        Plan::new(tape, vec![images, sums, posterior], sums)
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
    pub(super) fn reconstruction(
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
            let (recon, d_output) =
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
        let recon = tape.matrix(parts);
        let d_output = tape.has_backward.then(|| tape.matrix(pixels));
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
