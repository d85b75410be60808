//! ONNX nodes for the operations of a network, one function each. Values between operations are matrices `[batch, columns]`,
//! as in the network itself.

use std::f32::consts::FRAC_1_SQRT_2;

use vae_spec::network::{Convolution, Dense, Op, Parameter, Size, layers};
use vae_spec::{Activation, GROUP_NORM_EPS};

use super::LABEL;
use super::graph::Graph;
use super::proto::AttributeProto;

/// Suffix of the name of a pre-activation; the activation gets the layer's name.
const LINEAR: &str = ".linear";

impl Graph<'_> {
    /// Adds the nodes of `ops` applied to the value `x`; returns the name of the result.
    pub(super) fn ops(&mut self, ops: &[Op], x: &str) -> String {
        layers(ops).fold(x.to_owned(), |x, (op, is_activated)| {
            let suffix = if is_activated { LINEAR } else { "" };
            let value = |name: &str| format!("{name}{suffix}");
            let y = match op {
                Op::Label => self.label(&x),
                Op::Dense(layer) => self.dense(layer, &x, &value(&layer.name)),
                Op::Convolution(layer) => self.convolution(layer, &x, &value(&layer.name)),
                Op::Repeat {
                    input,
                    output,
                    factor,
                } => self.repeat(*input, *output, *factor, &x),
                Op::GroupNorm {
                    name,
                    scale,
                    size,
                    groups,
                } => self.group_norm(name, *scale, *size, *groups, &x, &value(name)),
                Op::Activation => self.activation(&x),
                Op::Residual(ops) => self.residual(ops, &x),
            };
            if is_activated { self.activation(&y) } else { y }
        })
    }

    /// `ln(1 + x)`, for which ONNX has no operator; for counts `1 + x` is exact.
    pub(super) fn log1p(&mut self, x: &str) -> String {
        self.constant("log1p.one", 1.0);
        let sum = self.node("Add", &[x, "log1p.one"], &format!("{x}.plus_one"));
        self.node("Log", &[&sum], &format!("{x}.log"))
    }

    fn label(&mut self, x: &str) -> String {
        let axis = AttributeProto::int("axis", 1);
        let y = format!("{x}.labelled");
        self.node_with("Concat", &[x, LABEL], &y, vec![axis])
    }

    pub(super) fn dense(&mut self, layer: &Dense, x: &str, y: &str) -> String {
        let weight = self.parameter(layer.weight, &[layer.inputs, layer.outputs]);
        let bias = self.parameter(layer.weight + 1, &[layer.outputs]);
        self.node("Gemm", &[x, weight, bias], y)
    }

    fn convolution(&mut self, layer: &Convolution, x: &str, y: &str) -> String {
        let [input, output] = ["input", "output"].map(|part| format!("{}.{part}", layer.name));
        let weight = self.parameter(layer.weight, &layer.weight_shape());
        let bias = self.parameter(layer.weight + 1, &[layer.output[0]]);
        let mut attributes = vec![
            AttributeProto::ints("strides", &[layer.stride; 2]),
            AttributeProto::ints("pads", &[layer.padding; 4]),
        ];
        let op_type = if layer.is_transposed {
            let padding_out = layer.padding_out();
            attributes.push(AttributeProto::ints("output_padding", &padding_out));
            "ConvTranspose"
        } else {
            "Conv"
        };
        self.images(x, layer.input, &input);
        self.node_with(op_type, &[&input, weight, bias], &output, attributes);
        self.node("Flatten", &[&output], y)
    }

    /// Reshapes a matrix to images.
    fn images(&mut self, x: &str, [channels, height, width]: Size, output: &str) {
        self.reshape(x, &[0, channels, height, width], output);
    }

    /// Nearest-neighbour upsampling: pixel `i` of the result is pixel `floor(i / factor)`, cropped to `output`.
    fn repeat(&mut self, input: Size, output: Size, factor: usize, x: &str) -> String {
        let y = format!("{x}.repeated");
        let [images, scales, larger, cut] =
            ["input", "scales", "larger", "cut"].map(|part| format!("{y}.{part}"));
        let [start, end, axes] = ["start", "end", "axes"].map(|part| format!("{cut}.{part}"));
        self.images(x, input, &images);
        let factor = factor as f32;
        self.tensor(&scales, &[4], &[1.0, 1.0, factor, factor]);
        let attributes = vec![
            AttributeProto::text("mode", "nearest"),
            AttributeProto::text("coordinate_transformation_mode", "asymmetric"),
            AttributeProto::text("nearest_mode", "floor"),
        ];
        self.node_with("Resize", &[&images, "", &scales], &larger, attributes);
        self.integers(&start, &[0, 0]);
        self.integers(&end, &output[1..]);
        self.integers(&axes, &[2, 3]);
        self.node("Slice", &[&larger, &start, &end, &axes], &cut);
        self.node("Flatten", &[&cut], &y)
    }

    /// Group normalization as instance normalization with the groups as channels, because opset 17 has no group normalization.
    fn group_norm(
        &mut self,
        name: &str,
        scale: Parameter,
        size: Size,
        groups: usize,
        x: &str,
        y: &str,
    ) -> String {
        let [channels, height, width] = size;
        let pixels = height * width;
        let steps = [
            "ones", "zeros", "grouped", "unit", "channels", "scaled", "shifted",
        ];
        let [ones, zeros, grouped, unit, parted, scaled, shifted] =
            steps.map(|step| format!("{name}.{step}"));
        self.tensor(&ones, &[groups], &vec![1.0; groups]);
        self.tensor(&zeros, &[groups], &vec![0.0; groups]);
        let weight = self.parameter(scale, &[channels, 1]);
        let bias = self.parameter(scale + 1, &[channels, 1]);
        let epsilon = vec![AttributeProto::float("epsilon", GROUP_NORM_EPS as f32)];
        self.reshape(x, &[0, groups, channels / groups * pixels], &grouped);
        let inputs = [&*grouped, &ones, &zeros];
        self.node_with("InstanceNormalization", &inputs, &unit, epsilon);
        self.reshape(&unit, &[0, channels, pixels], &parted);
        self.node("Mul", &[&parted, weight], &scaled);
        self.node("Add", &[&scaled, bias], &shifted);
        self.node("Flatten", &[&shifted], y)
    }

    fn activation(&mut self, x: &str) -> String {
        let y = match x.strip_suffix(LINEAR) {
            Some(layer) => layer.to_owned(),
            None => format!("{x}.activation"),
        };
        let op_type = match self.config.activation {
            Activation::Relu => "Relu",
            Activation::Tanh => "Tanh",
            Activation::Sigmoid => "Sigmoid",
            // ONNX has a Gelu operator only from opset 20 on.
            Activation::Gelu => return self.gelu(x, &y),
            // The default slope below zero is 0.01.
            Activation::LeakyRelu => "LeakyRelu",
            Activation::Softplus => "Softplus",
        };
        self.node(op_type, &[x], &y)
    }

    /// `0.5 x (1 + erf(x / sqrt(2)))`, exact.
    fn gelu(&mut self, x: &str, y: &str) -> String {
        let [scaled, erf, shifted, product] =
            ["scaled", "erf", "shifted", "product"].map(|step| format!("{x}.{step}"));
        let [sqrt_half, one, half] = ["gelu.sqrt_half", "gelu.one", "gelu.half"];
        self.constant(sqrt_half, FRAC_1_SQRT_2);
        self.constant(one, 1.0);
        self.constant(half, 0.5);
        self.node("Mul", &[x, sqrt_half], &scaled);
        self.node("Erf", &[&scaled], &erf);
        self.node("Add", &[&erf, one], &shifted);
        self.node("Mul", &[x, &shifted], &product);
        self.node("Mul", &[&product, half], y)
    }

    fn residual(&mut self, ops: &[Op], x: &str) -> String {
        let inner = self.ops(ops, x);
        self.node("Add", &[x, &inner], &format!("{inner}.sum"))
    }
}
