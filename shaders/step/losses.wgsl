// Sums a batch's recon, kl and, where there is one, bound, in LOSS_PARTS partial sums, into the step's slot; a library, put before a
// kernel's text, LOSS_PARTS of whose workgroups take part. No entry point.

const LOSS_PARTS = {{loss_parts}}u;

@group(0) @binding({{recon_binding}}) var<storage, read> recon: array<f32>;               // [batch, parts]
@group(0) @binding({{kl_binding}}) var<storage, read> kl: array<f32>;                     // [batch]
@group(0) @binding({{losses_binding}}) var<storage, read_write> losses: array<vec4<f32>>; // [slots, LOSS_PARTS]
@group(0) @binding({{bound_binding}}) var<storage, read> bound: array<f32>;               // [batch] //? bound

var<workgroup> loss_sums: array<vec4<f32>, WORKGROUP>;

// One partial sum. One thread = every (LOSS_PARTS * WORKGROUP)-th number.
fn sum_losses(loss_part: u32, thread: u32) {
    let first = loss_part * WORKGROUP + thread;
    var sum = vec4<f32>();
    for (var i = first; i < arrayLength(&recon); i += LOSS_PARTS * WORKGROUP) {
        sum.x += recon[i];
    }
    for (var i = first; i < arrayLength(&kl); i += LOSS_PARTS * WORKGROUP) {
        sum.y += kl[i];
    }
    for (var i = first; i < arrayLength(&bound); i += LOSS_PARTS * WORKGROUP) { //? bound
        sum.z += bound[i]; //? bound
    } //? bound
    loss_sums[thread] = sum;
    for (var left = WORKGROUP; left > 1u; left = (left + 1u) / 2u) {
        workgroupBarrier();
        if thread < left / 2u {
            loss_sums[thread] += loss_sums[thread + (left + 1u) / 2u];
        }
    }
    if thread == 0u {
        losses[step.slot * LOSS_PARTS + loss_part] = loss_sums[0];
    }
}
