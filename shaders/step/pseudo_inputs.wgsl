// The images with pseudo-inputs behind them, which are parameters and count clamped. One thread = one number of the output.

struct Sizes {
    length: u32,
    images: u32, // numbers of the images
    offset: u32, // of the pseudo-inputs
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> images: array<f32>;      // [batch, pixels]
@group(0) @binding(3) var<storage, read_write> seen: array<f32>;  // [batch + count, pixels]

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
    if i < sizes.images {
        seen[i] = images[i];
    } else {
        seen[i] = clamp(parameters[sizes.offset + i - sizes.images], {{low}}, {{high}});
    }
}
