// A batch of images, gathered by their rows in the dataset: bytes scaled to [0, 1] or floats as they are, or drawn as 0 or 1 with
// that probability of 1.
// One thread = four columns of one row: one block of random numbers.

struct Sizes {
    batch: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> elements: array<u32>;      // [count, columns], four bytes or one float to a word
@group(0) @binding(2) var<storage, read> rows: array<u32>;          // row indices of several batches
@group(0) @binding(3) var<storage, read_write> images: array<f32>;  // [batch, columns] //? narrow
@group(0) @binding(3) var<storage, read_write> images: array<vec4<f32>>; //? wide

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = element(workgroup, workgroups, thread);
    let row = row_of_quad(i, sizes.columns);
    let quad = quad_in_row(i, sizes.columns);
    if row >= sizes.batch {
        return;
    }
    let words = philox4x32_10(vec4<u32>(quad, step.piece + row, step.step), step.binarization_key); //? binarize
    let first = rows[step.rows + row] * sizes.columns;
    images[i] = unpack4x8unorm(elements[first / 4u + quad]); //? wide
    for (var column = 4u * quad; column < min(4u * quad + 4u, sizes.columns); column += 1u) { //? narrow
        let place = first + column; //? narrow
        var x = bitcast<f32>(elements[place]); //? floats
        x = select(0.0, 1.0, uniform_of(words[column % 4u]) < x); //? binarize_floats
        let byte = (elements[place / 4u] >> (8u * (place % 4u))) & 0xffu; //? bytes
        var x = f32(byte) / 255.0; //? bytes
        x = select(0.0, 1.0, (words[column % 4u] >> 8u) * 255u < byte << 24u); //? binarize_bytes
        images[row * sizes.columns + column] = x; //? narrow
    } //? narrow
}
