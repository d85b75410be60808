// One draw from each row's posterior and its KL divergence from a standard normal, in closed form or at the draw (sample_kl.wgsl).
// A group of LANES threads = one row; one thread = every LANES-th block of four latents.

struct Sizes {
    batch: u32,
    latent: u32,
    draws: u32, // rows for each row of the batch
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;  // [batch, 2 latent]: mu | log_var
@group(0) @binding(2) var<storage, read_write> z: array<f32>;    // [batch, latent]
@group(0) @binding(3) var<storage, read_write> kl: array<f32>;   // [batch]

const LANES = {{lanes}}u;

var<workgroup> lane_kl: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let latent = sizes.latent;
    let i = element(workgroup, workgroups, thread);
    let row = i / LANES;
    let lane = i % LANES;
    var sum = 0.0;
    if row < sizes.batch {
        for (var quad = lane; 4u * quad < latent; quad += LANES) {
            let eps = normals_of_block(philox4x32_10(vec4<u32>(quad, step.first_row * sizes.draws + row, step.step), step.noise_key));
            for (var j = 4u * quad; j < min(4u * quad + 4u, latent); j += 1u) {
                let mu = posterior[row * 2u * latent + j];
                let log_var = posterior[row * 2u * latent + latent + j];
                z[row * latent + j] = sample(mu, log_var, eps[j % 4u]);
                sum += kl_of(mu, log_var); //? analytic
                sum += sampled_kl_of(log_var, eps[j % 4u], z[row * latent + j]); //? sampled
                sum += log_posterior_of(log_var, eps[j % 4u]); //? log_posterior
            }
        }
    }
    lane_kl[thread] = sum;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if lane < stride {
            lane_kl[thread] += lane_kl[thread + stride];
        }
    }
    if lane == 0u && row < sizes.batch {
        kl[row] = lane_kl[thread];
    }
}
