// The gradient of a convolution's weight: d_W = patches(image)^T map over the places of all images; in PARTS arenas, each of a
// part of the places, which update.wgsl adds up.
// One workgroup = a tile of a part of d_W (patches.wgsl, matmul.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>; // [PARTS, PART]
@group(0) @binding(2) var<storage, read> images: array<f32>;          // [batch, IMAGE_HEIGHT, IMAGE_WIDTH, IMAGE_CHANNELS]
@group(0) @binding(3) var<storage, read> maps: array<f32>;            // [batch, MAP_HEIGHT, MAP_WIDTH, MAP_CHANNELS]

const PART = {{part}}u; // distance from part to part
const A_ALONG_K = false;
const B_ALONG_K = false;

fn place(workgroup: vec3<u32>) -> vec2<u32> {
    return tile_of(workgroup);
}

fn size_k(workgroup: vec3<u32>) -> u32 {
    return sizes.batch * PLACES;
}

fn a(m: u32, k: u32) -> f32 {
    let i = pixel(k, min(m, PATCH - 1u)); // rows of d_W beyond the last one are not stored
    if i == PADDED {
        return 0.0;
    }
    return images[i];
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if k >= sizes.batch * PLACES {
        return vec4<f32>();
    }
    return vec4<f32>(a(m, k), a(m + 1u, k), a(m + 2u, k), a(m + 3u, k));
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if k >= sizes.batch * PLACES {
        return vec4<f32>();
    }
    // Columns of d_W beyond the last one are not stored.
    let at = k * MAP_CHANNELS + min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(MAP_CHANNELS - 1u));
    return vec4<f32>(maps[at.x], maps[at.y], maps[at.z], maps[at.w]);
}

fn store4(m: u32, n: u32, values: vec4<f32>) {
    if m < PATCH {
        for (var j = 0u; n + j < min(n + 4u, MAP_CHANNELS); j += 1u) {
            gradients[part * PART + WEIGHT + m * MAP_CHANNELS + n + j] = values[j];
        }
    }
}
