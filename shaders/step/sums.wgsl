// The column sums of a matrix, gradients of parameters that are added to every row; in parts, each of a part of the rows, which
// update.wgsl adds up.
// One workgroup = LANES columns of one part; one thread = one of them, in every GROUPS-th row.

struct Sizes {
    rows: u32,
    columns: u32,
    offset: u32, // of the first parameter
    part: u32,   // distance from part to part
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>; // [parts, part]
@group(0) @binding(2) var<storage, read> values: array<f32>;          // [rows, columns]

const LANES = {{lanes}}u;
const GROUPS = WORKGROUP / LANES;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let column = workgroup.x * LANES + lane;
    let share = (sizes.rows + workgroups.z - 1u) / workgroups.z;
    let end = min((workgroup.z + 1u) * share, sizes.rows);
    var sum = 0.0;
    if column < sizes.columns {
        for (var row = workgroup.z * share + thread / LANES; row < end; row += GROUPS) {
            sum += values[row * sizes.columns + column];
        }
    }
    sums[thread] = sum;
    for (var group = GROUPS / 2u; group > 0u; group /= 2u) {
        workgroupBarrier();
        if thread / LANES < group {
            sums[thread] += sums[thread + group * LANES];
        }
    }
    if thread < LANES && column < sizes.columns {
        gradients[workgroup.z * sizes.part + sizes.offset + column] = sums[thread];
    }
}
