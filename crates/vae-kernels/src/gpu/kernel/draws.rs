//! The kernels of passes between the rows of a batch and those of their draws.

use super::{Access, Choice, Kernel, Lowering, MAX_WORKGROUPS, Place, linear};
use crate::gpu::source;
use crate::program::{MatrixId, Pass};

pub(super) fn kernel(pass: &Pass, lowering: Lowering<'_>) -> Kernel {
    use Access::{Read, Write};

    let Lowering { program, batch, .. } = lowering;
    let columns = |matrix: MatrixId| program.columns[matrix.0];
    let read = |matrix: MatrixId| (Read, Place::Matrix(matrix));
    let write = |matrix: MatrixId| (Write, Place::Matrix(matrix));
    let (source, matrix, draws, bindings) = match *pass {
        Pass::RepeatRows { input, output } => (
            &source::REPEAT_ROWS,
            output,
            program.rows[output.0],
            vec![read(input), write(output)],
        ),
        Pass::SumRows { input, output } => (
            &source::SUM_ROWS,
            output,
            program.rows[input.0],
            vec![read(input), write(output)],
        ),
        Pass::ScaleRows { values, weights } => (
            &source::SCALE_ROWS,
            values,
            1,
            vec![write(values), read(weights)],
        ),
        Pass::Importance {
            recon,
            kl,
            weights,
            bound,
        } => {
            let x = batch.min(MAX_WORKGROUPS);
            let sizes = [batch, program.rows[kl.0], columns(recon), 0];
            let bindings = vec![read(recon), read(kl), write(weights), write(bound)];
            return Choice::plain(&source::IMPORTANCE).kernel(
                pass.stem(),
                sizes,
                bindings,
                [x, batch.div_ceil(x)],
            );
        }
        ref other => unreachable!("{other:?} has another kernel"),
    };
    let length = program.length(matrix, batch);
    let sizes = [length, columns(matrix), draws, 0];
    Choice::plain(source).kernel(pass.stem(), sizes, bindings, linear(length))
}
