// The means of a batch's recon and kl, into the step's slot. One workgroup in all.

struct Sizes {
    batch: u32,
    parts: u32, // numbers of recon for each row
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> recon: array<f32>;               // [batch, parts]
@group(0) @binding(2) var<storage, read> kl: array<f32>;                  // [batch]
@group(0) @binding(3) var<storage, read_write> losses: array<vec2<f32>>;  // (recon, kl) of each step

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = vec2<f32>();
    for (var i = thread; i < sizes.batch * sizes.parts; i += WORKGROUP) {
        sum.x += recon[i];
    }
    for (var i = thread; i < sizes.batch; i += WORKGROUP) {
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
        losses[step.slot] = sums[0] / f32(sizes.batch);
    }
}
