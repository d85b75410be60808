"""What the tests share: scikit-learn's digits, a small model of them, and the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vae_gpu
from sklearn.datasets import load_digits

# Settings of a run of about a tenth of a second, the same bits on every machine's CPU.
SMALL = {"latent": 3, "hidden": 32, "epochs": 5, "backend": "cpu"}


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """1797 digits of 8 x 8, from 0 to 1."""
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    """Which digit each is."""
    return load_digits().target


@pytest.fixture(scope="session")
def fitted(digits: np.ndarray) -> vae_gpu.VAE:
    """A small model of the digits. Tests leave it as it is."""
    return vae_gpu.VAE(**SMALL).fit(digits)


def command(*arguments: object) -> str:
    """Run the installed command, and return what it printed."""
    program = Path(sys.executable).with_name("vae-gpu")
    words = [str(argument) for argument in arguments]
    done = subprocess.run([str(program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
