// Gradients with respect to latents of what the loss holds of pairs_forward's sums (pairs.wgsl): of the first sum, less all others
// where there are such.
// One workgroup = one row; one thread = the share of every WORKGROUP-th normal, then every WORKGROUP-th latent.

@group(0) @binding(3) var<storage, read> sums: array<f32>;       // [rows, columns]
@group(0) @binding(4) var<storage, read_write> d_z: array<f32>;  // [rows, latent]
@group(0) @binding({{factors_binding}}) var<storage, read> factors: array<f32>; // [rows] //? weighted

var<workgroup> shares: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= sizes.rows {
        return; // the whole workgroup, so that no thread waits for another
    }
    var factor = {{weight}} / (step.batch * {{draws}});
    factor *= factors[row]; //? weighted
    for (var first_latent = 0u; first_latent < sizes.latent; first_latent += WORKGROUP) {
        let j = first_latent + thread;
        var d = 0.0;
        for (var first_normal = 0u; first_normal < sizes.count; first_normal += WORKGROUP) {
            var share = 0.0;
            if first_normal + thread < sizes.count {
                share = exp(joint(row, first_normal + thread) - sums[row * columns()]);
            }
            workgroupBarrier();
            shares[thread] = share;
            workgroupBarrier();
            if j < sizes.latent {
                for (var k = 0u; k < min(WORKGROUP, sizes.count - first_normal); k += 1u) {
                    let normal = first_normal + k;
                    var of_latent = shares[k];
                    of_latent -= exp(log_weight_of(normal) + log_density(row, normal, j) - sums[row * columns() + 1u + j]); //? singles
                    let distance = mean_of(normal, j) - z[row * sizes.latent + j];
                    d += of_latent * distance * exp(-log_var_of(normal, j));
                }
            }
        }
        if j < sizes.latent {
            d_z[row * sizes.latent + j] += factor * d;
        }
    }
}
