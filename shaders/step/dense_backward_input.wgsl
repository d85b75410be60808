// The gradient of a dense layer's first COLUMNS inputs: d_input = d_output W^T, times the slope of the activation that made them.
// One workgroup = a tile of d_input (matmul.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> d_output: array<f32>;             // [batch, WIDTH]
@group(0) @binding(3) var<storage, read_write> d_input: array<vec4<f32>>;  // [batch, COLUMNS] //? wide
@group(0) @binding(4) var<storage, read> slope: array<vec4<f32>>;          // [batch, COLUMNS] //? wide_slope
@group(0) @binding(3) var<storage, read_write> d_input: array<f32>; //? narrow
@group(0) @binding(4) var<storage, read> slope: array<f32>; //? narrow_slope

const COLUMNS = {{columns}}u; // those behind are of labels
const A_ALONG_K = true;
const B_ALONG_K = true;

fn size_k(workgroup: vec3<u32>) -> u32 {
    return WIDTH;
}

fn a(m: u32, k: u32) -> f32 {
    return d_output[min(m, sizes.batch - 1u) * WIDTH + k]; // rows beyond the last one are not stored
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if k >= WIDTH {
        return vec4<f32>();
    }
    return vec4<f32>(a(m, k), a(m + 1u, k), a(m + 2u, k), a(m + 3u, k));
}

fn b(k: u32, n: u32) -> f32 {
    return parameters[parameter(min(n, COLUMNS - 1u), k)]; // columns beyond the last one are not stored
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if k >= WIDTH {
        return vec4<f32>();
    }
    return vec4<f32>(b(k, n), b(k, n + 1u), b(k, n + 2u), b(k, n + 3u));
}

fn store4(m: u32, n: u32, values: vec4<f32>) {
    if m >= sizes.batch || n >= COLUMNS {
        return;
    }
    let i = (m * COLUMNS + n) / 4u; //? wide
    d_input[i] = values; //? wide_plain
    d_input[i] = values * slopes_of(slope[i]); //? wide_slope
    for (var j = 0u; j < min(4u, COLUMNS - n); j += 1u) { //? narrow
        let i = m * COLUMNS + n + j; //? narrow
        d_input[i] = values[j]; //? narrow
        d_input[i] *= slope_of(slope[i]); //? narrow_slope
    } //? narrow
}
