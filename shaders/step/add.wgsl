// output = (one + other) times. One thread = one number.

struct Sizes {
    length: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> one: array<f32>;
@group(0) @binding(2) var<storage, read> other: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> times: array<f32>; //? times

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
    output[i] = one[i] + other[i]; //? plain
    output[i] = (one[i] + other[i]) * slope_of(times[i]); //? times
}
