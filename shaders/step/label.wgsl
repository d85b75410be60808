// A matrix with the one-hot label behind its columns. One thread = one number of the output.

struct Sizes {
    length: u32,
    columns: u32, // of the input
    width: u32,   // columns and classes
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [batch, columns]
@group(0) @binding(2) var<storage, read> labels: array<f32>;        // [batch]: the number of the class
@group(0) @binding(3) var<storage, read_write> output: array<f32>;  // [batch, width]

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
    let row = i / sizes.width;
    let column = i % sizes.width;
    if column < sizes.columns {
        output[i] = input[row * sizes.columns + column];
    } else {
        output[i] = select(0.0, 1.0, u32(labels[row]) == column - sizes.columns);
    }
}
