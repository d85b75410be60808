"""Metrics of reconstructions and latents by scikit-image and scikit-learn.

    pip install scikit-image scikit-learn
    python assets/goldens/metrics.py > assets/goldens/metrics.txt
"""

import numpy as np
import skimage
import sklearn
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(5)


def line(name, values):
    print(f"{name}: " + " ".join(f"{float(v):.17g}" for v in np.ravel(values)))


print(f"# scikit-image {skimage.__version__}, scikit-learn {sklearn.__version__}")

# Images, channels first; the restored ones are blurred and noisy.
for name, shape in [("grey", (2, 1, 9, 11)), ("colour", (2, 3, 8, 7))]:
    images = random.random(shape).astype(np.float32)
    restored = np.clip(0.7 * images + 0.1 + 0.05 * random.standard_normal(shape), 0, 1).astype(np.float32)
    line(f"{name} images", images)
    line(f"{name} restored", restored)
    images, restored = images.astype(float), restored.astype(float)
    line(f"{name} mse", [np.mean((a - b) ** 2) for a, b in zip(images, restored)])
    line(f"{name} psnr", [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(images, restored)])
    line(f"{name} ssim", [structural_similarity(a, b, data_range=1, channel_axis=0) for a, b in zip(images, restored)])

# Latents of three classes that overlap.
classes = [random.integers(0, 3, n) for n in (90, 60)]
centres = np.array([[0, 0, 1, 5], [1.5, 0, -1, 5], [0, 2, 0, 5]])
train, test = [
    (centres[c] + [1, 0.8, 1.2, 40] * random.standard_normal((len(c), 4))).astype(np.float32) for c in classes
]
line("train latents", train)
line("train classes", classes[0])
line("test latents", test)
line("test classes", classes[1])
line("knn", KNeighborsClassifier(5).fit(train, classes[0]).score(test, classes[1]))
scaler = StandardScaler().fit(train.astype(float))
probe = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-12, max_iter=100_000).fit(scaler.transform(train), classes[0])
line("linear probe", probe.score(scaler.transform(test), classes[1]))
line("linear probe loss", log_loss(classes[1], probe.predict_proba(scaler.transform(test))))

# Latents that hold three factors more or less apart.
factors = np.stack([random.integers(0, n, 400) for n in (3, 6, 10)], axis=1)
noise = random.standard_normal((400, 5))
mixed = np.stack(
    [
        factors[:, 0] + 0.1 * noise[:, 0],
        factors[:, 1] + 0.5 * factors[:, 2] + 0.2 * noise[:, 1],
        0.3 * factors[:, 2] + 0.1 * noise[:, 2],
        noise[:, 3],
        -factors[:, 1] + 0.8 * noise[:, 4],
    ],
    axis=1,
).astype(np.float32)
line("factors", factors)
line("latents", mixed)
mixed = mixed.astype(float)


def binned(column, bins=20):
    edges = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return np.digitize(column, edges)


information = np.array(
    [[mutual_info_score(binned(mixed[:, i]), factors[:, k]) for k in range(3)] for i in range(mixed.shape[1])]
)
entropy = np.array([mutual_info_score(factors[:, k], factors[:, k]) for k in range(3)])
ranked = np.sort(information, axis=0)[::-1]
line("mig", np.mean((ranked[0] - ranked[1]) / entropy))

scores = np.array(
    [
        [LinearRegression().fit(mixed[:, [i]], factors[:, k]).score(mixed[:, [i]], factors[:, k]) for k in range(3)]
        for i in range(mixed.shape[1])
    ]
)
ranked = np.sort(scores, axis=0)[::-1]
line("sap", np.mean(ranked[0] - ranked[1]))

# Even rows fit, odd rows tell how well.
fit, held = mixed[::2], mixed[1::2]
scaler = StandardScaler().fit(fit)
importance, explained = [], []
for k in range(3):
    of_fit = StandardScaler().fit(factors[::2, [k]])
    target = of_fit.transform(factors[::2, [k]])[:, 0]
    lasso = Lasso(alpha=0.01, tol=1e-12, max_iter=100_000).fit(scaler.transform(fit), target)
    importance.append(np.abs(lasso.coef_))
    explained.append(lasso.score(scaler.transform(held), of_fit.transform(factors[1::2, [k]])[:, 0]))
importance = np.array(importance).T


def one_less_entropy(shares, axis):
    p = shares / np.maximum(shares.sum(axis=axis, keepdims=True), 1e-300)
    logs = np.log(np.where(p > 0, p, 1))
    return 1 + (p * logs).sum(axis=axis) / np.log(shares.shape[axis])


of_latents, of_factors = importance.sum(axis=1), importance.sum(axis=0)
line("disentanglement", (one_less_entropy(importance, 1) * of_latents).sum() / of_latents.sum())
line("completeness", (one_less_entropy(importance, 0) * of_factors).sum() / of_factors.sum())
line("informativeness", np.mean(explained))
