//! Which matrices a pass reads and writes.

use super::{Finish, MatrixId, Normals, Pass, PriorPass, Slope, Weight};

/// The matrices of a pass. One that it changes is in both lists.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) read: Vec<MatrixId>,
    pub(crate) written: Vec<MatrixId>,
}

impl Touched {
    fn new(read: &[MatrixId], written: &[MatrixId]) -> Self {
        Self {
            read: read.to_vec(),
            written: written.to_vec(),
        }
    }

    fn reads(mut self, matrix: Option<MatrixId>) -> Self {
        self.read.extend(matrix);
        self
    }

    fn writes(mut self, matrix: Option<MatrixId>) -> Self {
        self.written.extend(matrix);
        self
    }

    fn slope(self, slope: Option<Slope>) -> Self {
        self.reads(slope.map(Slope::matrix))
    }

    fn finish(self, finish: Finish) -> Self {
        let Finish {
            add, slope, times, ..
        } = finish;
        self.reads(add).slope(times).writes(slope)
    }

    fn weight(self, weight: Weight) -> Self {
        self.reads(weight.factors)
    }

    fn normals(self, normals: Normals) -> Self {
        self.reads(Some(match normals {
            Normals::Posteriors(matrix) | Normals::Behind(matrix) => matrix,
            Normals::Parameters { log_weights, .. } => log_weights,
        }))
    }
}

impl Pass {
    /// The matrices that it reads and writes.
    pub(crate) fn touched(&self) -> Touched {
        let of = Touched::new;
        match *self {
            Self::Gather { images, .. } => of(&[], &[images]),
            Self::GatherLabels { labels } => of(&[], &[labels]),
            Self::Corrupt {
                images, corrupted, ..
            } => of(&[images], &[corrupted]),
            Self::Transpose { input, output, .. }
            | Self::LogOfCounts { input, output }
            | Self::RepeatRows { input, output }
            | Self::SumRows { input, output }
            | Self::RepeatForward { input, output, .. } => of(&[input], &[output]),
            Self::Label {
                input,
                labels,
                output,
            } => of(&[input, labels], &[output]),
            Self::Importance {
                recon,
                kl,
                weights,
                bound,
            } => of(&[recon, kl], &[weights, bound]),
            Self::ImportanceSum { recon, kl, sums } => of(&[recon, kl, sums], &[sums]),
            Self::ScaleRows { values, weights } => of(&[values, weights], &[values]),
            Self::DenseForward {
                input,
                output,
                slope,
                ..
            }
            | Self::Activate {
                input,
                output,
                slope,
                ..
            } => of(&[input], &[output]).writes(slope),
            Self::DenseBackwardParameters {
                input, d_output, ..
            } => of(&[input, d_output], &[]),
            Self::DenseBackwardInput {
                d_output,
                slope,
                d_input,
                ..
            }
            | Self::RepeatBackward {
                d_output,
                slope,
                d_input,
                ..
            } => of(&[d_output], &[d_input]).slope(slope),
            Self::Convolve {
                image, map, finish, ..
            } => of(&[image], &[map]).finish(finish),
            Self::ConvolveTransposed {
                map, image, finish, ..
            } => of(&[map], &[image]).finish(finish),
            Self::ConvolveBackwardWeight { image, map, .. } => of(&[image, map], &[]),
            Self::Sums { values, .. } => of(&[values], &[]),
            Self::Add {
                one,
                other,
                times,
                output,
            } => of(&[one, other], &[output]).slope(times),
            Self::GroupNormForward {
                input,
                statistics,
                output,
                slope,
                ..
            } => of(&[input], &[statistics, output]).writes(slope),
            Self::GroupNormBackward {
                d_output,
                input,
                statistics,
                d_input,
                d_parameters,
                ..
            } => of(&[d_output, input, statistics], &[d_input, d_parameters]),
            Self::SampleKlForward {
                posterior, z, kl, ..
            } => of(&[posterior], &[z, kl]),
            Self::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
                through,
            } => of(&[posterior, z, d_z], &[d_posterior]).weight(through.weight),
            Self::DenseNll {
                input,
                images,
                recon,
                d_output,
                ..
            } => of(&[input, images], &[recon]).writes(d_output),
            Self::Nll {
                output,
                images,
                spread,
                recon,
                d_output,
                ..
            } => {
                let spread = spread.filter(|_| d_output.is_some());
                of(&[output, images], &[recon])
                    .writes(d_output)
                    .writes(spread.map(|spread| spread.d_spread))
            }
            Self::Prior(ref pass) => pass.touched(),
        }
    }
}

impl PriorPass {
    fn touched(&self) -> Touched {
        let of = Touched::new;
        match *self {
            Self::KlParts { posterior, parts } => of(&[posterior], &[parts]),
            Self::Gate {
                kl, factors, cost, ..
            } => of(&[kl], &[factors, cost]),
            Self::LogSoftmax { output, .. } => of(&[], &[output]),
            Self::PairsForward {
                z,
                normals,
                sums,
                kl,
            } => of(&[z], &[sums]).normals(normals).reads(kl).writes(kl),
            Self::PairsBackwardRows {
                z,
                normals,
                sums,
                weight,
                d_z,
            } => of(&[z, sums, d_z], &[d_z]).normals(normals).weight(weight),
            Self::PairsBackwardNormals {
                z,
                normals,
                sums,
                weight,
                d_normals,
            } => {
                let added_to = matches!(normals, Normals::Posteriors(_));
                of(&[z, sums], &[])
                    .normals(normals)
                    .weight(weight)
                    .reads(d_normals.filter(|_| added_to))
                    .writes(d_normals)
            }
            Self::Correlation {
                posterior,
                z,
                sums,
                information,
                correlation,
            } => of(&[posterior, z, sums], &[information, correlation]),
            Self::PriorDraws { y } => of(&[], &[y]),
            Self::DiscrepancyForward { z, y, parts, .. } => of(&[z, y], &[parts]),
            Self::DiscrepancyBackward { z, y, d_z, .. } => of(&[z, y, d_z], &[d_z]),
            Self::PseudoInputs { images, seen, .. } => of(&[images], &[seen]),
            Self::PseudoInputsBackward { d_seen, .. } => of(&[d_seen], &[]),
            Self::LastRows { input, output } => of(&[input], &[output]),
        }
    }
}
