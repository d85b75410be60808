// The classes of a batch, gathered by their rows in the dataset. One thread = one row.

struct Sizes {
    batch: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> labels: array<u32>;         // [count]
@group(0) @binding(2) var<storage, read> rows: array<u32>;           // row indices of several batches
@group(0) @binding(3) var<storage, read_write> output: array<f32>;  // [batch]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.batch {
        return;
    }
    output[i] = f32(labels[rows[step.rows + i]]);
}
