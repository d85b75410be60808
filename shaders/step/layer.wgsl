// A dense layer's sizes and where its parameters lie; a library, put before a kernel's text. No entry point.
// A layer is BLOCKS matrices [W; b], (INPUTS + 1) x OUTPUTS each, one behind the other; their outputs lie side by side.
// `wide`: rows of every matrix that the kernel binds are whole vec4s.

struct Sizes {
    batch: u32,
}

const BLOCKS = {{blocks}}u;
const INPUTS = {{inputs}}u;
const OUTPUTS = {{outputs}}u; // of a block
const WIDTH = BLOCKS * OUTPUTS;
const OFFSET = {{offset}}u;   // of the first weight

// The place of the weight from input `row` (the bias if row = INPUTS) to output `column`.
fn parameter(row: u32, column: u32) -> u32 {
    if BLOCKS == 1u {
        return OFFSET + row * OUTPUTS + column;
    }
    return OFFSET + (column / OUTPUTS * (INPUTS + 1u) + row) * OUTPUTS + column % OUTPUTS;
}

// The first row and column of a workgroup's tile, for matmul.wgsl.
fn place(workgroup: vec3<u32>) -> vec2<u32> {
    return vec2<u32>(workgroup.y * TILE_M, workgroup.x * TILE_N);
}
