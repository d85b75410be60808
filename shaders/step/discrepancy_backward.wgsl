// The gradient of what the loss holds of the discrepancy with respect to z (discrepancy.wgsl).
// One workgroup = one row; one thread = the slopes of every WORKGROUP-th of its partners, then every WORKGROUP-th latent.

@group(0) @binding(3) var<storage, read_write> d_z: array<f32>; // [rows, latent]

// For every partner the factors of the distances from its z and its y.
var<workgroup> slopes: array<vec2<f32>, WORKGROUP>;

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
    // Twice for the derivative of the square; a pair within counts for both of its rows.
    let factors = {{weight}} * f32(sizes.rows) / (step.batch * {{draws}}) * vec2<f32>(4.0 * within(), -2.0 * between());
    for (var first_latent = 0u; first_latent < sizes.latent; first_latent += WORKGROUP) {
        let j = first_latent + thread;
        var d = 0.0;
        for (var first = 0u; first < sizes.rows; first += WORKGROUP) {
            let other = first + thread;
            var both = vec2<f32>();
            if other < sizes.rows {
                both = vec2<f32>(kernel_of(squared_distance_in_z(row, other)).y, kernel_of(squared_distance_between(row, other)).y);
            }
            workgroupBarrier();
            slopes[thread] = factors * both;
            workgroupBarrier();
            if j < sizes.latent {
                let here = z[row * sizes.latent + j];
                for (var k = 0u; k < min(WORKGROUP, sizes.rows - first); k += 1u) {
                    let there = vec2<f32>(z[(first + k) * sizes.latent + j], y[(first + k) * sizes.latent + j]);
                    d += dot(slopes[k], here - there);
                }
            }
        }
        if j < sizes.latent {
            d_z[row * sizes.latent + j] += d;
        }
    }
}
