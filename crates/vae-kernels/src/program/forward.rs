//! The passes of a decoder as they are written into a file, for programs in other languages that decode.

use serde::Serialize;
use vae_spec::Activation;

use super::{Convolution, GroupNorm, Layer, MatrixId, Pass, Repeat};

/// A pass of a program without a way back; see [`Pass`] for what each computes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "pass", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the fields are those of the passes of the same names"
)]
pub enum ForwardPass {
    /// [`Pass::Label`]
    Label {
        input: MatrixId,
        labels: MatrixId,
        output: MatrixId,
    },
    /// [`Pass::DenseForward`]
    DenseForward {
        layer: Layer,
        input: MatrixId,
        output: MatrixId,
        activation: Option<Activation>,
    },
    /// [`Pass::Convolve`], with its [`super::Finish`] beside it.
    Convolve {
        convolution: Convolution,
        input: MatrixId,
        output: MatrixId,
        bias: Option<usize>,
        add: Option<MatrixId>,
        activation: Option<Activation>,
    },
    /// [`Pass::ConvolveTransposed`], with its [`super::Finish`] beside it.
    ConvolveTransposed {
        convolution: Convolution,
        input: MatrixId,
        output: MatrixId,
        bias: Option<usize>,
        add: Option<MatrixId>,
        activation: Option<Activation>,
    },
    /// [`Pass::Activate`]
    Activate {
        input: MatrixId,
        output: MatrixId,
        activation: Activation,
    },
    /// [`Pass::RepeatForward`]
    RepeatForward {
        repeat: Repeat,
        input: MatrixId,
        output: MatrixId,
    },
    /// [`Pass::GroupNormForward`], whose `statistics` nobody reads without a way back.
    GroupNormForward {
        norm: GroupNorm,
        input: MatrixId,
        output: MatrixId,
        activation: Option<Activation>,
    },
    /// [`Pass::Transpose`]
    Transpose {
        input: MatrixId,
        output: MatrixId,
        rows: usize,
    },
}

impl ForwardPass {
    /// The pass as such; `None` if decoders have none of its kind.
    #[must_use]
    pub const fn of(pass: &Pass) -> Option<Self> {
        Some(match *pass {
            Pass::Label {
                input,
                labels,
                output,
            } => Self::Label {
                input,
                labels,
                output,
            },
            Pass::DenseForward {
                layer,
                input,
                output,
                activation,
                slope: None,
            } => Self::DenseForward {
                layer,
                input,
                output,
                activation,
            },
            Pass::Convolve {
                convolution,
                image,
                map,
                finish,
            } => Self::Convolve {
                convolution,
                input: image,
                output: map,
                bias: finish.bias,
                add: finish.add,
                activation: finish.activation,
            },
            Pass::ConvolveTransposed {
                convolution,
                map,
                image,
                finish,
            } => Self::ConvolveTransposed {
                convolution,
                input: map,
                output: image,
                bias: finish.bias,
                add: finish.add,
                activation: finish.activation,
            },
            Pass::Activate {
                input,
                output,
                activation,
                slope: None,
            } => Self::Activate {
                input,
                output,
                activation,
            },
            Pass::RepeatForward {
                repeat,
                input,
                output,
            } => Self::RepeatForward {
                repeat,
                input,
                output,
            },
            Pass::GroupNormForward {
                norm,
                input,
                output,
                activation,
                slope: None,
                ..
            } => Self::GroupNormForward {
                norm,
                input,
                output,
                activation,
            },
            Pass::Transpose {
                input,
                output,
                rows,
            } => Self::Transpose {
                input,
                output,
                rows,
            },
            _ => return None,
        })
    }
}
