// dense_forward, sample_kl_forward and dense_forward in one: the heads, a draw from the posterior with its KL divergence
// (sample_kl.wgsl), and the decoder's first layer.
// One workgroup = one row.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; //? wide
@group(0) @binding(1) var<storage, read> parameters: array<f32>; //? narrow
@group(0) @binding(2) var<storage, read> input: array<f32>;            // [batch, INPUTS]
@group(0) @binding(3) var<storage, read_write> posterior: array<f32>;  // [batch, 2 LATENT]: mu | log_var
@group(0) @binding(4) var<storage, read_write> z: array<f32>;          // [batch, LATENT]
@group(0) @binding(5) var<storage, read_write> kl: array<f32>;         // [batch]
@group(0) @binding(6) var<storage, read_write> output: array<f32>;     // [batch, OUTPUTS]
@group(0) @binding(7) var<storage, read_write> slope: array<f32>;      // [batch, OUTPUTS] //? slope

const QUADS = (2u * LATENT + 3u) / 4u; // vec4s of a row of the posterior
const GROUPS = WORKGROUP / QUADS;      // groups of threads, each with its share of the inputs
const LATENT_QUADS = (LATENT + 3u) / 4u;

var<workgroup> features: array<f32, INPUTS>;
var<workgroup> sums: array<vec4<f32>, WORKGROUP>; // [GROUPS, QUADS]
var<workgroup> posterior_row: array<f32, 4u * QUADS>;
var<workgroup> z_row: array<f32, LATENT>;
var<workgroup> kl_quads: array<f32, LATENT_QUADS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.x;
    for (var i = thread; i < INPUTS; i += WORKGROUP) {
        features[i] = input[row * INPUTS + i];
    }
    workgroupBarrier();
    var sum = vec4<f32>();
    if thread < GROUPS * QUADS {
        for (var k = thread / QUADS; k < INPUTS; k += GROUPS) {
            sum += features[k] * head4(k, 4u * (thread % QUADS));
        }
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread < QUADS {
        var total = head4(INPUTS, 4u * thread);
        for (var group = 0u; group < GROUPS; group += 1u) {
            total += sums[group * QUADS + thread];
        }
        for (var j = 4u * thread; j < min(4u * thread + 4u, 2u * LATENT); j += 1u) {
            posterior_row[j] = total[j % 4u];
            posterior[row * 2u * LATENT + j] = total[j % 4u];
        }
    }
    workgroupBarrier();
    if thread < LATENT_QUADS {
        let eps = normals_of_block(philox4x32_10(vec4<u32>(thread, step.first_row + row, step.step), step.noise_key));
        var quad_kl = 0.0;
        for (var j = 4u * thread; j < min(4u * thread + 4u, LATENT); j += 1u) {
            let mu = posterior_row[j];
            let log_var = posterior_row[LATENT + j];
            z_row[j] = sample(mu, log_var, eps[j % 4u]);
            z[row * LATENT + j] = z_row[j];
            quad_kl += kl_of(mu, log_var);
        }
        kl_quads[thread] = quad_kl;
    }
    workgroupBarrier();
    if thread == 0u {
        var total = 0.0;
        for (var quad = 0u; quad < LATENT_QUADS; quad += 1u) {
            total += kl_quads[quad];
        }
        kl[row] = total;
    }
    for (var n = 4u * thread; n < OUTPUTS; n += 4u * WORKGROUP) {
        var x = decoder4(LATENT, n);
        for (var k = 0u; k < LATENT; k += 1u) {
            x += z_row[k] * decoder4(k, n);
        }
        for (var j = 0u; j < min(4u, OUTPUTS - n); j += 1u) {
            let y = {{activation}}(x[j]);
            output[row * OUTPUTS + n + j] = y.x;
            slope[row * OUTPUTS + n + j] = y.y; //? slope
        }
    }
}
