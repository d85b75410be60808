//! `sample_kl` on wgpu: launches the shaders of [`vae_kernels::sample_kl`].

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;
use burn_wgpu::{
    BoolElement, CubeBackend, CubeDim, CubeTensor, IntElement, KernelSource, SourceKernel,
    SourceTemplate, WgpuRuntime, into_contiguous,
};
use cubecl::CubeCount;
use cubecl::ir::{ElemType, UIntKind};
use cubecl::prelude::KernelId;
use cubecl::server::KernelArguments;

use vae_kernels::sample_kl::{Form, Sizes, WORKGROUP};
use vae_rng::Noise;

use super::SampleKl;

/// WebGPU's limit of workgroups in each dimension.
const MAX_WORKGROUPS: u32 = 65_535;

type Tensor = CubeTensor<WgpuRuntime>;

struct Forward(Form);

impl KernelSource for Forward {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.forward())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info(self.0)
    }
}

struct Backward(Form);

impl KernelSource for Backward {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.backward())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info(self.0)
    }
}

/// The form of both shaders for rows as those of `tensor`, where it is.
fn form(tensor: &Tensor, latent: u32) -> Form {
    let uint64 = ElemType::UInt(UIntKind::U64);
    Form::new(latent, tensor.client.properties().supports_type(uint64))
}

impl<I: IntElement, BT: BoolElement> SampleKl for CubeBackend<WgpuRuntime, f32, I, BT> {
    fn sample_kl_forward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        noise: Noise,
    ) -> FloatTensor<Self> {
        let [batch, latent] = dims(&mu);
        let form = form(&mu, latent);
        let z_kl = empty(&mu, [batch, form.packed(latent)]);
        launch(
            Forward(form),
            batch.div_ceil(WORKGROUP / form.lanes),
            &[mu, log_var, z_kl.clone()],
            Sizes::new(batch, latent).with(noise),
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
        let form = form(&mu, latent);
        let (d_mu, d_log_var) = (empty(&mu, [batch, latent]), empty(&mu, [batch, latent]));
        let tensors = [mu, log_var, z_kl, d_z_kl, d_mu.clone(), d_log_var.clone()];
        launch(
            Backward(form),
            (batch * form.backward_threads(latent)).div_ceil(WORKGROUP),
            &tensors,
            Sizes::new(batch, latent),
        );
        (d_mu, d_log_var)
    }
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

/// Launches `kernel` over `workgroups`, folded into two dimensions where one is not enough.
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
