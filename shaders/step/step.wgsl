// The constants of a step; a library, put before a kernel's text. No entry point.

struct Step {
    noise_key: vec2<u32>,
    binarization_key: vec2<u32>,
    corruption_key: vec2<u32>,
    step: vec2<u32>,          // low and high half
    first_row: u32,           // first row of the noise
    rows: u32,                // start of the batch in the list of rows
    slot: u32,                // slot of the losses
    beta: f32,
    clip: f32,
    weight_decay: f32,
    ema: f32,
    batch: f32,               // rows of the whole batch, over which gradients are means
    piece: u32,               // index in it of the first row that is computed
    anneal: f32,              // factor of the KL schedule
    capacity: f32,            // nats
    data_count: f32,          // number of training images
    prior_key: vec2<u32>,
    prior_step: vec2<u32>,    // low and high half
    rule: array<vec4<f32>, 2> // the optimizer's constants
}

@group(1) @binding(0) var<uniform> step: Step;
