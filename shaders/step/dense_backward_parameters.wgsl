// Gradients of a dense layer's parameters: [d_W; d_b] = [input | 1]^T d_output.
// One workgroup = a tile of the gradients (matmul.wgsl).

@group(0) @binding(0) var<uniform> layer: Layer;
@group(0) @binding(1) var<storage, read> input: array<f32>;            // [batch, inputs]
@group(0) @binding(2) var<storage, read> d_output: array<f32>;         // [batch, width]
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;  // as parameters

const A_ALONG_K = false;
const B_ALONG_K = false;

fn size_k() -> u32 {
    return layer.batch;
}

fn a(m: u32, k: u32) -> f32 {
    if k >= layer.batch || m >= layer.inputs {
        return select(0.0, 1.0, m == layer.inputs);
    }
    return input[k * layer.inputs + m];
}

fn b(k: u32, n: u32) -> f32 {
    if k >= layer.batch || n >= width(layer) {
        return 0.0;
    }
    return d_output[k * width(layer) + n];
}

fn store(m: u32, n: u32, value: f32) {
    if m <= layer.inputs && n < width(layer) {
        gradients[parameter(layer, m, n)] = value;
    }
}
