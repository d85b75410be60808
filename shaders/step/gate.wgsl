// A function of a term or of its mean over the rows, and its derivative, as vae_kernels::program::Gate says.
// One workgroup = one group of latents; one thread = every WORKGROUP-th row.

struct Sizes {
    rows: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> kl: array<f32>;             // [rows, groups]
@group(0) @binding(2) var<storage, read_write> factors: array<f32>;  // [rows, groups]
@group(0) @binding(3) var<storage, read_write> cost: array<f32>;     // [rows, groups]

const WORKGROUP = 256u;

var<workgroup> parts: array<f32, WORKGROUP>;

// Derivative and value.
fn at_least(kl: f32, nats: f32) -> vec2<f32> {
    return select(vec2<f32>(1.0, kl), vec2<f32>(0.0, nats), kl <= nats);
}

fn capacity(kl: f32) -> vec2<f32> {
    return vec2<f32>(sign(kl - step.capacity), abs(kl - step.capacity));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = workgroup.y * workgroups.x + workgroup.x;
    if group >= sizes.groups {
        return; // the whole workgroup, so that no thread waits for another
    }
    var sum = 0.0; //? mean
    for (var row = thread; row < sizes.rows; row += WORKGROUP) { //? mean
        sum += kl[row * sizes.groups + group]; //? mean
    } //? mean
    parts[thread] = sum; //? mean
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) { //? mean
        workgroupBarrier(); //? mean
        if thread < stride { //? mean
            parts[thread] += parts[thread + stride]; //? mean
        } //? mean
    } //? mean
    workgroupBarrier(); //? mean
    let value = parts[0] / f32(sizes.rows); //? mean
    for (var row = thread; row < sizes.rows; row += WORKGROUP) {
        let i = row * sizes.groups + group;
        let value = kl[i]; //? each
        let gated = {{gate}};
        factors[i] = gated.x;
        cost[i] = gated.y;
    }
}
