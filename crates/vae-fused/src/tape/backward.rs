//! The way back through recorded operations.

use vae_kernels::program::{Finish, MatrixId, Pass, PriorPass, Rows};

use super::{Record, Records, Tape};

/// Rows of an input whose gradients are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    All,
    /// As many behind those of the batch.
    Last(usize),
}

impl Tape<'_> {
    /// The passes back through `records`, from the gradient before the last operation's activation; returns the gradient of the
    /// first one's input, before the activation that made it, if that is wanted.
    pub(crate) fn backward(
        &mut self,
        records: &Records,
        gradient: MatrixId,
        to_input: Wanted,
    ) -> Option<MatrixId> {
        let mut gradient = Some(gradient);
        for (index, record) in records.0.iter().enumerate().rev() {
            let wanted = if index > 0 { Wanted::All } else { to_input };
            gradient = self.back(record, gradient?, wanted);
        }
        gradient
    }

    /// The rows of a gradient that are wanted of the layer's input, too, and a matrix for that, of so many columns.
    fn of_wanted(
        &mut self,
        wanted: Wanted,
        d_output: MatrixId,
        columns: usize,
    ) -> Option<(MatrixId, MatrixId)> {
        match wanted {
            Wanted::Nothing => None,
            Wanted::All => Some((d_output, self.matrix(columns))),
            Wanted::Last(count) => {
                let rows = Rows::fixed(count);
                let width = self.program.columns[d_output.0];
                let [last, d_input] =
                    [width, columns].map(|columns| self.program.matrix_of(rows, columns));
                self.push(Pass::Prior(PriorPass::LastRows {
                    input: d_output,
                    output: last,
                }));
                Some((last, d_input))
            }
        }
    }

    /// The same for one operation; the first of a network is a layer.
    fn back(&mut self, record: &Record, d_output: MatrixId, wanted: Wanted) -> Option<MatrixId> {
        match record {
            &Record::Dense(layer, x) => {
                self.push(Pass::DenseBackwardParameters {
                    layer,
                    input: x.matrix,
                    d_output,
                });
                let (d_output, d_input) = self.of_wanted(wanted, d_output, x.columns)?;
                self.push(Pass::DenseBackwardInput {
                    layer,
                    d_output,
                    slope: x.slope,
                    d_input,
                });
                Some(d_input)
            }
            &Record::Convolution(map, x) => {
                let (image, values, columns) = match map.is_transposed {
                    false => (x.matrix, d_output, map.convolution.map_channels),
                    true => (d_output, x.matrix, map.convolution.image_channels),
                };
                self.push(Pass::ConvolveBackwardWeight {
                    convolution: map.convolution,
                    image,
                    map: values,
                });
                self.push(Pass::Sums {
                    values: d_output,
                    columns,
                    offset: map.bias,
                });
                let (d_output, d_input) = self.of_wanted(wanted, d_output, x.columns)?;
                let finish = Finish {
                    times: x.slope,
                    ..Finish::default()
                };
                self.push(map.pass(!map.is_transposed, d_output, d_input, finish));
                Some(d_input)
            }
            &Record::GroupNorm {
                norm,
                input,
                statistics,
            } => {
                let d_input = self.matrix(self.program.columns[d_output.0]);
                let d_parameters = self.matrix(2 * norm.channels);
                self.push(Pass::GroupNormBackward {
                    norm,
                    d_output,
                    input,
                    statistics,
                    d_input,
                    d_parameters,
                });
                self.push(Pass::Sums {
                    values: d_parameters,
                    columns: 2 * norm.channels,
                    offset: norm.scale,
                });
                Some(d_input)
            }
            // Its slope has been applied by the operation behind it.
            Record::Activation => Some(d_output),
            &Record::Repeat(repeat, x) => {
                let d_input = self.matrix(x.columns);
                self.push(Pass::RepeatBackward {
                    repeat,
                    d_output,
                    slope: x.slope,
                    d_input,
                });
                Some(d_input)
            }
            Record::Residual(block, x) => {
                let one = self.backward(block, d_output, Wanted::All)?;
                let output = self.matrix(x.columns);
                self.push(Pass::Add {
                    one,
                    other: d_output,
                    times: x.slope,
                    output,
                });
                Some(output)
            }
        }
    }
}
