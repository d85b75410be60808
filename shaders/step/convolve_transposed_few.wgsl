// The transposed convolution of convolve_transposed.wgsl to images of at most four channels, of which a tile would leave most of its
// columns empty: image = map W^T, gathered, then finish.wgsl.
// One thread = all channels of one pixel (patches.wgsl).

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
{{bindings}}

const CHANNELS = IMAGE_CHANNELS;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let pixel = element(workgroup, workgroups, thread);
    let row = pixel / (IMAGE_HEIGHT * IMAGE_WIDTH);
    if row >= sizes.batch {
        return;
    }
    // Counted from the corner of the padding.
    let y = pixel / IMAGE_WIDTH % IMAGE_HEIGHT + PADDING;
    let x = pixel % IMAGE_WIDTH + PADDING;
    var sum = vec4<f32>();
    for (var i = y % STRIDE; i < KERNEL && i <= y; i += STRIDE) {
        for (var j = x % STRIDE; j < KERNEL && j <= x; j += STRIDE) {
            let down = (y - i) / STRIDE;
            let across = (x - j) / STRIDE;
            if down >= MAP_HEIGHT || across >= MAP_WIDTH {
                continue;
            }
            let first = ((row * MAP_HEIGHT + down) * MAP_WIDTH + across) * MAP_CHANNELS;
            let weight = WEIGHT + (i * KERNEL + j) * IMAGE_CHANNELS * MAP_CHANNELS;
            for (var o = 0u; o < MAP_CHANNELS; o += 1u) {
                for (var c = 0u; c < IMAGE_CHANNELS; c += 1u) {
                    sum[c] = fma(input[first + o], parameters[weight + c * MAP_CHANNELS + o], sum[c]);
                }
            }
        }
    }
    finish4(pixel * IMAGE_CHANNELS, 0u, sum);
}
