//! The values of the likelihoods against SciPy's (`assets/goldens/likelihoods.py`).

use burn::tensor::{Element, Tensor, TensorData, backend::AutodiffBackend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;

use vae_spec::{Likelihood, Spread};

use super::{log_spread, nll};

pub(super) type Single = Autodiff<NdArray<f32>>;
pub(super) type Double = Autodiff<NdArray<f64>>;

const GOLDEN: &str = include_str!("../../../../assets/goldens/likelihoods.txt");
pub(super) const NAMES: [&str; 7] = [
    "bernoulli",
    "continuous-bernoulli",
    "gaussian",
    "laplace",
    "discretized-logistic",
    "poisson",
    "negative-binomial",
];

/// Tolerance in f32: sixteen roundings on the way to a number, relative to its largest terms.
pub(super) const SINGLE: f64 = 16.0 / (1u64 << 24) as f64;
/// Tolerance of tensors of f64, whose series are cut.
const DOUBLE: f64 = 1e-9;
/// Tolerance of the host functions: sixteen roundings of an f64.
const HOST: f64 = 8.0 * f64::EPSILON;

pub(super) fn named(name: &str, spread: Spread) -> Likelihood {
    match name {
        "bernoulli" => Likelihood::Bernoulli,
        "continuous-bernoulli" => Likelihood::ContinuousBernoulli,
        "gaussian" => Likelihood::Gaussian(spread),
        "laplace" => Likelihood::Laplace(spread),
        "discretized-logistic" => Likelihood::DiscretizedLogistic(spread),
        "poisson" => Likelihood::Poisson,
        _ => Likelihood::NegativeBinomial(spread),
    }
}

/// The numbers on the lines of this name; each input is an f32 and read as one.
pub(super) fn golden(name: &str) -> Vec<Vec<f64>> {
    let lines = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    lines
        .map(|line| {
            let (inputs, value) = line.rsplit_once(' ').expect("two numbers or more");
            let inputs = inputs
                .split(' ')
                .map(|x| x.parse::<f32>().expect("an f32").into());
            inputs.chain([value.parse().expect("a number")]).collect()
        })
        .collect()
}

/// `nll` and, if its spread is learned, its gradients with respect to `output` and the log of the spread: `[rows, columns]` flat.
pub(super) fn evaluate<B: AutodiffBackend>(
    likelihood: Likelihood,
    [rows, columns]: [usize; 2],
    output: &[f64],
    x: &[f64],
    spread: &[f64],
) -> [Vec<f64>; 3] {
    // Unless told otherwise, a device makes tensors of one type, whatever its backend's.
    let options = (&B::Device::default(), B::FloatElem::dtype());
    let tensor = |values: &[f64], shape: [usize; 2]| {
        Tensor::<B, 2>::from_data(TensorData::new(values.to_vec(), shape), options)
    };
    let output = tensor(output, [rows, columns]).require_grad();
    let log_spread: Vec<f64> = spread.iter().map(|spread| spread.ln()).collect();
    let log_spread = tensor(&log_spread, [1, spread.len()]).require_grad();
    let nll = nll(
        likelihood,
        output.clone(),
        tensor(x, [rows, columns]),
        Some(log_spread.clone()),
    );
    let gradients = nll.clone().sum().backward();
    let gradient = |of: Tensor<B, 2>| {
        of.grad(&gradients).map_or(Vec::new(), |gradient| {
            gradient.into_data().iter::<f64>().collect()
        })
    };
    [
        nll.into_data().iter().collect(),
        gradient(output),
        gradient(log_spread),
    ]
}

/// `evaluate` of one number, whose spread is learned.
pub(super) fn single<B: AutodiffBackend>(name: &str, output: f64, x: f64, spread: f64) -> [f64; 3] {
    let likelihood = named(name, Spread::Learned);
    let [nll, by_output, by_log] = evaluate::<B>(likelihood, [1, 1], &[output], &[x], &[spread]);
    [nll[0], by_output[0], by_log.first().copied().unwrap_or(0.0)]
}

/// The largest terms of the value, of its gradient by the output and of that by the log of the spread, with what the rounding of
/// an input or of a difference of inputs does to them: what rounding errors are relative to.
pub(super) fn magnitudes(name: &str, output: f64, x: f64, spread: f64) -> [f64; 3] {
    let distance = (x - output).abs() / spread;
    let inputs = (x.abs() + output.abs() + 1.0) / spread;
    match name {
        "bernoulli" | "continuous-bernoulli" => [1.0 + output.abs(), 2.0, 0.0],
        "gaussian" => {
            let square = 1.0 + distance * inputs + spread.ln().abs();
            [square, inputs / spread, square]
        }
        "laplace" => [inputs + spread.ln().abs(), 1.0 / spread, inputs],
        "discretized-logistic" => {
            let value = 1.0 + inputs + spread.ln().abs();
            [value, value / spread, value]
        }
        _ => {
            // The log of the mean over the count is rounded as one of the two.
            let (mean, y) = (output.exp(), x.max(1.0));
            let logs = 1.0 + output.abs() + y.ln();
            let n = if name == "poisson" {
                f64::INFINITY
            } else {
                x + spread
            };
            let value = (mean - x).abs().min(n) * logs + x * (output - y.ln()).abs();
            let value = 8.0 + logs + value + spread.ln().abs();
            [value, (mean.min(n) + x) * logs, value]
        }
    }
}

/// The largest terms that the host function adds.
pub(super) fn host_terms(name: &str, output: f64, x: f64, spread: f64) -> f64 {
    let log_gamma = |z: f64| libm::lgamma(z).abs();
    let own = match name {
        "poisson" => log_gamma(x + 1.0) + output.exp(),
        "negative-binomial" => {
            let log_both = (spread + output.exp()).ln().abs();
            log_gamma(x + 1.0) + log_gamma(x + spread) + (x + spread) * (1.0 + log_both)
        }
        // The logs of two sigmoids are subtracted, and the difference is a bin's width over the scale.
        "discretized-logistic" => 255.0 * spread,
        _ => 0.0,
    };
    own + magnitudes(name, output, x, spread)[0]
}

/// The largest terms that the tensors add.
fn tensor_terms(name: &str, output: f64, x: f64, spread: f64) -> f64 {
    magnitudes(name, output, x, spread)[0]
}

/// The largest distance of `found` from SciPy over the lines of a golden, in units of the largest terms.
fn distance_in(
    terms: fn(&str, f64, f64, f64) -> f64,
    name: &str,
    found: impl Fn(f64, f64, f64) -> f64,
) -> f64 {
    let lines = golden(name);
    assert!(lines.len() > 20, "{name}: {}", lines.len());
    let distance = |line: &Vec<f64>| {
        let [output, x, spread, expected] = line[..] else {
            panic!("{name}: {line:?}")
        };
        let found = found(output, x, spread);
        assert!(found.is_finite(), "{name}: {line:?}");
        (found - expected).abs() / terms(name, output, x, spread)
    };
    lines.iter().map(distance).fold(0.0, f64::max)
}

fn distance(name: &str, found: impl Fn(f64, f64, f64) -> f64) -> f64 {
    distance_in(tensor_terms, name, found)
}

#[test]
fn every_likelihood_is_that_of_scipy() {
    for name in NAMES {
        let fixed = |output: f64, x: f64, spread: f64| {
            let likelihood = named(name, Spread::Fixed(spread as f32));
            evaluate::<Single>(likelihood, [1, 1], &[output], &[x], &[1.0])[0][0]
        };
        let host = |output, x, spread| named(name, Spread::Learned).nll_of(output, x, spread);
        let in_f64 = |output, x, spread| single::<Double>(name, output, x, spread)[0];
        let distances = [
            distance(name, fixed),
            distance(name, in_f64),
            distance_in(host_terms, name, host),
        ];
        for (distance, tolerance) in distances.into_iter().zip([SINGLE, DOUBLE, HOST]) {
            assert!(distance < tolerance, "{name}: {distances:?}");
        }
    }
}

#[test]
fn a_neighbouring_formula_is_told_apart() {
    let of = |name: &'static str| {
        move |output, x, spread| named(name, Spread::Learned).nll_of(output, x, spread)
    };
    let density = |output: f64, x: f64, spread: f64| {
        let z = (x - output) / spread;
        z.abs() + 2.0 * (-z.abs()).exp().ln_1p() + spread.ln()
    };
    let distances = [
        distance("continuous-bernoulli", of("bernoulli")),
        distance("bernoulli", of("continuous-bernoulli")),
        distance("gaussian", |output, x, sigma| {
            of("gaussian")(output, x, sigma.sqrt())
        }),
        distance("laplace", of("gaussian")),
        distance("discretized-logistic", density),
        distance("poisson", |output, x, _| {
            of("poisson")(output, x, 1.0) - libm::lgamma(x + 1.0)
        }),
        distance("negative-binomial", of("poisson")),
        distance("negative-binomial", |output, x, theta| {
            of("negative-binomial")(output, x, theta.recip())
        }),
    ];
    for distance in distances {
        assert!(distance > 100.0 * SINGLE, "{distances:?}");
    }
}

#[test]
fn a_learned_spread_is_nearly_its_parameters_and_never_below_its_floor() {
    let device = Default::default();
    for spread in [0.01, 0.3, 1.0, 25.0] {
        let parameter = Likelihood::parameter_of(spread);
        // `ln(1 - exp(-(ln spread + 6)))`, 0.28 at 0.01.
        assert!((parameter - spread.ln()).abs() < 0.3, "{parameter}");
        let there_and_back = Likelihood::spread_of(parameter);
        assert!((there_and_back / spread - 1.0).abs() < HOST);
    }
    for parameter in [-1e3f64, -20.0, -6.0, -4.0, 0.0, 3.0] {
        let values = Tensor::<Double, 2>::from_data([[parameter]], &device).require_grad();
        let log = log_spread(values.clone());
        let gradients = log.clone().backward();
        let gradient: f64 = values.grad(&gradients).expect("one").into_scalar();
        let log: f64 = log.into_scalar();
        let host = Likelihood::spread_of(parameter).ln();
        // burn's log_sigmoid computes in f32 internally.
        assert!((log - host).abs() < 1e-6, "{log}, {host}");
        assert!(log >= Likelihood::MIN_LOG_SPREAD, "{log}");
        let sigmoid = 1.0 / (1.0 + (-6.0 - parameter).exp());
        assert!((gradient - sigmoid).abs() < 1e-6, "{gradient}, {sigmoid}");
    }
}
