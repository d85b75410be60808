// A dense layer's sizes and where its parameters lie; a library, put before a kernel's text. No entry point.
// A layer is BLOCKS matrices [W; b], (inputs + 1) x outputs each, one behind the other; their outputs lie side by side.

struct Layer {
    batch: u32,
    inputs: u32,
    outputs: u32, // of a block
    offset: u32,  // of the first weight
}

const BLOCKS = {{blocks}}u;

fn width(layer: Layer) -> u32 {
    return BLOCKS * layer.outputs;
}

// The place of the weight from input `row` (the bias if row = inputs) to output `column`.
fn parameter(layer: Layer, row: u32, column: u32) -> u32 {
    if BLOCKS == 1u {
        return layer.offset + row * layer.outputs + column;
    }
    let block = column / layer.outputs;
    return layer.offset + (block * (layer.inputs + 1u) + row) * layer.outputs + column % layer.outputs;
}
