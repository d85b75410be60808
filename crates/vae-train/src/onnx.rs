//! Dense networks as ONNX files, for other programs to run. Writes only.
//!
//! Opset 17 and `ir_version` 8 are those of ONNX 1.12 (2022), so that older runtimes read the files too.

mod proto;

use std::f32::consts::FRAC_1_SQRT_2;

use prost::Message;
use vae_kernels::sample_kl::{LOG_VAR_MAX, LOG_VAR_MIN};

use proto::{
    Dimension, FLOAT, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The name of the first dimension of every input and output: any number of rows.
const BATCH: &str = "batch";

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnnxActivation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `0.5 x (1 + erf(x / sqrt(2)))`, exact. ONNX has an operator of that name from opset 20 only.
    Gelu,
    /// `x` above zero, `0.01 x` below.
    LeakyRelu,
    /// `ln(1 + exp(x))`
    Softplus,
}

/// One dense layer: `x weight + bias`, then its activation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense<'a> {
    /// For example `encoder.0`; the file's tensors are `<name>.weight` and `<name>.bias`.
    pub name: &'a str,
    /// Columns of the input.
    pub inputs: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// `[inputs, outputs]`, row-major.
    pub weight: &'a [f32],
    /// `[outputs]`
    pub bias: &'a [f32],
    /// What follows.
    pub activation: OnnxActivation,
}

/// The file of an encoder: `images` `[batch, pixels]` to `mu` and `log_var`, each `[batch, latent]`.
///
/// Nothing is drawn; `log_var` is clipped to [-30, 20]. `hidden` may be empty.
#[must_use]
pub(crate) fn encoder(
    hidden: &[Dense<'_>],
    mu: &Dense<'_>,
    log_var: &Dense<'_>,
    metadata: &[(&str, String)],
) -> Vec<u8> {
    const UNCLIPPED: &str = "log_var.unclipped";
    let mut graph = GraphProto::named("encoder");
    let mut features = "images";
    for layer in hidden {
        graph.dense(features, layer, layer.name);
        features = layer.name;
    }
    graph.dense(features, mu, "mu");
    graph.dense(features, log_var, UNCLIPPED);
    graph.constant("log_var.min", LOG_VAR_MIN);
    graph.constant("log_var.max", LOG_VAR_MAX);
    graph.node(
        "Clip",
        &[UNCLIPPED, "log_var.min", "log_var.max"],
        "log_var",
    );

    let pixels = hidden.first().unwrap_or(mu).inputs;
    graph.input = vec![rows("images", pixels)];
    graph.output = vec![rows("mu", mu.outputs), rows("log_var", log_var.outputs)];
    graph.into_file(metadata)
}

/// The file of a decoder: `z` `[batch, latent]` to `images` `[batch, pixels]`, through at least one layer.
#[must_use]
pub(crate) fn decoder(layers: &[Dense<'_>], metadata: &[(&str, String)]) -> Vec<u8> {
    let mut graph = GraphProto::named("decoder");
    graph
        .input
        .extend(layers.first().map(|layer| rows("z", layer.inputs)));
    graph
        .output
        .extend(layers.last().map(|layer| rows("images", layer.outputs)));
    let mut value = "z";
    for (index, layer) in layers.iter().enumerate() {
        let is_last = index + 1 == layers.len();
        let output = if is_last { "images" } else { layer.name };
        graph.dense(value, layer, output);
        value = output;
    }
    graph.into_file(metadata)
}

impl GraphProto {
    fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The nodes and tensors from the value `input` through `layer` to the value `output`.
    fn dense(&mut self, input: &str, layer: &Dense<'_>, output: &str) {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{}.{part}", layer.name));
        self.tensor(&weight, &[layer.inputs, layer.outputs], layer.weight);
        self.tensor(&bias, &[layer.outputs], layer.bias);
        let x = match layer.activation {
            OnnxActivation::Identity => output.into(),
            _ => format!("{}.linear", layer.name),
        };
        self.node("Gemm", &[input, &weight, &bias], &x);
        match layer.activation {
            OnnxActivation::Identity => {}
            OnnxActivation::Relu => self.node("Relu", &[&x], output),
            OnnxActivation::Tanh => self.node("Tanh", &[&x], output),
            OnnxActivation::Sigmoid => self.node("Sigmoid", &[&x], output),
            OnnxActivation::Gelu => self.gelu(&x, output),
            // Its slope below zero is 0.01 unless an attribute says otherwise.
            OnnxActivation::LeakyRelu => self.node("LeakyRelu", &[&x], output),
            OnnxActivation::Softplus => self.node("Softplus", &[&x], output),
        }
    }

    /// In the steps of its formula.
    fn gelu(&mut self, x: &str, output: &str) {
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
        self.node("Mul", &[&product, half], output);
    }

    /// A node is called like its output.
    fn node(&mut self, op_type: &str, inputs: &[&str], output: &str) {
        self.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: op_type.into(),
        });
    }

    /// A number that several nodes may share: kept once.
    fn constant(&mut self, name: &str, value: f32) {
        if self.initializer.iter().all(|tensor| tensor.name != name) {
            self.tensor(name, &[], &[value]);
        }
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.initializer.push(TensorProto {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: name.into(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
    }

    fn into_file(self, metadata: &[(&str, String)]) -> Vec<u8> {
        let entry = |(key, value): &(&str, String)| StringStringEntryProto {
            key: (*key).into(),
            value: value.clone(),
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "vae-gpu".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self),
            opset_import: vec![OperatorSetIdProto { version: OPSET }],
            metadata_props: metadata.iter().map(entry).collect(),
        };
        model.encode_to_vec()
    }
}

/// An input or output of the graph: f32 `[batch, columns]`.
fn rows(name: &str, columns: usize) -> ValueInfoProto {
    let batch = Dimension {
        dim_param: Some(BATCH.into()),
        ..Dimension::default()
    };
    let columns = Dimension {
        dim_value: Some(columns as i64),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: vec![batch, columns],
    };
    let tensor_type = TensorTypeProto {
        elem_type: FLOAT,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<'a>(name: &'a str, shape: [usize; 2], activation: OnnxActivation) -> Dense<'a> {
        const NUMBERS: [f32; 64] = [0.25; 64];
        let [inputs, outputs] = shape;
        Dense {
            name,
            inputs,
            outputs,
            weight: &NUMBERS[..inputs * outputs],
            bias: &NUMBERS[..outputs],
            activation,
        }
    }

    fn read(file: &[u8]) -> (ModelProto, GraphProto) {
        let model = ModelProto::decode(file).expect("a model");
        let graph = model.graph.clone().expect("a graph");
        (model, graph)
    }

    fn nodes(graph: &GraphProto) -> Vec<String> {
        let node = |node: &NodeProto| {
            format!(
                "{} {} -> {}",
                node.op_type,
                node.input.join(" "),
                node.output.join(" ")
            )
        };
        graph.node.iter().map(node).collect()
    }

    /// Such as `images batch x 6`.
    fn values(values: &[ValueInfoProto]) -> Vec<String> {
        let value = |value: &ValueInfoProto| {
            let tensor = value
                .r#type
                .clone()
                .and_then(|kind| kind.tensor_type)
                .expect("a tensor");
            assert_eq!(tensor.elem_type, FLOAT);
            let sizes = tensor.shape.expect("a shape").dim.into_iter().map(|size| {
                size.dim_param
                    .unwrap_or_else(|| size.dim_value.expect("a size").to_string())
            });
            format!("{} {}", value.name, sizes.collect::<Vec<_>>().join(" x "))
        };
        values.iter().map(value).collect()
    }

    #[test]
    fn an_encoder_goes_from_images_to_mu_and_a_clipped_log_var() {
        let hidden = [layer("encoder.0", [6, 4], OnnxActivation::Tanh)];
        let mu = layer("mu", [4, 2], OnnxActivation::Identity);
        let log_var = layer("log_var", [4, 2], OnnxActivation::Identity);
        let (model, graph) = read(&encoder(&hidden, &mu, &log_var, &[("seed", "7".into())]));

        assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
        assert_eq!(model.producer_name, "vae-gpu");
        assert_eq!(model.producer_version, env!("CARGO_PKG_VERSION"));
        let property = &model.metadata_props[0];
        assert_eq!((&*property.key, &*property.value), ("seed", "7"));

        assert_eq!(values(&graph.input), ["images batch x 6"]);
        assert_eq!(values(&graph.output), ["mu batch x 2", "log_var batch x 2"]);
        assert_eq!(
            nodes(&graph),
            [
                "Gemm images encoder.0.weight encoder.0.bias -> encoder.0.linear",
                "Tanh encoder.0.linear -> encoder.0",
                "Gemm encoder.0 mu.weight mu.bias -> mu",
                "Gemm encoder.0 log_var.weight log_var.bias -> log_var.unclipped",
                "Clip log_var.unclipped log_var.min log_var.max -> log_var",
            ]
        );
        let shapes: Vec<(&str, &[i64])> = graph
            .initializer
            .iter()
            .map(|tensor| (&*tensor.name, &*tensor.dims))
            .collect();
        let expected: [(&str, &[i64]); 8] = [
            ("encoder.0.weight", &[6, 4]),
            ("encoder.0.bias", &[4]),
            ("mu.weight", &[4, 2]),
            ("mu.bias", &[2]),
            ("log_var.weight", &[4, 2]),
            ("log_var.bias", &[2]),
            ("log_var.min", &[]),
            ("log_var.max", &[]),
        ];
        assert_eq!(shapes, expected);
        for tensor in &graph.initializer {
            let count = tensor.dims.iter().product::<i64>() as usize;
            assert_eq!(tensor.data_type, FLOAT);
            assert_eq!(tensor.raw_data.len(), 4 * count, "{}", tensor.name);
        }
        assert_eq!(
            graph.initializer[1].raw_data,
            0.25f32.to_le_bytes().repeat(4)
        );
        assert_eq!(graph.initializer[6].raw_data, (-30f32).to_le_bytes());
    }

    #[test]
    fn an_encoder_needs_no_hidden_layer() {
        let mu = layer("mu", [6, 2], OnnxActivation::Identity);
        let log_var = layer("log_var", [6, 2], OnnxActivation::Identity);
        let (_, graph) = read(&encoder(&[], &mu, &log_var, &[]));
        assert_eq!(values(&graph.input), ["images batch x 6"]);
        assert_eq!(nodes(&graph)[0], "Gemm images mu.weight mu.bias -> mu");
        assert_eq!(graph.node.len(), 3);
    }

    #[test]
    fn a_decoder_goes_from_z_to_images_through_the_nodes_of_each_activation() {
        let cases = [
            (OnnxActivation::Identity, 1),
            (OnnxActivation::Relu, 2),
            (OnnxActivation::Tanh, 2),
            (OnnxActivation::Sigmoid, 2),
            (OnnxActivation::Gelu, 6),
            (OnnxActivation::LeakyRelu, 2),
            (OnnxActivation::Softplus, 2),
        ];
        for (activation, count) in cases {
            let layers = [
                layer("decoder.0", [2, 4], activation),
                layer("decoder.1", [4, 4], activation),
                layer("output", [4, 6], OnnxActivation::Sigmoid),
            ];
            let (_, graph) = read(&decoder(&layers, &[]));
            assert_eq!(values(&graph.input), ["z batch x 2"]);
            assert_eq!(values(&graph.output), ["images batch x 6"]);
            assert_eq!(graph.node.len(), 2 * count + 2, "{activation:?}");
            let nodes = nodes(&graph);
            assert!(nodes[count - 1].ends_with(" -> decoder.0"), "{nodes:?}");
            assert_eq!(nodes[2 * count + 1], "Sigmoid output.linear -> images");

            let mut names: Vec<_> = graph
                .initializer
                .iter()
                .map(|tensor| &tensor.name)
                .collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), graph.initializer.len(), "{names:?}");
        }
    }
}
