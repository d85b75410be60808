"""Negative log-likelihoods in nats of SciPy's distributions, and means of the continuous Bernoulli.

    pip install scipy mpmath
    python assets/goldens/likelihoods.py > assets/goldens/likelihoods.txt

Every input is an f32. Where SciPy's f64 runs out (far tails, wide bins, large counts), mpmath computes the same
definition with 60 digits, and SciPy is held against it wherever it can answer.
"""

from itertools import product

import mpmath
import numpy as np
import scipy
from mpmath import mpf
from scipy import special, stats

mpmath.mp.dps = 60
HALF_BIN = mpf(1) / 510


def case(name, output, x, spread, nll, log_likelihood=None):
    """One line; `log_likelihood` is SciPy's, infinite or undefined where it cannot answer."""
    if log_likelihood is not None and np.isfinite(log_likelihood):
        assert abs(float(nll) + log_likelihood) <= 1e-7 * (1 + abs(float(nll)) + x), (name, output, x, spread)
    print(f"{name}: {output:.9g} {x:.9g} {spread:.9g} {float(nll):.17g}")


def rounded(*values):
    return [float(np.float32(value)) for value in values]


def partition(logit):
    return mpmath.quad(lambda x: mpmath.exp(mpf(logit) * x), [0, 0.01, 0.05, 0.2, 0.8, 0.95, 0.99, 1])


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def bin_mass(mean, k, x, scale):
    """Of the logistic, from `x - 1/510` to `x + 1/510`; the first and the last bin take the tails."""
    upper = sigmoid((mpf(x) + HALF_BIN - mean) / scale) if k < 255 else mpf(1)
    # 1 - sigmoid(l) = sigmoid(-l): no digits are lost in the upper tail.
    if k == 255:
        return sigmoid(-(mpf(x) - HALF_BIN - mean) / scale)
    lower = sigmoid((mpf(x) - HALF_BIN - mean) / scale) if k > 0 else mpf(0)
    return upper - lower


def scipy_bin_mass(mean, k, x, scale):
    upper = stats.logistic.cdf(x + 1 / 510, mean, scale) if k < 255 else 1
    lower = stats.logistic.cdf(x - 1 / 510, mean, scale) if k > 0 else 0
    # A difference of less than this has lost the digits that are compared.
    return np.log(upper - lower) if upper - lower > 1e-7 else np.nan


print(f"# scipy {scipy.__version__}, mpmath {mpmath.__version__}; name: output x spread nll")
for logit, x in product(rounded(-100, -3, -1e-4, 0, 0.5, 20, 100), rounded(0, 0.3, 1)):
    nll = -x * special.log_expit(logit) - (1 - x) * special.log_expit(-logit)
    is_coin = x in (0, 1) and abs(logit) < 10
    case("bernoulli", logit, x, 1, nll, stats.bernoulli.logpmf(x, special.expit(logit)) if is_coin else None)
logits = rounded(-80, -30, -1, -0.50001, -0.49, -1e-3, 0, 1e-6, 0.1, 0.4999, 0.5, 3, 10, 80)
for logit in logits:
    z = partition(logit)
    for x in rounded(0, 0.25, 0.7, 1):
        case("continuous-bernoulli", logit, x, 1, mpmath.log(z) - mpf(logit) * x)
# SciPy takes the log of a density that underflows for the last; it warns, and is not asked there.
np.seterr(divide="ignore")
for mean, x, sigma in product(rounded(-1, 0, 0.4), rounded(-0.5, 0.4, 3), rounded(1e-3, 0.1, 1, 50)):
    case("gaussian", mean, x, sigma, -stats.norm.logpdf(x, mean, sigma))
    nll = mpmath.fabs(mpf(x) - mean) / sigma + mpmath.log(2 * mpf(sigma))
    case("laplace", mean, x, sigma, nll, stats.laplace.logpdf(x, mean, sigma))
for mean, k, scale in product(rounded(-0.5, 0, 0.3, 0.998, 1.5), (0, 1, 77, 254, 255), rounded(1e-3, 0.02, 0.3, 1, 100)):
    [x] = rounded(k / 255)
    # Digits enough for the difference of two sigmoids a thousand scales away.
    with mpmath.workdps(1000):
        nll = -mpmath.log(bin_mass(mean, k, x, scale))
    case("discretized-logistic", mean, x, scale, nll, scipy_bin_mass(mean, k, x, scale))
for x in rounded(0, 1, 2, 7, 100, 1e4, 1e6):
    near = np.log(max(x, 1))
    for log_mean in rounded(-8, 0.3, near - 0.01, near, near + 0.3, 15, 20):
        mean = mpmath.exp(log_mean)
        nll = mean - x * mpf(log_mean) + mpmath.loggamma(mpf(x) + 1)
        case("poisson", log_mean, x, 1, nll, stats.poisson.logpmf(x, float(mean)))
        for theta in rounded(1e-4, 0.5, 1, 12, 1e3, 1e8):
            both = theta + mean
            nll = (
                mpmath.loggamma(theta) + mpmath.loggamma(mpf(x) + 1) - mpmath.loggamma(mpf(x) + theta)
                - theta * mpmath.log(theta / both) - x * mpmath.log(mean / both)
            )
            p = float(theta / both)
            is_precise = theta < 1e4 and 1e-6 < p < 1 - 1e-6
            found = stats.nbinom.logpmf(x, theta, p) if is_precise else None
            case("negative-binomial", log_mean, x, theta, nll, found)
print("# the mean of the continuous Bernoulli: logit mean")
for logit in logits:
    top = mpmath.quad(lambda x: x * mpmath.exp(mpf(logit) * x), [0, 0.01, 0.05, 0.2, 0.8, 0.95, 0.99, 1])
    print(f"continuous-bernoulli mean: {logit:.9g} {float(top / partition(logit)):.17g}")
