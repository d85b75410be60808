// The sums of a batch's recon and kl, into the step's slot, in as many parts as there are workgroups.
// One thread = every so many-th number.

struct Sizes {
    batch: u32,
    columns: u32, // numbers of recon for each row
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> recon: array<f32>;               // [batch, columns]
@group(0) @binding(2) var<storage, read> kl: array<f32>;                  // [batch]
@group(0) @binding(3) var<storage, read_write> losses: array<vec2<f32>>;  // [slots, workgroups]: parts of recon and kl

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = element(workgroup, workgroups, thread);
    var sum = vec2<f32>();
    for (var i = first; i < sizes.batch * sizes.columns; i += workgroups.x * WORKGROUP) {
        sum.x += recon[i];
    }
    for (var i = first; i < sizes.batch; i += workgroups.x * WORKGROUP) {
        sum.y += kl[i];
    }
    sums[thread] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            sums[thread] += sums[thread + stride];
        }
    }
    if thread == 0u {
        losses[step.slot * workgroups.x + workgroup.x] = sums[0];
    }
}
