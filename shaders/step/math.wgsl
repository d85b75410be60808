// Functions whose accuracy WGSL leaves open, the twins of crates/vae-kernels/src/cpu/special.rs; a library, put before
// a kernel's text. No entry point.

// ln(1 + e) for e in [0, 1]: 2 atanh(t) with t = e / (2 + e).
fn ln_1p_unit(e: f32) -> f32 {
    let t = e / (2.0 + e);
    let t2 = t * t;
    var p = 1.0 / 15.0;
    p = p * t2 + 1.0 / 13.0;
    p = p * t2 + 1.0 / 11.0;
    p = p * t2 + 1.0 / 9.0;
    p = p * t2 + 1.0 / 7.0;
    p = p * t2 + 1.0 / 5.0;
    p = p * t2 + 1.0 / 3.0;
    p = p * t2 + 1.0;
    return 2.0 * t * p;
}

// 1 / (1 + exp(-l)) from e = exp(-|l|).
fn sigmoid_from(l: f32, e: f32) -> f32 {
    let smaller = e / (1.0 + e);
    return select(smaller, 1.0 - smaller, l >= 0.0);
}
