// Group normalisation and the activation behind it: unit = (input - mean) inverse_deviation over each group,
// (output, slope) = activation(unit scale + shift).
// One workgroup = one group of one row (group_norm.wgsl); one thread = every WORKGROUP-th number of it.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;             // [batch, PIXELS, CHANNELS]
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;  // [batch, 2 GROUPS]: means | inverse deviations
@group(0) @binding(4) var<storage, read_write> output: array<f32>;      // as input
@group(0) @binding(5) var<storage, read_write> slope: array<f32>; //? slope

const EPS = f32({{eps}});

var<workgroup> sums: array<f32, WORKGROUP>;

// The sum of all threads' values, the same for each.
fn total(thread: u32, value: f32) -> f32 {
    workgroupBarrier();
    sums[thread] = value;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            sums[thread] += sums[thread + stride];
        }
    }
    workgroupBarrier();
    return sums[0];
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    let row = index / GROUPS;
    if row >= sizes.batch {
        return; // the whole workgroup, so that no thread waits for another
    }
    let group = index % GROUPS;
    var sum = 0.0;
    for (var e = thread; e < TERMS; e += WORKGROUP) {
        sum += input[number(row, group, e)];
    }
    let mean = total(thread, sum) / f32(TERMS);
    var square = 0.0;
    for (var e = thread; e < TERMS; e += WORKGROUP) {
        let x = input[number(row, group, e)] - mean;
        square += x * x;
    }
    let inverse = 1.0 / sqrt(total(thread, square) / f32(TERMS) + EPS);
    if thread == 0u {
        statistics[row * 2u * GROUPS + group] = mean;
        statistics[row * 2u * GROUPS + GROUPS + group] = inverse;
    }
    for (var e = thread; e < TERMS; e += WORKGROUP) {
        let i = number(row, group, e);
        let channel = group * OF_GROUP + e % OF_GROUP;
        let x = (input[i] - mean) * inverse;
        let y = {{activation}}(x * parameters[SCALE + channel] + parameters[SCALE + CHANNELS + channel]);
        output[i] = y.x;
        slope[i] = y.y; //? slope
    }
}
