//! Lowers a network's operations to passes, one after the other, and remembers how to go back: the backward passes follow from
//! what was recorded, last to first.

mod backward;

pub(super) use backward::Wanted;

use vae_kernels::program::{
    Finish, GroupNorm, Layer, MatrixId, NLL_COLUMNS, Pass, Program, Repeat, Rows, Slope,
};
use vae_spec::network::{Convolution, Dense, Op, layers};
use vae_spec::{Activation, Likelihood, ModelConfig};

use crate::layout::{Layout, Map};

/// What an operation puts out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) matrix: MatrixId,
    /// Derivative of the activation that made it, if one did and a backward pass will want it.
    slope: Option<Slope>,
    /// Columns that gradients go to: all but those of labels.
    columns: usize,
}

/// An operation to go back through, with its input where that takes part.
#[derive(Debug)]
enum Record {
    Dense(Layer, Value),
    Convolution(Map, Value),
    GroupNorm {
        norm: GroupNorm,
        input: MatrixId,
        statistics: MatrixId,
    },
    Activation,
    Repeat(Repeat, Value),
    Residual(Records, Value),
}

/// Operations in the order in which they were lowered.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<Record>);

/// A program in the making.
#[derive(Debug)]
pub(super) struct Tape<'a> {
    layout: &'a Layout,
    activation: Activation,
    /// Number of classes, if the model sees labels.
    classes: usize,
    /// Whether backward passes will follow.
    pub(super) has_backward: bool,
    pub(super) program: Program,
    /// The number of the class of each row of the batch, if any pass reads it.
    pub(super) labels: Option<MatrixId>,
    /// Rows of the matrices that are made now.
    pub(super) rows: Rows,
    /// Results of layers by name, in the order of computation.
    pub(super) names: Vec<(String, MatrixId)>,
}

impl<'a> Tape<'a> {
    pub(super) fn new(layout: &'a Layout, config: &ModelConfig, has_backward: bool) -> Self {
        Self {
            layout,
            activation: config.activation,
            classes: config.classes,
            has_backward,
            program: Program::default(),
            labels: None,
            rows: Rows::BATCH,
            names: Vec::new(),
        }
    }

    pub(super) fn matrix(&mut self, columns: usize) -> MatrixId {
        self.program.matrix_of(self.rows, columns)
    }

    /// Each row of a matrix of the batch's rows as often as there are draws now.
    pub(super) fn repeated(&mut self, input: MatrixId) -> MatrixId {
        if self.rows.each == 1 {
            return input;
        }
        let output = self.matrix(self.program.columns[input.0]);
        self.push(Pass::RepeatRows { input, output });
        output
    }

    pub(super) fn push(&mut self, pass: Pass) {
        self.program.passes.push(pass);
    }

    /// A matrix that no activation made, as a value.
    pub(super) fn value(&self, matrix: MatrixId) -> Value {
        Value {
            matrix,
            slope: None,
            columns: self.program.columns[matrix.0],
        }
    }

    /// The output of a layer with its activation, whose slope has been kept or follows from the output.
    fn activated(
        &self,
        matrix: MatrixId,
        activation: Option<Activation>,
        kept: Option<MatrixId>,
    ) -> Value {
        let follows = activation.filter(|&activation| Slope::follows(activation));
        let follows = follows.map(|activation| Slope::Of(activation, matrix));
        Value {
            slope: kept.map(Slope::Kept).or(follows),
            ..self.value(matrix)
        }
    }

    pub(super) fn name(&mut self, name: &str, matrix: MatrixId) {
        self.names.push((name.to_owned(), matrix));
    }

    /// A matrix for an activation's derivative, if it will be wanted and does not follow from the output.
    fn slope(&mut self, activation: Option<Activation>, columns: usize) -> Option<MatrixId> {
        let is_kept = self.has_backward && !activation.is_none_or(Slope::follows);
        is_kept.then(|| self.matrix(columns))
    }

    /// The passes of `ops` applied to `x`. An activation behind a layer becomes part of its pass.
    pub(super) fn forward(&mut self, ops: &[Op], x: Value) -> (Value, Records) {
        let mut records = Records::default();
        let x = layers(ops).fold(x, |x, (op, is_activated)| {
            let activation = is_activated.then_some(self.activation);
            self.op(op, x, activation, &mut records)
        });
        (x, records)
    }

    fn op(
        &mut self,
        op: &Op,
        x: Value,
        activation: Option<Activation>,
        records: &mut Records,
    ) -> Value {
        match op {
            Op::Label => self.label(x),
            Op::Dense(dense) => self.dense(dense, 1, x, activation, records),
            Op::Convolution(layer) => self.convolution(layer, x, activation, None, records),
            Op::GroupNorm {
                name,
                scale,
                size,
                groups,
            } => {
                let norm = GroupNorm {
                    scale: self.layout.offset(*scale),
                    channels: size[0],
                    groups: *groups,
                };
                let y = self.group_norm(norm, x, activation, records);
                self.name(name, y.matrix);
                y
            }
            Op::Activation => self.activate(x, records),
            Op::Repeat {
                input,
                output,
                factor,
            } => {
                let repeat = Repeat {
                    small: [input[1], input[2]],
                    large: [output[1], output[2]],
                    channels: input[0],
                    factor: *factor,
                };
                records.0.push(Record::Repeat(repeat, x));
                let large = self.matrix(output.iter().product());
                self.push(Pass::RepeatForward {
                    repeat,
                    input: x.matrix,
                    output: large,
                });
                self.value(large)
            }
            Op::Residual(ops) => self.residual(ops, x, records),
        }
    }

    /// `x` with its one-hot label behind it.
    fn label(&mut self, x: Value) -> Value {
        let labels = *self.labels.get_or_insert_with(|| self.program.matrix(1));
        let labels = self.repeated(labels);
        let output = self.matrix(x.columns + self.classes);
        self.push(Pass::Label {
            input: x.matrix,
            labels,
            output,
        });
        Value {
            matrix: output,
            ..x
        }
    }

    /// `blocks` dense layers of one shape that read the same input.
    pub(super) fn dense(
        &mut self,
        dense: &Dense,
        blocks: usize,
        x: Value,
        activation: Option<Activation>,
        records: &mut Records,
    ) -> Value {
        let layer = self.layout.layer(dense, blocks);
        records.0.push(Record::Dense(layer, x));
        let output = self.matrix(layer.width());
        let slope = self.slope(activation, layer.width());
        self.push(Pass::DenseForward {
            layer,
            input: x.matrix,
            output,
            activation,
            slope,
        });
        let name = match blocks {
            1 => &dense.name,
            _ => "mu and log_var",
        };
        self.name(name, output);
        self.activated(output, activation, slope)
    }

    /// The decoder's last layer and the likelihood of `images` in one pass: `recon` and, if it will be wanted, the gradient of the
    /// output.
    pub(super) fn dense_nll(
        &mut self,
        dense: &Dense,
        x: Value,
        images: MatrixId,
        likelihood: Likelihood,
        records: &mut Records,
    ) -> (MatrixId, Option<MatrixId>) {
        let layer = self.layout.layer(dense, 1);
        records.0.push(Record::Dense(layer, x));
        let recon = self.matrix(layer.width().div_ceil(NLL_COLUMNS));
        let d_output = self.has_backward.then(|| self.matrix(layer.width()));
        self.push(Pass::DenseNll {
            layer,
            input: x.matrix,
            images,
            likelihood,
            recon,
            d_output,
        });
        (recon, d_output)
    }

    fn convolution(
        &mut self,
        layer: &Convolution,
        x: Value,
        activation: Option<Activation>,
        add: Option<MatrixId>,
        records: &mut Records,
    ) -> Value {
        let map = self.layout.map(layer);
        records.0.push(Record::Convolution(map, x));
        let columns = layer.output.iter().product();
        let output = self.matrix(columns);
        let slope = self.slope(activation, columns);
        let finish = Finish {
            bias: Some(map.bias),
            add,
            activation,
            slope,
            times: None,
        };
        self.push(map.pass(map.is_transposed, x.matrix, output, finish));
        self.name(&layer.name, output);
        self.activated(output, activation, slope)
    }

    fn group_norm(
        &mut self,
        norm: GroupNorm,
        x: Value,
        activation: Option<Activation>,
        records: &mut Records,
    ) -> Value {
        let output = self.matrix(x.columns);
        let statistics = self.matrix(2 * norm.groups);
        let slope = self.slope(activation, x.columns);
        self.push(Pass::GroupNormForward {
            norm,
            input: x.matrix,
            statistics,
            output,
            activation,
            slope,
        });
        records.0.push(Record::GroupNorm {
            norm,
            input: x.matrix,
            statistics,
        });
        self.activated(output, activation, slope)
    }

    /// An activation that is not behind a layer.
    fn activate(&mut self, x: Value, records: &mut Records) -> Value {
        let activation = self.activation;
        let output = self.matrix(x.columns);
        let slope = self.slope(Some(activation), x.columns);
        self.push(Pass::Activate {
            input: x.matrix,
            output,
            activation,
            slope,
        });
        records.0.push(Record::Activation);
        self.activated(output, Some(activation), slope)
    }

    /// The block's last layer, a convolution, adds its result to the block's input. On the way back the slope of that input is
    /// applied where both gradients meet, so that the block itself goes back to an input without one.
    fn residual(&mut self, ops: &[Op], x: Value, records: &mut Records) -> Value {
        let Some((Op::Convolution(last), before)) = ops.split_last() else {
            unreachable!("a residual block ends with a convolution")
        };
        let (inner, mut block) = self.forward(before, Value { slope: None, ..x });
        let y = self.convolution(last, inner, None, Some(x.matrix), &mut block);
        records.0.push(Record::Residual(block, x));
        y
    }
}
