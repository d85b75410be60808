// Gradients of sample_kl_forward with respect to mu and log_var, given those with respect to z and kl.
// One thread = one latent of one row, or four where rows are whole blocks of four.
// d_mu = d_z + d_kl * mu;   d_log_var = d_z * (z - mu) / 2 + d_kl * (exp(log_var) - 1) / 2, zero where log_var is clamped

struct Sizes {
    batch: u32,
    latent: u32,
}

// [batch, latent], and packed with kl behind each row, [batch, latent + 1], of single numbers or of vectors of four
@group(0) @binding(0) var<storage, read_write> mu: array<{{number}}>;
@group(0) @binding(1) var<storage, read_write> log_var: array<{{number}}>;
@group(0) @binding(2) var<storage, read_write> z_kl: array<{{number}}>;      // packed: z | kl
@group(0) @binding(3) var<storage, read_write> d_z_kl: array<{{number}}>;    // packed: d_z | d_kl
@group(0) @binding(4) var<storage, read_write> d_mu: array<{{number}}>;
@group(0) @binding(5) var<storage, read_write> d_log_var: array<{{number}}>;
@group(0) @binding(6) var<storage, read_write> sizes: array<Sizes>;

const WORKGROUP = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let size = sizes[0];
    let columns = size.latent; //? columns
    let columns = size.latent / 4u; //? blocks
    let i = (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP + thread;
    if i >= size.batch * columns {
        return;
    }
    let row = i / columns;
    let packed = i + row; // row * (columns + 1) + j
    let m = mu[i];
    let v = log_var[i];
    let z = z_kl[packed];
    let d_z = d_z_kl[packed];
    let d_kl = d_z_kl[row * (columns + 1u) + columns]; //? columns
    d_log_var[i] = log_var_gradient(m, v, z, d_z, d_kl); //? columns
    let d_kl = d_z_kl[row * (columns + 1u) + columns].x; //? blocks
    let x = log_var_gradient(m.x, v.x, z.x, d_z.x, d_kl); //? blocks
    let y = log_var_gradient(m.y, v.y, z.y, d_z.y, d_kl); //? blocks
    let at_z = log_var_gradient(m.z, v.z, z.z, d_z.z, d_kl); //? blocks
    let w = log_var_gradient(m.w, v.w, z.w, d_z.w, d_kl); //? blocks
    d_log_var[i] = vec4<f32>(x, y, at_z, w); //? blocks
    d_mu[i] = d_z + d_kl * m;
}
