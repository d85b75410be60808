// The entry point of a matrix product whose elements are stored one by one; a library, put before a kernel's text.
// The kernel gives size_k() and store(m, n, value), which ignores what lies outside.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let c = product(workgroup.y * TILE_M, workgroup.x * TILE_N, size_k(), thread);
    if thread < LANES {
        let first = vec2<u32>(workgroup.y * TILE_M, workgroup.x * TILE_N) + place(thread);
        store_row(first.x, first.y, c[0]);
        store_row(first.x + 1u, first.y, c[1]);
        store_row(first.x + 2u, first.y, c[2]);
        store_row(first.x + 3u, first.y, c[3]);
    }
}

fn store_row(m: u32, n: u32, values: vec4<f32>) {
    store(m, n, values.x);
    store(m, n + 1u, values.y);
    store(m, n + 2u, values.z);
    store(m, n + 3u, values.w);
}
