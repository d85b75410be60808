// The sums over the draws of each row. One thread = one number of the output.

struct Sizes {
    length: u32,
    columns: u32,
    draws: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [batch, draws, columns]
@group(0) @binding(2) var<storage, read_write> output: array<f32>;  // [batch, columns]

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
    let first = i / sizes.columns * sizes.columns * sizes.draws + i % sizes.columns;
    var sum = 0.0;
    for (var draw = 0u; draw < sizes.draws; draw += 1u) {
        sum += input[first + draw * sizes.columns];
    }
    output[i] = sum;
}
