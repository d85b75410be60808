//! The passes around the latents, which share dispatches on a GPU for small batches, against their CPU implementations.

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Executor, Run};
use vae_kernels::gpu::GpuExecutor;
use vae_kernels::program::{KlGradient, Layer, MatrixId, Pass, Program, Slope};
use vae_rng::{Generator, Stream};
use vae_spec::{Activation, KlEstimate};

use crate::common::{distance, gpu};
use crate::passes::run;

/// (batch, inputs, latent, outputs, whether slopes are kept): odd sizes, multiples of 4, and more rows than share a dispatch.
const SIZES: [(usize, usize, usize, usize, bool); 5] = [
    (1, 1, 1, 1, true),
    (5, 7, 3, 9, false),
    (33, 300, 2, 257, true),
    (17, 400, 20, 400, true),
    (600, 64, 64, 64, false),
];

/// Six forward and backward passes, and everything that they read and write.
struct Case {
    program: Program,
    inputs: Vec<(MatrixId, Vec<f32>)>,
    outputs: Vec<MatrixId>,
    batch: usize,
    parameters: Vec<f32>,
}

impl Case {
    fn new(
        (batch, inputs, latent, outputs, has_slopes): (usize, usize, usize, usize, bool),
    ) -> Self {
        let normals =
            |step, rows, columns| Generator::new(5, Stream::Init).normals(step, 0, rows, columns);
        let layer = |offset, inputs, outputs, blocks| Layer {
            offset,
            inputs,
            outputs,
            blocks,
        };
        let heads = layer(0, inputs, latent, 2);
        let decoder = layer(heads.block(1).end, latent, outputs, 1);
        let mut program = Program::default();
        let mut buffer = |columns| program.matrix(columns);
        let [features, input_slope, d_output] = [inputs, inputs, outputs].map(&mut buffer);
        let [posterior, z, kl, output] = [2 * latent, latent, 1, outputs].map(&mut buffer);
        let [d_z, d_posterior, d_features] = [latent, 2 * latent, inputs].map(&mut buffer);
        let slope = has_slopes.then(|| buffer(outputs));
        program.passes = vec![
            Pass::DenseForward {
                layer: heads,
                input: features,
                output: posterior,
                activation: None,
                slope: None,
            },
            Pass::SampleKlForward {
                posterior,
                z,
                kl,
                estimate: KlEstimate::Analytic,
                learned_prior: false,
            },
            Pass::DenseForward {
                layer: decoder,
                input: z,
                output,
                activation: Some(Activation::Tanh),
                slope,
            },
            Pass::DenseBackwardInput {
                layer: decoder,
                d_output,
                slope: None,
                d_input: d_z,
            },
            Pass::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
                through: KlGradient::ANALYTIC,
            },
            Pass::DenseBackwardInput {
                layer: heads,
                d_output: d_posterior,
                slope: has_slopes.then_some(Slope::Kept(input_slope)),
                d_input: d_features,
            },
        ];
        let read = [features, input_slope, d_output].into_iter().enumerate();
        let read = read.map(|(step, buffer)| {
            let values = normals(step as u64, batch, program.columns[buffer.0]);
            (buffer, values)
        });
        Self {
            inputs: read.collect(),
            outputs: [posterior, z, kl, output, d_z, d_posterior, d_features]
                .into_iter()
                .chain(slope)
                .collect(),
            batch,
            // So small that no variance is extreme.
            parameters: normals(9, 1, decoder.block(0).end)
                .iter()
                .map(|x| 0.1 * x)
                .collect(),
            program,
        }
    }

    fn on(&self, executor: &mut dyn Executor, run: Run) -> Vec<Vec<f32>> {
        let inputs: Vec<(MatrixId, &[f32])> = self
            .inputs
            .iter()
            .map(|(buffer, values)| (*buffer, &values[..]))
            .collect();
        executor
            .run(&self.program, &[run], self.batch, &inputs, &self.outputs)
            .expect("a working device")
    }
}

/// The largest error of GPU results against `expected`, in tolerances. Sums of up to 400 products below 4 grow like a random
/// walk and have a relative rounding error of 2^-24 at each step, well below 1e-4 in all.
fn worst(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let each = found.iter().zip(expected).map(|(found, expected)| {
        distance(found, expected, |index| 1e-4 + 1e-5 * expected[index].abs())
    });
    each.fold(0.0, f32::max)
}

#[test]
fn passes_that_share_a_dispatch_are_their_twins() {
    let Some(gpu) = gpu() else { return };
    for sizes in SIZES {
        let case = Case::new(sizes);
        let moments = [vec![0.0; case.parameters.len()]];
        let executor = GpuExecutor::new(gpu, &case.parameters, &moments);
        let found = case.on(&mut executor.expect("a working device"), run());
        let mut cpu = Cpu::new(case.parameters.clone(), moments.to_vec());
        let right = worst(&found, &case.on(&mut cpu, run()));
        assert!(right <= 1.0, "{sizes:?}: {right} tolerances");
        let mut wrong = run();
        wrong.noise.first_row += 1;
        assert!(worst(&found, &case.on(&mut cpu, wrong)) > 5.0);
        let mut wrong = run();
        wrong.weighting.beta *= 1.5;
        // The KL part of a gradient is divided by the batch size: with 600 rows it is below the tolerance.
        assert!(worst(&found, &case.on(&mut cpu, wrong)) > 5.0 || case.batch > 100);
    }
}
