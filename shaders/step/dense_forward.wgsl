// A dense layer: output = activation([input | 1] [W; b]), and the activation's slope where a backward pass wants it.
// One workgroup = a tile of the output (affine.wgsl, matmul.wgsl).

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;         // [batch, inputs]
@group(0) @binding(3) var<storage, read_write> output: array<f32>;  // [batch, width]
@group(0) @binding(4) var<storage, read_write> slope: array<f32>;   // [batch, width] //? slope

fn store(m: u32, n: u32, value: f32) {
    if m < layer.batch && n < width(layer) {
        let i = m * width(layer) + n;
        let y = {{activation}}(value);
        output[i] = y.x;
        slope[i] = y.y; //? slope
    }
}
