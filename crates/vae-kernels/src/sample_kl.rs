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
//! an operation takes `mu` and `log_var` apart and gives `z | kl` packed, `[batch, latent + 1]`, since an autodiff op has one
//! output; a pass reads the packed output of the layer before it and writes matrices of the program.

use bytemuck::{Pod, Zeroable};
use vae_rng::Noise;

/// Threads of a workgroup.
pub const WORKGROUP: u32 = 256;

/// Bindings: `mu`, `log_var`, `z | kl`, [`Sizes`]. `{{lanes}}` must be replaced by [`lanes_per_row`].
pub const FORWARD: &str = concat!(
    include_str!("../../../shaders/random.wgsl"),
    include_str!("../../../shaders/sample_kl.wgsl"),
    include_str!("../../../shaders/op/sample_kl_forward.wgsl")
);

/// Bindings: `mu`, `log_var`, `z | kl`, its gradient, `d_mu`, `d_log_var`, [`Sizes`]. One thread for each latent.
pub const BACKWARD: &str = concat!(
    include_str!("../../../shaders/sample_kl.wgsl"),
    include_str!("../../../shaders/op/sample_kl_backward.wgsl")
);

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
#[must_use]
pub fn lanes_per_row(latent: u32) -> u32 {
    latent.div_ceil(4).next_power_of_two().min(WORKGROUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::valid;

    #[test]
    fn every_variant_of_the_shaders_is_valid_wgsl() {
        for latent in [1, 4, 5, 20, 200, 1024, 5000] {
            let lanes = lanes_per_row(latent).to_string();
            let source = FORWARD.replace("{{lanes}}", &lanes);
            assert!(!source.contains("{{"), "{source}");
            valid(&source).unwrap();
        }
        valid(BACKWARD).unwrap();
    }

    #[test]
    fn a_shader_with_a_mistake_is_not_valid() {
        assert!(valid(&BACKWARD.replace("let d_kl", "let d_lk")).is_err());
    }

    #[test]
    fn lanes_divide_the_workgroup_and_cover_the_row_where_they_can() {
        let lanes = [1, 4, 5, 8, 9, 20, 1024, 1025].map(lanes_per_row);
        assert_eq!(lanes, [1, 1, 2, 2, 4, 8, 256, 256]);
        assert!(lanes.iter().all(|lanes| WORKGROUP.is_multiple_of(*lanes)));
    }
}
