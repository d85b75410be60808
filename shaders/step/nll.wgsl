// The negative log-likelihood of images under a decoder's output, and the loss's gradients with respect to that output and to a
// learned spread. One thread = four columns of one row; LANES threads = one element of recon.

struct Sizes {
    batch: u32,
    columns: u32,
    draws: u32,    // rows for each row of the batch
    of_image: u32, // rows for each image
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> output: array<f32>;           // [batch, columns]
@group(0) @binding(2) var<storage, read> images: array<f32>;           // [batch / of_image, columns]
@group(0) @binding(3) var<storage, read_write> recon: array<f32>;      // [batch, ceil(columns / NLL_COLUMNS)]
@group(0) @binding(4) var<storage, read> parameters: array<f32>; //? learned
@group(0) @binding({{gradient_binding}}) var<storage, read_write> d_output: array<f32>; // [batch, columns] //? gradient
@group(0) @binding({{spread_binding}}) var<storage, read_write> d_spread: array<f32>; // as recon, or as output //? learned_gradient

const LANES = {{nll_columns}}u / 4u;
const SPREAD = vec2<f32>({{spread}}, {{log_spread}}); // a fixed spread and its natural log
const OFFSET = {{offset}}u;     // offset of the spread's parameters
const PARAMETERS = {{parameters}}u; // their number

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

// The log of a learned spread, and its derivative with respect to the parameter.
fn log_spread_of(parameter: f32) -> vec2<f32> {
    let above = min(parameter, {{max_log_spread}}) - ({{min_log_spread}});
    let e = exp(-abs(above));
    let value = max(above, 0.0) + ln_1p_unit(e) + ({{min_log_spread}});
    return vec2<f32>(value, select(0.0, sigmoid_from(above, e), parameter <= {{max_log_spread}}));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    let parts = (sizes.columns + 4u * LANES - 1u) / (4u * LANES);
    let row = i / (parts * LANES);
    let scale = 1.0 / (step.batch * f32(sizes.draws));
    var sum = vec2<f32>();
    if row < sizes.batch {
        let first = i % (parts * LANES) * 4u;
        for (var column = first; column < min(first + 4u, sizes.columns); column += 1u) {
            let at = row * sizes.columns + column;
            var spread = SPREAD;
            let log_spread = log_spread_of(parameters[OFFSET + column % PARAMETERS]); //? learned
            spread = vec2<f32>(exp(log_spread.x), log_spread.x); //? learned
            let x = images[row / sizes.of_image * sizes.columns + column];
            let pixel = {{likelihood}}(output[at], x, spread);
            d_output[at] = pixel.y * scale; //? gradient
            sum.x += pixel.x;
            let of_spread = pixel.z * log_spread.y * scale; //? learned_gradient
            sum.y += of_spread; //? learned_gradient
            d_spread[at] = of_spread; //? per_dimension
        }
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread % LANES == 0u && row < sizes.batch {
        for (var lane = 1u; lane < LANES; lane += 1u) {
            sum += sums[thread + lane];
        }
        recon[i / LANES] = sum.x;
        d_spread[i / LANES] = sum.y; //? one_spread
    }
}
