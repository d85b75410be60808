// Gradients of sample_kl_forward with respect to the posterior, where the loss holds w times each row's kl (sample_kl.wgsl), as
// vae_kernels::program::KlGradient says. One thread = one latent of one row.

struct Sizes {
    batch: u32,
    latent: u32,
    draws: u32,  // rows for each row of the batch
    groups: u32, // of a row's latents, each with a factor
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;          // [batch, 2 latent]: mu | log_var
@group(0) @binding(2) var<storage, read> z: array<f32>;                  // [batch, latent]
@group(0) @binding(3) var<storage, read> d_z: array<f32>;                // [batch, latent]
@group(0) @binding(4) var<storage, read_write> d_posterior: array<f32>;  // [batch, 2 latent]: d_mu | d_log_var
@group(0) @binding(5) var<storage, read> factors: array<f32>;            // [batch, groups] //? weighted

// 0 with a learned prior, whose part is in d_z.
const STANDARD = {{standard}};

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
    let at_mu = (i / latent) * 2u * latent + i % latent;
    let mu = posterior[at_mu];
    let log_var = posterior[at_mu + latent];
    let from_mu = z[i] - mu;
    var w = {{weight}} / (step.batch * f32(sizes.draws));
    let factor = factors[i / latent * sizes.groups + i % latent / (latent / sizes.groups)]; //? weighted
    w *= factor; //? weighted
    let g = d_z[i] + w * mu; //? analytic
    let d_log_var = log_var_gradient(mu, log_var, z[i], d_z[i], w); //? analytic
    let g = d_z[i] + STANDARD * w * z[i]; //? sampled
    let twice = g * from_mu - w; //? sampled
    let variance = exp(clamp(log_var, LOG_VAR_MIN, LOG_VAR_MAX)); //? dreg
    let f = step.beta * factor / f32(sizes.draws) + 1.0 - step.beta; //? dreg
    let g = f * (d_z[i] + w * (STANDARD * z[i] - from_mu / variance)); //? dreg
    let twice = g * from_mu; //? dreg
    let is_inside = log_var >= LOG_VAR_MIN && log_var <= LOG_VAR_MAX; //? at_draw
    let d_log_var = select(0.0, 0.5 * twice, is_inside); //? at_draw
    d_posterior[at_mu] = g;
    d_posterior[at_mu + latent] = d_log_var;
}
