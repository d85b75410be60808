// Gradients of sample_kl_forward with respect to the posterior, where the loss holds beta * kl / batch (sample_kl.wgsl).
// One thread = one latent of one row.

struct Sizes {
    batch: u32,
    latent: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;          // [batch, 2 latent]: mu | log_var
@group(0) @binding(2) var<storage, read> z: array<f32>;                  // [batch, latent]
@group(0) @binding(3) var<storage, read> d_z: array<f32>;                // [batch, latent]
@group(0) @binding(4) var<storage, read_write> d_posterior: array<f32>;  // [batch, 2 latent]: d_mu | d_log_var

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let latent = sizes.latent;
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.batch * latent {
        return;
    }
    let d_kl = step.beta / step.batch;
    let at_mu = (i / latent) * 2u * latent + i % latent;
    let mu = posterior[at_mu];
    d_posterior[at_mu] = d_z[i] + d_kl * mu;
    d_posterior[at_mu + latent] = log_var_gradient(mu, posterior[at_mu + latent], z[i], d_z[i], d_kl);
}
