"""Variational autoencoders on any GPU through wgpu, or on the CPU.

``VAE`` is an estimator in scikit-learn's manner, ``load`` opens a trained run, and ``main`` is the
command ``vae-gpu``. What needs NumPy or scikit-learn is imported when it is first used.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from ._native import __version__

if TYPE_CHECKING:
    from ._estimator import VAE
    from ._model import Model, Posterior, Scores, load

__all__ = ["Model", "Posterior", "Scores", "VAE", "__version__", "load", "main"]

_HOMES = {
    "VAE": "_estimator",
    "Model": "_model",
    "Posterior": "_model",
    "Scores": "_model",
    "load": "_model",
}

# On a machine without a desktop, a layer of Mesa that reorders the adapters would print an error at
# every listing of them. The command itself sets the same variable.
if "XDG_RUNTIME_DIR" not in os.environ:
    os.environ.setdefault("NODEVICE_SELECT", "1")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def main() -> int:
    """Run the command ``vae-gpu`` with the arguments of this process; return its exit code."""
    from ._native import run_command

    # Python only takes note of Ctrl-C; a command that does not listen for it is to end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_command(sys.argv)
