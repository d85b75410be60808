//! The kernels of passes between the rows of a batch and those of their draws.

use super::{Access, Choice, Kernel, Lowering, MAX_WORKGROUPS, Place, linear};
use crate::gpu::source;
use crate::program::{MatrixId, Pass};

pub(super) fn kernel(pass: &Pass, lowering: Lowering<'_>) -> Kernel {
    use Access::{Read, Write};

    let Lowering { program, batch, .. } = lowering;
    let draws = |matrix: MatrixId| program.rows[matrix.0].each;
    let columns = |matrix: MatrixId| program.columns[matrix.0];
    let read = |matrix: MatrixId| (Read, Place::Matrix(matrix));
    let write = |matrix: MatrixId| (Write, Place::Matrix(matrix));
    let (source, length, columns, draws, bindings) = match *pass {
        Pass::RepeatRows { input, output } => (
            &source::REPEAT_ROWS,
            program.length(output, batch),
            columns(output),
            draws(output),
            vec![read(input), write(output)],
        ),
        Pass::SumRows { input, output } => (
            &source::SUM_ROWS,
            batch * columns(output),
            columns(output),
            draws(input),
            vec![read(input), write(output)],
        ),
        Pass::ScaleRows { values, weights } => (
            &source::SCALE_ROWS,
            program.length(values, batch),
            columns(values),
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
            let sizes = [batch, draws(kl), columns(recon), 0];
            let bindings = vec![read(recon), read(kl), write(weights), write(bound)];
            return Choice::plain(&source::IMPORTANCE).kernel(
                pass.stem(),
                sizes,
                bindings,
                [x, batch.div_ceil(x)],
            );
        }
        Pass::ImportanceSum { recon, kl, sums } => {
            let x = batch.min(MAX_WORKGROUPS);
            let sizes = [batch, draws(kl), columns(recon), 0];
            let bindings = vec![read(recon), read(kl), write(sums)];
            return Choice::plain(&source::IMPORTANCE_SUM).kernel(
                pass.stem(),
                sizes,
                bindings,
                [x, batch.div_ceil(x)],
            );
        }
        ref other => unreachable!("{other:?} has another kernel"),
    };
    let sizes = [length, columns, draws, 0];
    Choice::plain(source).kernel(pass.stem(), sizes, bindings, linear(length))
}
