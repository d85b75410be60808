// The sizes of a dense layer and the places of its parameters; a library, put before a kernel's text. No entry point.
// A layer is BLOCKS matrices [W; b], (INPUTS + 1) x OUTPUTS each, one after the other; their outputs lie side by side.
// `wide`: rows of every matrix that the kernel binds are whole vec4s.

struct Sizes {
    batch: u32,
    draws: u32,    // rows for each row of the batch
    of_image: u32, // rows for each image
}

const BLOCKS = {{blocks}}u;
const INPUTS = {{inputs}}u;
const OUTPUTS = {{outputs}}u; // columns of a block's output
const WIDTH = BLOCKS * OUTPUTS;
const OFFSET = {{offset}}u;   // offset of the first weight

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
