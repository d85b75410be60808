// Special functions of likelihoods, the twins of crates/vae-kernels/src/cpu/special.rs; a library, put before a kernel's text,
// behind math.wgsl. No entry point.

// atanh(t) / t from t2 = t^2, of |t| <= 0.1716.
fn atanh_series(t2: f32) -> f32 {
    return 1.0 + t2 * (1.0 / 3.0 + t2 * (1.0 / 5.0 + t2 * (1.0 / 7.0 + t2 / 9.0)));
}

// ln((exp(l) - 1) / l), and its derivative. Near 0 by the Taylor series of l / 2 + ln(sinh(l / 2) / (l / 2)).
fn log_partition(l: f32) -> vec2<f32> {
    let size = abs(l);
    let square = l * l;
    let taylor = 1.0 / 24.0 + square * (-1.0 / 2880.0 + square * (1.0 / 181440.0 - square / 9676800.0));
    let taylor_slope = 1.0 / 12.0 + square * (-1.0 / 720.0 + square * (1.0 / 30240.0 - square / 1209600.0));
    let near = vec2<f32>(0.5 * l + square * taylor, 0.5 + l * taylor_slope);
    let far_size = max(size, 0.25); // so that nothing is divided by 0
    let e = exp(-far_size);
    let mean = e / (1.0 - e) - 1.0 / far_size;
    let value = log((1.0 - e) / far_size);
    let far = select(vec2<f32>(value, -mean), vec2<f32>(l + value, 1.0 + mean), l > 0.0);
    return select(far, near, size < 0.5);
}

// exp(x) - 1, to its own precision near 0, too.
fn exp_minus_1(x: f32) -> f32 {
    let near = 1.0 + x * (1.0 / 2.0 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0)))));
    return select(exp(x) - 1.0, near * x, abs(x) < 0.25);
}

// ln(a / b) of positive numbers whose difference a - b is known better than a and b tell it.
fn ln_ratio(a: f32, b: f32, difference: f32) -> f32 {
    let w = difference / (a + b);
    return select(log(a / b), 2.0 * w * atanh_series(w * w), abs(w) < 0.125);
}

// Binet's function ln Gamma(z) - (z - 1/2) ln z + z - ln(2 pi) / 2 of z > 0, and its derivative. Stirling's series serves from 4
// on, and below with Gamma(z) = Gamma(z + 4) / (z (z + 1) (z + 2) (z + 3)).
fn binet(z: f32) -> vec2<f32> {
    let is_large = z >= 4.0;
    let small = select(z, 1.0, is_large);
    let next = small + 4.0;
    let inverse_next = 1.0 / next;
    // z (z + 3) and (z + 1) (z + 2) are q and q + 2.
    let q = small * (small + 3.0);
    let factors = q * (q + 2.0);
    let inverses = (2.0 * small + 3.0) * (2.0 * q + 2.0) / factors;
    let square = inverse_next * inverse_next;
    let product = factors * (square * square);
    let log_next = log(next / small);
    let below = (small - 0.5) * log_next - log(product) - 4.0;
    let below_slope = log_next + (small - 0.5) * (inverse_next - 1.0 / small) - inverses + 4.0 * inverse_next;
    let inverse = 1.0 / select(next, z, is_large);
    let s = inverse * inverse;
    let series = inverse * (1.0 / 12.0 + s * (-1.0 / 360.0 + s * (1.0 / 1260.0 + s * (-1.0 / 1680.0 + s / 1188.0))));
    let series_slope = -s * (1.0 / 12.0 + s * (-1.0 / 120.0 + s * (1.0 / 252.0 + s * (-1.0 / 240.0 + s / 132.0))));
    return select(vec2<f32>(below + series, below_slope + series_slope), vec2<f32>(series, series_slope), is_large);
}
