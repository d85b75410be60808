// Log-densities of latents under normals; a library, put before a kernel's text. No entry point.

struct Sizes {
    rows: u32,
    latent: u32,
    count: u32, // of the normals
    first: u32, // place of the first mean
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> z: array<f32>;        // [rows, latent]
@group(0) @binding(2) var<storage, read> normals: array<f32>;
@group(0) @binding({{log_weights_binding}}) var<storage, read> log_weights: array<f32>; // [count] //? mixture

const WORKGROUP = 64u;
const LN_TAU = 1.8378771; // ln(2 pi)

// Sums of a row: over all latents, then for each alone if those are wanted.
fn columns() -> u32 {
    return {{columns}};
}

fn place_of(normal: u32, j: u32) -> u32 {
    return sizes.first + normal * {{stride}} + j;
}

fn mean_of(normal: u32, j: u32) -> f32 {
    return normals[place_of(normal, j)];
}

fn raw_log_var_of(normal: u32, j: u32) -> f32 {
    return normals[place_of(normal, j) + {{to_log_var}}];
}

fn log_var_of(normal: u32, j: u32) -> f32 {
    return clamp(raw_log_var_of(normal, j), LOG_VAR_MIN, LOG_VAR_MAX);
}

fn log_weight_of(normal: u32) -> f32 {
    return {{log_weight}};
}

fn log_density(row: u32, normal: u32, j: u32) -> f32 {
    let distance = z[row * sizes.latent + j] - mean_of(normal, j);
    let v = log_var_of(normal, j);
    return -0.5 * (distance * distance * exp(-v) + v + LN_TAU);
}

fn joint(row: u32, normal: u32) -> f32 {
    var log_sum = log_weight_of(normal);
    for (var j = 0u; j < sizes.latent; j += 1u) {
        log_sum += log_density(row, normal, j);
    }
    return log_sum;
}
