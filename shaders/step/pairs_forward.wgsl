// log sum_c w_c N(z; c) over normals, of all latents and, where that is wanted, of each alone (pairs.wgsl).
// One workgroup = one sum of one row; one thread = every WORKGROUP-th normal.

@group(0) @binding(3) var<storage, read_write> sums: array<f32>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> kl: array<f32>;   // [rows] //? kl

var<workgroup> largests: array<f32, WORKGROUP>;
var<workgroup> parts: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = workgroup.y * workgroups.x + workgroup.x;
    let row = i / columns();
    let column = i % columns();
    if row >= sizes.rows {
        return; // the whole workgroup, so that no thread waits for another
    }
    var largest = -3.4e38;
    var part = 0.0;
    for (var normal = thread; normal < sizes.count; normal += WORKGROUP) {
        var log_term = 0.0;
        if column == 0u {
            log_term = joint(row, normal);
        } else {
            log_term = log_weight_of(normal) + log_density(row, normal, column - 1u);
        }
        let least = min(largest, log_term);
        let greater = max(largest, log_term);
        part = select(part * exp(least - greater) + 1.0, part + exp(least - greater), largest >= log_term);
        largest = greater;
    }
    largests[thread] = largest;
    parts[thread] = part;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            let one = largests[thread];
            let other = largests[thread + stride];
            let both = max(one, other);
            parts[thread] = parts[thread] * exp(one - both) + parts[thread + stride] * exp(other - both);
            largests[thread] = both;
        }
    }
    if thread == 0u {
        let sum = largests[0] + log(parts[0]);
        sums[i] = sum;
        kl[row] -= sum; //? kl
    }
}
