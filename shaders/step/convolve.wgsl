// A convolution: map = patches(image) W, then finish.wgsl. Rows are places, columns the map's channels.
// One workgroup = a tile of the map (patches.wgsl, matmul.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
{{bindings}}

const CHANNELS = MAP_CHANNELS;
const A_ALONG_K = true;
const B_ALONG_K = false;

fn place(workgroup: vec3<u32>) -> vec2<u32> {
    return tile_of(workgroup);
}

fn size_k(workgroup: vec3<u32>) -> u32 {
    return PATCH;
}

fn a(m: u32, k: u32) -> f32 {
    let i = pixel(min(m, sizes.batch * PLACES - 1u), k); // rows beyond the last one are not stored
    if i == PADDED {
        return 0.0;
    }
    return input[i];
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if k >= PATCH {
        return vec4<f32>();
    }
    return vec4<f32>(a(m, k), a(m + 1u, k), a(m + 2u, k), a(m + 3u, k));
}

fn b(k: u32, n: u32) -> f32 {
    return parameters[WEIGHT + k * MAP_CHANNELS + min(n, MAP_CHANNELS - 1u)]; // columns beyond the last one are not stored
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if k >= PATCH {
        return vec4<f32>();
    }
    return vec4<f32>(b(k, n), b(k, n + 1u), b(k, n + 2u), b(k, n + 3u));
}

fn store4(m: u32, n: u32, product: vec4<f32>) {
    if m < sizes.batch * PLACES && n < MAP_CHANNELS {
        finish4(m * MAP_CHANNELS + n, n, product);
    }
}
