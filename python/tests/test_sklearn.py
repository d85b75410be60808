"""In scikit-learn: its own checks, pipelines, searches, data frames."""

from __future__ import annotations

import numpy as np
import pytest
import vae_gpu
from conftest import SMALL
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

# The ELBO of a sample is estimated at one draw from its posterior, which belongs to the sample's place
# in X, so that it is the number that `vae-gpu score` gives. Other places have other draws.
DRAWS = "score_samples draws by a sample's place, as `vae-gpu score` does"
EXPECTED = {
    "check_methods_subset_invariance": DRAWS,
    "check_methods_sample_order_invariance": DRAWS,
}


@parametrize_with_checks(
    [vae_gpu.VAE(latent=2, hidden=8, epochs=2, backend="cpu")],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learn_finds_an_estimator(estimator, check) -> None:
    check(estimator)


def test_transform_does_not_depend_on_the_place(digits, fitted) -> None:
    # What the two expected failures leave unchecked of the other methods. A product of few rows is
    # summed in another order: a few roundings of 32-bit floats near 1.
    z = fitted.transform(digits)
    np.testing.assert_allclose(fitted.transform(digits[::-1])[::-1], z, atol=1e-5)
    alone = np.concatenate([fitted.transform(image[None]) for image in digits[:50]])
    np.testing.assert_allclose(alone, z[:50], atol=1e-5)


def test_parameters_are_stored_cloned_and_set() -> None:
    hidden = [64, 32]
    vae = vae_gpu.VAE(latent=7, hidden=hidden)
    assert vae.hidden is hidden and vae.get_params()["latent"] == 7
    other = clone(vae).set_params(latent=8, epochs=3)
    assert (other.latent, other.epochs, other.hidden) == (8, 3, [64, 32])
    assert repr(other) == "VAE(epochs=3, hidden=[64, 32], latent=8)"


def test_a_pipeline_classifies_by_the_latents(digits, labels) -> None:
    rows = digits.reshape(len(digits), -1)
    vae = vae_gpu.VAE(latent=10, epochs=30, backend="cpu")
    pipeline = make_pipeline(StandardScaler(), vae, LogisticRegression(max_iter=1000))
    pipeline.fit(rows[:1400], labels[:1400])
    assert pipeline.score(rows[1400:], labels[1400:]) > 0.7
    assert vae_gpu.VAE in {type(step) for step in clone(pipeline).named_steps.values()}


def test_a_search_chooses_by_the_elbo(digits) -> None:
    rows = digits.reshape(len(digits), -1)
    search = GridSearchCV(vae_gpu.VAE(**SMALL), {"latent": [1, 8], "epochs": [1, 20]}, cv=2)
    search.fit(rows)
    assert search.best_params_["epochs"] == 20
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_data_frames_have_names_before_and_after(digits) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(digits[:, 3], columns=[f"x{place}" for place in range(8)])
    vae = vae_gpu.VAE(**SMALL).set_output(transform="pandas").fit(frame)
    z = vae.transform(frame)
    assert list(z.columns) == ["vae0", "vae1", "vae2"] and list(z.index) == list(frame.index)
    assert list(vae.feature_names_in_) == list(frame.columns) == vae.model_.settings["columns"]
    # A model that is loaded puts the columns in order; the estimator keeps to scikit-learn's rule.
    turned = frame[frame.columns[::-1]]
    assert np.array_equal(vae.model_.encode(turned).mu, z.to_numpy())
    with pytest.raises(ValueError, match="feature names should match"):
        vae.transform(turned)


def test_processes_of_joblib_fit_side_by_side(digits, fitted) -> None:
    from joblib import Parallel, delayed

    seeds = Parallel(n_jobs=2)(
        delayed(vae_gpu.VAE(**SMALL, seed=seed).fit)(digits) for seed in [0, 1]
    )
    assert np.array_equal(seeds[0].transform(digits), fitted.transform(digits))
