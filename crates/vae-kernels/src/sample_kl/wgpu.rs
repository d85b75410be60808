//! `sample_kl` on wgpu: launches `shaders/sample_kl_forward.wgsl` and `shaders/sample_kl_backward.wgsl`.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;
use burn_wgpu::{
    BoolElement, CubeBackend, CubeDim, CubeTensor, IntElement, KernelSource, SourceKernel,
    SourceTemplate, WgpuRuntime, into_contiguous,
};
use bytemuck::{Pod, Zeroable};
use cubecl::CubeCount;
use cubecl::prelude::KernelId;
use cubecl::server::KernelArguments;

use super::{Noise, SampleKl};

const WORKGROUP: u32 = 256;
/// WebGPU's limit in each dimension.
const MAX_WORKGROUPS: u32 = 65_535;

type Tensor = CubeTensor<WgpuRuntime>;

/// Mirrors `Sizes` in the shaders.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Sizes {
    batch: u32,
    latent: u32,
    key: [u32; 2],
    step: [u32; 2],
    first_row: u32,
    padding: u32,
}

/// The forward kernel; `lanes` threads share a row.
struct Forward {
    lanes: u32,
}

impl KernelSource for Forward {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(FORWARD_SOURCE).register("lanes", self.lanes.to_string())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info(self.lanes)
    }
}

struct Backward;

impl KernelSource for Backward {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(BACKWARD_SOURCE)
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
    }
}

const FORWARD_SOURCE: &str = concat!(
    include_str!("../../../../shaders/random.wgsl"),
    include_str!("../../../../shaders/sample_kl.wgsl"),
    include_str!("../../../../shaders/sample_kl_forward.wgsl")
);
const BACKWARD_SOURCE: &str = concat!(
    include_str!("../../../../shaders/sample_kl.wgsl"),
    include_str!("../../../../shaders/sample_kl_backward.wgsl")
);

impl<I: IntElement, BT: BoolElement> SampleKl for CubeBackend<WgpuRuntime, f32, I, BT> {
    fn sample_kl_forward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        noise: Noise,
    ) -> FloatTensor<Self> {
        let [batch, latent] = dims(&mu);
        let z_kl = empty(&mu, [batch, latent + 1]);
        let lanes = lanes_per_row(latent);
        let rows_per_workgroup = WORKGROUP / lanes;
        let sizes = Sizes {
            key: noise.generator.key(),
            step: [noise.step as u32, (noise.step >> 32) as u32],
            first_row: noise.first_row,
            ..Sizes::of(batch, latent)
        };
        launch(
            Forward { lanes },
            batch.div_ceil(rows_per_workgroup),
            &[mu, log_var, z_kl.clone()],
            sizes,
        );
        z_kl
    }

    fn sample_kl_backward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        z_kl: FloatTensor<Self>,
        d_z_kl: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [batch, latent] = dims(&mu);
        let (d_mu, d_log_var) = (empty(&mu, [batch, latent]), empty(&mu, [batch, latent]));
        let tensors = [mu, log_var, z_kl, d_z_kl, d_mu.clone(), d_log_var.clone()];
        launch(
            Backward,
            (batch * latent).div_ceil(WORKGROUP),
            &tensors,
            Sizes::of(batch, latent),
        );
        (d_mu, d_log_var)
    }
}

impl Sizes {
    fn of(batch: u32, latent: u32) -> Self {
        Self {
            batch,
            latent,
            ..Self::zeroed()
        }
    }
}

/// As many threads as the row has blocks of four latents, rounded up to a power of two that divides the workgroup.
pub(crate) fn lanes_per_row(latent: u32) -> u32 {
    latent.div_ceil(4).next_power_of_two().min(WORKGROUP)
}

fn dims(tensor: &Tensor) -> [u32; 2] {
    let shape = tensor.shape();
    [shape[0] as u32, shape[1] as u32]
}

fn empty(like: &Tensor, [rows, columns]: [u32; 2]) -> Tensor {
    let elements = rows as usize * columns as usize;
    let buffer = like.client.empty(elements * size_of::<f32>());
    let shape = [rows as usize, columns as usize].into();
    Tensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        buffer,
        like.dtype,
    )
}

/// Launches `kernel` over `workgroups`, folded into two dimensions where one does not hold them.
fn launch<K: KernelSource>(kernel: K, workgroups: u32, tensors: &[Tensor], sizes: Sizes) {
    let client = tensors[0].client.clone();
    let x = workgroups.min(MAX_WORKGROUPS);
    let count = CubeCount::Static(x, workgroups.div_ceil(x), 1);
    let mut buffers: Vec<_> = tensors
        .iter()
        .map(|tensor| into_contiguous(tensor.clone()).handle.binding())
        .collect();
    buffers.push(
        client
            .create_from_slice(bytemuck::bytes_of(&sizes))
            .binding(),
    );
    let kernel = SourceKernel::new(
        kernel,
        CubeDim {
            x: WORKGROUP,
            y: 1,
            z: 1,
        },
    );
    client.launch(
        Box::new(kernel),
        count,
        KernelArguments::new().with_buffers(buffers),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::valid;

    #[test]
    fn every_variant_of_the_shaders_is_valid_wgsl() {
        for latent in [1, 4, 5, 20, 200, 1024, 5000] {
            let kernel = Forward {
                lanes: lanes_per_row(latent),
            };
            valid(&kernel.source().complete()).unwrap();
        }
        valid(&Backward.source().complete()).unwrap();
    }

    #[test]
    fn a_shader_with_a_mistake_is_not_valid() {
        let source = Backward.source().complete().replace("let d_kl", "let d_lk");
        assert!(valid(&source).is_err());
    }

    #[test]
    fn lanes_divide_the_workgroup_and_cover_the_row_where_they_can() {
        let lanes = [1, 4, 5, 8, 9, 20, 1024, 1025].map(lanes_per_row);
        assert_eq!(lanes, [1, 1, 2, 2, 4, 8, 256, 256]);
        assert!(lanes.iter().all(|lanes| WORKGROUP.is_multiple_of(*lanes)));
    }
}
