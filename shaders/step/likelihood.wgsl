// The likelihoods, the twins of crates/vae-kernels/src/cpu/likelihood.rs; a library, put before a kernel's text, behind math.wgsl and
// special.wgsl. No entry point.
// From a pixel's output, its value x, and the spread with its natural log, each function gives the negative log-likelihood, its
// derivative with respect to the output, and that with respect to the log of the spread.

const HALF_BIN = 0.5 / 255.0;
const LN_LEVELS = 5.541263545; // ln 255
const MAX_LOG_MEAN = 20.0;
const HALF_LN_TAU = 0.9189385332; // ln(2 pi) / 2

fn bernoulli(l: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let e = exp(-abs(l));
    return vec3<f32>(max(l, 0.0) - l * x + ln_1p_unit(e), sigmoid_from(l, e) - x, 0.0);
}

fn continuous_bernoulli(l: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let z = log_partition(l);
    return vec3<f32>(z.x - l * x, z.y - x, 0.0);
}

fn gaussian(m: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let distance = (m - x) / spread.x;
    let square = distance * distance;
    return vec3<f32>(0.5 * square + (spread.y + HALF_LN_TAU), distance / spread.x, 1.0 - square);
}

fn laplace(m: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let distance = (m - x) / spread.x;
    return vec3<f32>(abs(distance) + spread.y + 0.6931472, sign(distance) / spread.x, 1.0 - abs(distance));
}

// ln(sigmoid(x)) and 1 - sigmoid(x).
fn log_sigmoid(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    return vec2<f32>(min(x, 0.0) - ln_1p_unit(e), sigmoid_from(-x, e));
}

// The difference of sigmoids at a bin's ends a > b is sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no digits cancel. The first bin
// has no b, the last no a.
fn discretized_logistic(m: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let below_end = (x - m + HALF_BIN) / spread.x;
    let above_start = (m - x + HALF_BIN) / spread.x;
    let is_below = select(1.0, 0.0, x > 1.0 - HALF_BIN);
    let is_above = select(1.0, 0.0, x < HALF_BIN);
    let is_inner = is_below * is_above;
    let below = is_below * log_sigmoid(below_end);
    let above = is_above * log_sigmoid(above_start);
    let width = 1.0 / (255.0 * spread.x);
    let inner = log_partition(-width);
    return vec3<f32>(
        -(below.x + above.x + is_inner * (inner.x - spread.y - LN_LEVELS)),
        (below.y - above.y) / spread.x,
        below.y * below_end + above.y * above_start - is_inner * (width * inner.y - 1.0),
    );
}

// What the likelihoods of counts share, cancelled analytically around y = max(x, 1) (Loader 2000): ln(mean / y), mean - x and
// ln x! - x ln y + x.
fn counts(output: f32, x: f32) -> vec3<f32> {
    let y = max(x, 1.0);
    let log_y = log(y);
    let deviation = min(output, MAX_LOG_MEAN) - log_y;
    // 0! = 1; else x! = x Gamma(x).
    let constant = select(0.0, 0.5 * log_y + HALF_LN_TAU + binet(y).x, x > 0.0);
    return vec3<f32>(deviation, y * exp_minus_1(deviation) + (y - x), constant);
}

fn poisson(output: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let c = counts(output, x);
    return vec3<f32>(c.y - x * c.x + c.z, select(0.0, c.y, output <= MAX_LOG_MEAN), 0.0);
}

// ln Gamma(theta) - ln Gamma(n) + ln x! - theta ln(theta / (theta + mean)) - x ln(mean / (theta + mean)) with n = x + theta.
fn negative_binomial(output: f32, x: f32, spread: vec2<f32>) -> vec3<f32> {
    let c = counts(output, x);
    let theta = spread.x;
    let n = x + theta;
    let sum = exp(min(output, MAX_LOG_MEAN)) + theta;
    let mixed = ln_ratio(n, sum, -c.y);
    let at_theta = binet(theta);
    let at_n = binet(n);
    let nll = 0.5 * ln_ratio(n, theta, x) + at_theta.x - at_n.x - n * mixed - x * c.x + c.z;
    let share = c.y / sum;
    let d_theta = at_theta.y - at_n.y - 0.5 * x / (theta * n) - mixed - share;
    return vec3<f32>(nll, select(0.0, theta * share, output <= MAX_LOG_MEAN), theta * d_theta);
}
