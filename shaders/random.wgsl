// Random numbers for the kernels that draw their own; a library, put behind multiply.wgsl or multiply_int64.wgsl and before a
// kernel's text. No entry point.
// Philox4x32-10 and Box-Muller, the twins of crates/vae-rng/src/philox.rs and normal.rs, line for line.
// Integers are bit-identical to the twin's; normals agree to a few units in the last place.

const TWO_TO_MINUS_24 = 5.9604645e-8;

// A uniform number in [0, 1), from the word's high 24 bits.
fn uniform_of(word: u32) -> f32 {
    return f32(word >> 8u) * TWO_TO_MINUS_24;
}

fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round += 1u) {
        let x = multiply_wide(0xD2511F53u, c.x);
        let z = multiply_wide(0xCD9E8D57u, c.z);
        c = vec4<u32>(z.y ^ c.y ^ k.x, z.x, x.y ^ c.w ^ k.y, x.x);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

fn ln_unit(u: f32) -> f32 {
    let bits = bitcast<u32>(u);
    var exponent = i32(bits >> 23u) - 127;
    var mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    if mantissa > 1.41421356 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let x = mantissa - 1.0;
    var p = 7.0376836e-2;
    p = p * x - 1.151461e-1;
    p = p * x + 1.1676999e-1;
    p = p * x - 1.2420141e-1;
    p = p * x + 1.4249323e-1;
    p = p * x - 1.6668058e-1;
    p = p * x + 2.0000715e-1;
    p = p * x - 2.4999994e-1;
    p = p * x + 3.3333331e-1;
    let e = f32(exponent);
    let tail = x * x * x * p + e * -2.1219444e-4 - 0.5 * (x * x);
    return x + tail + e * 0.6933594;
}

// (sin, cos) of a uniform angle.
fn unit_vector(word: u32) -> vec2<f32> {
    let fraction = f32((word >> 6u) & 0x00ffffffu) * TWO_TO_MINUS_24;
    let t = (fraction - 0.5) * 1.57079637;
    let t2 = t * t;
    let sin_t = t + t * t2 * (-1.6666655e-1 + t2 * (8.332161e-3 - t2 * 1.9515296e-4));
    let cos_t = 1.0 - 0.5 * t2 + t2 * t2 * (4.1666646e-2 + t2 * (-1.3887316e-3 + t2 * 2.4433157e-5));
    switch word >> 30u {
        case 0u: { return vec2<f32>(sin_t, cos_t); }
        case 1u: { return vec2<f32>(cos_t, -sin_t); }
        case 2u: { return vec2<f32>(-sin_t, -cos_t); }
        default: { return vec2<f32>(-cos_t, sin_t); }
    }
}

fn box_muller(radius_word: u32, angle_word: u32) -> vec2<f32> {
    let u = f32((radius_word >> 8u) + 1u) * TWO_TO_MINUS_24;
    let radius = sqrt(-2.0 * ln_unit(u));
    return radius * unit_vector(angle_word).yx;
}

fn normals_of_block(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(box_muller(words.x, words.y), box_muller(words.z, words.w));
}
