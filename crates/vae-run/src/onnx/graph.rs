//! A graph that grows node by node, and the file that it ends as.

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
/// The name of the first dimension of every input and output: any number of rows.
const BATCH: &str = "batch";

/// Part of a model as a graph of ONNX.
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

    /// A node, which is called like its output; gives that name.
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

    /// Calls the last node and its output `name`.
    pub(super) fn rename_last(&mut self, name: &str) {
        if let Some(node) = self.proto.node.last_mut() {
            node.name = name.into();
            node.output = vec![name.into()];
        }
    }

    /// `x` in another shape, in which 0 stands for the size that is there: that of the batch.
    pub(super) fn reshape(&mut self, x: &str, shape: &[usize], output: &str) {
        let sizes = format!("{output}.shape");
        self.integers(&sizes, shape);
        self.node("Reshape", &[x, &sizes], output);
    }

    /// The numbers of a parameter in this shape, under its own name.
    pub(super) fn parameter(&mut self, parameter: Parameter, shape: &[usize]) -> &'a str {
        let tensor = &self.weights.tensors()[parameter];
        self.tensor(&tensor.name, shape, &tensor.values);
        &tensor.name
    }

    /// A number that several nodes may share: kept once.
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

    /// Sizes or places: a vector of i64.
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
