//! The kernels of [`PriorPass`].

use vae_spec::MmdKernel;

use super::{Access, Choice, Kernel, Lowering, MAX_WORKGROUPS, Place, linear};
use crate::gpu::source;
use crate::program::{Coefficient, Gate, MatrixId, Normals, PriorPass, Weight};

use Access::{Read, Write};

const fn read(matrix: MatrixId) -> (Access, Place) {
    (Read, Place::Matrix(matrix))
}

const fn write(matrix: MatrixId) -> (Access, Place) {
    (Write, Place::Matrix(matrix))
}

pub(super) fn kernel(pass: &PriorPass, lowering: Lowering<'_>) -> Kernel {
    let Lowering { program, batch, .. } = lowering;
    let columns = |matrix: MatrixId| program.columns[matrix.0];
    let length = |matrix: MatrixId| program.length(matrix, batch);
    let of_pass = program.rows[pass.runs_over().0];
    let (rows, draws) = (of_pass.of(batch), of_pass.each);
    let stem = pass.stem();
    match *pass {
        PriorPass::KlParts { posterior, parts } => {
            let sizes = [rows, columns(posterior) / 2, columns(parts), 0];
            let bindings = vec![read(posterior), write(parts)];
            Choice::plain(&source::KL_PARTS).kernel(stem, sizes, bindings, linear(length(parts)))
        }
        PriorPass::Gate {
            gate,
            kl,
            factors,
            cost,
        } => {
            let text = match gate {
                Gate::AtLeast(nats) | Gate::MeanAtLeast(nats) => {
                    format!("at_least(value, {nats:e})")
                }
                Gate::Capacity => "capacity(value)".into(),
            };
            let is_of_each = matches!(gate, Gate::AtLeast(_));
            let sizes = [rows, columns(kl), 0, 0];
            let bindings = vec![read(kl), write(factors), write(cost)];
            Choice::plain(&source::GATE)
                .with("gate", text)
                .flag("each", is_of_each)
                .flag("mean", !is_of_each)
                .kernel(stem, sizes, bindings, one_each(columns(kl)))
        }
        PriorPass::LogSoftmax { logits, output } => {
            let bindings = vec![(Read, Place::Parameters), write(output)];
            let sizes = [rows, logits, 0, 0];
            Choice::plain(&source::LOG_SOFTMAX).kernel(stem, sizes, bindings, [1, 1])
        }
        PriorPass::PairsForward {
            z,
            normals,
            sums,
            kl,
        } => {
            let pairs = Pairs::new(lowering, z, normals, sums);
            let mut bindings = pairs.bindings(write(sums));
            bindings.extend(kl.map(write));
            pairs
                .choice(&source::PAIRS_FORWARD, &mut bindings)
                .flag("kl", kl.is_some())
                .kernel(stem, pairs.sizes, bindings, one_each(length(sums)))
        }
        PriorPass::PairsBackwardRows {
            z,
            normals,
            sums,
            weight,
            d_z,
        } => {
            let pairs = Pairs::new(lowering, z, normals, sums);
            let mut bindings = pairs.bindings(read(sums));
            bindings.push(write(d_z));
            let choice = pairs.choice(&source::PAIRS_BACKWARD_ROWS, &mut bindings);
            pairs.weighted(choice, weight, draws, &mut bindings).kernel(
                stem,
                pairs.sizes,
                bindings,
                one_each(rows),
            )
        }
        PriorPass::PairsBackwardNormals {
            z,
            normals,
            sums,
            weight,
            d_normals,
        } => {
            let pairs = Pairs::new(lowering, z, normals, sums);
            let mut bindings = pairs.bindings(read(sums));
            let place = d_normals.map_or(Place::Gradients, Place::Matrix);
            bindings.push((Write, place));
            let choice = pairs.choice(&source::PAIRS_BACKWARD_NORMALS, &mut bindings);
            let assign = match normals {
                Normals::Posteriors(_) => "+=",
                Normals::Behind(_) | Normals::Parameters { .. } => "=",
            };
            let logits = match normals {
                Normals::Parameters { logits, .. } => logits,
                _ => 0,
            };
            pairs
                .weighted(choice, weight, draws, &mut bindings)
                .with("assign", assign.into())
                .with("logits", logits.to_string())
                .with("parts", lowering.gradients.count.to_string())
                .with("part", lowering.gradients.stride.to_string())
                .kernel(stem, pairs.sizes, bindings, one_each(pairs.sizes[2]))
        }
        PriorPass::Correlation {
            posterior,
            z,
            sums,
            information,
            correlation,
        } => {
            let mut bindings: Vec<_> = [posterior, z, sums].map(read).into();
            bindings.extend([information, correlation].map(write));
            let sizes = [rows, columns(z), 0, 0];
            Choice::plain(&source::CORRELATION).kernel(stem, sizes, bindings, linear(rows))
        }
        PriorPass::PriorDraws { y } => {
            let quads = rows * columns(y).div_ceil(4);
            let sizes = [rows, columns(y), draws, 0];
            Choice::plain(&source::PRIOR_DRAWS).kernel(stem, sizes, vec![write(y)], linear(quads))
        }
        PriorPass::DiscrepancyForward {
            z,
            y,
            kernel,
            parts,
        } => {
            let bindings = vec![read(z), read(y), write(parts)];
            let sizes = [rows, columns(z), 0, 0];
            of_kernel(Choice::plain(&source::DISCREPANCY_FORWARD), kernel).kernel(
                stem,
                sizes,
                bindings,
                one_each(rows),
            )
        }
        PriorPass::DiscrepancyBackward {
            z,
            y,
            kernel,
            weight,
            d_z,
        } => {
            let bindings = vec![read(z), read(y), write(d_z)];
            let sizes = [rows, columns(z), 0, 0];
            of_kernel(Choice::plain(&source::DISCREPANCY_BACKWARD), kernel)
                .with("weight", Coefficient::Fixed(weight).text())
                .with("draws", format!("{draws}.0"))
                .kernel(stem, sizes, bindings, one_each(rows))
        }
        PriorPass::PseudoInputs {
            images,
            seen,
            offset,
            range,
        } => {
            let bindings = vec![(Read, Place::Parameters), read(images), write(seen)];
            let sizes = [length(seen), length(images), offset, 0];
            clamped(Choice::plain(&source::PSEUDO_INPUTS), range).kernel(
                stem,
                sizes,
                bindings,
                linear(length(seen)),
            )
        }
        PriorPass::PseudoInputsBackward {
            d_seen,
            offset,
            range,
            are_counts,
        } => {
            let bindings = vec![
                (Read, Place::Parameters),
                read(d_seen),
                (Write, Place::Gradients),
            ];
            let parts = lowering.gradients;
            let sizes = [length(d_seen), offset, parts.count, parts.stride];
            clamped(Choice::plain(&source::PSEUDO_INPUTS_BACKWARD), range)
                .flag("counts", are_counts)
                .kernel(stem, sizes, bindings, linear(length(d_seen)))
        }
        PriorPass::LastRows { input, output } => {
            let first = length(input) - length(output);
            let bindings = vec![read(input), write(output)];
            let sizes = [length(output), first, 0, 0];
            Choice::plain(&source::LAST_ROWS).kernel(stem, sizes, bindings, linear(length(output)))
        }
    }
}

/// One workgroup for each of `count`.
fn one_each(count: usize) -> [usize; 2] {
    let x = count.clamp(1, MAX_WORKGROUPS);
    [x, count.div_ceil(x).max(1)]
}

fn of_kernel(choice: Choice, kernel: MmdKernel) -> Choice {
    let scales = MmdKernel::IMQ_SCALES.map(|scale| format!("{scale:e}"));
    let name = match kernel {
        MmdKernel::Imq => "imq",
        MmdKernel::Rbf => "rbf",
    };
    choice
        .with("kernel", name.into())
        .with("count", scales.len().to_string())
        .with("scales", scales.join(", "))
}

/// A number with all its digits: browsers take a largest float that was rounded up for none.
fn exact(x: f32) -> String {
    format!("{:e}", f64::from(x))
}

fn clamped(choice: Choice, [low, high]: [f32; 2]) -> Choice {
    choice.with("low", exact(low)).with("high", exact(high))
}

/// What `shaders/step/pairs.wgsl` is made for.
struct Pairs {
    sizes: [usize; 4],
    z: MatrixId,
    normals: Normals,
    has_singles: bool,
}

impl Pairs {
    fn new(lowering: Lowering<'_>, z: MatrixId, normals: Normals, sums: MatrixId) -> Self {
        let Lowering { program, batch, .. } = lowering;
        let rows = |matrix: MatrixId| program.rows[matrix.0];
        let latent = program.columns[z.0];
        let (count, first) = match normals {
            Normals::Posteriors(matrix) => (rows(matrix).of(batch), 0),
            Normals::Behind(matrix) => (rows(matrix).more, batch * 2 * latent),
            Normals::Parameters { offset, count, .. } => (count, offset),
        };
        Self {
            sizes: [rows(z).of(batch), latent, count, first],
            z,
            normals,
            has_singles: program.columns[sums.0] > 1,
        }
    }

    /// Those of the library, and the sums.
    fn bindings(&self, sums: (Access, Place)) -> Vec<(Access, Place)> {
        let normals = match self.normals {
            Normals::Posteriors(matrix) | Normals::Behind(matrix) => Place::Matrix(matrix),
            Normals::Parameters { .. } => Place::Parameters,
        };
        vec![read(self.z), (Read, normals), sums]
    }

    /// The text with the library filled in, and its last binding.
    fn choice(
        &self,
        source: &'static source::Source,
        bindings: &mut Vec<(Access, Place)>,
    ) -> Choice {
        let (stride, to_log_var, log_weight) = match self.normals {
            Normals::Posteriors(_) => ("2u * sizes.latent", "sizes.latent", "0.0"),
            Normals::Behind(_) => (
                "2u * sizes.latent",
                "sizes.latent",
                "-log(f32(sizes.count))",
            ),
            Normals::Parameters { .. } => (
                "sizes.latent",
                "sizes.count * sizes.latent",
                "log_weights[normal]",
            ),
        };
        let columns = if self.has_singles {
            "1u + sizes.latent"
        } else {
            "1u"
        };
        let choice = Choice::plain(source)
            .with("stride", stride.into())
            .with("to_log_var", to_log_var.into())
            .with("log_weight", log_weight.into())
            .with("columns", columns.into())
            .flag("singles", self.has_singles);
        let Normals::Parameters { log_weights, .. } = self.normals else {
            return choice;
        };
        bindings.push(read(log_weights));
        choice
            .flag("mixture", true)
            .with("log_weights_binding", bindings.len().to_string())
    }

    /// The same with what the loss holds of the sums.
    fn weighted(
        &self,
        choice: Choice,
        weight: Weight,
        draws: usize,
        bindings: &mut Vec<(Access, Place)>,
    ) -> Choice {
        let sign = if self.has_singles { "" } else { "-" };
        let choice = choice
            .with("weight", format!("{sign}{}", weight.coefficient.text()))
            .with("draws", format!("{draws}.0"));
        let Some(factors) = weight.factors else {
            return choice;
        };
        bindings.push(read(factors));
        choice
            .flag("weighted", true)
            .with("factors_binding", bindings.len().to_string())
    }
}
