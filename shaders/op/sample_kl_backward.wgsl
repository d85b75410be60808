// Gradients of sample_kl_forward with respect to mu and log_var, given those with respect to z and kl.
// One thread = one latent of one row.
// d_mu = d_z + d_kl * mu;   d_log_var = d_z * (z - mu) / 2 + d_kl * (exp(log_var) - 1) / 2, zero where log_var is clamped

struct Sizes {
    batch: u32,
    latent: u32,
}

@group(0) @binding(0) var<storage, read_write> mu: array<f32>;        // [batch, latent]
@group(0) @binding(1) var<storage, read_write> log_var: array<f32>;   // [batch, latent]
@group(0) @binding(2) var<storage, read_write> z_kl: array<f32>;      // [batch, latent + 1]: z | kl
@group(0) @binding(3) var<storage, read_write> d_z_kl: array<f32>;    // [batch, latent + 1]: d_z | d_kl
@group(0) @binding(4) var<storage, read_write> d_mu: array<f32>;      // [batch, latent]
@group(0) @binding(5) var<storage, read_write> d_log_var: array<f32>; // [batch, latent]
@group(0) @binding(6) var<storage, read_write> sizes: array<Sizes>;

const WORKGROUP = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let size = sizes[0];
    let i = (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP + thread;
    if i >= size.batch * size.latent {
        return;
    }
    let row = i / size.latent;
    let packed = i + row; // row * (latent + 1) + j
    let d_z = d_z_kl[packed];
    let d_kl = d_z_kl[row * (size.latent + 1u) + size.latent];
    d_mu[i] = d_z + d_kl * mu[i];
    d_log_var[i] = log_var_gradient(mu[i], log_var[i], z_kl[packed], d_z, d_kl);
}
