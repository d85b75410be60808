// What becomes of a product before it is stored (vae_kernels::program::Finish); a library, put before a kernel's text. No entry
// point. The kernel binds output, parameters, and what else the flags say; CHANNELS is the length of a row of the product.
// `wide`: rows of the product are whole vec4s.

fn activated(x: f32) -> vec2<f32> {
    return {{activation}}(x);
}

// Four numbers of one row from its column n on; i is their place in the output.
fn finish4(i: u32, n: u32, product: vec4<f32>) {
    for (var j = 0u; j < min(4u, CHANNELS - n); j += 1u) {
        var x = product[j];
        x += parameters[BIAS + n + j]; //? bias
        x += add[i + j]; //? add
        let y = activated(x);
        output[i + j] = y.x; //? plain
        output[i + j] = y.x * slope_of(times[i + j]); //? times
        slope[i + j] = y.y; //? slope
    }
}
