// Backward of group_norm_forward, with h = d_output scale: d_input = inverse_deviation (h - mean(h) - unit mean(h unit)), and each
// row's sums over the pixels of d_output unit and d_output.
// One workgroup = one group of one row (group_norm.wgsl); one thread = one channel, in every so many-th pixel.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> d_output: array<f32>;            // [batch, PIXELS, CHANNELS]
@group(0) @binding(3) var<storage, read> input: array<f32>;               // as d_output
@group(0) @binding(4) var<storage, read> statistics: array<f32>;          // [batch, 2 GROUPS]: means | inverse deviations
@group(0) @binding(5) var<storage, read_write> d_input: array<f32>;       // as d_output
@group(0) @binding(6) var<storage, read_write> d_parameters: array<f32>;  // [batch, 2 CHANNELS]

const LANES = min(OF_GROUP, WORKGROUP); // channels at a time
const THREADS = WORKGROUP / LANES;      // threads of a channel

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;
var<workgroup> totals: vec2<f32>; // of h unit and of h

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
    let mean = statistics[row * 2u * GROUPS + group];
    let inverse = statistics[row * 2u * GROUPS + GROUPS + group];
    if thread == 0u {
        totals = vec2<f32>();
    }
    for (var first = 0u; first < OF_GROUP; first += LANES) {
        let of_group = first + thread % LANES;
        let channel = group * OF_GROUP + of_group;
        var sum = vec2<f32>();
        if thread < LANES * THREADS && of_group < OF_GROUP {
            for (var pixel = thread / LANES; pixel < PIXELS; pixel += THREADS) {
                let i = (row * PIXELS + pixel) * CHANNELS + channel;
                sum += d_output[i] * vec2<f32>((input[i] - mean) * inverse, 1.0);
            }
        }
        workgroupBarrier();
        sums[thread] = sum;
        workgroupBarrier();
        if thread < LANES && of_group < OF_GROUP {
            for (var other = 1u; other < THREADS; other += 1u) {
                sum += sums[thread + other * LANES];
            }
            d_parameters[row * 2u * CHANNELS + channel] = sum.x;
            d_parameters[row * 2u * CHANNELS + CHANNELS + channel] = sum.y;
            sums[thread] = sum * parameters[SCALE + channel];
        }
        workgroupBarrier();
        if thread == 0u {
            for (var lane = 0u; lane < min(LANES, OF_GROUP - first); lane += 1u) {
                totals += sums[lane];
            }
        }
    }
    workgroupBarrier();
    let means = totals / f32(TERMS);
    for (var e = thread; e < TERMS; e += WORKGROUP) {
        let i = number(row, group, e);
        let h = d_output[i] * parameters[SCALE + group * OF_GROUP + e % OF_GROUP];
        d_input[i] = inverse * (h - means.y - (input[i] - mean) * inverse * means.x);
    }
}
