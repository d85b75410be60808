// Sums the terms of a batch's loss, each in LOSS_PARTS partial sums, into the step's slot; a library, put before a kernel's text,
// LOSS_PARTS of whose workgroups take part. No entry point.

const LOSS_PARTS = {{loss_parts}}u;

@group(0) @binding({{losses_binding}}) var<storage, read_write> losses: array<vec4<f32>>; // [slots, LOSS_PARTS]
{{terms}}

var<workgroup> loss_sums: array<vec4<f32>, WORKGROUP>;

// One partial sum. One thread = every (LOSS_PARTS * WORKGROUP)-th number.
fn sum_losses(loss_part: u32, thread: u32) {
    let first = loss_part * WORKGROUP + thread;
    var sum = vec4<f32>();
    {{sums}}
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
