// A dense layer: output = activation(input W + b), and the activation's slope where a backward pass wants it.
// One workgroup = a tile of the output (affine.wgsl, matmul.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; //? wide
@group(0) @binding(1) var<storage, read> parameters: array<f32>; //? narrow
@group(0) @binding(2) var<storage, read> input: array<f32>;               // [batch, INPUTS]
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;  // [batch, WIDTH] //? wide
@group(0) @binding(4) var<storage, read_write> slope: array<vec4<f32>>;   // [batch, WIDTH] //? wide_slope
@group(0) @binding(3) var<storage, read_write> output: array<f32>; //? narrow
@group(0) @binding(4) var<storage, read_write> slope: array<f32>; //? narrow_slope

fn store4(m: u32, n: u32, product: vec4<f32>) {
    if m >= sizes.batch || n >= WIDTH {
        return;
    }
    let x = product + parameter4(INPUTS, n);
    let y = array<vec2<f32>, 4>({{activation}}(x.x), {{activation}}(x.y), {{activation}}(x.z), {{activation}}(x.w));
    let i = (m * WIDTH + n) / 4u; //? wide
    output[i] = vec4<f32>(y[0].x, y[1].x, y[2].x, y[3].x); //? wide
    slope[i] = vec4<f32>(y[0].y, y[1].y, y[2].y, y[3].y); //? wide_slope
    for (var j = 0u; j < min(4u, WIDTH - n); j += 1u) { //? narrow
        output[m * WIDTH + n + j] = y[j].x; //? narrow
        slope[m * WIDTH + n + j] = y[j].y; //? narrow_slope
    } //? narrow
}
