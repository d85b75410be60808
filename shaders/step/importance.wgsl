// Importance weights of each row's draws (Burda et al. 2016): v = softmax(-recon - beta kl) over the draws, of which `draws` times
// as much is stored, and bound = -log mean exp(-recon - beta kl).
// One workgroup = one row; one thread = every WORKGROUP-th of its draws.

struct Sizes {
    batch: u32,
    draws: u32,
    parts: u32, // numbers of recon that make up a draw's
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> recon: array<f32>;           // [batch, draws, parts]
@group(0) @binding(2) var<storage, read> kl: array<f32>;              // [batch, draws]
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;   // [batch, draws]
@group(0) @binding(4) var<storage, read_write> bound: array<f32>;     // [batch]

const WORKGROUP = 256u;

var<workgroup> shared_values: array<f32, WORKGROUP>;

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
    var largest = -3.4e38;
    for (var draw = thread; draw < sizes.draws; draw += WORKGROUP) {
        var log_weight = -step.beta * kl[first + draw];
        for (var i = 0u; i < sizes.parts; i += 1u) {
            log_weight -= recon[(first + draw) * sizes.parts + i];
        }
        weights[first + draw] = log_weight;
        largest = max(largest, log_weight);
    }
    shared_values[thread] = largest;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            shared_values[thread] = max(shared_values[thread], shared_values[thread + stride]);
        }
    }
    workgroupBarrier();
    largest = shared_values[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var draw = thread; draw < sizes.draws; draw += WORKGROUP) {
        let weight = exp(weights[first + draw] - largest);
        weights[first + draw] = weight;
        sum += weight;
    }
    shared_values[thread] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            shared_values[thread] += shared_values[thread + stride];
        }
    }
    workgroupBarrier();
    let mean = shared_values[0] / f32(sizes.draws);
    for (var draw = thread; draw < sizes.draws; draw += WORKGROUP) {
        weights[first + draw] /= mean;
    }
    if thread == 0u {
        bound[row] = -(largest + log(mean));
    }
}
