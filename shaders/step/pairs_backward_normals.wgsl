// The same gradients with respect to the normals and their weights (pairs.wgsl). Gradients of parameters have PARTS parts, which
// update.wgsl adds up: they are in the first.
// One workgroup = one normal; one thread = the share of every WORKGROUP-th row, then every WORKGROUP-th latent.

@group(0) @binding(3) var<storage, read> sums: array<f32>;             // [rows, columns]
@group(0) @binding(4) var<storage, read_write> d_normals: array<f32>;  // as normals, or all gradients
@group(0) @binding({{factors_binding}}) var<storage, read> factors: array<f32>; // [rows] //? weighted

const LOGITS = {{logits}}u;     // place of the first normal's weight
const PARTS = {{parts}}u;
const PART = {{part}}u;         // distance from part to part

var<workgroup> shares: array<f32, WORKGROUP>;
var<workgroup> row_factors: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let normal = workgroup.y * workgroups.x + workgroup.x;
    if normal >= sizes.count {
        return; // the whole workgroup, so that no thread waits for another
    }
    var d_logit = 0.0;
    for (var first_latent = 0u; first_latent < sizes.latent; first_latent += WORKGROUP) {
        let j = first_latent + thread;
        var d_mean = 0.0;
        var d_log_var = 0.0;
        d_logit = 0.0;
        for (var first_row = 0u; first_row < sizes.rows; first_row += WORKGROUP) {
            let row = first_row + thread;
            var factor = 0.0;
            var share = 0.0;
            if row < sizes.rows {
                factor = {{weight}} / (step.batch * {{draws}});
                factor *= factors[row]; //? weighted
                share = factor * exp(joint(row, normal) - sums[row * columns()]);
            }
            d_logit += share - factor * exp(log_weight_of(normal));
            workgroupBarrier();
            shares[thread] = share;
            row_factors[thread] = factor;
            workgroupBarrier();
            if j < sizes.latent {
                for (var k = 0u; k < min(WORKGROUP, sizes.rows - first_row); k += 1u) {
                    var of_latent = shares[k];
                    of_latent -= row_factors[k] * exp(log_weight_of(normal) + log_density(first_row + k, normal, j) - sums[(first_row + k) * columns() + 1u + j]); //? singles
                    let distance = z[(first_row + k) * sizes.latent + j] - mean_of(normal, j);
                    let scaled = distance * exp(-log_var_of(normal, j));
                    d_mean += of_latent * scaled;
                    d_log_var += 0.5 * of_latent * (distance * scaled - 1.0);
                }
            }
        }
        if j < sizes.latent {
            let place = place_of(normal, j);
            let log_var = raw_log_var_of(normal, j);
            d_log_var = select(0.0, d_log_var, log_var >= LOG_VAR_MIN && log_var <= LOG_VAR_MAX);
            d_normals[place] {{assign}} d_mean;
            d_normals[place + {{to_log_var}}] {{assign}} d_log_var;
            for (var part = 1u; part < PARTS; part += 1u) { //? mixture
                d_normals[part * PART + place] = 0.0; //? mixture
                d_normals[part * PART + place + {{to_log_var}}] = 0.0; //? mixture
            } //? mixture
        }
    }
    workgroupBarrier(); //? mixture
    shares[thread] = d_logit; //? mixture
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) { //? mixture
        workgroupBarrier(); //? mixture
        if thread < stride { //? mixture
            shares[thread] += shares[thread + stride]; //? mixture
        } //? mixture
    } //? mixture
    if thread == 0u { //? mixture
        d_normals[LOGITS + normal] = shares[0]; //? mixture
        for (var part = 1u; part < PARTS; part += 1u) { //? mixture
            d_normals[part * PART + LOGITS + normal] = 0.0; //? mixture
        } //? mixture
    } //? mixture
}
