// One optimizer update of the whole arena. One thread = one parameter.
// The rules are those of vae_kernels::program::Rule; their constants come with the step.

struct Sizes {
    length: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments: array<f32>;   // one arena behind the other
@group(0) @binding(4) var<storage, read> square_sums: array<f32>; //? clip

// v = rho v + (1 - rho) g^2;   w -= lr g / sqrt(v + eps)
fn rmsprop(i: u32, g: f32) {
    let lr = step.rule[0].x;
    let rho = step.rule[0].y;
    let eps = step.rule[0].z;
    let v = rho * moments[i] + (1.0 - rho) * g * g;
    moments[i] = v;
    parameters[i] -= lr * g / sqrt(v + eps);
}

// m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2;   w = keep w - step_size m / (sqrt(v) / root_correction + eps)
fn adam(i: u32, g: f32) {
    let step_size = step.rule[0].x;
    let root_correction = step.rule[0].y;
    let beta1 = step.rule[0].z;
    let beta2 = step.rule[0].w;
    let eps = step.rule[1].x;
    let keep = step.rule[1].y;
    let m = beta1 * moments[i] + (1.0 - beta1) * g;
    let v = beta2 * moments[sizes.length + i] + (1.0 - beta2) * g * g;
    moments[i] = m;
    moments[sizes.length + i] = v;
    parameters[i] = keep * parameters[i] - step_size * m / (sqrt(v) / root_correction + eps);
}

// m = momentum m + g;   w -= lr m
fn sgd(i: u32, g: f32) {
    let m = step.rule[0].y * moments[i] + g;
    moments[i] = m;
    parameters[i] -= step.rule[0].x * m;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.length {
        return;
    }
    var scale = 1.0;
    var sum = 0.0; //? clip
    for (var part = 0u; part < arrayLength(&square_sums); part += 1u) { //? clip
        sum += square_sums[part]; //? clip
    } //? clip
    scale = min(1.0, step.clip_norm / (sqrt(sum) + 1e-6)); //? clip
    {{rule}}(i, scale * gradients[i]);
}
