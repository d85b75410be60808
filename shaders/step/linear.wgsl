// One thread per element of a long list; a library, put before a kernel's text. No entry point.

const WORKGROUP = 256u;

// The thread's element. Workgroups are folded into two dimensions where one is not enough.
fn element(workgroup: vec3<u32>, workgroups: vec3<u32>, thread: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP + thread;
}

// For kernels whose threads do four columns, a quad, of one row: the row of a matrix's i-th quad, and the quad's place in it.
fn row_of_quad(i: u32, columns: u32) -> u32 {
    return i / ((columns + 3u) / 4u);
}

fn quad_in_row(i: u32, columns: u32) -> u32 {
    return i % ((columns + 3u) / 4u);
}
