//! The CPU executor: matrix products by the `gemm` crate, everything else in vectorised loops. Each pass is one fork and
//! join: a task takes its rows through the product and all that follows while they are in its core's cache. Results do not
//! depend on the number of threads.

pub mod convolution;
mod convolve;
mod corrupt;
mod dense;
mod draws;
mod elementwise;
mod gather;
mod group_norm;
mod importance;
mod likelihood;
mod matmul;
mod optimizer;
mod pass;
mod patches;
mod prior;
mod rearrange;
mod sample_kl;
mod special;
mod vectorized;
mod workspace;

pub use corrupt::corrupt;
pub use elementwise::add;
pub use gather::gather;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::executor::{
    Arena, Executor, ExecutorError, Piece, Run, StepLosses, TERMS, TrainingStep,
};
use crate::program::{MatrixId, Program, Update};
use workspace::Workspace;

/// Rows after which queued steps are run together: entering the thread pool takes as long as some passes of a small batch.
const ROWS: usize = 2_048;
/// Multiply-adds after which queued steps are run, for a user who interrupts waits for them.
const WORK: usize = 10_000_000_000;

/// Executor on the CPU, with the parameters of one model in memory.
#[derive(Debug)]
pub struct Cpu {
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    /// Sums of the gradients of a batch's pieces.
    accumulated: Vec<f32>,
    moments: Vec<Vec<f32>>,
    images: Bytes,
    labels: Vec<u32>,
    /// Matrices of the training program, kept between steps.
    workspace: Workspace,
    losses: Vec<StepLosses>,
    pending: Vec<TrainingStep>,
    /// Thread pool of this executor alone, for all its threads busy-wait while it works; `None` if the system gives no threads.
    pool: Option<Arc<ThreadPool>>,
}

impl Cpu {
    /// An executor with the optimizer state `moments`, each as long as `parameters`, on as many threads as rayon has.
    #[must_use]
    pub fn new(parameters: Vec<f32>, moments: Vec<Vec<f32>>) -> Self {
        // Below so many times 6 rows of a batch, weights are read where they are: a copy of them in each thread costs more than it
        // saves (docs/decisions.md).
        gemm::set_lhs_packing_threshold_single_thread(64);
        let gradients = vec![0.0; parameters.len()];
        let threads = rayon::current_num_threads();
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Self {
            parameters,
            moments,
            gradients,
            accumulated: Vec::new(),
            images: Bytes::new(),
            labels: Vec::new(),
            workspace: Workspace::default(),
            losses: Vec::new(),
            pending: Vec::new(),
            pool: pool.ok().map(Arc::new),
        }
    }

    /// Runs and times one training step.
    fn step(&mut self, step: &TrainingStep) -> Vec<(&'static str, f64)> {
        let mut times = Vec::with_capacity(step.program.program.passes.len() + 1);
        let losses = self.backward(step, &mut times);
        self.losses.push(losses);
        let start = Instant::now();
        self.apply(step.update);
        times.push(("update", start.elapsed().as_secs_f64()));
        times
    }

    /// Leaves the gradients of a step, and returns its losses and the times of its passes.
    fn backward(
        &mut self,
        step: &TrainingStep,
        times: &mut Vec<(&'static str, f64)>,
    ) -> StepLosses {
        let program = &step.program.program;
        let mut means = [0.0; TERMS];
        let terms: Vec<MatrixId> = step.program.terms.iter().map(|term| term.matrix).collect();
        for (piece, rows) in step.pieces() {
            self.workspace.lay(program, piece.rows, &terms);
            for (index, pass) in program.passes.iter().enumerate() {
                let start = Instant::now();
                self.pass_at(index, &step.run, program, piece, rows);
                times.push((pass.stem(), start.elapsed().as_secs_f64()));
            }
            for (mean, term) in means.iter_mut().zip(&step.program.terms) {
                let rows = program.rows[term.matrix.0].of(step.batch) as f64;
                let values = self.workspace.matrices[term.matrix.0].iter();
                *mean += values.map(|&x| f64::from(x)).sum::<f64>() / rows;
            }
            if step.pieces().len() > 1 {
                self.accumulate(piece.first == step.first);
            }
        }
        if step.pieces().len() > 1 {
            std::mem::swap(&mut self.gradients, &mut self.accumulated);
        }
        let means = means.into_iter().map(|mean| mean as f32);
        StepLosses::new(&step.program.terms, means, step.run.weighting)
    }

    fn apply(&mut self, update: Update) {
        optimizer::update(
            update,
            &mut self.parameters,
            &self.gradients,
            &mut self.moments,
        );
    }

    /// Runs the pass at `index` with the matrices that it needs in their places.
    fn pass_at(&mut self, index: usize, run: &Run, program: &Program, piece: Piece, rows: &[u32]) {
        self.workspace.begin(index);
        self.pass(&program.passes[index], run, program, piece, rows);
        self.workspace.end(index);
    }

    /// Runs all queued steps.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let steps = std::mem::take(&mut self.pending);
        let pool = self.pool.clone();
        awake(pool.as_deref(), || {
            for step in &steps {
                self.step(step);
            }
        });
    }

    /// Adds the gradients of a piece to those of the pieces before.
    fn accumulate(&mut self, is_first: bool) {
        if is_first {
            self.accumulated.clone_from(&self.gradients);
        } else {
            elementwise::add(&mut self.accumulated, &self.gradients);
        }
    }
}

impl Executor for Cpu {
    fn set_images(
        &mut self,
        images: Bytes,
        labels: Vec<u32>,
        _row_bytes: usize,
    ) -> Result<(), ExecutorError> {
        self.flush();
        self.images = images;
        self.labels = labels;
        Ok(())
    }

    fn train(&mut self, step: TrainingStep) -> Result<(), ExecutorError> {
        self.pending.push(step);
        let rows: usize = self.pending.iter().map(|step| step.rows.len()).sum();
        let work: usize = self.pending.iter().map(TrainingStep::work).sum();
        if rows >= ROWS || work >= WORK {
            self.flush();
        }
        Ok(())
    }

    fn gradients(
        &mut self,
        step: &TrainingStep,
        gradients: &mut Vec<f32>,
    ) -> Result<StepLosses, ExecutorError> {
        self.flush();
        let pool = self.pool.clone();
        let losses = awake(pool.as_deref(), || self.backward(step, &mut Vec::new()));
        gradients.resize(self.gradients.len(), 0.0);
        std::mem::swap(&mut self.gradients, gradients);
        Ok(losses)
    }

    fn update(&mut self, update: Update, gradients: &mut Vec<f32>) -> Result<(), ExecutorError> {
        self.flush();
        std::mem::swap(&mut self.gradients, gradients);
        let pool = self.pool.clone();
        awake(pool.as_deref(), || self.apply(update));
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
        runs: &[Run],
        batch: usize,
        inputs: &[(MatrixId, &[f32])],
        outputs: &[MatrixId],
    ) -> Result<Vec<Vec<f32>>, ExecutorError> {
        self.flush();
        let training = std::mem::take(&mut self.workspace);
        let filled = inputs.iter().map(|(matrix, _)| *matrix);
        let kept: Vec<MatrixId> = filled.chain(outputs.iter().copied()).collect();
        self.workspace.lay(program, batch, &kept);
        for (matrix, values) in inputs {
            self.workspace.matrices[matrix.0].copy_from_slice(values);
        }
        let pool = self.pool.clone();
        awake(pool.as_deref(), || {
            for run in runs {
                for index in 0..program.passes.len() {
                    self.pass_at(index, run, program, Piece::whole(batch), &[]);
                }
            }
        });
        let ran = std::mem::replace(&mut self.workspace, training);
        let outputs = outputs.iter();
        Ok(outputs
            .map(|matrix| ran.matrices[matrix.0].to_vec())
            .collect())
    }

    fn exchange(&mut self, moment: usize) -> Result<(), ExecutorError> {
        self.flush();
        std::mem::swap(&mut self.parameters, &mut self.moments[moment]);
        Ok(())
    }

    fn arena(&mut self, arena: Arena) -> Result<Vec<f32>, ExecutorError> {
        self.flush();
        Ok(match arena {
            Arena::Parameters => self.parameters.clone(),
            Arena::Gradients => self.gradients.clone(),
            Arena::Moment(index) => self.moments[index].clone(),
        })
    }

    fn set_arena(&mut self, arena: Arena, values: &[f32]) -> Result<(), ExecutorError> {
        self.flush();
        let place = match arena {
            Arena::Parameters => &mut self.parameters,
            Arena::Gradients => &mut self.gradients,
            Arena::Moment(index) => &mut self.moments[index],
        };
        place.copy_from_slice(values);
        Ok(())
    }

    fn time_step(&mut self, step: TrainingStep) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        self.flush();
        let pool = self.pool.clone();
        Ok(awake(pool.as_deref(), || self.step(&step)))
    }
}

/// Runs `work` inside `pool`, whose other threads poll for its tasks without pause: a thread that fell asleep between two passes
/// would take as long to wake up as a pass takes.
fn awake<T: Send>(pool: Option<&ThreadPool>, work: impl FnOnce() -> T + Send) -> T {
    let Some(pool) = pool else {
        return work();
    };
    /// Ends the polling, also if the work panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
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
        // A polling task that no other thread has taken could be taken by this one, which would never end it.
        while watching.load(Ordering::Relaxed) < others {
            std::thread::yield_now();
        }
        let _done = Done(&is_done);
        work()
    })
}
