// The two layers around the latents: two heads of INPUTS to LATENT each, and the decoder's first of LATENT to OUTPUTS; a library,
// put before a kernel's text. No entry point. The kernel binds parameters; `wide`: LATENT and OUTPUTS are whole vec4s.

struct Sizes {
    batch: u32,
}

const INPUTS = {{inputs}}u;
const LATENT = {{latent}}u;
const OUTPUTS = {{outputs}}u;
const HEADS = {{heads}}u;     // offset of the heads' [W; b], (INPUTS + 1) x LATENT each
const DECODER = {{decoder}}u; // offset of the [W; b] of the decoder's first layer, (LATENT + 1) x OUTPUTS

fn head(k: u32, column: u32) -> u32 {
    return HEADS + (column / LATENT * (INPUTS + 1u) + k) * LATENT + column % LATENT;
}

// Four columns of mu | log_var from row k of the heads, zero outside.
fn head4(k: u32, column: u32) -> vec4<f32> {
    return parameters[head(k, column) / 4u]; //? wide
    var row = vec4<f32>(); //? narrow
    for (var j = 0u; j < min(4u, 2u * LATENT - column); j += 1u) { //? narrow
        row[j] = parameters[head(k, column + j)]; //? narrow
    } //? narrow
    return row; //? narrow
}

// Four columns of row k of the decoder's first layer, zero outside.
fn decoder4(k: u32, column: u32) -> vec4<f32> {
    return parameters[(DECODER + k * OUTPUTS + column) / 4u]; //? wide
    var row = vec4<f32>(); //? narrow
    for (var j = 0u; j < min(4u, OUTPUTS - column); j += 1u) { //? narrow
        row[j] = parameters[DECODER + k * OUTPUTS + column + j]; //? narrow
    } //? narrow
    return row; //? narrow
}
