// The gradients of pseudo-inputs: 0 where they are clamped. They have PARTS parts, which update.wgsl adds up: they are in the first.
// One thread = one number.

struct Sizes {
    length: u32,
    offset: u32, // of the pseudo-inputs
    parts: u32,
    part: u32,   // distance from part to part
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> d_seen: array<f32>;           // [count, pixels]
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;  // [parts, part]

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
    let x = parameters[sizes.offset + i];
    var d = d_seen[i];
    d /= 1.0 + x; //? counts
    gradients[sizes.offset + i] = select(0.0, d, x >= {{low}} && x <= {{high}});
    for (var part = 1u; part < sizes.parts; part += 1u) {
        gradients[part * sizes.part + sizes.offset + i] = 0.0;
    }
}
