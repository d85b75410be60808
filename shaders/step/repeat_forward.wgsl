// Nearest-neighbour upsampling; what is beyond the larger image is cropped. One thread = one number of the output.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [batch, SMALL_HEIGHT, SMALL_WIDTH, CHANNELS]
@group(0) @binding(2) var<storage, read_write> output: array<f32>;  // [batch, LARGE_HEIGHT, LARGE_WIDTH, CHANNELS]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.length {
        return;
    }
    let pixel = i / CHANNELS;
    let x = pixel % LARGE_WIDTH / FACTOR;
    let y = pixel / LARGE_WIDTH % LARGE_HEIGHT / FACTOR;
    let image = pixel / (LARGE_WIDTH * LARGE_HEIGHT);
    output[i] = input[((image * SMALL_HEIGHT + y) * SMALL_WIDTH + x) * CHANNELS + i % CHANNELS];
}
