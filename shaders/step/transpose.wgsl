// Each row of the input is a matrix, which is transposed. One thread = one number of the output.

struct Sizes {
    length: u32,
    rows: u32,    // of each row's matrix
    columns: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>;         // [batch, rows, columns]
@group(0) @binding(2) var<storage, read_write> output: array<f32>;  // [batch, columns, rows]

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
    let at = i % (sizes.rows * sizes.columns);
    output[i] = input[i - at + at % sizes.rows * sizes.columns + at / sizes.rows];
}
