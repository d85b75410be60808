// Index-code mutual information and total correlation of each row by minibatch-weighted sampling (Chen et al. 2018).
// One thread = one row.

struct Sizes {
    rows: u32,
    latent: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;          // [rows, 2 latent]: mu | log_var
@group(0) @binding(2) var<storage, read> z: array<f32>;                  // [rows, latent]
@group(0) @binding(3) var<storage, read> sums: array<f32>;               // [rows, 1 + latent]
@group(0) @binding(4) var<storage, read_write> information: array<f32>;  // [rows]
@group(0) @binding(5) var<storage, read_write> correlation: array<f32>;  // [rows]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = element(workgroup, workgroups, thread);
    if row >= sizes.rows {
        return;
    }
    let latent = sizes.latent;
    let normaliser = log(f32(sizes.rows)) + log(step.data_count);
    var conditional = 0.0;
    var product = 0.0;
    for (var j = 0u; j < latent; j += 1u) {
        let v = clamp(posterior[row * 2u * latent + latent + j], LOG_VAR_MIN, LOG_VAR_MAX);
        let distance = z[row * latent + j] - posterior[row * 2u * latent + j];
        conditional -= 0.5 * (distance * distance * exp(-v) + v + 1.8378771); // ln(2 pi)
        product += sums[row * (1u + latent) + 1u + j] - normaliser;
    }
    let marginal = sums[row * (1u + latent)] - normaliser;
    information[row] = conditional - marginal;
    correlation[row] = marginal - product;
}
