// output = logits - log sum exp logits, of parameters. One workgroup; one thread = every WORKGROUP-th of them.

struct Sizes {
    count: u32,
    offset: u32, // of the first one
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>; // [count]

const WORKGROUP = 256u;

var<workgroup> shared_values: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) thread: u32) {
    var largest = -3.4e38;
    for (var i = thread; i < sizes.count; i += WORKGROUP) {
        largest = max(largest, parameters[sizes.offset + i]);
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
    for (var i = thread; i < sizes.count; i += WORKGROUP) {
        sum += exp(parameters[sizes.offset + i] - largest);
    }
    shared_values[thread] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if thread < stride {
            shared_values[thread] += shared_values[thread + stride];
        }
    }
    workgroupBarrier();
    let whole = largest + log(shared_values[0]);
    for (var i = thread; i < sizes.count; i += WORKGROUP) {
        output[i] = parameters[sizes.offset + i] - whole;
    }
}
