//! Training on the two executors of step programs, CPU against GPU: updates, gathering, streaming and refusals.

mod pieces;
mod update;

use std::sync::Arc;

use bytes::Bytes;
use vae_kernels::cpu::Cpu;
use vae_kernels::executor::{Arena, Executor, Term, TrainingProgram, TrainingStep};
use vae_kernels::gpu::{Gpu, GpuExecutor};
use vae_kernels::program::{
    Coefficient, KlGradient, Layer, NLL_COLUMNS, Pass, Program, Rule, Update,
};
use vae_rng::{Generator, Stream};
use vae_spec::{Clip, Corruption, Element, KlEstimate, Likelihood};

use crate::common::{distance, gpu, stripes};
use crate::passes::run;

/// Data of a batch, and their binarization and corruption.
#[derive(Clone, Copy, Debug)]
struct Gathering {
    pixels: usize,
    element: Element,
    binarize: bool,
    corruption: Option<Corruption>,
    /// Number of classes, whose labels the first layer sees behind the pixels; 0 for none.
    classes: usize,
}

impl Gathering {
    const fn bytes(pixels: usize, binarize: bool) -> Self {
        Self {
            pixels,
            element: Element::U8,
            binarize,
            corruption: None,
            classes: 0,
        }
    }

    /// The classes of the forty images.
    fn labels(&self) -> Vec<u32> {
        let classes = self.classes as u32;
        let labels = (0..40).filter(|_| classes > 0);
        labels.map(|image| image * 7 % 5 % classes).collect()
    }

    /// Forty images, and the length of one in bytes.
    fn images(&self) -> (Bytes, usize) {
        let bytes = stripes(40, self.pixels);
        let bytes = match self.element {
            Element::U8 => bytes,
            Element::F32 => {
                let floats = bytes.iter().map(|&byte| f32::from(byte) / 255.0);
                floats.flat_map(f32::to_le_bytes).collect()
            }
        };
        (bytes.into(), self.pixels * self.element.size())
    }
}

/// A program of one layer whose batches are gathered from the data set, and the number of its parameters.
fn training(gathering: Gathering) -> (Arc<TrainingProgram>, usize) {
    let Gathering {
        pixels,
        element,
        binarize,
        corruption,
        classes,
    } = gathering;
    let mut program = Program::default();
    let layer = |offset, inputs, outputs, blocks| Layer {
        offset,
        inputs,
        outputs,
        blocks,
    };
    let heads = layer(0, pixels + classes, 2, 2);
    let output = layer(heads.block(1).end, 2, pixels, 1);
    let [images, posterior, z, kl, recon, d_output, d_z, d_posterior] =
        [pixels, 4, 2, 1, pixels.div_ceil(NLL_COLUMNS), pixels, 2, 4]
            .map(|columns| program.matrix(columns));
    let corrupted = corruption.map(|_| program.matrix(pixels));
    let seen = corrupted.unwrap_or(images);
    let corrupt = corruption.map(|corruption| Pass::Corrupt {
        images,
        corrupted: seen,
        corruption,
    });
    let gather = Pass::Gather {
        images,
        element,
        binarize,
    };
    program.passes.push(gather);
    program.passes.extend(corrupt);
    let seen = if classes == 0 {
        seen
    } else {
        let [labels, labelled] = [1, pixels + classes].map(|columns| program.matrix(columns));
        let label = Pass::Label {
            input: seen,
            labels,
            output: labelled,
        };
        program
            .passes
            .extend([Pass::GatherLabels { labels }, label]);
        labelled
    };
    program.passes.extend([
        Pass::DenseForward {
            layer: heads,
            input: seen,
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
        Pass::DenseNll {
            layer: output,
            input: z,
            images,
            likelihood: Likelihood::Bernoulli,
            recon,
            d_output: Some(d_output),
        },
        Pass::DenseBackwardParameters {
            layer: output,
            input: z,
            d_output,
        },
        Pass::DenseBackwardInput {
            layer: output,
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
        Pass::DenseBackwardParameters {
            layer: heads,
            input: seen,
            d_output: d_posterior,
        },
    ]);
    let terms = [(recon, Coefficient::One), (kl, Coefficient::Beta)];
    let terms = terms.map(|(matrix, coefficient)| Term {
        matrix,
        coefficient,
    });
    let program = TrainingProgram {
        program,
        terms: terms.into(),
    };
    (Arc::new(program), output.block(0).end)
}

const SGD: Rule = Rule::Sgd {
    lr: 1e-3,
    momentum: 0.5,
};

fn step(
    program: &Arc<TrainingProgram>,
    number: u64,
    rows: Vec<u32>,
    update: Update,
) -> TrainingStep {
    let mut run = run();
    run.noise.step = number;
    TrainingStep {
        program: Arc::clone(program),
        run,
        piece: rows.len().max(1),
        first: 0,
        batch: rows.len(),
        rows,
        update,
    }
}

/// Results of 80 steps: losses, parameters and moments.
fn trained(
    executor: &mut dyn Executor,
    program: &Arc<TrainingProgram>,
    update: Update,
) -> [Vec<f32>; 3] {
    for number in 0..80 {
        let rows = Generator::new(2, Stream::Shuffle).permutation(number, 40);
        let rows = rows[..13 + number as usize % 3].to_vec();
        executor
            .train(step(program, number, rows, update))
            .expect("a working device");
    }
    let losses = executor.losses(true).expect("a working device");
    assert_eq!(losses.len(), 80);
    let mut arena = |arena| executor.arena(arena).expect("a working device");
    let parameters = arena(Arena::Parameters);
    let moments = (0..update.moments()).flat_map(|index| arena(Arena::Moment(index)));
    let moments = moments.collect();
    [
        losses
            .iter()
            .flat_map(|step| [step.terms[0], step.terms[1]])
            .collect(),
        parameters,
        moments,
    ]
}

/// Small initial parameters, so that no step is extreme.
fn start(length: usize) -> Vec<f32> {
    let normals = Generator::new(1, Stream::Init).normals(0, 0, 1, length);
    normals.iter().map(|x| 0.1 * x).collect()
}

/// Every update rule, plain, clipped by norm or by value, with weight decay and with an average.
fn rules() -> Vec<Update> {
    let adam = |is_amsgrad| Rule::Adam {
        step_size: 1e-3,
        root_correction: 0.7,
        beta1: 0.9,
        beta2: 0.9,
        eps: 1e-6,
        keep: 0.999,
        is_amsgrad,
    };
    let rules = [
        SGD,
        Rule::Rmsprop {
            lr: 1e-3,
            rho: 0.9,
            eps: 1e-7,
        },
        adam(false),
        adam(true),
        Rule::Adagrad {
            lr: 1e-2,
            eps: 1e-6,
        },
    ];
    let variants = |rule| {
        let plain = Update::new(rule);
        let clipped = |clip| Update {
            clip: Some(clip),
            ..plain
        };
        let whole = Update {
            weight_decay: 0.1,
            ema: Some(0.9),
            ..clipped(Clip::Value(0.02))
        };
        [plain, clipped(Clip::Norm(0.5)), whole]
    };
    rules.into_iter().flat_map(variants).collect()
}

/// Bytes and floats, with and without binarization and corruption.
fn gatherings() -> Vec<Gathering> {
    let gaussian = |clamp| Corruption::Gaussian { sigma: 0.3, clamp };
    let square = Corruption::Mask {
        side: 3,
        height: 5,
        width: 7,
    };
    let floats = |pixels, binarize, corruption| Gathering {
        element: Element::F32,
        corruption,
        ..Gathering::bytes(pixels, binarize)
    };
    let bytes = |pixels, corruption| Gathering {
        corruption: Some(corruption),
        ..Gathering::bytes(pixels, false)
    };
    vec![
        Gathering::bytes(33, false),
        Gathering::bytes(64, true),
        floats(33, false, None),
        floats(33, true, None),
        floats(33, false, Some(gaussian(false))),
        bytes(33, gaussian(true)),
        bytes(33, Corruption::SaltPepper { probability: 0.4 }),
        // Three channels of 5 x 7.
        bytes(105, square),
        Gathering {
            classes: 3,
            ..Gathering::bytes(33, false)
        },
    ]
}

#[test]
fn every_update_and_gathered_batch_is_the_same_on_the_cpu_and_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    let mut all = Vec::new();
    for gathering in gatherings() {
        let (program, parameters) = training(gathering);
        let (images, row_bytes) = gathering.images();
        // For floats, corruption and labels, one rule is enough.
        let is_plain = gathering.element == Element::U8
            && gathering.corruption.is_none()
            && gathering.classes == 0;
        for update in rules()
            .into_iter()
            .take(if is_plain { usize::MAX } else { 1 })
        {
            let moments = vec![vec![0.0; parameters]; update.moments()];
            let mut on_gpu =
                GpuExecutor::new(gpu, &start(parameters), &moments).expect("a working device");
            let mut cpu = Cpu::new(start(parameters), moments);
            cpu.set_images(images.clone(), gathering.labels(), row_bytes)
                .expect("memory");
            on_gpu
                .set_images(images.clone(), gathering.labels(), row_bytes)
                .expect("a working device");
            let expected = trained(&mut cpu, &program, update);
            let found = trained(&mut on_gpu, &program, update);
            for (found, expected) in found.iter().zip(&expected) {
                // 80 steps of 1e-3 whose gradients, sums of 64 products, agree to a relative 1e-6.
                let worst = distance(found, expected, |index| 2e-5 + 1e-4 * expected[index].abs());
                assert!(worst <= 1.0, "{update:?}: {worst} tolerances");
            }
            all.push(expected);
        }
    }
    let mut same = 0;
    for (index, one) in all.iter().enumerate() {
        // Floats and bytes agree if neither binarized nor corrupted; everything else differs.
        for other in all[..index]
            .iter()
            .filter(|other| other[1].len() == one[1].len())
        {
            let worst = distance(&one[1], &other[1], |_| 2e-5);
            same += usize::from(worst <= 10.0);
        }
    }
    assert_eq!(same, 1, "two rules, draws or damages give the same");
}

#[test]
fn a_data_set_that_is_streamed_trains_as_one_that_stays_on_the_gpu() {
    let Some(gpu) = gpu() else { return };
    for gathering in gatherings() {
        let (program, parameters) = training(gathering);
        let (images, row_bytes) = gathering.images();
        let on_gpu = || on_gpu(gpu, &start(parameters));
        let (mut resident, mut streamed) = (on_gpu(), on_gpu());
        resident
            .set_images(images.clone(), gathering.labels(), row_bytes)
            .expect("a working device");
        streamed
            .stream_images(images, gathering.labels(), row_bytes)
            .expect("a working device");
        let update = Update::new(SGD);
        let expected = trained(&mut resident, &program, update);
        assert_eq!(trained(&mut streamed, &program, update), expected);
    }
}

#[test]
fn a_batch_of_more_rows_than_a_submission_holds_is_trained_whole() {
    let Some(gpu) = gpu() else { return };
    let (pixels, batch) = (33, (1 << 16) + 1);
    let gathering = Gathering::bytes(pixels, false);
    let (program, parameters) = training(gathering);
    let (images, _) = gathering.images();
    let rows: Vec<u32> = (0..batch).map(|row| row * 7 % 40).collect();
    let update = Update::new(SGD);
    let losses = |executor: &mut dyn Executor| {
        for (number, rows) in (0..).zip([&rows[..3], &rows, &rows[5..9]]) {
            executor
                .train(step(&program, number, rows.to_vec(), update))
                .expect("a working device");
        }
        let losses = executor.losses(true).expect("a working device");
        losses
            .iter()
            .flat_map(|step| [step.terms[0], step.terms[1]])
            .collect::<Vec<f32>>()
    };
    let on_gpu = || on_gpu(gpu, &start(parameters));
    let (mut resident, mut streamed) = (on_gpu(), on_gpu());
    let mut cpu = on_cpu(start(parameters));
    cpu.set_images(images.clone(), Vec::new(), pixels)
        .expect("memory");
    resident
        .set_images(images.clone(), Vec::new(), pixels)
        .expect("a working device");
    streamed
        .stream_images(images, Vec::new(), pixels)
        .expect("a working device");
    let expected = losses(&mut cpu);
    for executor in [&mut resident, &mut streamed] {
        // Means of 65,537 sums of 33 terms, added in f32 by one workgroup, 514 per thread.
        let worst = distance(&losses(executor), &expected, |index| {
            1e-4 * expected[index].abs()
        });
        assert!(worst <= 1.0, "{worst} tolerances");
    }
}

/// A GPU executor with one moment.
fn on_gpu(gpu: &Gpu, parameters: &[f32]) -> GpuExecutor {
    let moments = [vec![0.0; parameters.len()]];
    GpuExecutor::new(gpu, parameters, &moments).expect("a working device")
}

/// A CPU executor with one moment.
fn on_cpu(parameters: Vec<f32>) -> Cpu {
    let moments = vec![vec![0.0; parameters.len()]];
    Cpu::new(parameters, moments)
}

/// Trains one step on a row that does not exist.
fn train_beyond(mut executor: impl Executor) {
    let gathering = Gathering::bytes(33, false);
    let (program, _) = training(gathering);
    let (images, row_bytes) = gathering.images();
    executor
        .set_images(images, Vec::new(), row_bytes)
        .expect("a working device");
    let update = Update::new(SGD);
    let step = step(&program, 0, vec![3, 40], update);
    executor.train(step).expect("a working device");
    executor.losses(true).expect("a working device");
}

#[test]
#[should_panic(expected = "out of range")]
fn a_row_beyond_the_data_set_stops_the_cpu_and_does_not_hang_it() {
    let (_, parameters) = training(Gathering::bytes(33, false));
    train_beyond(on_cpu(vec![0.0; parameters]));
}

#[test]
fn a_row_beyond_the_data_set_stops_the_gpu() {
    let Some(gpu) = gpu() else { return };
    let (_, parameters) = training(Gathering::bytes(33, false));
    let executor = on_gpu(gpu, &vec![0.0; parameters]);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| train_beyond(executor)));
    assert!(result.is_err());
}
