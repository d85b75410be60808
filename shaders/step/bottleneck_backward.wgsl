// dense_backward_input, sample_kl_backward and dense_backward_input in one: from the gradient of the output of the decoder's
// first layer to that of the heads' input (sample_kl.wgsl).
// One workgroup = one row.

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> parameters: array<vec4<f32>>; //? wide
@group(0) @binding(1) var<storage, read> parameters: array<f32>; //? narrow
@group(0) @binding(2) var<storage, read> d_output: array<f32>;           // [batch, OUTPUTS]
@group(0) @binding(3) var<storage, read> posterior: array<f32>;          // [batch, 2 LATENT]: mu | log_var
@group(0) @binding(4) var<storage, read> z: array<f32>;                  // [batch, LATENT]
@group(0) @binding(5) var<storage, read_write> d_z: array<f32>;          // [batch, LATENT]
@group(0) @binding(6) var<storage, read_write> d_posterior: array<f32>;  // [batch, 2 LATENT]: d_mu | d_log_var
@group(0) @binding(7) var<storage, read_write> d_input: array<f32>;      // [batch, INPUTS]
@group(0) @binding(8) var<storage, read> slope: array<f32>;              // [batch, INPUTS] //? slope

const QUADS = (2u * LATENT + 3u) / 4u; // vec4s of a row of the posterior
const OUTPUT_QUADS = (OUTPUTS + 3u) / 4u;
const GROUPS = WORKGROUP / LATENT;     // groups of threads, each with its share of the outputs

var<workgroup> d_output_row: array<vec4<f32>, OUTPUT_QUADS>;
var<workgroup> sums: array<f32, WORKGROUP>; // [GROUPS, LATENT]
var<workgroup> d_posterior_row: array<vec4<f32>, QUADS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.x;
    for (var i = thread; i < OUTPUT_QUADS; i += WORKGROUP) {
        var quad = vec4<f32>();
        for (var j = 0u; j < min(4u, OUTPUTS - 4u * i); j += 1u) {
            quad[j] = d_output[row * OUTPUTS + 4u * i + j];
        }
        d_output_row[i] = quad;
    }
    if thread < QUADS {
        d_posterior_row[thread] = vec4<f32>();
    }
    workgroupBarrier();
    var sum = 0.0;
    if thread < GROUPS * LATENT {
        for (var i = thread / LATENT; i < OUTPUT_QUADS; i += GROUPS) {
            sum += dot(d_output_row[i], decoder4(thread % LATENT, 4u * i));
        }
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread < LATENT {
        var total = 0.0;
        for (var group = 0u; group < GROUPS; group += 1u) {
            total += sums[group * LATENT + thread];
        }
        let d_kl = step.beta / step.batch;
        let i = row * LATENT + thread;
        let at_mu = row * 2u * LATENT + thread;
        let mu = posterior[at_mu];
        let d_mu = total + d_kl * mu;
        let d_log_var = log_var_gradient(mu, posterior[at_mu + LATENT], z[i], total, d_kl);
        d_z[i] = total;
        d_posterior[at_mu] = d_mu;
        d_posterior[at_mu + LATENT] = d_log_var;
        d_posterior_row[thread / 4u][thread % 4u] = d_mu;
        d_posterior_row[(LATENT + thread) / 4u][(LATENT + thread) % 4u] = d_log_var;
    }
    workgroupBarrier();
    for (var i = thread; i < INPUTS; i += WORKGROUP) {
        var x = 0.0;
        for (var quad = 0u; quad < QUADS; quad += 1u) {
            x += dot(d_posterior_row[quad], head4(i, 4u * quad));
        }
        d_input[row * INPUTS + i] = x * slope_of(slope[row * INPUTS + i]); //? slope
        d_input[row * INPUTS + i] = x; //? plain
    }
}
