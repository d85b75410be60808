"""Objectives by their authors' formulas, written out loop by loop, and wrong ones that are easily taken for them.

    pip install scipy
    python assets/goldens/objectives.py > assets/goldens/objectives.txt

The encoder is the identity: an image that it sees is `mu` and then `log_var`. The decoder is `z W + b`.
Lines `name: numbers` are inputs and results; lines `not name: number` are the wrong ones.
"""

from math import exp, log

import numpy as np
import scipy
from scipy.special import logsumexp
from scipy.stats import bernoulli, multivariate_normal, norm

BATCH, LATENT, PIXELS, SAMPLES, DATA_COUNT = 3, 2, 4, 4, 50
BETA, ANNEAL, MMD_WEIGHT = 0.5, 0.75, 2.5

draw = np.random.default_rng(7)
mu = draw.normal(size=(BATCH, LATENT))
log_var = draw.normal(size=(BATCH, LATENT)) * 0.7 - 0.5
eps = draw.normal(size=(BATCH, SAMPLES, LATENT))
prior_draws = draw.normal(size=(BATCH, LATENT))
images = (draw.random(size=(BATCH, PIXELS)) < 0.5).astype(float)
weight = draw.normal(size=(LATENT, PIXELS))
bias = draw.normal(size=PIXELS) * 0.3
logits = draw.normal(size=3)
prior_mu = draw.normal(size=(3, LATENT))
prior_log_var = draw.normal(size=(3, LATENT)) * 0.5
vamp = draw.normal(size=(2, 2 * LATENT)) * 0.5


def line(name, values):
    print(f"{name}: " + " ".join(f"{float(v):.17g}" for v in np.ravel(values)))


print(f"# numpy {np.__version__}, scipy {scipy.__version__}")
for name, values in [
    ("seen", np.concatenate([mu, log_var], axis=1)),
    ("eps", eps),
    ("prior_draws", prior_draws),
    ("images", images),
    ("weight", weight),
    ("bias", bias),
    ("logits", logits),
    ("prior_mu", prior_mu),
    ("prior_log_var", prior_log_var),
    ("vamp", vamp),
]:
    line(name, values)

z = [[mu[i] + np.exp(log_var[i] / 2) * eps[i, k] for k in range(SAMPLES)] for i in range(BATCH)]


def log_normal(x, m, lv):
    return norm.logpdf(x, m, exp(lv / 2))


def log_likelihood(i, point):
    chances = 1 / (1 + np.exp(-(point @ weight + bias)))
    return sum(bernoulli.logpmf(int(images[i, d]), chances[d]) for d in range(PIXELS))


def log_posterior(i, point):
    return sum(log_normal(point[j], mu[i, j], log_var[i, j]) for j in range(LATENT))


def log_standard(point):
    return multivariate_normal.logpdf(point, np.zeros(LATENT), np.eye(LATENT))


def log_mixture(point):
    """Of normals whose weights are the softmax of the logits."""
    chances = np.exp(logits) / np.exp(logits).sum()
    densities = [
        chance * multivariate_normal.pdf(point, m, np.diag(np.exp(lv)))
        for chance, m, lv in zip(chances, prior_mu, prior_log_var)
    ]
    return log(sum(densities))


def log_vamp(point):
    """Tomczak and Welling 2018, equation 9: the mean of the posteriors of pseudo-inputs, images for a coin's likelihood."""
    densities = [
        multivariate_normal.pdf(point, image[:LATENT], np.diag(np.exp(image[LATENT:]))) for image in np.clip(vamp, 0, 1)
    ]
    return log(sum(densities) / len(densities))


PRIORS = {"normal": log_standard, "mixture": log_mixture, "vamp": log_vamp}
for name, log_prior in PRIORS.items():
    line(f"log_prior {name}", [[log_prior(z[i][k]) for k in range(SAMPLES)] for i in range(BATCH)])

# Kingma and Welling 2014, appendix B.
kl = [[-(1 + log_var[i, j] - mu[i, j] ** 2 - exp(log_var[i, j])) / 2 for j in range(LATENT)] for i in range(BATCH)]
mean_kl = sum(map(sum, kl)) / BATCH
recon = -sum(log_likelihood(i, z[i][0]) for i in range(BATCH)) / BATCH
line("elbo", recon + BETA * mean_kl)
line("not elbo", recon - BETA * mean_kl)
line("not elbo", recon + BETA * 2 * mean_kl)
# KL(p || q) instead of KL(q || p).
reverse = sum(
    (exp(-log_var[i, j]) * (1 + mu[i, j] ** 2) + log_var[i, j] - 1) / 2 for i in range(BATCH) for j in range(LATENT)
)
line("not elbo", recon + BETA * reverse / BATCH)
recon_all = -sum(log_likelihood(i, z[i][k]) for i in range(BATCH) for k in range(SAMPLES)) / BATCH / SAMPLES
line("elbo of all samples", recon_all + BETA * mean_kl)

# Burgess et al. 2018, equation 8.
line("capacity below", recon + BETA * abs(mean_kl - 0.25))
line("capacity above", recon + BETA * abs(mean_kl - 25))
line("not capacity above", recon + BETA * max(mean_kl - 25, 0))
line("not capacity above", recon + BETA * (mean_kl - 25))

# Kingma et al. 2016, equation 16, and the same for each image before the mean.
means = [sum(kl[i][j] for i in range(BATCH)) / BATCH for j in range(LATENT)]
line("free bits of means", recon + BETA * sum(max(0.5, means[j]) for j in range(LATENT)))
each = sum(max(0.5, kl[i][j]) for i in range(BATCH) for j in range(LATENT)) / BATCH
line("free bits of images", recon + BETA * each)
line("not free bits of images", recon + BETA * sum(max(0.5, means[j]) for j in range(LATENT)))


def importance_weighted(log_prior, beta, count=SAMPLES, sign=1):
    """Burda, Grosse and Salakhutdinov 2016, equation 8; each log-weight's ratio of prior and posterior times beta."""
    total = 0
    for i in range(BATCH):
        weights = [
            sign * (log_likelihood(i, z[i][k]) + beta * (log_prior(z[i][k]) - log_posterior(i, z[i][k])))
            for k in range(SAMPLES)
        ]
        total += logsumexp(weights) - log(count)
    return -sign * total / BATCH


for name, log_prior in PRIORS.items():
    line(f"iwae {name}", importance_weighted(log_prior, 1))
    line(f"iwae {name} beta", importance_weighted(log_prior, BETA))
# The missing log k, and weights by the softmax of the loss instead of the log-weights.
line("not iwae normal", importance_weighted(log_standard, 1, count=1))
line("not iwae normal", importance_weighted(log_standard, 1, sign=-1))


def softmax_of_the_loss(sign):
    total = 0
    for i in range(BATCH):
        losses = np.array(
            [-log_likelihood(i, z[i][k]) - log_standard(z[i][k]) + log_posterior(i, z[i][k]) for k in range(SAMPLES)]
        )
        shares = np.exp(sign * losses) / np.exp(sign * losses).sum()
        total += (shares * losses).sum()
    return total / BATCH


line("not iwae normal", softmax_of_the_loss(1))
line("not iwae normal", softmax_of_the_loss(-1))


def beta_tc(normaliser):
    """Chen et al. 2018, equation S5 and their code, with one draw for each image."""
    log_qz_given_x, log_qz, log_product, log_pz = 0, 0, 0, 0
    for i in range(BATCH):
        point = z[i][0]
        log_qz_given_x += log_posterior(i, point) / BATCH
        log_pz += log_standard(point) / BATCH
        log_qz += (logsumexp([log_posterior(m, point) for m in range(BATCH)]) - normaliser) / BATCH
        for j in range(LATENT):
            each = [log_normal(point[j], mu[m, j], log_var[m, j]) for m in range(BATCH)]
            log_product += (logsumexp(each) - normaliser) / BATCH
    return log_qz_given_x - log_qz, log_qz - log_product, log_product - log_pz


terms = beta_tc(log(DATA_COUNT * BATCH))
line("beta-tc terms", terms)
line("beta-tc", recon + ANNEAL * (terms[0] + terms[2]) + BETA * terms[1])
wrong = beta_tc(0)
line("not beta-tc", recon + ANNEAL * (wrong[0] + wrong[2]) + BETA * wrong[1])
wrong = beta_tc(log(DATA_COUNT))
line("not beta-tc", recon + ANNEAL * (wrong[0] + wrong[2]) + BETA * wrong[1])
line("not beta-tc", recon + BETA * sum(terms))


def imq(distance):
    """Tolstikhin et al. 2018: the sum over scales in their code, whose prior has variance 1."""
    base = 2 * LATENT * 1.0
    return sum(base * scale / (base * scale + distance) for scale in [0.1, 0.2, 0.5, 1, 2, 5, 10])


def rbf(distance):
    return exp(-distance / (2 * LATENT))


def mmd(kernel, keeps_diagonal=False):
    """Gretton et al. 2012, equation 3; with the diagonal their biased equation 5."""
    q, p = [z[i][0] for i in range(BATCH)], list(prior_draws)
    within, across = 0, 0
    for a in range(BATCH):
        for b in range(BATCH):
            if a != b or keeps_diagonal:
                pairs = BATCH * BATCH if keeps_diagonal else BATCH * (BATCH - 1)
                within += kernel(((q[a] - q[b]) ** 2).sum()) / pairs
                within += kernel(((p[a] - p[b]) ** 2).sum()) / pairs
            across += kernel(((q[a] - p[b]) ** 2).sum()) / BATCH**2
    return within - 2 * across


for name, kernel in [("imq", imq), ("rbf", rbf)]:
    line(f"mmd {name}", recon + BETA * mean_kl + MMD_WEIGHT * mmd(kernel))
    line(f"not mmd {name}", recon + BETA * mean_kl + MMD_WEIGHT * mmd(kernel, keeps_diagonal=True))
    line(f"not mmd {name}", recon + BETA * mean_kl + MMD_WEIGHT * mmd(lambda distance: kernel(distance**0.5)))
