// Each row's part of the squared maximum mean discrepancy of two samples, the mean of the parts (discrepancy.wgsl).
// One workgroup = one row; one thread = every WORKGROUP-th of its partners.

@group(0) @binding(3) var<storage, read_write> parts: array<f32>; // [rows]

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= sizes.rows {
        return; // the whole workgroup, so that no thread waits for another
    }
    var sum = 0.0;
    for (var other = thread; other < sizes.rows; other += WORKGROUP) {
        if other != row {
            let same = kernel_of(squared_distance_in_z(row, other)).x + kernel_of(squared_distance_in_y(row, other)).x;
            sum += within() * same;
        }
        sum -= between() * kernel_of(squared_distance_between(row, other)).x;
    }
    sums[thread] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            sums[thread] += sums[thread + stride];
        }
    }
    if thread == 0u {
        parts[row] = f32(sizes.rows) * sums[0];
    }
}
