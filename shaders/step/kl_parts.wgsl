// Parts of the KL divergence from a standard normal (sample_kl.wgsl): sums over groups of consecutive latents.
// One thread = one group of one row.

struct Sizes {
    rows: u32,
    latent: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> posterior: array<f32>;    // [rows, 2 latent]: mu | log_var
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;  // [rows, groups]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.rows * sizes.groups {
        return;
    }
    let size = sizes.latent / sizes.groups;
    let first = i / sizes.groups * 2u * sizes.latent + i % sizes.groups * size;
    var sum = 0.0;
    for (var j = first; j < first + size; j += 1u) {
        sum += kl_of(posterior[j], posterior[j + sizes.latent]);
    }
    parts[i] = sum;
}
