// Gradients of the parameters of some dense layers: d_W = input^T d_output, and d_b, the column sums of d_output; in PARTS
// arenas, each of a part of the batch, which update.wgsl adds up.
// One workgroup = a tile of a part of one layer's gradients (matmul.wgsl); some more sum the losses, if the kernel is the last
// of a step (losses.wgsl). `wide`: rows of all matrices are whole vec4s.

struct Sizes {
    batch: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> gradients: array<{{element}}>; // [PARTS, STRIDE], as parameters
{{bindings}}

const TILES = {{tiles}}u;   // tiles of all layers
const STRIDE = {{stride}}u; // distance from part to part
const A_ALONG_K = false;
const B_ALONG_K = false;

// This workgroup's layer, with the names of layer.wgsl, and its index.
var<private> layer: u32;
var<private> inputs: u32;
var<private> outputs: u32; // columns of a block's output
var<private> width: u32;
var<private> offset: u32;

fn input(i: u32) -> {{element}} {
    {{input}}
}

fn d_output(i: u32) -> {{element}} {
    {{d_output}}
}

fn place(workgroup: vec3<u32>) -> vec2<u32> {
    var first_tile = 0u;
    var across = 0u;
    {{choose}}
    let i = workgroup.x - first_tile;
    return vec2<u32>(i / across * TILE_M, i % across * TILE_N);
}

fn size_k(workgroup: vec3<u32>) -> u32 {
    return sizes.batch;
}

fn a4(m: u32, k: u32) -> vec4<f32> {
    if k >= sizes.batch || m >= inputs {
        return vec4<f32>();
    }
    return input((k * inputs + m) / 4u); //? wide
    let row = k * inputs; //? narrow
    let last = row + inputs - 1u; // rows of d_W beyond the last one are not stored //? narrow
    return vec4<f32>(input(row + m), input(min(row + m + 1u, last)), input(min(row + m + 2u, last)), input(min(row + m + 3u, last))); //? narrow
}

fn b4(k: u32, n: u32) -> vec4<f32> {
    if k >= sizes.batch || n >= width {
        return vec4<f32>();
    }
    return d_output((k * width + n) / 4u); //? wide
    let row = k * width; //? narrow
    let last = row + width - 1u; // columns of d_W beyond the last one are not stored //? narrow
    return vec4<f32>(d_output(row + n), d_output(min(row + n + 1u, last)), d_output(min(row + n + 2u, last)), d_output(min(row + n + 3u, last))); //? narrow
}

// The place of the gradient of the weight from input `row` (of the bias if row = inputs) to output `column`.
fn gradient(row: u32, column: u32) -> u32 {
    return part * STRIDE + offset + (column / outputs * (inputs + 1u) + row) * outputs + column % outputs;
}

fn put4(m: u32, n: u32, values: vec4<f32>) {
    gradients[gradient(m, n) / 4u] = values; //? wide
    for (var j = 0u; j < min(4u, width - n); j += 1u) { //? narrow
        gradients[gradient(m, n + j)] = values[j]; //? narrow
    } //? narrow
}

fn store4(m: u32, n: u32, values: vec4<f32>) {
    if m < inputs && n < width {
        put4(m, n, values);
    }
}

// Every thread has fetched four columns of B only, always the same ones.
fn finish(first_m: u32, first_n: u32, thread: u32) {
    tile[thread] = column_sums;
    workgroupBarrier();
    let n = first_n + 4u * thread;
    if first_m == 0u && thread < TILE_N / 4u && n < width {
        var sum = vec4<f32>();
        for (var i = thread; i < WORKGROUP; i += TILE_N / 4u) {
            sum += tile[i];
        }
        put4(inputs, n, sum);
    }
}
