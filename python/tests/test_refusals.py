"""Nonsense is refused with the exception that Python users expect, and words that help."""

from __future__ import annotations

import numpy as np
import pytest
import vae_gpu
from conftest import SMALL

ROWS = np.linspace(0, 1, 400, dtype=np.float32).reshape(100, 4)


def spoilt(value: object) -> np.ndarray:
    rows = ROWS.astype(type(value) if isinstance(value, str) else np.float64).astype(object)
    rows[3, 1] = value
    return rows


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (spoilt(np.nan), "NaN"),
        (spoilt(np.inf), "infinity"),
        (spoilt("three"), "could not convert string to float|expected numbers"),
        (ROWS[0], "Reshape your data|\\[samples, values\\]"),
        (np.float32(3), "scalar|0d|\\[samples, values\\]"),
        (ROWS[:0], "0 sample"),
        (ROWS[:, :0], "0 feature"),
        (ROWS[:1], "1 sample"),
        (ROWS.astype(complex), "[Cc]omplex"),
        (ROWS.reshape(5, 5, 2, 2, 4), "\\[samples, height, width\\]"),
        (np.zeros((10, 4, 5, 6), np.uint8), "layout|--layout"),
        (np.array(["a", "b"]), "string|1D|\\[samples, values\\]"),
    ],
)
def test_samples_that_are_none(X, words) -> None:
    with pytest.raises(ValueError, match=words):
        vae_gpu.VAE(**SMALL).fit(X)


def test_errors_call_settings_as_python_does() -> None:
    with pytest.raises(ValueError, match="choose scale bytes .* or scale min-max, or likelihood g"):
        vae_gpu.VAE(**SMALL, likelihood="bernoulli").fit(ROWS * 3)
    with pytest.raises(ValueError, match="validates on other data with validation"):
        vae_gpu.VAE(**SMALL).fit(ROWS.reshape(1, 20, 20))


def test_nan_among_images_is_found_where_it_is() -> None:
    images = ROWS.reshape(25, 4, 4).copy()
    images[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="value 6 .counted from 0.: not a finite number"):
        vae_gpu.VAE(**SMALL).fit(images)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"latent": 0}, ValueError, "latent: expected at least 1, found 0"),
        ({"latent": "two"}, ValueError, 'latent = "two"'),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"lr": -0.1}, ValueError, "lr: expected a number above 0, found -0.1"),
        ({"batch_size": 2.5}, ValueError, "batch_size = 2.5"),
        ({"backend": "cuda"}, ValueError, "unknown variant `cuda`, expected one of `auto`"),
        ({"preset": "keras"}, ValueError, "preset: unknown variant `keras`"),
        ({"likelihood": "poisson"}, ValueError, "counts: whole numbers from 0"),
        ({"momentum": 0.9}, ValueError, "momentum: expected none without optimizer sgd"),
        ({"conditional": True}, ValueError, "conditional: expected samples with labels"),
        ({"latent": object()}, TypeError, "expected text, numbers or lists"),
    ],
)
def test_settings_that_cannot_be(settings, error, words) -> None:
    with pytest.raises(error, match=words):
        vae_gpu.VAE(**{**SMALL, **settings}).fit(ROWS)


def test_unknown_settings_are_named_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match="there is no setting 'epoch'; did you mean 'epochs'?"):
        vae_gpu.VAE(epoch=3)
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        vae_gpu.VAE().set_params(epoch=3)


def test_what_a_fitted_model_is_given_has_to_fit(digits, fitted) -> None:
    with pytest.raises(ValueError, match="X has 25 features, but VAE is expecting 64 features"):
        fitted.transform(digits[:, :5, :5])
    with pytest.raises(
        ValueError, match=r"expected an array of shape \(n, 3\), found one of \(5, 4\)"
    ):
        fitted.inverse_transform(np.zeros((5, 4)))
    with pytest.raises(ValueError, match="z: expected finite numbers"):
        fitted.inverse_transform(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="values from 0 to 1"):
        fitted.transform(digits * 16)
    with pytest.raises(ValueError, match="n: expected a whole number of at least 0, found -3"):
        fitted.sample(-3)
    with pytest.raises(ValueError, match="temperature: expected a number above 0, found 0"):
        fitted.sample(1, temperature=0)
    with pytest.raises(
        ValueError, match="importance_samples: expected a whole number of at least 1"
    ):
        fitted.score_samples(digits, importance_samples=0)
    assert fitted.sample(0).shape == (0, 8, 8)


def test_labels_have_to_be_classes(digits, labels) -> None:
    vae = vae_gpu.VAE(**SMALL, conditional=True)
    with pytest.raises(ValueError, match="one label for each of 1797 samples"):
        vae.fit(digits, labels[:10])
    with pytest.raises(ValueError, match="found fractions or NaN"):
        vae.fit(digits, labels + 0.5)


def test_files_that_are_not_there_or_taken(digits, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="not a trained model"):
        vae_gpu.load(tmp_path / "none")
    vae_gpu.VAE(**SMALL, out=tmp_path / "run").fit(digits)
    with pytest.raises(FileExistsError, match="run"):
        vae_gpu.VAE(**SMALL, out=tmp_path / "run").fit(digits)
    (tmp_path / "run" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="model.safetensors"):
        vae_gpu.load(tmp_path / "run")


def test_what_is_not_fitted_says_so() -> None:
    from sklearn.exceptions import NotFittedError

    for use in ["transform", "score", "inverse_transform"]:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(vae_gpu.VAE(), use)(ROWS)
