// Corruption of images, for a denoising model to undo: the twin of crates/vae-spec/src/corruption.rs.
// One thread = four columns of one row: one block of random numbers.

struct Sizes {
    batch: u32,
    columns: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> images: array<f32>;           // [batch, columns]
@group(0) @binding(2) var<storage, read_write> corrupted: array<f32>;  // [batch, columns]

const AMOUNT = f32({{amount}});

fn scaled(word: u32, bound: u32) -> u32 {
    return ((word >> 16u) * bound) >> 16u;
}

fn gaussian(x: f32, words: vec4<u32>, column: u32) -> f32 {
    return x + AMOUNT * normals_of_block(words)[column % 4u];
}

fn gaussian_clamped(x: f32, words: vec4<u32>, column: u32) -> f32 {
    return clamp(gaussian(x, words, column), 0.0, 1.0);
}

fn salt_pepper(x: f32, words: vec4<u32>, column: u32) -> f32 {
    let u = uniform_of(words[column % 4u]);
    return select(x, select(1.0, 0.0, u < 0.5 * AMOUNT), u < AMOUNT);
}

fn mask(x: f32, words: vec4<u32>, column: u32) -> f32 {
    let side = u32(AMOUNT);
    // A place left of or above the square wraps to a large number.
    let down = column / sizes.width % sizes.height - scaled(words.x, sizes.height - side + 1u);
    let right = column % sizes.width - scaled(words.y, sizes.width - side + 1u);
    return select(x, 0.0, down < side && right < side);
}

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
    let words = philox4x32_10(vec4<u32>({{block}}, step.piece + row, step.step), step.corruption_key);
    for (var column = 4u * quad; column < min(4u * quad + 4u, sizes.columns); column += 1u) {
        let place = row * sizes.columns + column;
        corrupted[place] = {{corruption}}(images[place], words, column);
    }
}
