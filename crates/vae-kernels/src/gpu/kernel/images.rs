//! The kernels of passes that move numbers or treat images as a whole: one thread for each number, or one workgroup for each group.

use vae_spec::GROUP_NORM_EPS;

use super::{
    Access, Choice, Kernel, LINEAR_WORKGROUP, Lowering, MAX_WORKGROUPS, Place, function, linear,
};
use crate::gpu::source;
use crate::program::{GroupNorm, MatrixId, Pass, Repeat, Slope};

pub(super) fn kernel(pass: &Pass, lowering: Lowering<'_>) -> Kernel {
    use Access::{Read, Write};

    let Lowering {
        program,
        batch,
        gradients,
        ..
    } = lowering;
    let columns = |matrix: MatrixId| program.columns[matrix.0];
    let read = |matrix: MatrixId| (Read, Place::Matrix(matrix));
    let write = |matrix: MatrixId| (Write, Place::Matrix(matrix));
    // One thread for each number of `output`; `sizes` are behind their count.
    let each = |choice: Choice, output: MatrixId, [one, two]: [usize; 2], bindings| {
        let length = batch * columns(output);
        let sizes = [length, one, two, 0];
        choice.kernel(pass.stem(), sizes, bindings, linear(length))
    };
    match *pass {
        Pass::GatherLabels { labels } => {
            let bindings = vec![(Read, Place::Labels), (Read, Place::Rows), write(labels)];
            each(
                Choice::plain(&source::GATHER_LABELS),
                labels,
                [0, 0],
                bindings,
            )
        }
        Pass::Transpose {
            input,
            output,
            rows,
        } => {
            let bindings = vec![read(input), write(output)];
            let sizes = [rows, columns(input) / rows];
            each(Choice::plain(&source::TRANSPOSE), output, sizes, bindings)
        }
        Pass::LogOfCounts { input, output } => {
            let bindings = vec![read(input), write(output)];
            each(
                Choice::plain(&source::LOG_OF_COUNTS),
                output,
                [0, 0],
                bindings,
            )
        }
        Pass::Label {
            input,
            labels,
            output,
        } => {
            let bindings = vec![read(input), read(labels), write(output)];
            let sizes = [columns(input), columns(output)];
            each(Choice::plain(&source::LABEL), output, sizes, bindings)
        }
        Pass::Activate {
            input,
            output,
            activation,
            slope,
        } => {
            let mut bindings = vec![read(input), write(output)];
            bindings.extend(slope.map(write));
            let choice = Choice::plain(&source::ACTIVATE)
                .with("activation", function(Some(activation)).into())
                .flag("slope", slope.is_some());
            each(choice, output, [0, 0], bindings)
        }
        Pass::Add {
            one,
            other,
            times,
            output,
        } => {
            let mut bindings = vec![read(one), read(other), write(output)];
            bindings.extend(times.map(|times| read(times.matrix())));
            each(
                Choice::plain(&source::ADD).times(times),
                output,
                [0, 0],
                bindings,
            )
        }
        Pass::RepeatForward {
            repeat,
            input,
            output,
        } => {
            let bindings = vec![read(input), write(output)];
            let choice = Choice::plain(&source::REPEAT_FORWARD).repeat(&repeat);
            each(choice, output, [0, 0], bindings)
        }
        Pass::RepeatBackward {
            repeat,
            d_output,
            slope,
            d_input,
        } => {
            let mut bindings = vec![read(d_output), write(d_input)];
            bindings.extend(slope.map(|slope| read(slope.matrix())));
            let choice = Choice::plain(&source::REPEAT_BACKWARD).repeat(&repeat);
            each(choice.times(slope), d_input, [0, 0], bindings)
        }
        Pass::GroupNormForward {
            norm,
            input,
            statistics,
            output,
            activation,
            slope,
        } => {
            let mut bindings = vec![(Read, Place::Parameters), read(input)];
            bindings.extend([statistics, output].map(write));
            bindings.extend(slope.map(write));
            Choice::plain(&source::GROUP_NORM_FORWARD)
                .group_norm(&norm, columns(input))
                .with("activation", function(activation).into())
                .with("eps", format!("{GROUP_NORM_EPS:e}"))
                .flag("slope", slope.is_some())
                .kernel(
                    pass.stem(),
                    [batch, 0, 0, 0],
                    bindings,
                    groups(&norm, batch),
                )
        }
        Pass::GroupNormBackward {
            norm,
            d_output,
            input,
            statistics,
            d_input,
            d_parameters,
        } => {
            let mut bindings = vec![(Read, Place::Parameters)];
            bindings.extend([d_output, input, statistics].map(read));
            bindings.extend([d_input, d_parameters].map(write));
            Choice::plain(&source::GROUP_NORM_BACKWARD)
                .group_norm(&norm, columns(input))
                .kernel(
                    pass.stem(),
                    [batch, 0, 0, 0],
                    bindings,
                    groups(&norm, batch),
                )
        }
        Pass::Sums {
            values,
            columns: width,
            offset,
        } => {
            let rows = batch * columns(values) / width;
            // Few columns leave more threads to each.
            let lanes = width.next_power_of_two().min(LINEAR_WORKGROUP / 8);
            let bindings = vec![(Write, Place::Gradients), read(values)];
            Choice::plain(&source::SUMS)
                .with("lanes", lanes.to_string())
                .kernel_in_parts(
                    pass.stem(),
                    [rows, width, offset, gradients.stride],
                    bindings,
                    [width.div_ceil(lanes), 1, gradients.count],
                )
        }
        ref other => unreachable!("{other:?} has another kernel"),
    }
}

/// One workgroup for each group of each row, folded where one dimension is not enough.
fn groups(norm: &GroupNorm, batch: usize) -> [usize; 2] {
    let count = batch * norm.groups;
    let x = count.min(MAX_WORKGROUPS);
    [x, count.div_ceil(x)]
}

impl Choice {
    /// A kernel whose result is multiplied with a slope, or not.
    fn times(self, times: Option<Slope>) -> Self {
        self.slope_of(times)
            .flag("times", times.is_some())
            .flag("plain", times.is_none())
    }

    fn repeat(self, repeat: &Repeat) -> Self {
        self.with("small_height", repeat.small[0].to_string())
            .with("small_width", repeat.small[1].to_string())
            .with("large_height", repeat.large[0].to_string())
            .with("large_width", repeat.large[1].to_string())
            .with("channels", repeat.channels.to_string())
            .with("factor", repeat.factor.to_string())
    }

    fn group_norm(self, norm: &GroupNorm, columns: usize) -> Self {
        self.with("channels", norm.channels.to_string())
            .with("groups", norm.groups.to_string())
            .with("pixels", (columns / norm.channels).to_string())
            .with("scale", norm.scale.to_string())
    }
}
