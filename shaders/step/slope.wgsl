// Slopes of activations, from what a pass has kept: the slope itself, or the activation's value y; a library, put before a kernel's
// text. No entry point.

fn kept_slope(slope: f32) -> f32 {
    return slope;
}

fn relu_slope(y: f32) -> f32 {
    return select(1.0, 0.0, y <= 0.0); // NaN has the slope 1, as in activation.wgsl
}

fn leaky_relu_slope(y: f32) -> f32 {
    return select(0.01, 1.0, y > 0.0);
}

fn hyperbolic_tangent_slope(y: f32) -> f32 {
    return 1.0 - y * y;
}

fn sigmoid_slope(y: f32) -> f32 {
    return y * (1.0 - y);
}

fn slope_of(kept: f32) -> f32 {
    return {{slope}}_slope(kept);
}

fn slopes_of(kept: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(slope_of(kept.x), slope_of(kept.y), slope_of(kept.z), slope_of(kept.w));
}
