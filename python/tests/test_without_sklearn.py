"""The estimator where scikit-learn is not installed."""

from __future__ import annotations

import subprocess
import sys

# A process in which scikit-learn cannot be imported.
ALONE = """
import sys
sys.modules["sklearn"] = None
import pickle
import numpy as np
import vae_gpu
X = np.random.default_rng(0).random((300, 16), np.float32)
vae = vae_gpu.VAE(latent=2, hidden=[8], epochs=2, backend="cpu")
assert repr(vae) == "VAE(backend='cpu', epochs=2, hidden=[8], latent=2)", vae
try:
    vae.transform(X)
except ValueError as error:
    assert "not fitted yet" in str(error)
z = vae.set_params(epochs=3).fit_transform(X)
assert z.shape == (300, 2) and vae.n_iter_ == 3 and vae.get_params()["epochs"] == 3
assert np.array_equal(pickle.loads(pickle.dumps(vae)).transform(X), z)
assert list(vae.get_feature_names_out()) == ["vae0", "vae1"]
for wrong, words in [(X[:, :3], "3 features"), (X[0], "Reshape"), (X[:0], "0 sample")]:
    try:
        vae.transform(wrong)
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
print("done")
"""

# What the command needs, which is to start at once.
LIGHT = """
import sys
import vae_gpu
assert not {"numpy", "sklearn"} & set(sys.modules), "imported with the package"
assert {"VAE", "load", "main"} <= set(dir(vae_gpu))
"""


def test_the_estimator_works_without_scikit_learn() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


def test_importing_the_package_imports_nothing_large() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
