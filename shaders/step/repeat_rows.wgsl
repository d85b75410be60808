// Each row of the input `draws` times in succession. One thread = one number of the output.

struct Sizes {
    length: u32,
    columns: u32,
    draws: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [batch, columns]
@group(0) @binding(2) var<storage, read_write> output: array<f32>;  // [batch, draws, columns]

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
    output[i] = input[i / (sizes.columns * sizes.draws) * sizes.columns + i % sizes.columns];
}
