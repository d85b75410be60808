// The operands of a dense layer, input W, and its bias, for matmul.wgsl; a library, put before a kernel's text. No entry point.
// The kernel binds sizes, parameters and input.

const A_ALONG_K = true;
const B_ALONG_K = false;

fn size_k(workgroup: vec3<u32>) -> u32 {
    return INPUTS;
}

fn a(m: u32, k: u32) -> f32 {
    return input[min(m, sizes.batch - 1u) * INPUTS + k]; // rows beyond the last one are not stored
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if k >= INPUTS {
        return vec4<f32>();
    }
    return vec4<f32>(a(m, k), a(m + 1u, k), a(m + 2u, k), a(m + 3u, k));
}

fn weight(k: u32, n: u32) -> f32 { //? narrow
    return parameters[parameter(k, min(n, WIDTH - 1u))]; // columns beyond the last one are not stored //? narrow
} //? narrow

// Four columns of row k of [W; b], from n on.
fn parameter4(k: u32, n: u32) -> vec4<f32> {
    if n >= WIDTH {
        return vec4<f32>();
    }
    return parameters[parameter(k, n) / 4u]; //? wide
    return vec4<f32>(weight(k, n), weight(k, n + 1u), weight(k, n + 2u), weight(k, n + 3u)); //? narrow
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if k >= INPUTS {
        return vec4<f32>();
    }
    return parameter4(k, n);
}
