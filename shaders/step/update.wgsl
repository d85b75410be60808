// One optimizer update of the whole arena. One thread = one parameter: the parts of its gradient are added up, clipped, then
// weight decay is added; its rule gives the new parameter, which the average takes in. The rules are those of
// vae_kernels::program::Rule; their constants come with the step.

struct Sizes {
    length: u32,
    average: u32, // where the average begins among the moments
    parts: u32,   // partial sums of every gradient
    stride: u32,  // distance from part to part
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;         // [parts, stride]
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments: array<f32>;   // one arena after the other
@group(0) @binding(4) var<storage, read> square_sums: array<f32>; //? clip_norm

const SQUARE_SUMS = {{square_sums}}u; //? clip_norm

var<workgroup> sums: array<f32, SQUARE_SUMS>; //? clip_norm

// v = rho v + (1 - rho) g^2;   w -= lr g / sqrt(v + eps)
fn rmsprop(i: u32, w: f32, g: f32) -> f32 {
    let lr = step.rule[0].x;
    let rho = step.rule[0].y;
    let eps = step.rule[0].z;
    let v = rho * moments[i] + (1.0 - rho) * g * g;
    moments[i] = v;
    return w - lr * g / sqrt(v + eps);
}

// m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2;   w = keep w - step_size m / (sqrt(v) / root_correction + eps)
// AMSGrad divides by the root of the largest v so far.
fn adam(i: u32, w: f32, g: f32) -> f32 {
    let step_size = step.rule[0].x;
    let root_correction = step.rule[0].y;
    let beta1 = step.rule[0].z;
    let beta2 = step.rule[0].w;
    let eps = step.rule[1].x;
    let keep = step.rule[1].y;
    let m = beta1 * moments[i] + (1.0 - beta1) * g;
    var v = beta2 * moments[sizes.length + i] + (1.0 - beta2) * g * g;
    moments[i] = m;
    moments[sizes.length + i] = v;
    v = max(moments[2u * sizes.length + i], v); //? amsgrad
    moments[2u * sizes.length + i] = v; //? amsgrad
    return keep * w - step_size * m / (sqrt(v) / root_correction + eps);
}

// s += g^2;   w -= lr g / (sqrt(s) + eps)
fn adagrad(i: u32, w: f32, g: f32) -> f32 {
    let lr = step.rule[0].x;
    let eps = step.rule[0].y;
    let s = moments[i] + g * g;
    moments[i] = s;
    return w - lr * g / (sqrt(s) + eps);
}

// m = momentum m + g;   w -= lr m
fn sgd(i: u32, w: f32, g: f32) -> f32 {
    let m = step.rule[0].y * moments[i] + g;
    moments[i] = m;
    return w - step.rule[0].x * m;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    if thread < SQUARE_SUMS { //? clip_norm
        sums[thread] = square_sums[thread]; //? clip_norm
    } //? clip_norm
    for (var stride = SQUARE_SUMS / 2u; stride > 0u; stride /= 2u) { //? clip_norm
        workgroupBarrier(); //? clip_norm
        if thread < stride { //? clip_norm
            sums[thread] += sums[thread + stride]; //? clip_norm
        } //? clip_norm
    } //? clip_norm
    workgroupBarrier(); //? clip_norm
    let i = element(workgroup, workgroups, thread);
    if i >= sizes.length {
        return;
    }
    let before = parameters[i];
    var g = gradients[i];
    for (var part = 1u; part < sizes.parts; part += 1u) {
        g += gradients[part * sizes.stride + i];
    }
    g *= min(1.0, step.clip / (sqrt(sums[0]) + 1e-6)); //? clip_norm
    // A comparison, for clamp() may turn NaN into a number and hide that training failed.
    g = select(g, sign(g) * step.clip, abs(g) > step.clip); //? clip_value
    g += step.weight_decay * before; //? weight_decay
    let w = {{rule}}(i, before, g);
    parameters[i] = w;
    let average = sizes.average + i; //? ema
    moments[average] = step.ema * moments[average] + (1.0 - step.ema) * w; //? ema
}
