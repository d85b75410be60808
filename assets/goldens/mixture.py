"""Log-densities of points under a mixture of correlated normals, and quantiles of the standard normal, by SciPy.

    pip install scipy
    python assets/goldens/mixture.py > assets/goldens/mixture.txt
"""

import numpy as np
import scipy
from scipy.special import logsumexp, ndtri
from scipy.stats import multivariate_normal

weights = np.array([0.5, 0.3, 0.2])
means = np.array([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [-3.0, 1.5, 4.0]])
# Correlations of either sign, and variances from 0.04 to 9.
covariances = np.array(
    [
        [[1.0, 0.6, -0.2], [0.6, 2.0, 0.3], [-0.2, 0.3, 0.5]],
        [[0.04, 0.03, 0.0], [0.03, 0.09, -0.02], [0.0, -0.02, 0.25]],
        [[9.0, -2.0, 1.0], [-2.0, 4.0, 0.5], [1.0, 0.5, 1.0]],
    ]
)
# Latent vectors are f32. The last point is far from every component: its density is below the smallest f64.
points = np.array(
    [[0, 0, 0], [2, -1, 0.5], [-3, 1.5, 4], [1.2, 0.7, -0.4], [2.1, -0.8, 0.9], [-60, 45, 80]], np.float32
).astype(float)


def line(name, values):
    print(f"{name}: " + " ".join(f"{float(v):.17g}" for v in np.ravel(values)))


def log_density(point):
    normals = [multivariate_normal(m, c).logpdf(point) for m, c in zip(means, covariances)]
    return logsumexp(np.log(weights) + normals)


print(f"# scipy {scipy.__version__}")
line("weights", weights)
line("means", means)
line("covariances", covariances)
for point in points:
    line("point", [*point, log_density(point)])
for p in [1e-12, 1e-6, 0.001, 0.02275, 0.3, 0.5, 0.84, 0.998, 1 - 2**-25]:
    line("quantile", [p, ndtri(p)])
