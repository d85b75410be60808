// The gradient of a dense layer's input: d_input = d_output W^T, times the slope of what made the input.
// One workgroup = a tile of d_input (matmul.wgsl).

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> d_output: array<f32>;       // [batch, width]
@group(0) @binding(3) var<storage, read_write> d_input: array<f32>;  // [batch, inputs]
@group(0) @binding(4) var<storage, read> slope: array<f32>;          // [batch, inputs] //? slope

const A_ALONG_K = true;
const B_ALONG_K = true;

fn size_k() -> u32 {
    return width(layer);
}

fn a(m: u32, k: u32) -> f32 {
    if m >= layer.batch || k >= width(layer) {
        return 0.0;
    }
    return d_output[m * width(layer) + k];
}

fn b(k: u32, n: u32) -> f32 {
    if k >= width(layer) || n >= layer.inputs {
        return 0.0;
    }
    return parameters[parameter(layer, n, k)];
}

fn store(m: u32, n: u32, value: f32) {
    if m < layer.batch && n < layer.inputs {
        let i = m * layer.inputs + n;
        d_input[i] = value;
        d_input[i] *= slope[i]; //? slope
    }
}
