// Adds the importance weights of each row's draws, log w = -recon - kl, to those of the runs before: the largest log w, and the sum
// of all w in its units. One workgroup = one row; one thread = every WORKGROUP-th of its draws.

struct Sizes {
    batch: u32,
    draws: u32,
    parts: u32, // numbers of recon that make up a draw's
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> recon: array<f32>;            // [batch, draws, parts]
@group(0) @binding(2) var<storage, read> kl: array<f32>;               // [batch, draws]
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<f32>>; // [batch]

const WORKGROUP = 64u;

var<workgroup> weights: array<vec2<f32>, WORKGROUP>;

fn together(one: vec2<f32>, other: vec2<f32>) -> vec2<f32> {
    let largest = max(one.x, other.x);
    return vec2<f32>(largest, one.y * exp(one.x - largest) + other.y * exp(other.x - largest));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= sizes.batch {
        return; // the whole workgroup, so that no thread waits for another
    }
    let first = row * sizes.draws;
    var mine = vec2<f32>(-3.4e38, 0.0);
    for (var draw = thread; draw < sizes.draws; draw += WORKGROUP) {
        var log_weight = -kl[first + draw];
        for (var i = 0u; i < sizes.parts; i += 1u) {
            log_weight -= recon[(first + draw) * sizes.parts + i];
        }
        mine = together(mine, vec2<f32>(log_weight, 1.0));
    }
    weights[thread] = mine;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            weights[thread] = together(weights[thread], weights[thread + stride]);
        }
    }
    if thread == 0u {
        sums[row] = together(sums[row], weights[0]);
    }
}
