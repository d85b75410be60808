//! The way back through recorded operations.

use vae_kernels::program::{Finish, MatrixId, Pass};

use super::{Record, Records, Tape};

impl Tape<'_> {
    /// The passes back through `records`, from the gradient before the last operation's activation; returns the gradient of the
    /// first one's input, before the activation that made it, if that is wanted.
    pub(crate) fn backward(
        &mut self,
        records: &Records,
        gradient: MatrixId,
        to_input: bool,
    ) -> Option<MatrixId> {
        let mut gradient = Some(gradient);
        for (index, record) in records.0.iter().enumerate().rev() {
            gradient = self.back(record, gradient?, to_input || index > 0);
        }
        gradient
    }

    /// The same for one operation.
    fn back(&mut self, record: &Record, d_output: MatrixId, to_input: bool) -> Option<MatrixId> {
        match record {
            &Record::Dense(layer, x) => {
                self.push(Pass::DenseBackwardParameters {
                    layer,
                    input: x.matrix,
                    d_output,
                });
                let d_input = to_input.then(|| self.matrix(x.columns))?;
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
                let d_input = to_input.then(|| self.matrix(x.columns))?;
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
                let one = self.backward(block, d_output, true)?;
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
