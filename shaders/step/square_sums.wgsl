// The sum of squares of the gradients, one partial sum per workgroup; update.wgsl adds them up.
// One thread = every so many-th gradient, by the number of all threads.

struct Sizes {
    length: u32,
    average: u32, // as in update.wgsl
    parts: u32,   // partial sums of every gradient
    stride: u32,  // distance from part to part
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;           // [parts, stride]
@group(0) @binding(2) var<storage, read_write> square_sums: array<f32>;  // [workgroups]

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    var sum = 0.0;
    for (var i = element(workgroup, workgroups, thread); i < sizes.length; i += workgroups.x * WORKGROUP) {
        var g = gradients[i];
        for (var part = 1u; part < sizes.parts; part += 1u) {
            g += gradients[part * sizes.stride + i];
        }
        sum += g * g;
    }
    sums[thread] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            sums[thread] += sums[thread + stride];
        }
    }
    if thread == 0u {
        square_sums[workgroup.x] = sums[0];
    }
}
