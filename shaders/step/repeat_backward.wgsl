// The adjoint of repeat_forward: the sum of each square, times the slope of the activation that made the small image.
// One thread = one number of the output.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> d_output: array<f32>;      // [batch, LARGE_HEIGHT, LARGE_WIDTH, CHANNELS]
@group(0) @binding(2) var<storage, read_write> output: array<f32>;  // [batch, SMALL_HEIGHT, SMALL_WIDTH, CHANNELS]
@group(0) @binding(3) var<storage, read> slope: array<f32>;         // as output //? times

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
    let left = pixel % SMALL_WIDTH * FACTOR;
    let top = pixel / SMALL_WIDTH % SMALL_HEIGHT * FACTOR;
    let image = pixel / (SMALL_WIDTH * SMALL_HEIGHT);
    var sum = 0.0;
    for (var y = top; y < min(top + FACTOR, LARGE_HEIGHT); y += 1u) {
        for (var x = left; x < min(left + FACTOR, LARGE_WIDTH); x += 1u) {
            sum += d_output[((image * LARGE_HEIGHT + y) * LARGE_WIDTH + x) * CHANNELS + i % CHANNELS];
        }
    }
    output[i] = sum; //? plain
    output[i] = sum * slope_of(slope[i]); //? times
}
