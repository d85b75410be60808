// The reparameterised sample and its KL divergence from a standard normal, for one batch of posteriors.
// A group of LANES threads = one row; one thread = every LANES-th block of four latents, a vector where rows are whole blocks.
// z = mu + exp(log_var / 2) * eps;   kl = 0.5 * sum_j (mu_j^2 + exp(log_var_j) - log_var_j - 1)

struct Sizes {
    batch: u32,
    latent: u32,
    key: vec2<u32>,
    step: vec2<u32>,
    first_row: u32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read_write> mu: array<f32>;             // [batch, latent] //? columns
@group(0) @binding(1) var<storage, read_write> log_var: array<f32>;        // [batch, latent] //? columns
@group(0) @binding(2) var<storage, read_write> z_kl: array<f32>;           // [batch, latent + 1]: z | kl //? columns
@group(0) @binding(0) var<storage, read_write> mu: array<vec4<f32>>;       // [batch, latent / 4] //? blocks
@group(0) @binding(1) var<storage, read_write> log_var: array<vec4<f32>>;  // [batch, latent / 4] //? blocks
@group(0) @binding(2) var<storage, read_write> z_kl: array<vec4<f32>>;     // [batch, latent / 4 + 1]: z | kl, 0, 0, 0 //? blocks
@group(0) @binding(3) var<storage, read_write> sizes: array<Sizes>;

const WORKGROUP = 256u;
const LANES = {{lanes}}u;

var<workgroup> lane_kl: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let size = sizes[0];
    let blocks = size.latent / 4u; //? blocks
    let lane = thread % LANES;
    let row = (workgroup.y * workgroups.x + workgroup.x) * (WORKGROUP / LANES) + thread / LANES;

    var kl = 0.0;
    if row < size.batch {
        for (var quad = lane; 4u * quad < size.latent; quad += LANES) {
            let eps = normals_of_block(philox4x32_10(vec4<u32>(quad, size.first_row + row, size.step), size.key));
            for (var k = 0u; k < 4u && 4u * quad + k < size.latent; k += 1u) { //? columns
                let j = 4u * quad + k; //? columns
                let m = mu[row * size.latent + j]; //? columns
                let v = log_var[row * size.latent + j]; //? columns
                z_kl[row * (size.latent + 1u) + j] = sample(m, v, eps[k]); //? columns
                kl += kl_of(m, v); //? columns
            } //? columns
            let m = mu[row * blocks + quad]; //? blocks
            let v = log_var[row * blocks + quad]; //? blocks
            let xy = vec2<f32>(sample(m.x, v.x, eps.x), sample(m.y, v.y, eps.y)); //? blocks
            let zw = vec2<f32>(sample(m.z, v.z, eps.z), sample(m.w, v.w, eps.w)); //? blocks
            z_kl[row * (blocks + 1u) + quad] = vec4<f32>(xy, zw); //? blocks
            kl = kl + kl_of(m.x, v.x) + kl_of(m.y, v.y) + kl_of(m.z, v.z) + kl_of(m.w, v.w); //? blocks
        }
    }
    lane_kl[thread] = kl;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if lane < stride {
            lane_kl[thread] += lane_kl[thread + stride];
        }
    }
    if lane == 0u && row < size.batch {
        z_kl[row * (size.latent + 1u) + size.latent] = lane_kl[thread]; //? columns
        z_kl[row * (blocks + 1u) + blocks] = vec4<f32>(lane_kl[thread], 0.0, 0.0, 0.0); //? blocks
    }
}
