// A grid of tiles that may be more than one dimension of workgroups holds; a library, put before a kernel's text, for matmul.wgsl.
// No entry point.

const ACROSS = {{across}}u; // tiles side by side
const FOLDED = {{folded}}u; // workgroups of the first dimension

// The first row and column of a workgroup's tile.
fn tile_of(workgroup: vec3<u32>) -> vec2<u32> {
    let i = workgroup.y * FOLDED + workgroup.x;
    return vec2<u32>(i / ACROSS * TILE_M, i % ACROSS * TILE_N);
}
