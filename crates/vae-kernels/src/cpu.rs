//! The CPU executor: matrix products by the `gemm` crate, everything else in vectorised loops. Each pass is one fork and
//! join: a task takes its rows through the product and all that follows while they are in its core's cache. Results do not
//! depend on the number of threads.

mod elementwise;
mod gather;
mod matmul;
mod optimizer;
mod sample_kl;

pub use gather::gather;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use matmul::{Matrix, matmul};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::executor::{
    Arena, Executor, ExecutorError, Run, StepLosses, TrainingProgram, TrainingStep,
};
use crate::program::{Buffer, Layer, Pass, Program};

/// Rows of the steps that are run at a time: entering the thread pool takes as long as some passes of a small batch.
const ROWS: usize = 2_048;

/// The parameters of one model, in memory.
#[derive(Debug)]
pub struct Cpu {
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    moments: Vec<Vec<f32>>,
    images: Arc<[u8]>,
    /// Of the training program; kept between steps.
    matrices: Vec<Vec<f32>>,
    losses: Vec<StepLosses>,
    pending: Vec<TrainingStep>,
    /// Of this executor alone, for all its threads watch while it works; none if the system gives no threads.
    pool: Option<Arc<ThreadPool>>,
}

impl Cpu {
    /// An executor whose optimizer remembers `moments` numbers of each parameter, on as many threads as rayon has.
    #[must_use]
    pub fn new(parameters: Vec<f32>, moments: usize) -> Self {
        let arena = vec![0.0; parameters.len()];
        let threads = rayon::current_num_threads();
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Self {
            parameters,
            moments: vec![arena.clone(); moments],
            gradients: arena,
            images: Arc::default(),
            matrices: Vec::new(),
            losses: Vec::new(),
            pending: Vec::new(),
            pool: pool.ok().map(Arc::new),
        }
    }

    /// Runs and times one training step.
    fn step(&mut self, step: &TrainingStep) -> Vec<(&'static str, f64)> {
        let TrainingStep {
            program,
            run,
            rows,
            update,
        } = step;
        let passes = &program.program.passes;
        let mut times = Vec::with_capacity(passes.len() + 1);
        resize(&mut self.matrices, &program.program, rows.len());
        for pass in passes {
            let start = Instant::now();
            self.pass(pass, run, rows.len(), rows);
            times.push((pass.stem(), start.elapsed().as_secs_f64()));
        }
        let start = Instant::now();
        self.losses.push(self.step_losses(program, rows.len()));
        optimizer::update(
            *update,
            &mut self.parameters,
            &self.gradients,
            &mut self.moments,
        );
        times.push(("update", start.elapsed().as_secs_f64()));
        times
    }

    /// Runs all queued steps.
    fn flush(&mut self) {
        let steps = std::mem::take(&mut self.pending);
        let pool = self.pool.clone();
        awake(pool.as_deref(), || {
            for step in &steps {
                self.step(step);
            }
        });
    }

    /// Runs one pass on a batch of `batch`; `rows` are for [`Pass::Gather`].
    fn pass(&mut self, pass: &Pass, run: &Run, batch: usize, rows: &[u32]) {
        let matrices = &mut self.matrices;
        match *pass {
            Pass::Gather { images, binarize } => {
                let columns = matrices[images.0].len() / batch;
                let binarization = binarize.then_some((run.binarization, run.noise.step));
                let images = &mut matrices[images.0];
                gather::gather_into(images, &self.images, columns, rows, binarization);
            }
            Pass::DenseForward {
                layer,
                input,
                output,
                activation,
                slope,
            } => {
                let mut out = std::mem::take(&mut matrices[output.0]);
                let mut slopes = slope.map(|slope| std::mem::take(&mut matrices[slope.0]));
                let bias = bias(&self.parameters, layer);
                let rows = panel(batch, layer.outputs, layer.inputs, false);
                let inputs = matrices[input.0].par_chunks(rows * layer.inputs);
                let outputs = out.par_chunks_mut(rows * layer.width());
                match &mut slopes {
                    Some(slopes) => inputs
                        .zip(outputs)
                        .zip(slopes.par_chunks_mut(rows * layer.width()))
                        .for_each(|((x, y), slope)| {
                            affine(&self.parameters, layer, x, y);
                            elementwise::activate(y, &bias, activation, Some(slope));
                        }),
                    None => inputs.zip(outputs).for_each(|(x, y)| {
                        affine(&self.parameters, layer, x, y);
                        elementwise::activate(y, &bias, activation, None);
                    }),
                }
                matrices[output.0] = out;
                if let (Some(slope), Some(slopes)) = (slope, slopes) {
                    matrices[slope.0] = slopes;
                }
            }
            Pass::SampleKlForward { posterior, z, kl } => {
                let [mut z_out, mut kl_out] = take(matrices, [z, kl]);
                sample_kl::forward(&matrices[posterior.0], run.noise, &mut z_out, &mut kl_out);
                put(matrices, [z, kl], [z_out, kl_out]);
            }
            Pass::DenseNll {
                layer,
                input,
                images,
                likelihood,
                recon,
                d_output,
            } => {
                let mut outputs = take(matrices, [recon, d_output]);
                let [recon_out, out] = &mut outputs;
                let bias = bias(&self.parameters, layer);
                let rows = panel(batch, layer.outputs, layer.inputs, false);
                let parts = recon_out.len() / batch;
                let inputs = matrices[input.0]
                    .par_chunks(rows * layer.inputs)
                    .zip(matrices[images.0].par_chunks(rows * layer.width()));
                let outputs_of = out
                    .par_chunks_mut(rows * layer.width())
                    .zip(recon_out.par_chunks_mut(rows * parts));
                inputs
                    .zip(outputs_of)
                    .for_each(|((x, images), (y, recon))| {
                        affine(&self.parameters, layer, x, y);
                        elementwise::nll(likelihood, y, &bias, images, recon, 1.0 / batch as f32);
                    });
                put(matrices, [recon, d_output], outputs);
            }
            Pass::DenseBackwardParameters {
                layer,
                input,
                d_output,
            } => {
                let (x, d_out) = (&matrices[input.0], &matrices[d_output.0]);
                let rows = panel(layer.inputs, layer.outputs, batch, false);
                for block in 0..layer.blocks {
                    let d_out = block_of(d_out, layer, block);
                    let (weight, bias) = self.gradients[layer.block(block)]
                        .split_at_mut(layer.inputs * layer.outputs);
                    let panels = weight.par_chunks_mut(rows * layer.outputs).enumerate();
                    rayon::join(
                        || {
                            panels.for_each(|(index, weight)| {
                                let (first, rows) = (index * rows, weight.len() / layer.outputs);
                                let x = Matrix::columns(x, layer.inputs, first, rows).transposed();
                                matmul(x, d_out, weight, layer.outputs, false);
                            });
                        },
                        || elementwise::column_sums(d_out, bias),
                    );
                }
            }
            Pass::DenseBackwardInput {
                layer,
                d_output,
                slope,
                d_input,
            } => {
                let [mut out] = take(matrices, [d_input]);
                let slopes = slope.map(|slope| &matrices[slope.0]);
                let rows = panel(batch, layer.inputs, layer.outputs, true);
                let panels = out
                    .par_chunks_mut(rows * layer.inputs)
                    .zip(matrices[d_output.0].par_chunks(rows * layer.width()));
                panels.enumerate().for_each(|(index, (d_x, d_y))| {
                    for block in 0..layer.blocks {
                        let weight = weight(&self.parameters, layer, block).transposed();
                        let d_y = block_of(d_y, layer, block);
                        matmul(d_y, weight, d_x, layer.inputs, block > 0);
                    }
                    if let Some(slopes) = slopes {
                        elementwise::multiply(d_x, &slopes[index * rows * layer.inputs..]);
                    }
                });
                put(matrices, [d_input], [out]);
            }
            Pass::SampleKlBackward {
                posterior,
                z,
                d_z,
                d_posterior,
            } => {
                let [mut out] = take(matrices, [d_posterior]);
                let inputs = [posterior, z, d_z].map(|buffer| &matrices[buffer.0][..]);
                let (latent, d_kl) = (inputs[1].len() / batch, run.beta / batch as f32);
                sample_kl::backward(inputs, latent, d_kl, &mut out);
                put(matrices, [d_posterior], [out]);
            }
        }
    }

    fn step_losses(&self, program: &TrainingProgram, batch: usize) -> StepLosses {
        let mean = |buffer: Buffer| {
            let sum: f64 = self.matrices[buffer.0].iter().map(|&x| f64::from(x)).sum();
            (sum / batch as f64) as f32
        };
        StepLosses {
            recon: mean(program.recon),
            kl: mean(program.kl),
        }
    }
}

impl Executor for Cpu {
    fn set_images(&mut self, images: Arc<[u8]>, _pixels: usize) -> Result<(), ExecutorError> {
        self.flush();
        self.images = images;
        Ok(())
    }

    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError> {
        self.pending.push(step);
        let rows: usize = self.pending.iter().map(|step| step.rows.len()).sum();
        if rows >= ROWS {
            self.flush();
        }
        Ok(())
    }

    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, ExecutorError> {
        if wait {
            self.flush();
        }
        Ok(std::mem::take(&mut self.losses))
    }

    fn run(
        &mut self,
        program: &Program,
        run: Run,
        batch: usize,
        inputs: &[(Buffer, &[f32])],
        outputs: &[Buffer],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        self.flush();
        let kept = std::mem::take(&mut self.matrices);
        resize(&mut self.matrices, program, batch);
        for (buffer, values) in inputs {
            self.matrices[buffer.0].copy_from_slice(values);
        }
        let pool = self.pool.clone();
        awake(pool.as_deref(), || {
            for pass in &program.passes {
                self.pass(pass, &run, batch, &[]);
            }
        });
        let mut matrices = std::mem::replace(&mut self.matrices, kept);
        let outputs = outputs.iter();
        Ok(outputs
            .map(|buffer| std::mem::take(&mut matrices[buffer.0]))
            .collect())
    }

    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError> {
        self.flush();
        Ok(match arena {
            Arena::Parameters => self.parameters.clone(),
            Arena::Gradients => self.gradients.clone(),
            Arena::Moment(index) => self.moments[index].clone(),
        })
    }

    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        self.flush();
        let pool = self.pool.clone();
        Ok(awake(pool.as_deref(), || self.step(&step)))
    }
}

/// Runs `work` inside `pool`, whose other threads look for its tasks without pause: a thread that fell asleep between two
/// passes would take as long to wake up as a pass takes.
fn awake<T: Send>(pool: Option<&ThreadPool>, work: impl FnOnce() -> T + Send) -> T {
    let Some(pool) = pool else {
        return work();
    };
    let (watching, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    pool.scope(|scope| {
        let others = pool.current_num_threads() - 1;
        for _ in 0..others {
            scope.spawn(|_| {
                watching.fetch_add(1, Ordering::Relaxed);
                while !is_done.load(Ordering::Relaxed) {
                    if rayon::yield_now() != Some(Yield::Executed) {
                        // Another process may need the core more.
                        std::thread::yield_now();
                    }
                }
            });
        }
        // A watch that nobody has taken could be taken by this thread, which would never end it.
        while watching.load(Ordering::Relaxed) < others {
            std::thread::yield_now();
        }
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        result
    })
}

/// Rows that a task takes of a `rows x columns` product of `depth` terms: as many for each thread, in whole tiles of the
/// product's innermost loop; all of them if there is too little to share.
///
/// gemm adds the terms of small results in another order: along rows of both factors up to 256 elements (`along_rows`), and
/// up to 64 x 64 beyond 512 terms. What may be cut into such pieces is not shared, or bits would hang on the number of threads.
fn panel(rows: usize, columns: usize, depth: usize, along_rows: bool) -> usize {
    const TILE: usize = 8;
    const TASK: usize = 1 << 15;
    let has_one_order = columns > 64 || (depth <= 512 && !along_rows);
    let tasks = rows * columns * depth / TASK;
    let tasks = tasks.clamp(1, rayon::current_num_threads());
    if tasks == 1 || !has_one_order {
        return rows;
    }
    let mut panel = rows.div_ceil(tasks).next_multiple_of(TILE);
    // A last task of a row or two would be a product of another kind.
    while panel < rows && (1..TILE).contains(&(rows % panel)) {
        panel += TILE;
    }
    panel
}

/// Makes room for `program` at `batch` rows.
fn resize(matrices: &mut Vec<Vec<f32>>, program: &Program, batch: usize) {
    matrices.resize_with(program.columns.len(), Vec::new);
    for (matrix, columns) in matrices.iter_mut().zip(&program.columns) {
        matrix.resize(batch * columns, 0.0);
    }
}

/// Lends out matrices to be written while others are read.
fn take<const N: usize>(matrices: &mut [Vec<f32>], buffers: [Buffer; N]) -> [Vec<f32>; N] {
    buffers.map(|buffer| std::mem::take(&mut matrices[buffer.0]))
}

fn put<const N: usize>(matrices: &mut [Vec<f32>], buffers: [Buffer; N], values: [Vec<f32>; N]) {
    for (buffer, values) in buffers.into_iter().zip(values) {
        matrices[buffer.0] = values;
    }
}

/// `output = input W`, without the bias.
fn affine(parameters: &[f32], layer: Layer, input: &[f32], output: &mut [f32]) {
    let x = Matrix::new(input, input.len() / layer.inputs, layer.inputs);
    for block in 0..layer.blocks {
        let output = &mut output[block * layer.outputs..];
        matmul(
            x,
            weight(parameters, layer, block),
            output,
            layer.width(),
            false,
        );
    }
}

/// W of a block, `[inputs, outputs]`.
fn weight(parameters: &[f32], layer: Layer, block: usize) -> Matrix<'_> {
    let values = &parameters[layer.block(block)][..layer.inputs * layer.outputs];
    Matrix::new(values, layer.inputs, layer.outputs)
}

/// The biases of all blocks.
fn bias(parameters: &[f32], layer: Layer) -> Vec<f32> {
    let blocks = (0..layer.blocks).map(|block| layer.block(block));
    blocks
        .flat_map(|block| &parameters[block][layer.inputs * layer.outputs..])
        .copied()
        .collect()
}

/// The columns of a layer's output that belong to a block.
fn block_of(output: &[f32], layer: Layer, block: usize) -> Matrix<'_> {
    Matrix::columns(output, layer.width(), block * layer.outputs, layer.outputs)
}
