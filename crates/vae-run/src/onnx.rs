//! Export of networks as ONNX files.
//!
//! Opset 17 and `ir_version` 8 are those of ONNX 1.12 (2022), so that older runtimes read the files too.

mod graph;
mod likelihood;
mod ops;
mod proto;
#[cfg(test)]
mod tests;

use vae_spec::{LOG_VAR_MAX, LOG_VAR_MIN, ModelConfig, Network, Weights};

use graph::Graph;

/// Label input of conditional models: one-hot, `[batch, classes]`.
const LABEL: &str = "label";

/// The ONNX file of the encoder: `images` `[batch, pixels]`, and `label` for conditional models, to `mu` and `log_var`, each
/// `[batch, latent]`.
///
/// No sampling; `log_var` is clipped to [-30, 20].
#[must_use]
pub(crate) fn encoder(
    config: &ModelConfig,
    weights: &Weights,
    metadata: &[(&str, String)],
) -> Vec<u8> {
    const UNCLIPPED: &str = "log_var.unclipped";
    let network = Network::new(config);
    let mut graph = Graph::new("encoder", config, weights);
    graph.input("images", config.pixels());
    if config.classes > 0 {
        graph.input(LABEL, config.classes);
    }
    let seen = if config.likelihood.is_count() {
        graph.log1p("images")
    } else {
        "images".into()
    };
    let features = graph.ops(&network.encoder, &seen);
    graph.dense(&network.mu, &features, "mu");
    graph.dense(&network.log_var, &features, UNCLIPPED);
    graph.constant("log_var.min", LOG_VAR_MIN);
    graph.constant("log_var.max", LOG_VAR_MAX);
    graph.node(
        "Clip",
        &[UNCLIPPED, "log_var.min", "log_var.max"],
        "log_var",
    );
    graph.output("mu", config.latent);
    graph.output("log_var", config.latent);
    graph.into_file(metadata)
}

/// The ONNX file of the decoder: `z` `[batch, latent]`, and `label` for conditional models, to `images` `[batch, pixels]`, the
/// means of the likelihood.
#[must_use]
pub(crate) fn decoder(
    config: &ModelConfig,
    weights: &Weights,
    metadata: &[(&str, String)],
) -> Vec<u8> {
    let network = Network::new(config);
    let mut graph = Graph::new("decoder", config, weights);
    graph.input("z", config.latent);
    if config.classes > 0 {
        graph.input(LABEL, config.classes);
    }
    graph.ops(&network.decoder, "z");
    graph.mean("images");
    graph.output("images", config.pixels());
    graph.into_file(metadata)
}
