"""A trained model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from . import _native
from ._arrays import Samples, label_names, numbers, samples, taken

_PathLike = Union[str, "os.PathLike[str]"]


class Posterior(NamedTuple):
    """Posteriors of samples, normal in each latent."""

    mu: np.ndarray
    """Means, ``[n, latent]``."""
    log_var: np.ndarray
    """Natural logarithms of the variances, ``[n, latent]``."""


class Scores(NamedTuple):
    """What a model says of samples, in nats, ``[n]`` each."""

    recon: np.ndarray
    """Negative log-likelihood given one draw from the posterior."""
    kl: np.ndarray
    """KL divergence of the posterior from the prior."""
    elbo: np.ndarray
    """Evidence lower bound, ``-(recon + kl)``: higher is more likely."""
    nll: Optional[np.ndarray]
    """Negative log-likelihood by importance samples, if they were asked for."""


def load(run: _PathLike, *, config: Optional[_PathLike] = None, backend: str = "auto") -> "Model":
    """Load a trained model.

    Parameters
    ----------
    run : path
        A run folder, or a ``.safetensors`` file of weights.
    config : path, optional
        TOML file with the settings of the model; by default the ``config.toml`` beside the weights.
    backend : str
        Where to compute: ``"auto"`` takes a hardware GPU if there is one, else the CPU; or
        ``"cpu"``, ``"wgpu"``, ``"vulkan"``, ``"metal"``, ``"dx12"``, ``"ndarray"``.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError
        If there is no run.
    ValueError
        If a file of it is damaged.
    RuntimeError
        If the device cannot be used.
    """
    return Model(run, config=config, backend=backend)


class Model:
    """A trained model at work; ``load`` makes one. It may be used by several threads.

    Attributes
    ----------
    path : pathlib.Path
        Where it was loaded from.
    device : str
        What it computes on.
    settings : dict
        All settings of its training, named as in ``config.toml``.
    latent : int
        Number of latent dimensions.
    sample_shape : tuple of int
        Shape of one sample: ``(columns,)``, ``(height, width)`` or ``(channels, height, width)``.
    classes : list of str
        Labels that a conditional model knows; else empty.
    """

    def __init__(
        self, run: _PathLike, *, config: Optional[_PathLike] = None, backend: str = "auto"
    ) -> None:
        self.path = Path(run)
        self._config, self._backend = config, backend
        config = None if config is None else os.fspath(config)
        self._native = _native.open_run(os.fspath(run), config, backend)
        self.device: str = self._native["device"]
        self.settings: dict[str, Any] = json.loads(self._native["recipe"])
        self.latent: int = self.settings["latent"]
        self.classes: list[str] = self.settings["classes"]
        image = self.settings["image"]
        # A row of a table is an image of height 1.
        is_table = len(image) == 2 and image[0] == 1
        self.sample_shape: tuple[int, ...] = tuple(image[1:] if is_table else image)

    def __repr__(self) -> str:
        return f"<vae_gpu.Model {str(self.path)!r}: {self.sample_shape} to {self.latent} latents>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reloaded, (str(self.path), self._config, self._backend)

    def encode(self, X: Any, y: Any = None) -> Posterior:
        """Encode samples.

        Parameters
        ----------
        X : array of shape (n, *sample_shape) or (n, values)
            Samples in units of the training data; bytes are taken as 255ths where these were bytes.
        y : array of shape (n,), optional
            Labels, for a conditional model.

        Returns
        -------
        Posterior
            ``mu`` and ``log_var``, ``[n, latent]`` of 32-bit floats.
        """
        given = self._samples(X, y)
        mu, log_var = self._native["encode"](given)
        shape = (len(given.values), self.latent)
        return Posterior(taken(mu, shape), taken(log_var, shape))

    def decode(self, z: Any, y: Any = None) -> np.ndarray:
        """Decode latents to the means of the likelihood.

        Parameters
        ----------
        z : array of shape (n, latent)
            Latents.
        y : label, or array of shape (n,), optional
            Labels to decode with; a conditional model needs them.

        Returns
        -------
        array of shape (n, *sample_shape)
            In units of the training data; where these were bytes, from 0 to 1. 32-bit floats.
        """
        z = self._latents(z)
        if self.classes and y is None:
            raise ValueError(
                "y: the model was trained with conditional=True and needs labels, of "
                + ", ".join(self.classes)
            )
        (values,) = self._native["decode"](z, label_names(y, len(z)))
        return self._shaped(values, len(z))

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """Encode samples and decode the means of their posteriors; see `encode` and `decode`."""
        return self.decode(self.encode(X, y).mu, y)

    def sample(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        truncation: Optional[float] = None,
        y: Any = None,
    ) -> np.ndarray:
        """Draw latents from the prior and decode them.

        Parameters
        ----------
        n : int
            Number of samples.
        seed : int
            Seed of the draws: the same seed gives the same samples.
        temperature : float
            Factor of the draws' standard deviation.
        truncation : float, optional
            Limit of the standard normals that are drawn.
        y : label, or array of shape (n,), optional
            Labels to decode with; a conditional model takes all in turn without them.

        Returns
        -------
        array of shape (n, *sample_shape)
            In units as of `decode`.
        """
        n, seed = _whole("n", n), _whole("seed", seed)
        for name, value in [("temperature", temperature), ("truncation", truncation)]:
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: expected a number above 0, found {value}")
        if n == 0:
            return np.empty((0, *self.sample_shape), np.float32)
        labels = label_names(y, n)
        _, values = self._native["sample"](n, seed, temperature, truncation, labels)
        return self._shaped(values, n)

    def score(self, X: Any, y: Any = None, *, importance_samples: Optional[int] = None) -> Scores:
        """Score samples, as the command ``vae-gpu score`` does.

        Parameters
        ----------
        X, y
            As of `encode`.
        importance_samples : int, optional
            Also estimate each log-likelihood with so many draws.

        Returns
        -------
        Scores
            In nats, ``[n]`` of 64-bit floats. The draw of a sample depends on the seed of the run and
            on its place in ``X``.
        """
        if importance_samples is not None:
            importance_samples = _whole("importance_samples", importance_samples, least=1)
        given = self._samples(X, y)
        count = (len(given.values),)
        recon, kl, nll = self._native["score"](given, importance_samples)
        recon, kl = taken(recon, count, "<f8"), taken(kl, count, "<f8")
        nll = taken(nll, count, "<f8") if importance_samples else None
        return Scores(recon, kl, -(recon + kl), nll)

    def _samples(self, X: Any, y: Any) -> Samples:
        size = None
        if len(self.sample_shape) > 1 and np.ndim(X) == 2:
            size = self.sample_shape[-2:]
        layout = self.settings.get("layout")
        return samples(X, y if self.classes else None, size=size, layout=layout)

    def _latents(self, z: Any) -> np.ndarray:
        z = np.ascontiguousarray(numbers(z, "z"), dtype="<f4")
        if z.shape != (len(z), self.latent):
            raise ValueError(
                f"z: expected an array of shape (n, {self.latent}), found one of {z.shape}"
            )
        if not np.isfinite(z).all():
            raise ValueError("z: expected finite numbers, found NaN or infinity")
        return z

    def _shaped(self, values: tuple[Any, int], count: int) -> np.ndarray:
        return taken(values, (count, *self.sample_shape))


def _reloaded(run: str, config: Optional[_PathLike], backend: str) -> Model:
    return Model(run, config=config, backend=backend)


def _whole(name: str, value: Any, least: int = 0) -> int:
    """Return ``value`` as a whole number of at least ``least``."""
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = None
    if whole is None or whole != value or whole < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, found {value!r}")
    return whole
