// The kernel of the maximum mean discrepancy as a function of the squared distance; a library, put before a kernel's text. No
// entry point.

struct Sizes {
    rows: u32,
    latent: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [rows, latent]
@group(0) @binding(2) var<storage, read> y: array<f32>; // [rows, latent]

const WORKGROUP = 64u;

// Its value and its derivative.
fn imq(squared: f32, width: f32) -> vec2<f32> {
    var scales = array<f32, {{count}}>({{scales}});
    var both = vec2<f32>();
    for (var i = 0u; i < {{count}}u; i += 1u) {
        let scale = scales[i] * width;
        let inverse = 1.0 / (scale + squared);
        both += vec2<f32>(scale * inverse, -scale * inverse * inverse);
    }
    return both;
}

fn rbf(squared: f32, width: f32) -> vec2<f32> {
    let value = exp(-squared / width);
    return vec2<f32>(value, -value / width);
}

fn kernel_of(squared: f32) -> vec2<f32> {
    return {{kernel}}(squared, 2.0 * f32(sizes.latent));
}

// Weight of the sum over pairs within a sample.
fn within() -> f32 {
    let rows = f32(sizes.rows);
    return 1.0 / (rows * max(rows - 1.0, 1.0));
}

fn between() -> f32 {
    let rows = f32(sizes.rows);
    return 2.0 / (rows * rows);
}

fn squared_distance_in_z(row: u32, other: u32) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < sizes.latent; j += 1u) {
        let distance = z[row * sizes.latent + j] - z[other * sizes.latent + j];
        sum += distance * distance;
    }
    return sum;
}

fn squared_distance_in_y(row: u32, other: u32) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < sizes.latent; j += 1u) {
        let distance = y[row * sizes.latent + j] - y[other * sizes.latent + j];
        sum += distance * distance;
    }
    return sum;
}

fn squared_distance_between(row: u32, other: u32) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < sizes.latent; j += 1u) {
        let distance = z[row * sizes.latent + j] - y[other * sizes.latent + j];
        sum += distance * distance;
    }
    return sum;
}
