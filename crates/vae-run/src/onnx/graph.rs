//! Builds an ONNX graph node by node, and the file from it.

use prost::Message;
use vae_spec::network::Parameter;
use vae_spec::{ModelConfig, Weights};

use super::proto::{
    AttributeProto, Dimension, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// Name of the dynamic batch dimension, the first of every input and output.
const BATCH: &str = "batch";

/// An ONNX graph of a part of a model.
pub(super) struct Graph<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    proto: GraphProto,
}

impl<'a> Graph<'a> {
    pub(super) fn new(name: &str, config: &'a ModelConfig, weights: &'a Weights) -> Self {
        let proto = GraphProto {
            name: name.into(),
            ..GraphProto::default()
        };
        Self {
            config,
            weights,
            proto,
        }
    }

    pub(super) fn input(&mut self, name: &str, columns: usize) {
        self.proto.input.push(rows(name, columns));
    }

    pub(super) fn output(&mut self, name: &str, columns: usize) {
        self.proto.output.push(rows(name, columns));
    }

    /// Adds a node named like its output; returns that name.
    pub(super) fn node(&mut self, op_type: &str, inputs: &[&str], output: &str) -> String {
        self.node_with(op_type, inputs, output, vec![])
    }

    pub(super) fn node_with(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: op_type.into(),
            attribute,
        });
        output.to_owned()
    }

    /// Renames the last node and its output to `name`.
    pub(super) fn rename_last(&mut self, name: &str) {
        if let Some(node) = self.proto.node.last_mut() {
            node.name = name.into();
            node.output = vec![name.into()];
        }
    }

    /// Reshapes `x`; a 0 in `shape` keeps that dimension, as for the batch.
    pub(super) fn reshape(&mut self, x: &str, shape: &[usize], output: &str) {
        let sizes = format!("{output}.shape");
        self.integers(&sizes, shape);
        self.node("Reshape", &[x, &sizes], output);
    }

    /// Adds a parameter with this shape, under its own name.
    pub(super) fn parameter(&mut self, parameter: Parameter, shape: &[usize]) -> &'a str {
        let tensor = &self.weights.tensors()[parameter];
        self.tensor(&tensor.name, shape, &tensor.values);
        &tensor.name
    }

    /// Adds a scalar constant, stored once for all nodes that use it.
    pub(super) fn constant(&mut self, name: &str, value: f32) {
        let tensors = &self.proto.initializer;
        if tensors.iter().all(|tensor| tensor.name != name) {
            self.tensor(name, &[], &[value]);
        }
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.initializer(name, shape, FLOAT, bytes.collect());
    }

    /// Adds an i64 vector of sizes or indices.
    pub(super) fn integers(&mut self, name: &str, values: &[usize]) {
        let bytes = values
            .iter()
            .flat_map(|&value| (value as i64).to_le_bytes());
        self.initializer(name, &[values.len()], INT64, bytes.collect());
    }

    fn initializer(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type,
            name: name.into(),
            raw_data,
        });
    }

    pub(super) fn into_file(self, metadata: &[(&str, String)]) -> Vec<u8> {
        let entry = |(key, value): &(&str, String)| StringStringEntryProto {
            key: (*key).into(),
            value: value.clone(),
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "vae-gpu".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.proto),
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
