// The formulas of sample_kl; a library, put before a kernel's text. No entry point.
// z = mu + exp(v / 2) * eps;   kl = 0.5 * sum_j (mu_j^2 + exp(v_j) - v_j - 1);   v = clamp(log_var, -30, 20)

const LOG_VAR_MIN = -30.0;
const LOG_VAR_MAX = 20.0;

fn sample(mu: f32, log_var: f32, eps: f32) -> f32 {
    return mu + exp(0.5 * clamp(log_var, LOG_VAR_MIN, LOG_VAR_MAX)) * eps;
}

fn kl_of(mu: f32, log_var: f32) -> f32 {
    let v = clamp(log_var, LOG_VAR_MIN, LOG_VAR_MAX);
    return 0.5 * (mu * mu + exp(v) - v - 1.0);
}

// log q(z | x) - log p(z) at the draw z.
fn sampled_kl_of(log_var: f32, eps: f32, z: f32) -> f32 {
    return 0.5 * (z * z - clamp(log_var, LOG_VAR_MIN, LOG_VAR_MAX) - eps * eps);
}

// log q(z | x) at the draw.
fn log_posterior_of(log_var: f32, eps: f32) -> f32 {
    return -0.5 * (1.8378771 + clamp(log_var, LOG_VAR_MIN, LOG_VAR_MAX) + eps * eps); // ln(2 pi)
}

// d_log_var; zero where log_var is clamped. eps is not drawn again: dz / dlog_var = (z - mu) / 2.
fn log_var_gradient(mu: f32, log_var: f32, z: f32, d_z: f32, d_kl: f32) -> f32 {
    let inside = log_var >= LOG_VAR_MIN && log_var <= LOG_VAR_MAX;
    return select(0.0, 0.5 * (d_z * (z - mu) + d_kl * (exp(log_var) - 1.0)), inside);
}
