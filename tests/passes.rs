//! Every pass of a step program: the CPU implementation against plain f64 loops, the shader against the CPU implementation.
//! Gathering is tested in `executors.rs`.

mod draws;
mod images;
mod likelihoods;
mod prior;

use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor, Run};
use vae_kernels::gpu::{Gpu, GpuExecutor};
use vae_kernels::program::{Layer, MatrixId, NLL_COLUMNS, Pass, Program, Rows, Slope};
use vae_rng::{Generator, Noise, Stream};
use vae_spec::{Activation, Likelihood, Spread, Weighting};

use crate::common::{distance, gpu, gpu_with_one_core};

const BETA: f32 = 0.7;
const ANNEAL: f32 = 0.4;
const CAPACITY: f32 = 0.3;

pub(crate) fn run() -> Run {
    Run {
        noise: Noise {
            generator: Generator::new(3, Stream::Noise),
            step: 1 << 35 | 9,
            first_row: 40,
        },
        binarization: Generator::new(3, Stream::Binarization),
        corruption: Generator::new(3, Stream::Corruption),
        prior: (Generator::new(3, Stream::PriorNoise), 1 << 33 | 5),
        data_count: 1_000,
        weighting: Weighting {
            beta: BETA,
            anneal: ANNEAL,
            capacity: CAPACITY,
        },
    }
}

/// One pass with everything it reads.
struct Case {
    program: Program,
    batch: usize,
    parameters: Vec<f32>,
    inputs: Vec<(MatrixId, Vec<f32>)>,
    outputs: Vec<MatrixId>,
}

impl Case {
    /// `reads` and `writes` are numbers of columns; `pass` receives their buffers in that order.
    fn new(
        batch: usize,
        layer: Layer,
        reads: &[usize],
        writes: &[usize],
        pass: impl Fn(&[MatrixId], &[MatrixId]) -> Pass,
    ) -> Self {
        let end = layer.block(layer.blocks - 1).end;
        Self::of_arena(batch, end, reads, writes, pass)
    }

    /// The same with `length` parameters.
    fn of_arena(
        batch: usize,
        length: usize,
        reads: &[usize],
        writes: &[usize],
        pass: impl Fn(&[MatrixId], &[MatrixId]) -> Pass,
    ) -> Self {
        let once = |columns: &[usize]| -> Vec<(Rows, usize)> {
            columns
                .iter()
                .map(|&columns| (Rows::BATCH, columns))
                .collect()
        };
        Self {
            parameters: Generator::new(1, Stream::Init).normals(99, 0, 1, length),
            ..Self::drawn(batch, &once(reads), &once(writes), pass)
        }
    }

    /// A pass without parameters; `reads` and `writes` are rows and columns.
    fn drawn(
        batch: usize,
        reads: &[(Rows, usize)],
        writes: &[(Rows, usize)],
        pass: impl Fn(&[MatrixId], &[MatrixId]) -> Pass,
    ) -> Self {
        let normals =
            |step, rows, columns| Generator::new(1, Stream::Init).normals(step, 0, rows, columns);
        let mut program = Program::default();
        let mut buffers = |sizes: &[(Rows, usize)]| -> Vec<MatrixId> {
            let sizes = sizes.iter();
            sizes
                .map(|&(rows, columns)| program.matrix_of(rows, columns))
                .collect()
        };
        let (inputs, outputs) = (buffers(reads), buffers(writes));
        program.passes.push(pass(&inputs, &outputs));
        let values = |(step, buffer): (usize, MatrixId)| {
            let rows = program.rows[buffer.0].of(batch);
            let values = normals(step as u64, rows, program.columns[buffer.0]);
            (buffer, values)
        };
        let inputs = inputs.into_iter().enumerate().map(values).collect();
        Self {
            batch,
            parameters: vec![0.0],
            inputs,
            outputs,
            program,
        }
    }

    /// The same, of a pass that changes one of its inputs.
    fn changing(mut self, input: usize) -> Self {
        self.outputs.push(self.inputs[input].0);
        self
    }

    /// The same with `length` parameters.
    fn with_parameters(mut self, length: usize) -> Self {
        self.parameters = Generator::new(1, Stream::Init).normals(99, 0, 1, length);
        self
    }

    /// The same with these values of an input.
    fn with_input(mut self, input: usize, values: Vec<f32>) -> Self {
        self.inputs[input].1 = values;
        self
    }

    /// The same with counts below 9 as inputs.
    fn counting(mut self) -> Self {
        let inputs = self.inputs.iter_mut();
        for value in inputs.flat_map(|(_, values)| values) {
            *value = (3.0 * value.abs()).floor().min(8.0);
        }
        self
    }

    /// The same with images, its second input, of `likelihood`.
    fn with_images(mut self, likelihood: Likelihood) -> Self {
        for (index, value) in self.inputs[1].1.iter_mut().enumerate() {
            let unit = (0.5 + 0.3 * *value).clamp(0.0, 1.0);
            *value = match likelihood {
                Likelihood::Gaussian(_) | Likelihood::Laplace(_) => *value,
                Likelihood::DiscretizedLogistic(_) => (unit * 255.0).round() / 255.0,
                // Most counts are small, some are not.
                _ if likelihood.is_count() => (value.abs() * [2.0, 40.0][index % 7 / 6]).floor(),
                _ => unit,
            };
        }
        self
    }

    /// The outputs of the pass, then the gradients.
    fn on(&self, executor: &mut dyn Executor) -> Vec<Vec<f32>> {
        let inputs: Vec<(MatrixId, &[f32])> = self
            .inputs
            .iter()
            .map(|(buffer, values)| (*buffer, &values[..]))
            .collect();
        let mut outputs = executor
            .run(&self.program, &[run()], self.batch, &inputs, &self.outputs)
            .expect("a working device");
        outputs.push(executor.arena(Arena::Gradients).expect("a working device"));
        outputs
    }

    /// Moments of an optimizer that is never used.
    fn moments(&self) -> Vec<Vec<f32>> {
        vec![vec![0.0; self.parameters.len()]]
    }

    fn on_cpu(&self) -> Vec<Vec<f32>> {
        self.on(&mut Cpu::new(self.parameters.clone(), self.moments()))
    }

    fn on_gpu(&self, gpu: &Gpu) -> Vec<Vec<f32>> {
        let executor = GpuExecutor::new(gpu, &self.parameters, &self.moments());
        self.on(&mut executor.expect("a working device"))
    }

    /// The results of plain f64 loops; with `wrong`, of a plausible mistake.
    fn plain(&self, wrong: bool) -> Vec<Vec<f32>> {
        let matrices = (0..self.program.columns.len()).map(MatrixId);
        let mut matrices: Vec<Vec<f64>> = matrices
            .map(|matrix| vec![0.0; self.program.length(matrix, self.batch)])
            .collect();
        for (buffer, values) in &self.inputs {
            matrices[buffer.0] = values.iter().map(|&x| x.into()).collect();
        }
        let parameters: Vec<f64> = self.parameters.iter().map(|&x| x.into()).collect();
        let mut gradients = vec![0.0; parameters.len()];
        plain(
            &self.program,
            self.batch,
            &parameters,
            &mut matrices,
            &mut gradients,
            wrong,
        );
        let outputs = self.outputs.iter().map(|output| &matrices[output.0]);
        outputs
            .chain([&gradients])
            .map(|values| values.iter().map(|&x| x as f32).collect())
            .collect()
    }
}

/// Arena index of the weight from `input` to `output`; of the bias if `input` is the number of inputs.
fn weight(layer: Layer, input: usize, output: usize) -> usize {
    layer.block(output / layer.outputs).start + input * layer.outputs + output % layer.outputs
}

fn plain(
    program: &Program,
    batch: usize,
    parameters: &[f64],
    matrices: &mut [Vec<f64>],
    gradients: &mut [f64],
    wrong: bool,
) {
    let affine = |layer: Layer, input: &[f64], row: usize, o: usize, bias: f64| {
        let product = |i| input[row * layer.inputs + i] * parameters[weight(layer, i, o)];
        bias * parameters[weight(layer, layer.inputs, o)]
            + (0..layer.inputs).map(product).sum::<f64>()
    };
    let pass = &program.passes[0];
    match *pass {
        Pass::Gather { .. } | Pass::GatherLabels { .. } | Pass::Corrupt { .. } => {
            unreachable!("tested by training")
        }
        Pass::Prior(ref pass) => {
            let mut arenas = prior::Arenas {
                parameters,
                gradients,
                matrices,
            };
            prior::plain(pass, batch, program, &mut arenas, wrong);
        }
        Pass::Nll { .. } => likelihoods::plain(pass, batch, program, parameters, matrices, wrong),
        Pass::DenseForward {
            layer,
            input,
            output,
            activation,
            slope,
        } => {
            let bias = if wrong { 0.0 } else { 1.0 };
            for row in 0..batch {
                for o in 0..layer.width() {
                    let x = affine(layer, &matrices[input.0], row, o, bias);
                    let at = row * layer.width() + o;
                    matrices[output.0][at] = activate(activation, x);
                    if let Some(slope) = slope {
                        matrices[slope.0][at] = slope_of(activation, x);
                    }
                }
            }
        }
        Pass::RepeatRows { .. }
        | Pass::SumRows { .. }
        | Pass::ScaleRows { .. }
        | Pass::Importance { .. }
        | Pass::ImportanceSum { .. }
        | Pass::SampleKlForward { .. }
        | Pass::SampleKlBackward { .. } => draws::plain(pass, batch, program, matrices, wrong),
        Pass::DenseNll {
            layer,
            input,
            images,
            likelihood,
            recon,
            d_output,
        } => {
            let parts = layer.width().div_ceil(NLL_COLUMNS);
            let rows = program.rows[recon.0].of(batch);
            let draws = rows / program.rows[images.0].of(batch);
            for row in 0..rows {
                for o in 0..layer.width() {
                    let y = affine(layer, &matrices[input.0], row, o, 1.0);
                    let image = row / draws;
                    let x = matrices[images.0][image * layer.width() + o];
                    let h = 1e-5;
                    let nll = |y| likelihoods::nll(likelihood, y, x, 0.0);
                    let (nll, d) = (nll(y), (nll(y + h) - nll(y - h)) / (2.0 * h));
                    let mean = if wrong { 1.0 } else { rows as f64 };
                    let sign = if wrong { -1.0 } else { 1.0 };
                    matrices[recon.0][row * parts + o / NLL_COLUMNS] += sign * nll;
                    if let Some(d_output) = d_output {
                        matrices[d_output.0][row * layer.width() + o] = d / mean;
                    }
                }
            }
        }
        Pass::DenseBackwardParameters {
            layer,
            input,
            d_output,
        } => {
            for row in 0..batch {
                for o in 0..layer.width() {
                    let d = matrices[d_output.0][row * layer.width() + o];
                    for i in 0..layer.inputs {
                        gradients[weight(layer, i, o)] +=
                            matrices[input.0][row * layer.inputs + i] * d;
                    }
                    let rows = if wrong { 0.5 } else { 1.0 };
                    gradients[weight(layer, layer.inputs, o)] += rows * d;
                }
            }
        }
        Pass::DenseBackwardInput {
            layer,
            d_output,
            slope,
            d_input,
        } => {
            let columns = matrices[d_input.0].len() / batch;
            for row in 0..batch {
                for i in 0..columns {
                    let first = usize::from(wrong);
                    let product = |o| {
                        matrices[d_output.0][row * layer.width() + o]
                            * parameters[weight(layer, i, o)]
                    };
                    let at = row * columns + i;
                    let slope = factor(slope, matrices, at);
                    matrices[d_input.0][at] =
                        slope * (first..layer.width()).map(product).sum::<f64>();
                }
            }
        }
        _ => images::plain(pass, batch, parameters, matrices, gradients, wrong),
    }
}

/// The slope that a backward pass multiplies with, from what was kept.
fn factor(slope: Option<Slope>, matrices: &[Vec<f64>], at: usize) -> f64 {
    let Some(slope) = slope else { return 1.0 };
    let y = matrices[slope.matrix().0][at];
    match slope.activation() {
        None => y,
        Some(Activation::Relu) => f64::from(u8::from(y > 0.0)),
        Some(Activation::LeakyRelu) => [0.01, 1.0][usize::from(y > 0.0)],
        Some(Activation::Tanh) => 1.0 - y * y,
        Some(Activation::Sigmoid) => y * (1.0 - y),
        Some(other) => unreachable!("{other:?}"),
    }
}

/// A slope that was kept, or that of an activation by turns.
fn kept(index: usize, matrix: MatrixId) -> Slope {
    let from = Activation::ALL.into_iter().filter(|&of| Slope::follows(of));
    let all: Vec<_> = from
        .map(|activation| Slope::Of(activation, matrix))
        .collect();
    match index % (1 + all.len()) {
        0 => Slope::Kept(matrix),
        place => all[place - 1],
    }
}

/// The slope of an activation at `x`.
fn slope_of(activation: Option<Activation>, x: f64) -> f64 {
    // The step is small enough not to cross the kink of a ReLU at 0.
    let h = 1e-6_f64.min(x.abs() / 2.0).max(1e-12);
    (activate(activation, x + h) - activate(activation, x - h)) / (2.0 * h)
}

fn activate(activation: Option<Activation>, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let Some(activation) = activation else {
        return x;
    };
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Gelu => crate::common::plain_loss::gelu(x),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
    }
}

/// (batch, inputs, outputs, blocks): odd sizes, sizes at the edge of a tile, and sizes for each tile of a GPU with one core.
const SIZES: [(usize, usize, usize, usize); 16] = [
    (1, 1, 1, 1),
    (3, 5, 2, 2),
    (33, 31, 17, 1),
    (32, 64, 32, 1),
    (17, 65, 40, 2),
    (129, 20, 70, 1),
    (100, 30, 784, 1),
    (4, 784, 600, 1),
    (1000, 3, 500, 1),
    (32, 32, 16, 1),
    (192, 32, 64, 1),
    (256, 32, 112, 1),
    (383, 32, 80, 1),
    (512, 32, 64, 1),
    (40, 255, 112, 1),
    (40, 384, 80, 1),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, (batch, inputs, outputs, blocks)) in SIZES.into_iter().enumerate() {
        let layer = Layer {
            // Rows of whole vec4s are vec4-aligned.
            offset: if (inputs | outputs) % 4 == 0 { 8 } else { 7 },
            inputs,
            outputs,
            blocks,
        };
        let width = layer.width();
        // No activation first.
        let place = index % (1 + Activation::ALL.len());
        let activation = place.checked_sub(1).map(|place| Activation::ALL[place]);
        for slope in [false, true] {
            let forward = |i: &[MatrixId], o: &[MatrixId]| Pass::DenseForward {
                layer,
                input: i[0],
                output: o[0],
                activation,
                slope: slope.then(|| o[1]),
            };
            let writes = [width, width];
            let writes = &writes[..1 + usize::from(slope)];
            cases.push(Case::new(batch, layer, &[inputs], writes, forward));
            let backward = |i: &[MatrixId], o: &[MatrixId]| Pass::DenseBackwardInput {
                layer,
                d_output: i[0],
                slope: slope.then(|| kept(index, i[1])),
                d_input: o[0],
            };
            let reads = [width, inputs];
            let reads = &reads[..1 + usize::from(slope)];
            cases.push(Case::new(batch, layer, reads, &[inputs], backward));
        }
        let parameters = |i: &[MatrixId], _: &[MatrixId]| Pass::DenseBackwardParameters {
            layer,
            input: i[0],
            d_output: i[1],
        };
        cases.push(Case::new(batch, layer, &[inputs, width], &[], parameters));
        for likelihood in [
            Likelihood::Bernoulli,
            Likelihood::Gaussian(Spread::Fixed(0.3)),
        ] {
            for (has_gradient, draws) in [(true, 1), (true, 2), (false, 3)] {
                let nll = |i: &[MatrixId], o: &[MatrixId]| Pass::DenseNll {
                    layer,
                    input: i[0],
                    images: i[1],
                    likelihood,
                    recon: o[0],
                    d_output: has_gradient.then(|| o[1]),
                };
                let rows = Rows::draws(draws);
                let reads = [(rows, inputs), (Rows::BATCH, width)];
                let writes = [width.div_ceil(NLL_COLUMNS), width].map(|columns| (rows, columns));
                let writes = &writes[..1 + usize::from(has_gradient)];
                let case = Case::drawn(batch, &reads, writes, nll);
                cases.push(case.with_parameters(layer.block(layer.blocks - 1).end));
            }
        }
    }
    cases.extend(draws::cases());
    cases.extend(images::cases());
    cases.extend(likelihoods::cases());
    cases.extend(prior::cases());
    cases
}

/// The largest error of a case's outputs, in tolerances.
///
/// Sums of up to 1,000 products of standard normals are below 200 and are computed in any order: n relative roundings of 2^-24
/// of sums that grow like a random walk stay below 1e-5 * sqrt(n) in practice; functions add a relative error of a few 2^-22,
/// and WGSL's exp one of (3 + 2 |x|) 2^-24.
fn worst(found: &[Vec<f32>], expected: &[Vec<f32>], terms: usize) -> f32 {
    assert_eq!(found.len(), expected.len());
    let absolute = 2e-5 * (1.0 + (terms as f32).sqrt());
    let each = found.iter().zip(expected).map(|(found, expected)| {
        distance(found, expected, |index| {
            absolute + 1e-5 * expected[index].abs()
        })
    });
    each.fold(0.0, f32::max)
}

/// Number of terms of the longest sum.
fn terms(case: &Case) -> usize {
    match case.program.passes[0] {
        Pass::DenseForward { layer, .. } | Pass::DenseNll { layer, .. } => layer.inputs,
        Pass::DenseBackwardParameters { .. } => case.batch,
        Pass::DenseBackwardInput { layer, .. } => layer.width(),
        Pass::SampleKlForward { z, .. } => case.program.columns[z.0],
        Pass::Importance { recon, .. } | Pass::ImportanceSum { recon, .. } => {
            case.program.columns[recon.0]
        }
        Pass::Nll { .. } => NLL_COLUMNS,
        Pass::Prior(ref pass) => prior::terms(pass, case),
        ref pass => images::terms(pass, case.batch, &case.program.columns),
    }
}

#[test]
fn every_twin_is_the_plain_formula_and_not_a_neighbour_of_it() {
    for case in cases() {
        let (found, terms) = (case.on_cpu(), terms(&case));
        let worst_of = |wrong| worst(&found, &case.plain(wrong), terms);
        let (pass, batch) = (case.program.passes[0], case.batch);
        let right = worst_of(false);
        assert!(right <= 1.0, "{pass:?} at {batch}: {right} tolerances");
        // With a batch of one, some mistakes change nothing.
        let is_set = worst_of(true) > 5.0;
        assert!(is_set || batch == 1, "{pass:?} at {batch}");
    }
}

#[test]
fn every_shader_is_its_twin() {
    // A GPU with one core uses large tiles even for sizes as small as here.
    for gpu in [gpu(), gpu_with_one_core()] {
        let Some(gpu) = gpu else { return };
        for case in cases() {
            let found = case.on_gpu(gpu);
            let (pass, batch, terms) = (case.program.passes[0], case.batch, terms(&case));
            let right = worst(&found, &case.on_cpu(), terms);
            assert!(right <= 1.0, "{pass:?} at {batch}: {right} tolerances");
            let is_set = worst(&found, &case.plain(true), terms) > 5.0;
            assert!(is_set || batch == 1, "{pass:?} at {batch}");
        }
    }
}
