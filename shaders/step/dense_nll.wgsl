// The last dense layer with the negative log-likelihood of the images under its output and the loss's gradient.
// One workgroup = a tile of the output (affine.wgsl, matmul.wgsl).
// The likelihoods are those of likelihood.wgsl, with a fixed spread or none.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; //? wide
@group(0) @binding(1) var<storage, read> parameters: array<f32>; //? narrow
@group(0) @binding(2) var<storage, read> input: array<f32>;                 // [batch, INPUTS]
@group(0) @binding(3) var<storage, read> images: array<vec4<f32>>;          // [batch / of_image, WIDTH] //? wide
@group(0) @binding(3) var<storage, read> images: array<f32>; //? narrow
@group(0) @binding(4) var<storage, read_write> recon: array<f32>;           // [batch, ceil(WIDTH / NLL_COLUMNS)]
@group(0) @binding(5) var<storage, read_write> d_output: array<vec4<f32>>;  // [batch, WIDTH] //? wide_gradient
@group(0) @binding(5) var<storage, read_write> d_output: array<f32>; //? narrow_gradient

const NLL_COLUMNS = {{nll_columns}}u;
const SPREAD = vec2<f32>({{spread}}, {{log_spread}}); // the spread and its natural log

var<workgroup> nll: array<f32, TILE_M * TILE_N / 4u>; // [m][n / 4], sums of four columns

// The negative log-likelihood of a pixel x under the output l, and its derivative.
fn pixel(l: f32, x: f32) -> vec2<f32> {
    return {{likelihood}}(l, x, SPREAD).xy;
}

fn store4(m: u32, n: u32, product: vec4<f32>) {
    var sum = 0.0;
    if m < sizes.batch && n < WIDTH {
        let l = product + parameter4(INPUTS, n);
        let scale = 1.0 / (step.batch * f32(sizes.draws));
        let i = (m * WIDTH + n) / 4u; //? wide_gradient
        let x = images[(m / sizes.of_image * WIDTH + n) / 4u]; //? wide
        let pixels = array<vec2<f32>, 4>(pixel(l.x, x.x), pixel(l.y, x.y), pixel(l.z, x.z), pixel(l.w, x.w)); //? wide
        d_output[i] = vec4<f32>(pixels[0].y, pixels[1].y, pixels[2].y, pixels[3].y) * scale; //? wide_gradient
        sum = pixels[0].x + pixels[1].x + pixels[2].x + pixels[3].x; //? wide
        for (var j = 0u; j < min(4u, WIDTH - n); j += 1u) { //? narrow
            let y = pixel(l[j], images[m / sizes.of_image * WIDTH + n + j]); //? narrow
            d_output[m * WIDTH + n + j] = y.y * scale; //? narrow_gradient
            sum += y.x; //? narrow
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
