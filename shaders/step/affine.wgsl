// The operands of a dense layer, [input | 1] [W; b], for matmul.wgsl; a library, put before a kernel's text. No entry point.
// The kernel binds layer, parameters and input.

const A_ALONG_K = true;
const B_ALONG_K = false;

fn size_k() -> u32 {
    return layer.inputs + 1u;
}

fn a(m: u32, k: u32) -> f32 {
    if m >= layer.batch || k >= layer.inputs {
        return select(0.0, 1.0, k == layer.inputs);
    }
    return input[m * layer.inputs + k];
}

fn b(k: u32, n: u32) -> f32 {
    if k > layer.inputs || n >= width(layer) {
        return 0.0;
    }
    return parameters[parameter(layer, k, n)];
}
