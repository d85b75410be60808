// values *= weights, row by row. One thread = one number.

struct Sizes {
    length: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;  // [rows, columns]
@group(0) @binding(2) var<storage, read> weights: array<f32>;       // [rows]

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
    values[i] *= weights[i / sizes.columns];
}
