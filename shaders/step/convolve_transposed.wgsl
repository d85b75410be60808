// A transposed convolution, the adjoint of convolve.wgsl: image = map W^T, gathered, then finish.wgsl.
// The pixels whose row and column, counted from the corner of the padding, leave the same remainders modulo the stride see the
// same taps of the kernel: each pair of remainders is a product of its own, without the taps that it never meets. Its rows are
// these pixels, its columns the image's channels, k the taps' channels of the map.
// One workgroup = a tile of one such product (patches.wgsl, matmul.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
{{bindings}}

const CHANNELS = IMAGE_CHANNELS;
const A_ALONG_K = true;
const B_ALONG_K = true;

// Row and column of this workgroup's remainders.
var<private> remainder: vec2<u32>;

fn remainder_of(workgroup: vec3<u32>) -> vec2<u32> {
    return vec2<u32>(workgroup.z / STRIDE, workgroup.z % STRIDE);
}

fn place(workgroup: vec3<u32>) -> vec2<u32> {
    remainder = remainder_of(workgroup);
    return tile_of(workgroup);
}

// Number of taps that the pixels of a remainder see, down and across.
fn taps_of(remainder: vec2<u32>) -> vec2<u32> {
    return (vec2<u32>(KERNEL + STRIDE - 1u) - remainder) / STRIDE;
}

fn taps() -> vec2<u32> {
    return taps_of(remainder);
}

// The first of the pixels, and their number, down and across.
fn first() -> vec2<u32> {
    return (remainder + vec2<u32>(STRIDE - PADDING % STRIDE)) % STRIDE;
}

fn count() -> vec2<u32> {
    return (vec2<u32>(IMAGE_HEIGHT, IMAGE_WIDTH) + vec2<u32>(STRIDE - 1u) - first()) / STRIDE;
}

// The image's number, and the pixel's row and column.
fn pixel_of(m: u32) -> vec3<u32> {
    let size = count();
    let at = m % (size.x * size.y);
    return vec3<u32>(m / (size.x * size.y), first() + STRIDE * vec2<u32>(at / size.y, at % size.y));
}

fn rows() -> u32 {
    return sizes.batch * count().x * count().y;
}

fn size_k(workgroup: vec3<u32>) -> u32 {
    let taps = taps_of(remainder_of(workgroup));
    return taps.x * taps.y * MAP_CHANNELS;
}

fn is_beyond(k: u32) -> bool {
    return k >= taps().x * taps().y * MAP_CHANNELS;
}

// Row and column of the k-th product's tap among those of the remainders.
fn tap_of(k: u32) -> vec2<u32> {
    let tap = k / MAP_CHANNELS;
    return vec2<u32>(tap / taps().y, tap % taps().y);
}

fn a(m: u32, k: u32) -> f32 {
    let at = pixel_of(min(m, rows() - 1u)); // rows beyond the last one are not stored
    let last = (at.yz + vec2<u32>(PADDING)) / STRIDE; // the place under the first tap
    let tap = tap_of(k);
    if any(last < tap) {
        return 0.0;
    }
    let y = last.x - tap.x;
    let x = last.y - tap.y;
    if y >= MAP_HEIGHT || x >= MAP_WIDTH {
        return 0.0;
    }
    return input[((at.x * MAP_HEIGHT + y) * MAP_WIDTH + x) * MAP_CHANNELS + k % MAP_CHANNELS];
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if is_beyond(k) || rows() == 0u {
        return vec4<f32>();
    }
    return vec4<f32>(a(m, k), a(m + 1u, k), a(m + 2u, k), a(m + 3u, k));
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if is_beyond(k) {
        return vec4<f32>();
    }
    let tap = remainder + STRIDE * tap_of(k);
    let first_channel = (tap.x * KERNEL + tap.y) * IMAGE_CHANNELS;
    // Columns beyond the last one are not stored.
    let channel = first_channel + min(vec4<u32>(n, n + 1u, n + 2u, n + 3u), vec4<u32>(IMAGE_CHANNELS - 1u));
    let at = WEIGHT + channel * MAP_CHANNELS + k % MAP_CHANNELS;
    return vec4<f32>(parameters[at.x], parameters[at.y], parameters[at.z], parameters[at.w]);
}

fn store4(m: u32, n: u32, product: vec4<f32>) {
    if m < rows() && n < IMAGE_CHANNELS {
        let at = pixel_of(m);
        finish4(((at.x * IMAGE_HEIGHT + at.y) * IMAGE_WIDTH + at.z) * IMAGE_CHANNELS + n, n, product);
    }
}
