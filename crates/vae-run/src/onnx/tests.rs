//! Contents of the ONNX files. That other programs compute the same results from them is tested in `tests/export.rs`.

use std::collections::HashSet;

use prost::Message;
use vae_spec::{Activation, Convolutions, Likelihood, ModelConfig, Spread, Upsampling, Weights};

use super::proto::{AttributeProto, FLOAT, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::{decoder, encoder};

fn dense(hidden: &[usize]) -> ModelConfig {
    ModelConfig {
        activation: Activation::Tanh,
        ..ModelConfig::dense(6, hidden, 2)
    }
}

/// A convolutional model: 3 x 7 x 6, then 4 x 4 x 3, then 6 x 2 x 2.
fn convolutional(upsampling: Upsampling) -> ModelConfig {
    ModelConfig {
        image: [3, 7, 6],
        convolutions: Some(Convolutions {
            channels: vec![4, 6],
            kernel: 3,
            stride: 2,
            upsampling,
            groups: Some(2),
            residual_blocks: 1,
        }),
        ..ModelConfig::dense(3 * 7 * 6, &[8], 2)
    }
}

fn read(file: &[u8]) -> (ModelProto, GraphProto) {
    let model = ModelProto::decode(file).expect("a model");
    let graph = model.graph.clone().expect("a graph");
    (model, graph)
}

fn graphs(config: &ModelConfig) -> [GraphProto; 2] {
    let weights = Weights::initial(config, 1);
    [encoder, decoder].map(|part| read(&part(config, &weights, &[])).1)
}

fn nodes(graph: &GraphProto) -> Vec<String> {
    let node = |node: &NodeProto| {
        let [inputs, outputs] = [&node.input, &node.output].map(|names| names.join(" "));
        format!("{} {inputs} -> {outputs}", node.op_type)
    };
    graph.node.iter().map(node).collect()
}

/// Inputs or outputs as text, such as `images batch x 6`.
fn values(values: &[ValueInfoProto]) -> Vec<String> {
    let value = |value: &ValueInfoProto| {
        let kind = value.r#type.clone().expect("a type");
        let tensor = kind.tensor_type.expect("a tensor");
        assert_eq!(tensor.elem_type, FLOAT);
        let sizes = tensor.shape.expect("a shape").dim.into_iter().map(|size| {
            size.dim_param
                .unwrap_or_else(|| size.dim_value.expect("a size").to_string())
        });
        format!("{} {}", value.name, sizes.collect::<Vec<_>>().join(" x "))
    };
    values.iter().map(value).collect()
}

fn attributes(graph: &GraphProto, name: &str) -> Vec<AttributeProto> {
    let node = graph.node.iter().find(|node| node.name == name);
    node.expect("a node of that name").attribute.clone()
}

#[test]
fn an_encoder_goes_from_images_to_mu_and_a_clipped_log_var() {
    let config = dense(&[4]);
    let weights = Weights::initial(&config, 1);
    let (model, graph) = read(&encoder(&config, &weights, &[("seed", "7".into())]));

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
    let tensors = graph.initializer.iter();
    let shapes = tensors.map(|tensor| format!("{} {:?}", tensor.name, tensor.dims));
    assert_eq!(
        shapes.collect::<Vec<_>>(),
        [
            "encoder.0.weight [6, 4]",
            "encoder.0.bias [4]",
            "mu.weight [4, 2]",
            "mu.bias [2]",
            "log_var.weight [4, 2]",
            "log_var.bias [2]",
            "log_var.min []",
            "log_var.max []",
        ]
    );
    let first = weights.values("encoder.0.weight")[0];
    assert_eq!(graph.initializer[0].raw_data[..4], first.to_le_bytes());
    assert_eq!(graph.initializer[6].raw_data, (-30f32).to_le_bytes());
}

#[test]
fn an_encoder_needs_no_hidden_layer() {
    let [graph, _] = graphs(&dense(&[]));
    assert_eq!(values(&graph.input), ["images batch x 6"]);
    assert_eq!(nodes(&graph)[0], "Gemm images mu.weight mu.bias -> mu");
    assert_eq!(graph.node.len(), 3);
}

#[test]
fn a_decoder_goes_from_z_to_images_through_the_nodes_of_each_activation() {
    let cases = [
        (Activation::Relu, 2),
        (Activation::Tanh, 2),
        (Activation::Sigmoid, 2),
        (Activation::Gelu, 6),
        (Activation::LeakyRelu, 2),
        (Activation::Softplus, 2),
    ];
    for (activation, count) in cases {
        let [_, graph] = graphs(&ModelConfig {
            activation,
            ..dense(&[4, 4])
        });
        assert_eq!(values(&graph.input), ["z batch x 2"]);
        assert_eq!(values(&graph.output), ["images batch x 6"]);
        assert_eq!(graph.node.len(), 2 * count + 2, "{activation:?}");
        let nodes = nodes(&graph);
        assert!(nodes[count - 1].ends_with(" -> decoder.0"), "{nodes:?}");
        assert_eq!(nodes[2 * count + 1], "Sigmoid output.linear -> images");
    }
}

#[test]
fn conditional_models_take_the_label_beside_the_images_and_the_latents() {
    let [encoder, decoder] = graphs(&ModelConfig {
        classes: 3,
        ..dense(&[4])
    });
    assert_eq!(
        values(&encoder.input),
        ["images batch x 6", "label batch x 3"]
    );
    assert_eq!(values(&decoder.input), ["z batch x 2", "label batch x 3"]);
    assert_eq!(nodes(&encoder)[0], "Concat images label -> images.labelled");
    assert_eq!(nodes(&decoder)[0], "Concat z label -> z.labelled");
    assert_eq!(
        attributes(&decoder, "z.labelled"),
        [AttributeProto::int("axis", 1)]
    );
}

#[test]
fn images_are_convolved_normalised_and_added_to_what_their_block_makes_of_them() {
    let [encoder, decoder] = graphs(&convolutional(Upsampling::Transposed));
    let first_stage = [
        "Reshape images encoder.conv.0.input.shape -> encoder.conv.0.input",
        "Conv encoder.conv.0.input encoder.conv.0.weight encoder.conv.0.bias -> encoder.conv.0.output",
        "Flatten encoder.conv.0.output -> encoder.conv.0",
        "Reshape encoder.conv.0 encoder.0.norm.grouped.shape -> encoder.0.norm.grouped",
        "InstanceNormalization encoder.0.norm.grouped encoder.0.norm.ones \
         encoder.0.norm.zeros -> encoder.0.norm.unit",
        "Reshape encoder.0.norm.unit encoder.0.norm.channels.shape -> encoder.0.norm.channels",
        "Mul encoder.0.norm.channels encoder.0.norm.weight -> encoder.0.norm.scaled",
        "Add encoder.0.norm.scaled encoder.0.norm.bias -> encoder.0.norm.shifted",
        "Flatten encoder.0.norm.shifted -> encoder.0.norm.linear",
        "Relu encoder.0.norm.linear -> encoder.0.norm",
    ];
    assert_eq!(nodes(&encoder)[..10], first_stage);
    let sum = "Add encoder.0.norm encoder.0.block.0.1.conv -> encoder.0.block.0.1.conv.sum";
    assert!(nodes(&encoder).contains(&sum.into()));
    assert_eq!(
        attributes(&encoder, "encoder.conv.0.output"),
        [
            AttributeProto::ints("strides", &[2, 2]),
            AttributeProto::ints("pads", &[1, 1, 1, 1])
        ]
    );
    assert_eq!(
        attributes(&encoder, "encoder.0.norm.unit"),
        [AttributeProto::float("epsilon", 1e-5)]
    );
    // From 2 x 2 to 4 x 3: (2 - 1) 2 + 3 - 2 is 3.
    assert_eq!(
        attributes(&decoder, "decoder.conv.0.output")[2],
        AttributeProto::ints("output_padding", &[1, 0])
    );
}

#[test]
fn pixels_are_repeated_and_cut_to_the_size() {
    let [_, graph] = graphs(&convolutional(Upsampling::Nearest));
    let nodes = nodes(&graph);
    let first = nodes.iter().position(|node| node.starts_with("Resize"));
    let x = "decoder.image.repeated";
    assert_eq!(
        nodes[first.expect("a node")..][..3],
        [
            format!("Resize {x}.input  {x}.scales -> {x}.larger"),
            format!("Slice {x}.larger {x}.cut.start {x}.cut.end {x}.cut.axes -> {x}.cut"),
            format!("Flatten {x}.cut -> {x}"),
        ]
    );
    let end = format!("{x}.cut.end");
    let end = graph.initializer.iter().find(|tensor| tensor.name == end);
    let bytes = [4i64, 3].map(i64::to_le_bytes).concat();
    assert_eq!(end.expect("a tensor").raw_data, bytes);
}

#[test]
fn images_are_the_means_of_their_likelihood() {
    let spread = Spread::Learned;
    let sums = "Gemm decoder.0 output.weight output.bias -> images";
    let (counts, deviations) = (
        "Exp mean.log -> images",
        "Add mean.deviation mean.half -> images",
    );
    for (likelihood, last, first) in [
        (
            Likelihood::Bernoulli,
            "Sigmoid output.linear -> images",
            "Gemm",
        ),
        (Likelihood::ContinuousBernoulli, deviations, "Gemm"),
        (Likelihood::Gaussian(spread), sums, "Gemm"),
        (Likelihood::Laplace(spread), sums, "Gemm"),
        (
            Likelihood::DiscretizedLogistic(spread),
            "Mul mean.between mean.spread -> images",
            "Gemm",
        ),
        (Likelihood::Poisson, counts, "Add"),
        (Likelihood::NegativeBinomial(spread), counts, "Add"),
    ] {
        let [encoder, decoder] = graphs(&ModelConfig {
            likelihood,
            ..dense(&[4])
        });
        assert_eq!(nodes(&decoder).last().map(String::as_str), Some(last));
        assert_eq!(encoder.node[0].op_type, first);
    }
}

#[test]
fn every_graph_uses_what_there_is_and_names_nothing_twice() {
    let convolutions = [Upsampling::Transposed, Upsampling::Nearest].map(convolutional);
    let unnormalised = convolutions.clone().map(|mut config| {
        if let Some(stages) = &mut config.convolutions {
            (stages.groups, stages.residual_blocks) = (None, 2);
        }
        config
    });
    let counts = ModelConfig {
        likelihood: Likelihood::Poisson,
        classes: 3,
        activation: Activation::Gelu,
        ..convolutional(Upsampling::Nearest)
    };
    let continuous = ModelConfig {
        likelihood: Likelihood::ContinuousBernoulli,
        ..dense(&[4])
    };
    let all = [convolutions, unnormalised, [counts, continuous]].concat();
    for graph in all.iter().flat_map(graphs) {
        let mut known = HashSet::from([String::new()]);
        let inputs = graph.input.iter().map(|value| &value.name);
        for name in graph
            .initializer
            .iter()
            .map(|tensor| &tensor.name)
            .chain(inputs)
        {
            assert!(known.insert(name.clone()), "{name} twice");
        }
        for node in &graph.node {
            assert!(node.input.iter().all(|x| known.contains(x)), "{node:?}");
            assert!(known.insert(node.output[0].clone()), "{node:?}");
        }
        assert!(graph.output.iter().all(|value| known.contains(&value.name)));
        for tensor in &graph.initializer {
            let count = tensor.dims.iter().product::<i64>() as usize;
            let size = if tensor.data_type == FLOAT { 4 } else { 8 };
            assert_eq!(tensor.raw_data.len(), size * count, "{}", tensor.name);
        }
    }
}
