// One thread per element of a long list; a library, put before a kernel's text. No entry point.

const WORKGROUP = 256u;

// The thread's element. Workgroups are folded into two dimensions where one does not hold them.
fn element(workgroup: vec3<u32>, workgroups: vec3<u32>, thread: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * WORKGROUP + thread;
}
