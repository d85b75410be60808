// The last dense layer with the negative log-likelihood of the images under its output and the loss's gradient.
// One workgroup = a tile of the output (affine.wgsl, matmul.wgsl).
// Bernoulli, logit l:  nll = max(l, 0) - l x + ln(1 + exp(-|l|)),                d_output = (sigmoid(l) - x) / batch
// Gaussian, mean m:    nll = ((m - x) / sigma)^2 / 2 + ln sigma + ln(2 pi) / 2,  d_output = (m - x) / sigma^2 / batch

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;           // [batch, inputs]
@group(0) @binding(3) var<storage, read> images: array<f32>;          // [batch, width]
@group(0) @binding(4) var<storage, read_write> recon: array<f32>;     // [batch, ceil(width / NLL_COLUMNS)]
@group(0) @binding(5) var<storage, read_write> d_output: array<f32>;  // [batch, width]

const NLL_COLUMNS = {{nll_columns}}u;
const SIGMA = f32({{sigma}});
const NORMAL_CONSTANT = f32({{normal_constant}}); // ln sigma + ln(2 pi) / 2

// (nll, its derivative) of a pixel x under the output l.
fn bernoulli(l: f32, x: f32) -> vec2<f32> {
    let e = exp(-abs(l));
    return vec2<f32>(max(l, 0.0) - l * x + ln_1p_unit(e), sigmoid_from(l, e) - x);
}

fn gaussian(m: f32, x: f32) -> vec2<f32> {
    let distance = (m - x) / SIGMA;
    return vec2<f32>(0.5 * distance * distance + NORMAL_CONSTANT, distance / SIGMA);
}

// Stores the gradient and gives the nll; zero outside.
fn pixel(m: u32, n: u32, output: f32) -> f32 {
    if m >= layer.batch || n >= width(layer) {
        return 0.0;
    }
    let i = m * width(layer) + n;
    let nll = {{likelihood}}(output, images[i]);
    d_output[i] = nll.y / f32(layer.batch);
    return nll.x;
}

fn row_nll(m: u32, n: u32, outputs: vec4<f32>) -> f32 {
    return pixel(m, n, outputs.x) + pixel(m, n + 1u, outputs.y) + pixel(m, n + 2u, outputs.z) + pixel(m, n + 3u, outputs.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_m = workgroup.y * TILE_M;
    let first_n = workgroup.x * TILE_N;
    let c = product(first_m, first_n, size_k(), thread);
    if thread < LANES {
        let m = first_m + place(thread).x;
        let n = first_n + place(thread).y;
        tile[thread] = vec4<f32>(row_nll(m, n, c[0]), row_nll(m + 1u, n, c[1]), row_nll(m + 2u, n, c[2]), row_nll(m + 3u, n, c[3]));
    }
    workgroupBarrier();
    let parts = (width(layer) + NLL_COLUMNS - 1u) / NLL_COLUMNS;
    for (var i = thread; i < TILE_M * (TILE_N / NLL_COLUMNS); i += WORKGROUP) {
        let m = i % TILE_M;
        let part = i / TILE_M;
        var sum = 0.0;
        for (var lane = 0u; lane < NLL_COLUMNS / 4u; lane += 1u) {
            sum += tile[(m / 4u) * (TILE_N / 4u) + part * (NLL_COLUMNS / 4u) + lane][m % 4u];
        }
        if first_m + m < layer.batch && first_n / NLL_COLUMNS + part < parts {
            recon[(first_m + m) * parts + first_n / NLL_COLUMNS + part] = sum;
        }
    }
}
