// Adds the gradients of a piece of a batch to those of the pieces before. One thread = one parameter.

struct Sizes {
    length: u32,
    parts: u32,  // partial sums of every gradient
    stride: u32, // distance from part to part
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;         // [parts, stride]
@group(0) @binding(2) var<storage, read_write> accumulated: array<f32>; // [length]

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
    var g = gradients[i];
    for (var part = 1u; part < sizes.parts; part += 1u) {
        g += gradients[part * sizes.stride + i];
    }
    accumulated[i] = g; //? first
    accumulated[i] += g; //? next
}
