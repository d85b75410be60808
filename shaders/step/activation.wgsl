// Activations as (value, slope); a library, put before a kernel's text. No entry point. Slopes from values are in slope.wgsl.

fn identity(x: f32) -> vec2<f32> {
    return vec2<f32>(x, 1.0);
}

fn relu(x: f32) -> vec2<f32> {
    return select(vec2<f32>(x, 1.0), vec2<f32>(0.0), x <= 0.0); // not max, which hides NaN
}

fn hyperbolic_tangent(x: f32) -> vec2<f32> {
    let y = 2.0 * sigmoid_from(x, exp(-2.0 * abs(x))) - 1.0;
    return vec2<f32>(y, 1.0 - y * y);
}

fn sigmoid(x: f32) -> vec2<f32> {
    let y = sigmoid_from(x, exp(-abs(x)));
    return vec2<f32>(y, y * (1.0 - y));
}

// x Phi(x), with the normal distribution function of Abramowitz and Stegun 7.1.26.
fn gelu(x: f32) -> vec2<f32> {
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.23164190 * abs(x)); // 0.3275911 / sqrt(2)
    let p = t * (0.2548296 + t * (-0.28449674 + t * (1.4214138 + t * (-1.453152 + t * 1.0614054))));
    let tail = 0.5 * p * bell;
    let below = select(tail, 1.0 - tail, x >= 0.0);
    return vec2<f32>(x * below, below + x * bell * 0.3989423); // 1 / sqrt(2 pi)
}

fn leaky_relu(x: f32) -> vec2<f32> {
    let slope = select(0.01, 1.0, x > 0.0);
    return vec2<f32>(x * slope, slope);
}

fn softplus(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    return vec2<f32>(max(x, 0.0) + ln_1p_unit(e), sigmoid_from(x, e));
}
