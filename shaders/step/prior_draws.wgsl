// Standard normals from the generator of the prior. One thread = a quad of latents of one row.

struct Sizes {
    rows: u32,
    latent: u32,
    draws: u32, // rows for each row of the batch
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [rows, latent]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    let row = row_of_quad(i, sizes.latent);
    if row >= sizes.rows {
        return;
    }
    let quad = quad_in_row(i, sizes.latent);
    let counter = vec4<u32>(quad, step.first_row * sizes.draws + row, step.prior_step);
    let eps = normals_of_block(philox4x32_10(counter, step.prior_key));
    for (var j = 4u * quad; j < min(4u * quad + 4u, sizes.latent); j += 1u) {
        y[row * sizes.latent + j] = eps[j % 4u];
    }
}
