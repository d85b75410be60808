//! The gradients of dense layers' parameters: into how many partial sums they are split, which layers share a dispatch, and its
//! kernel; the last kernel sums the losses, too.

use super::cost::Cores;
use super::kernel::{Access, Choice, Kernel, LOSS_PARTS, Lowering, Place, convolution};
use super::source;
use super::tile::{Product, Stores, Tile};
use crate::executor::Term;
use crate::program::{Layer, MatrixId, Pass, Program, Rows};

/// Nanoseconds that a dispatch costs beside its work: 2 us on an H100, where each waits for the one before.
const LAUNCH: f64 = 2_000.0;

/// Layout of the gradients: `count` arenas, `stride` apart, that are still to be summed; each is of a part of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) count: usize,
    pub(super) stride: usize,
}

impl Parts {
    /// `count` arenas of `length` numbers.
    pub(super) const fn new(count: usize, length: usize) -> Self {
        Self {
            count,
            // A whole number of vec4s.
            stride: length.next_multiple_of(4),
        }
    }

    /// The number of parts that makes a step of `program` fastest, as far as a kernel can bind all of them in `bytes`: with more
    /// parts, more cores share the gradients' products, and the update adds up more.
    pub(super) fn choose(
        program: &Program,
        batch: usize,
        cores: Cores,
        bindings: usize,
        length: usize,
        bytes: u64,
    ) -> Self {
        /// Bytes that a core writes per nanosecond, and that the update reads again per nanosecond.
        const MOVED: f64 = 16.0;
        let jobs = jobs(program);
        let convolutions: Vec<_> = program
            .passes
            .iter()
            .filter_map(|pass| match pass {
                Pass::ConvolveBackwardWeight { convolution, .. } => {
                    Some((convolution, program.rows_of(pass).of(batch)))
                }
                _ => None,
            })
            .collect();
        let cost = |parts: &usize| {
            let bytes = (cores.busiest(parts * length) * size_of::<f32>()) as f64;
            let convolutions = convolutions.iter();
            let convolutions = convolutions
                .map(|(layer, rows)| convolution::nanoseconds(layer, *rows, *parts, cores));
            dispatches(&jobs, batch, *parts, cores, bindings, 2).1
                + convolutions.sum::<f64>()
                + 2.0 * bytes / MOVED
        };
        let arena = Self::new(1, length).length() * size_of::<f32>();
        let most = (bytes / arena.max(1) as u64).clamp(1, Self::MOST) as usize;
        let parts = (1..=most).map(|parts| (cost(&parts), parts));
        let best = parts.min_by(|(one, _), (other, _)| one.total_cmp(other));
        Self::new(best.map_or(1, |(_, parts)| parts), length)
    }

    /// Number of elements of all arenas.
    pub(super) const fn length(self) -> usize {
        self.count * self.stride
    }

    const MOST: u64 = 16;
}

/// The gradient computation of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Rows of its matrices.
    rows: Rows,
    layer: Layer,
    input: MatrixId,
    d_output: MatrixId,
}

impl Job {
    /// Whether the rows of all its matrices are whole vec4s.
    const fn is_wide(&self) -> bool {
        let Layer {
            offset,
            inputs,
            outputs,
            ..
        } = self.layer;
        (offset | inputs | outputs).is_multiple_of(4)
    }

    const fn result(&self) -> [usize; 2] {
        [self.layer.inputs, self.layer.width()]
    }
}

/// The gradient computations of a program.
pub(super) fn jobs(program: &Program) -> Vec<Job> {
    let passes = program.passes.iter();
    let jobs = passes.filter_map(|pass| match *pass {
        Pass::DenseBackwardParameters {
            layer,
            input,
            d_output,
        } => Some(Job {
            rows: program.rows_of(pass),
            layer,
            input,
            d_output,
        }),
        _ => None,
    });
    jobs.collect()
}

/// The jobs of each dispatch, with its tile, and the nanoseconds that all take. Jobs share a dispatch where launches cost more
/// than looking up which job a tile belongs to, as far as `bindings` storage buffers suffice.
pub(super) fn dispatches(
    jobs: &[Job],
    batch: usize,
    parts: usize,
    cores: Cores,
    bindings: usize,
    terms: usize,
) -> (Vec<(Tile, Vec<Job>)>, f64) {
    let choose = |jobs: &[Job]| {
        let results: Vec<[usize; 2]> = jobs.iter().map(Job::result).collect();
        let product = Product {
            results: &results,
            k: jobs[0].rows.of(batch),
            parts,
            is_along_k: false,
        };
        let (tile, time) = Tile::choose(product, Stores::Plain, cores);
        ((tile, jobs.to_vec()), LAUNCH + time)
    };
    // Only those of as many rows can share a dispatch, and of as wide numbers.
    let mut kinds: Vec<Vec<Job>> = Vec::new();
    for job in jobs {
        let kind = |job: &Job| (job.rows, job.is_wide());
        match kinds.iter_mut().find(|jobs| kind(&jobs[0]) == kind(job)) {
            Some(jobs) => jobs.push(*job),
            None => kinds.push(vec![*job]),
        }
    }
    kinds.sort_by_key(|jobs| !jobs[0].is_wide());
    // An input and an output of each job; the gradients; the terms and the losses.
    let at_once = (bindings.saturating_sub(2 + terms) / 2).max(1);
    let mut all = Vec::new();
    let mut time = 0.0;
    for jobs in kinds.iter().flat_map(|jobs| jobs.chunks(at_once)) {
        let together = choose(jobs);
        let apart: Vec<_> = jobs.chunks(1).map(choose).collect();
        let time_apart = apart.iter().map(|(_, time)| time).sum::<f64>();
        if together.1 <= time_apart {
            time += together.1;
            all.push(together.0);
        } else {
            time += time_apart;
            all.extend(apart.into_iter().map(|(dispatch, _)| dispatch));
        }
    }
    (all, time)
}

/// The kernels of all jobs of a program.
pub(super) fn kernels(lowering: Lowering<'_>) -> Vec<Kernel> {
    let Lowering {
        program,
        batch,
        cores,
        bindings,
        gradients,
        ..
    } = lowering;
    let jobs = jobs(program);
    let terms = lowering.losses.len().max(2);
    let (dispatches, _) = dispatches(&jobs, batch, gradients.count, cores, bindings, terms);
    let last = dispatches.len().saturating_sub(1);
    let kernels = dispatches.iter().enumerate().map(|(index, (tile, jobs))| {
        let losses = if index == last { lowering.losses } else { &[] };
        kernel(*tile, jobs, lowering, losses)
    });
    kernels.collect()
}

fn kernel(tile: Tile, jobs: &[Job], lowering: Lowering<'_>, losses: &[Term]) -> Kernel {
    let parts = lowering.gradients;
    let is_wide = jobs.iter().all(Job::is_wide);
    let element = if is_wide { "vec4<f32>" } else { "f32" };
    let bindings = jobs.iter().flat_map(|job| [job.input, job.d_output]);
    let bindings = bindings.map(|buffer| (Access::Read, Place::Matrix(buffer)));
    let declared = (0..jobs.len()).map(|job| {
        let [first, second] = [2 * job + 2, 2 * job + 3];
        format!(
            "@group(0) @binding({first}) var<storage, read> input{job}: array<{element}>;
@group(0) @binding({second}) var<storage, read> d_output{job}: array<{element}>;"
        )
    });
    let element_of = |matrix: &str| {
        let last = jobs.len() - 1;
        let others =
            (0..last).map(|job| format!("if layer == {job}u {{ return {matrix}{job}[i]; }}"));
        let lines = others.chain([format!("return {matrix}{last}[i];")]);
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let mut first_tile = 0;
    let mut choose = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let Layer {
            offset,
            inputs,
            outputs,
            ..
        } = job.layer;
        let [across, down] = tile.grid(inputs, job.layer.width());
        choose.push(format!(
            "if workgroup.x >= {first_tile}u {{
        first_tile = {first_tile}u;
        across = {across}u;
        layer = {index}u;
        inputs = {inputs}u;
        outputs = {outputs}u;
        width = {width}u;
        offset = {offset}u;
    }}",
            width = job.layer.width(),
        ));
        first_tile += across * down;
    }
    let mut bindings: Vec<_> = [(Access::Write, Place::Gradients)]
        .into_iter()
        .chain(bindings)
        .collect();
    let mut choice = Choice::plain(match losses {
        [_, ..] => &source::DENSE_BACKWARD_PARAMETERS_LAST,
        [] => &source::DENSE_BACKWARD_PARAMETERS,
    });
    choice.values = tile.values(parts.count);
    if !losses.is_empty() {
        let first = bindings.len() + 1;
        let terms = losses
            .iter()
            .map(|term| (Access::Read, Place::Matrix(term.matrix)));
        bindings.push((Access::Write, Place::Losses));
        bindings.extend(terms);
        let declared = (0..losses.len()).map(|term| {
            let binding = first + 1 + term;
            format!("@group(0) @binding({binding}) var<storage, read> term{term}: array<f32>;")
        });
        let sums = (0..losses.len()).map(|term| {
            format!(
                "for (var i = first; i < arrayLength(&term{term}); i += LOSS_PARTS * WORKGROUP) {{
        sum[{term}] += term{term}[i];
    }}"
            )
        });
        choice = choice
            .flags(&["losses"])
            .with("loss_parts", LOSS_PARTS.to_string())
            .with("losses_binding", first.to_string())
            .with("terms", declared.collect::<Vec<_>>().join("\n"))
            .with("sums", sums.collect::<Vec<_>>().join("\n    "));
    }
    let workgroups = first_tile + if losses.is_empty() { 0 } else { LOSS_PARTS };
    choice
        .width(is_wide)
        .with("element", element.to_owned())
        .with("bindings", declared.collect::<Vec<_>>().join("\n"))
        .with("input", element_of("input"))
        .with("d_output", element_of("d_output"))
        .with("choose", choose.join("\n    "))
        .with("tiles", first_tile.to_string())
        .with("stride", parts.stride.to_string())
        .flags(&["finish", "column_sums"])
        .kernel_in_parts(
            "dense_backward_parameters",
            [jobs[0].rows.of(lowering.batch), 0, 0, 0],
            bindings,
            [workgroups, 1, parts.count],
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_come_in_parts_where_the_batch_is_large_and_a_binding_shows_them() {
        let layer = Layer {
            offset: 0,
            inputs: 784,
            outputs: 400,
            blocks: 1,
        };
        let program = Program {
            columns: vec![784, 400],
            rows: vec![Rows::BATCH; 2],
            passes: vec![Pass::DenseBackwardParameters {
                layer,
                input: MatrixId(0),
                d_output: MatrixId(1),
            }],
        };
        let length = layer.block(0).end;
        let arena = (length * size_of::<f32>()) as u64;
        let parts =
            |batch, bytes| Parts::choose(&program, batch, Cores::LARGE, 8, length, bytes).count;
        assert_eq!(parts(16, u64::MAX), 1);
        assert!((8..=16).contains(&parts(8192, u64::MAX)));
        assert!((2..=3).contains(&parts(8192, 3 * arena)));
        assert_eq!(parts(8192, arena / 2), 1);
    }
}
