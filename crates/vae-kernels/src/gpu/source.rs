//! The text of a kernel: `shaders/step/<stem>.wgsl` after the libraries that it uses, with its choices filled in.

/// A kernel's text, and the texts that it builds on.
pub(crate) struct Source {
    libraries: &'static [&'static str],
    kernel: &'static str,
}

macro_rules! shader {
    ($path:literal) => {
        include_str!(concat!("../../../../shaders/", $path))
    };
}

const RANDOM: &str = concat!(shader!("multiply.wgsl"), shader!("random.wgsl"));
const RANDOM_INT64: &str = concat!(shader!("multiply_int64.wgsl"), shader!("random.wgsl"));
const SAMPLE_KL: &str = shader!("sample_kl.wgsl");
const STEP: &str = shader!("step/step.wgsl");
const LINEAR: &str = shader!("step/linear.wgsl");
const MATH: &str = shader!("step/math.wgsl");
const ACTIVATION: &str = shader!("step/activation.wgsl");
const SLOPE: &str = shader!("step/slope.wgsl");
const LAYER: &str = shader!("step/layer.wgsl");
const MATMUL: &str = shader!("step/matmul.wgsl");
const LOSSES: &str = shader!("step/losses.wgsl");
const BOTTLENECK: &str = shader!("step/bottleneck.wgsl");
const AFFINE: &str = shader!("step/affine.wgsl");
const SPECIAL: &str = shader!("step/special.wgsl");
const LIKELIHOOD: &str = shader!("step/likelihood.wgsl");
const PATCHES: &str = shader!("step/patches.wgsl");
const FOLDED: &str = shader!("step/folded.wgsl");
const FINISH: &str = shader!("step/finish.wgsl");
const REPEAT: &str = shader!("step/repeat.wgsl");
const GROUP_NORM: &str = shader!("step/group_norm.wgsl");
const PAIRS: &str = shader!("step/pairs.wgsl");
const DISCREPANCY: &str = shader!("step/discrepancy.wgsl");

/// The shaders of `crate::sample_kl`.
pub(crate) const OP_FORWARD: Source = Source {
    libraries: &[RANDOM, SAMPLE_KL],
    kernel: shader!("op/sample_kl_forward.wgsl"),
};
/// The same for GPUs with 64-bit integers.
pub(crate) const OP_FORWARD_INT64: Source = Source {
    libraries: &[RANDOM_INT64, SAMPLE_KL],
    kernel: OP_FORWARD.kernel,
};
pub(crate) const OP_BACKWARD: Source = Source {
    libraries: &[SAMPLE_KL],
    kernel: shader!("op/sample_kl_backward.wgsl"),
};

pub(super) const GATHER: Source = Source {
    libraries: &[RANDOM, STEP, LINEAR],
    kernel: shader!("step/gather.wgsl"),
};
pub(super) const CORRUPT: Source = Source {
    libraries: &[RANDOM, STEP, LINEAR],
    kernel: shader!("step/corrupt.wgsl"),
};
pub(super) const DENSE_FORWARD: Source = Source {
    libraries: &[MATH, ACTIVATION, LAYER, MATMUL, AFFINE],
    kernel: shader!("step/dense_forward.wgsl"),
};
pub(super) const SAMPLE_KL_FORWARD: Source = Source {
    libraries: &[RANDOM, SAMPLE_KL, STEP, LINEAR],
    kernel: shader!("step/sample_kl_forward.wgsl"),
};
pub(super) const BOTTLENECK_FORWARD: Source = Source {
    libraries: &[
        RANDOM, SAMPLE_KL, STEP, LINEAR, MATH, ACTIVATION, BOTTLENECK,
    ],
    kernel: shader!("step/bottleneck_forward.wgsl"),
};
pub(super) const BOTTLENECK_BACKWARD: Source = Source {
    libraries: &[SAMPLE_KL, STEP, LINEAR, SLOPE, BOTTLENECK],
    kernel: shader!("step/bottleneck_backward.wgsl"),
};
pub(super) const DENSE_NLL: Source = Source {
    libraries: &[STEP, MATH, SPECIAL, LIKELIHOOD, LAYER, MATMUL, AFFINE],
    kernel: shader!("step/dense_nll.wgsl"),
};
pub(super) const DENSE_BACKWARD_PARAMETERS: Source = Source {
    libraries: &[MATMUL],
    kernel: shader!("step/dense_backward_parameters.wgsl"),
};
/// The same kernel, which also sums the losses.
pub(super) const DENSE_BACKWARD_PARAMETERS_LAST: Source = Source {
    libraries: &[STEP, MATMUL, LOSSES],
    kernel: DENSE_BACKWARD_PARAMETERS.kernel,
};
pub(super) const DENSE_BACKWARD_INPUT: Source = Source {
    libraries: &[LAYER, MATMUL, SLOPE],
    kernel: shader!("step/dense_backward_input.wgsl"),
};
pub(super) const SAMPLE_KL_BACKWARD: Source = Source {
    libraries: &[SAMPLE_KL, STEP, LINEAR],
    kernel: shader!("step/sample_kl_backward.wgsl"),
};
pub(super) const NLL: Source = Source {
    libraries: &[STEP, LINEAR, MATH, SPECIAL, LIKELIHOOD],
    kernel: shader!("step/nll.wgsl"),
};
pub(super) const CONVOLVE: Source = Source {
    libraries: &[MATH, ACTIVATION, PATCHES, MATMUL, FOLDED, SLOPE, FINISH],
    kernel: shader!("step/convolve.wgsl"),
};
pub(super) const CONVOLVE_TRANSPOSED: Source = Source {
    libraries: &[MATH, ACTIVATION, PATCHES, MATMUL, FOLDED, SLOPE, FINISH],
    kernel: shader!("step/convolve_transposed.wgsl"),
};
pub(super) const CONVOLVE_TRANSPOSED_FEW: Source = Source {
    libraries: &[LINEAR, MATH, ACTIVATION, PATCHES, SLOPE, FINISH],
    kernel: shader!("step/convolve_transposed_few.wgsl"),
};
pub(super) const CONVOLVE_BACKWARD_WEIGHT: Source = Source {
    libraries: &[PATCHES, MATMUL, FOLDED],
    kernel: shader!("step/convolve_backward_weight.wgsl"),
};
pub(super) const SUMS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/sums.wgsl"),
};
pub(super) const GATHER_LABELS: Source = Source {
    libraries: &[STEP, LINEAR],
    kernel: shader!("step/gather_labels.wgsl"),
};
pub(super) const TRANSPOSE: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/transpose.wgsl"),
};
pub(super) const LOG_OF_COUNTS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/log_of_counts.wgsl"),
};
pub(super) const LABEL: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/label.wgsl"),
};
pub(super) const ACTIVATE: Source = Source {
    libraries: &[LINEAR, MATH, ACTIVATION],
    kernel: shader!("step/activate.wgsl"),
};
pub(super) const ADD: Source = Source {
    libraries: &[LINEAR, SLOPE],
    kernel: shader!("step/add.wgsl"),
};
pub(super) const REPEAT_FORWARD: Source = Source {
    libraries: &[LINEAR, REPEAT],
    kernel: shader!("step/repeat_forward.wgsl"),
};
pub(super) const REPEAT_BACKWARD: Source = Source {
    libraries: &[LINEAR, SLOPE, REPEAT],
    kernel: shader!("step/repeat_backward.wgsl"),
};
pub(super) const GROUP_NORM_FORWARD: Source = Source {
    libraries: &[MATH, ACTIVATION, GROUP_NORM],
    kernel: shader!("step/group_norm_forward.wgsl"),
};
pub(super) const GROUP_NORM_BACKWARD: Source = Source {
    libraries: &[GROUP_NORM],
    kernel: shader!("step/group_norm_backward.wgsl"),
};
pub(super) const REPEAT_ROWS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/repeat_rows.wgsl"),
};
pub(super) const SUM_ROWS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/sum_rows.wgsl"),
};
pub(super) const SCALE_ROWS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/scale_rows.wgsl"),
};
pub(super) const IMPORTANCE: Source = Source {
    libraries: &[STEP],
    kernel: shader!("step/importance.wgsl"),
};
pub(super) const KL_PARTS: Source = Source {
    libraries: &[SAMPLE_KL, LINEAR],
    kernel: shader!("step/kl_parts.wgsl"),
};
pub(super) const GATE: Source = Source {
    libraries: &[STEP],
    kernel: shader!("step/gate.wgsl"),
};
pub(super) const LOG_SOFTMAX: Source = Source {
    libraries: &[],
    kernel: shader!("step/log_softmax.wgsl"),
};
pub(super) const PAIRS_FORWARD: Source = Source {
    libraries: &[SAMPLE_KL, PAIRS],
    kernel: shader!("step/pairs_forward.wgsl"),
};
pub(super) const PAIRS_BACKWARD_ROWS: Source = Source {
    libraries: &[STEP, SAMPLE_KL, PAIRS],
    kernel: shader!("step/pairs_backward_rows.wgsl"),
};
pub(super) const PAIRS_BACKWARD_NORMALS: Source = Source {
    libraries: &[STEP, SAMPLE_KL, PAIRS],
    kernel: shader!("step/pairs_backward_normals.wgsl"),
};
pub(super) const CORRELATION: Source = Source {
    libraries: &[SAMPLE_KL, STEP, LINEAR],
    kernel: shader!("step/correlation.wgsl"),
};
pub(super) const PRIOR_DRAWS: Source = Source {
    libraries: &[RANDOM, STEP, LINEAR],
    kernel: shader!("step/prior_draws.wgsl"),
};
pub(super) const DISCREPANCY_FORWARD: Source = Source {
    libraries: &[DISCREPANCY],
    kernel: shader!("step/discrepancy_forward.wgsl"),
};
pub(super) const DISCREPANCY_BACKWARD: Source = Source {
    libraries: &[STEP, DISCREPANCY],
    kernel: shader!("step/discrepancy_backward.wgsl"),
};
pub(super) const PSEUDO_INPUTS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/pseudo_inputs.wgsl"),
};
pub(super) const PSEUDO_INPUTS_BACKWARD: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/pseudo_inputs_backward.wgsl"),
};
pub(super) const LAST_ROWS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/last_rows.wgsl"),
};
pub(super) const IMPORTANCE_SUM: Source = Source {
    libraries: &[],
    kernel: shader!("step/importance_sum.wgsl"),
};
pub(super) const ACCUMULATE: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/accumulate.wgsl"),
};
pub(super) const SQUARE_SUMS: Source = Source {
    libraries: &[LINEAR],
    kernel: shader!("step/square_sums.wgsl"),
};
pub(super) const UPDATE: Source = Source {
    libraries: &[STEP, LINEAR],
    kernel: shader!("step/update.wgsl"),
};

impl Source {
    /// Whether the kernel reads the constants of the step.
    pub(super) fn takes_step(&self) -> bool {
        self.libraries.contains(&STEP)
    }

    /// The whole text. `{{name}}` becomes the name's value; a line that ends in `//? flag` stays only if the flag is set.
    pub(crate) fn complete(&self, values: &[(&str, String)], flags: &[&str]) -> String {
        let texts = self.libraries.iter().chain([&self.kernel]);
        let lines =
            texts
                .flat_map(|text| text.lines())
                .filter_map(|line| match line.rsplit_once("//? ") {
                    None => Some(line),
                    Some((line, flag)) => flags.contains(&flag).then_some(line),
                });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        values.iter().fold(text, |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        })
    }
}

/// Whether naga, which needs no adapter, accepts a shader's text for any GPU.
#[cfg(test)]
pub(crate) fn valid(source: &str) -> Result<(), String> {
    valid_with(naga::valid::Capabilities::empty(), source)
}

/// The same for GPUs with `capabilities`.
#[cfg(test)]
pub(crate) fn valid_with(
    capabilities: naga::valid::Capabilities,
    source: &str,
) -> Result<(), String> {
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
    validator
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    Ok(())
}
