//! The shaders of `sample_kl` as an operation of its own, for an engine whose tensors are not matrices of a program: one draw
//! from a diagonal Gaussian posterior with its KL divergence from the standard normal.
//!
//! ```text
//! v  = clamp(log_var, -30, 20)
//! z  = mu + exp(v / 2) * eps                          [batch, latent]
//! kl = 0.5 * sum_j (mu_j^2 + exp(v_j) - v_j - 1)      [batch], nats
//! ```
//!
//! These operations and the passes of `shaders/step` share the formulas of `shaders/sample_kl.wgsl`. What surrounds them differs:
//! an operation takes `mu` and `log_var` apart and gives `z | kl` packed, `[batch, packed]`, since an autodiff op has one
//! output; a pass reads the packed output of the layer before it and writes matrices of the program.

use bytemuck::{Pod, Zeroable};
use vae_rng::Noise;

use crate::gpu::{OP_BACKWARD, OP_FORWARD, OP_FORWARD_INT64};

/// Threads of a workgroup.
pub const WORKGROUP: u32 = 256;

/// Latents of a vector.
const BLOCK: u32 = 4;

/// The form of the shaders for a latent size on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Threads that share a row in the forward pass.
    pub lanes: u32,
    /// Whether rows are whole blocks of four latents, which are read and written as one vector.
    pub has_blocks: bool,
    /// Whether random words come from products of 64-bit integers.
    pub has_int64: bool,
}

impl Form {
    /// For rows of `latent` numbers, on a GPU with or without 64-bit integers.
    #[must_use]
    pub fn new(latent: u32, has_int64: bool) -> Self {
        Self {
            lanes: lanes_per_row(latent),
            has_blocks: latent.is_multiple_of(BLOCK),
            has_int64,
        }
    }

    /// Columns of `z | kl`: `latent` and 1, or a whole vector, in which zeros follow.
    #[must_use]
    pub const fn packed(self, latent: u32) -> u32 {
        latent + if self.has_blocks { BLOCK } else { 1 }
    }

    /// Threads of the backward pass for each row: one for each latent or vector.
    #[must_use]
    pub const fn backward_threads(self, latent: u32) -> u32 {
        latent / if self.has_blocks { BLOCK } else { 1 }
    }

    const fn flag(self) -> &'static str {
        if self.has_blocks { "blocks" } else { "columns" }
    }

    /// The forward shader. Bindings: `mu`, `log_var`, `z | kl`, [`Sizes`].
    #[must_use]
    pub fn forward(self) -> String {
        let source = if self.has_int64 {
            OP_FORWARD_INT64
        } else {
            OP_FORWARD
        };
        source.complete(&[("lanes", self.lanes.to_string())], &[self.flag()])
    }

    /// The backward shader. Bindings: `mu`, `log_var`, `z | kl`, its gradient, `d_mu`, `d_log_var`, [`Sizes`].
    #[must_use]
    pub fn backward(self) -> String {
        let number = if self.has_blocks { "vec4<f32>" } else { "f32" };
        OP_BACKWARD.complete(&[("number", number.into())], &[self.flag()])
    }
}

/// Mirrors `Sizes` in the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Sizes {
    batch: u32,
    latent: u32,
    key: [u32; 2],
    step: [u32; 2],
    first_row: u32,
    padding: u32,
}

impl Sizes {
    /// Sizes without noise.
    #[must_use]
    pub fn new(batch: u32, latent: u32) -> Self {
        Self {
            batch,
            latent,
            ..Self::zeroed()
        }
    }

    /// These sizes with `noise`.
    #[must_use]
    pub const fn with(self, noise: Noise) -> Self {
        Self {
            key: noise.generator.key(),
            step: [noise.step as u32, (noise.step >> 32) as u32],
            first_row: noise.first_row,
            ..self
        }
    }
}

/// Threads that share a row: as many as it has blocks of four latents, rounded up to a power of two that divides the workgroup.
pub(crate) fn lanes_per_row(latent: u32) -> u32 {
    latent.div_ceil(BLOCK).next_power_of_two().min(WORKGROUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{valid, valid_with};
    use naga::valid::Capabilities;

    #[test]
    fn every_form_of_the_shaders_is_valid_wgsl() {
        for latent in [1, 4, 5, 20, 200, 1024, 5000] {
            let [plain, int64] = [false, true].map(|has_int64| Form::new(latent, has_int64));
            for text in [plain.forward(), plain.backward(), int64.backward()] {
                assert!(!text.contains("{{") && !text.contains("//?"), "{text}");
                valid(&text).unwrap();
            }
            valid_with(Capabilities::SHADER_INT64, &int64.forward()).unwrap();
            assert!(valid(&int64.forward()).is_err(), "64 bits on any GPU");
        }
    }

    #[test]
    fn a_shader_with_a_mistake_is_not_valid() {
        let text = Form::new(5, false).backward();
        assert!(valid(&text.replace("let d_kl", "let d_lk")).is_err());
    }

    #[test]
    fn lanes_divide_the_workgroup_and_cover_the_row_where_they_can() {
        let lanes = [1, 4, 5, 8, 9, 20, 1024, 1025].map(lanes_per_row);
        assert_eq!(lanes, [1, 1, 2, 2, 4, 8, 256, 256]);
        assert!(lanes.iter().all(|lanes| WORKGROUP.is_multiple_of(*lanes)));
    }

    #[test]
    fn rows_of_whole_blocks_are_read_and_written_as_vectors() {
        let of = |latent| {
            let form = Form::new(latent, true);
            let vectors = form.forward().contains("array<vec4<f32>>");
            let columns = [form.packed(latent), form.backward_threads(latent)];
            (vectors, columns)
        };
        assert_eq!(of(20), (true, [24, 5]));
        assert_eq!(of(21), (false, [22, 21]));
    }
}
