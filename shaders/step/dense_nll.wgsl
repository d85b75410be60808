// The last dense layer with the negative log-likelihood of the images under its output and the loss's gradient.
// One workgroup = a tile of the output (affine.wgsl, matmul.wgsl).
// Bernoulli, logit l:  nll = max(l, 0) - l x + ln(1 + exp(-|l|)),                d_output = (sigmoid(l) - x) / batch
// Gaussian, mean m:    nll = ((m - x) / sigma)^2 / 2 + ln sigma + ln(2 pi) / 2,  d_output = (m - x) / sigma^2 / batch

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; //? wide
@group(0) @binding(1) var<storage, read> parameters: array<f32>; //? narrow
@group(0) @binding(2) var<storage, read> input: array<f32>;                 // [batch, INPUTS]
@group(0) @binding(3) var<storage, read> images: array<vec4<f32>>;          // [batch, WIDTH] //? wide
@group(0) @binding(3) var<storage, read> images: array<f32>; //? narrow
@group(0) @binding(4) var<storage, read_write> recon: array<f32>;           // [batch, ceil(WIDTH / NLL_COLUMNS)]
@group(0) @binding(5) var<storage, read_write> d_output: array<vec4<f32>>;  // [batch, WIDTH] //? wide
@group(0) @binding(5) var<storage, read_write> d_output: array<f32>; //? narrow

const NLL_COLUMNS = {{nll_columns}}u;
const SIGMA = f32({{sigma}});
const NORMAL_CONSTANT = f32({{normal_constant}}); // ln sigma + ln(2 pi) / 2

var<workgroup> nll: array<f32, TILE_M * TILE_N / 4u>; // [m][n / 4], sums of four columns

// (nll, its derivative) of a pixel x under the output l.
fn bernoulli(l: f32, x: f32) -> vec2<f32> {
    let e = exp(-abs(l));
    return vec2<f32>(max(l, 0.0) - l * x + ln_1p_unit(e), sigmoid_from(l, e) - x);
}

fn gaussian(m: f32, x: f32) -> vec2<f32> {
    let distance = (m - x) / SIGMA;
    return vec2<f32>(0.5 * distance * distance + NORMAL_CONSTANT, distance / SIGMA);
}

fn store4(m: u32, n: u32, product: vec4<f32>) {
    var sum = 0.0;
    if m < sizes.batch && n < WIDTH {
        let l = product + parameter4(INPUTS, n);
        let scale = 1.0 / f32(sizes.batch);
        let i = (m * WIDTH + n) / 4u; //? wide
        let x = images[i]; //? wide
        let pixels = array<vec2<f32>, 4>({{likelihood}}(l.x, x.x), {{likelihood}}(l.y, x.y), {{likelihood}}(l.z, x.z), {{likelihood}}(l.w, x.w)); //? wide
        d_output[i] = vec4<f32>(pixels[0].y, pixels[1].y, pixels[2].y, pixels[3].y) * scale; //? wide
        sum = pixels[0].x + pixels[1].x + pixels[2].x + pixels[3].x; //? wide
        for (var j = 0u; j < min(4u, WIDTH - n); j += 1u) { //? narrow
            let pixel = {{likelihood}}(l[j], images[m * WIDTH + n + j]); //? narrow
            d_output[m * WIDTH + n + j] = pixel.y * scale; //? narrow
            sum += pixel.x; //? narrow
        } //? narrow
    }
    nll[m % TILE_M * (TILE_N / 4u) + n % TILE_N / 4u] = sum;
}

fn finish(first_m: u32, first_n: u32, thread: u32) {
    let parts = (WIDTH + NLL_COLUMNS - 1u) / NLL_COLUMNS;
    for (var i = thread; i < TILE_M * (TILE_N / NLL_COLUMNS); i += WORKGROUP) {
        let m = i % TILE_M;
        let recon_part = i / TILE_M;
        var sum = 0.0;
        for (var lane = 0u; lane < NLL_COLUMNS / 4u; lane += 1u) {
            sum += nll[m * (TILE_N / 4u) + recon_part * (NLL_COLUMNS / 4u) + lane];
        }
        if first_m + m < sizes.batch && first_n / NLL_COLUMNS + recon_part < parts {
            recon[(first_m + m) * parts + first_n / NLL_COLUMNS + recon_part] = sum;
        }
    }
}
