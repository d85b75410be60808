"""A variational autoencoder in scikit-learn's manner."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any, Callable, Optional, Sequence, Union

import numpy as np

from . import _native
from ._arrays import Samples, column_names, samples
from ._base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    NotFittedError,
    TransformerMixin,
    checked,
)
from ._model import Model, Scores
from ._run import Run
from ._settings import as_json, refuse_unknown

_Sizes = Union[int, Sequence[int]]


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Variational autoencoder: `transform` gives the means of the posteriors.

    Every parameter but the last four is a setting of the command ``vae-gpu train``, whose help says
    more of it. What is ``None`` is as the preset says, else the default in brackets.

    Parameters
    ----------
    latent : int
        Number of latent dimensions [2].
    hidden : int or sequence of int
        Widths of the encoder's dense hidden layers [256].
    decoder_hidden : int or sequence of int
        Those of the decoder [those of the encoder, reversed].
    channels : int or sequence of int
        Output channels of convolutional stages, before the dense layers [none].
    kernel, stride, upsampling, group_norm, residual_blocks
        Of the convolutions [3, 2, ``"transposed"``, none, 0].
    activation : str
        ``"relu"``, ``"tanh"``, ``"sigmoid"``, ``"gelu"``, ``"leaky-relu"`` or ``"softplus"`` [relu].
    conditional : bool
        Whether encoder and decoder see the label ``y`` [false].
    init, output_bias : str
        Initial weights and bias of the output [``"glorot"``, ``"init"``].
    likelihood : str
        ``"auto"``: ``"bernoulli"`` of bytes and of values that are from 0 to 1 or scaled to it, else
        ``"gaussian"`` of standardized values. Or one of these, ``"continuous-bernoulli"``, ``"laplace"``,
        ``"discretized-logistic"``, ``"poisson"`` and ``"negative-binomial"``.
    sigma : float, "learned" or "per-dimension"
        Spread of the likelihood, in units of the scaled values [by likelihood].
    prior : str
        ``"normal"``, ``"mixture:N"`` or ``"vamp:N"`` [normal].
    scale : str
        ``"none"``, ``"bytes"``, ``"range"``, ``"min-max"`` or ``"standardize"`` [by the samples].
    size : (int, int)
        Height and width to shape flat rows into images [rows stay rows].
    layout : str
        ``"channels-first"`` or ``"channels-last"``, for images of four axes where that is not clear.
    binarize, corrupt : str
        Binarization of the pixels, corruption of the encoder's input [none, none].
    objective : str
        ``"elbo"``, ``"capacity"``, ``"beta-tcvae"``, ``"info-vae"``, ``"iwae"`` or ``"dreg"`` [elbo].
    beta : float
        Weight of the KL term [1].
    kl_schedule, kl, samples, free_bits, capacity, mmd_weight, mmd_kernel
        Of the objective [``"constant"``, by objective, by objective, none, 25, 100, ``"imq"``].
    optimizer : str
        ``"rmsprop"``, ``"adam"``, ``"adamw"``, ``"amsgrad"``, ``"adagrad"`` or ``"sgd"`` [rmsprop].
    lr : float
        Learning rate [0.001].
    lr_schedule, weight_decay, momentum, eps, clip_norm, clip_value, ema
        Of the optimizer [``"constant"``, by optimizer, 0.9 of SGD, by optimizer, none, none, none].
    batch_size, accumulate, pieces, epochs : int
        Samples in a batch, batches in a step, pieces that its gradients are added up in, epochs
        [100, 1, 1, 60].
    early_stopping : str
        ``"PATIENCE[:MIN_DELTA[:WARMUP]]"``, in epochs [never].
    best_by : str
        Metric that selects the best epoch, whose weights are used [``"validation.loss"``].
    val_fraction : float
        Fraction of the samples to hold out for validation [0.1].
    on_nan : str
        ``"stop"`` or ``"rollback"`` if a loss is not finite [stop].
    backend : str
        ``"auto"`` takes a hardware GPU if there is one, else the CPU; or ``"cpu"``, ``"wgpu"``,
        ``"vulkan"``, ``"metal"``, ``"dx12"``, ``"ndarray"``.
    engine : str
        ``"auto"``, ``"fused"`` or ``"burn"`` [auto].
    on_device_lost : str
        ``"stop"``, or ``"cpu"`` to go on there, if a GPU fails [stop].
    verify_every : int
        Compute the gradients of every so many steps on the CPU, too [never].
    checkpoint_steps, checkpoint_minutes, tensorboard
        Of the run folder [none, 5, false].
    seed : int
        Seed of the initial weights, the split, the shuffling and the noise.
    preset : str
        A published recipe: ``"article"``, ``"pytorch"``, ``"conv"`` or ``"iwae-k50"``.
    out : path
        Run folder to fill. Without it a private one is used, which goes with the estimator.
    pictures : bool
        Whether to draw pictures into the run folder at the end of training.
    verbose : int
        1 to print a line for each epoch.

    Attributes
    ----------
    run_ : str
        The run folder, which `load` and the command open.
    model_ : Model
        The model with the weights of the best epoch.
    losses_ : dict of arrays of shape (epochs,)
        ``"train"`` and ``"validation"``, with ``"recon"`` and ``"kl"`` of the latter: nats per sample.
    n_iter_ : int
        Number of epochs trained.
    n_features_in_ : int
        Number of values of a sample.
    feature_names_in_ : array of str
        Column names, if the samples were a data frame.
    sample_shape_ : tuple of int
        Shape of a sample, as it was given.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import vae_gpu
    >>> X = load_digits().images / 16
    >>> vae = vae_gpu.VAE(latent=10, epochs=20, backend="cpu").fit(X)
    >>> vae.transform(X).shape
    (1797, 10)
    """

    def __new__(cls, *args: Any, **params: Any) -> "VAE":
        """Refuse unknown parameters with a suggestion."""
        refuse_unknown(cls, params)
        return super().__new__(cls)

    def __init__(
        self,
        *,
        latent: Optional[int] = None,
        hidden: Optional[_Sizes] = None,
        decoder_hidden: Optional[_Sizes] = None,
        channels: Optional[_Sizes] = None,
        kernel: Optional[int] = None,
        stride: Optional[int] = None,
        upsampling: Optional[str] = None,
        group_norm: Optional[int] = None,
        residual_blocks: Optional[int] = None,
        activation: Optional[str] = None,
        conditional: Optional[bool] = None,
        init: Optional[str] = None,
        output_bias: Optional[str] = None,
        likelihood: str = "auto",
        sigma: Union[float, str, None] = None,
        prior: Optional[str] = None,
        scale: Optional[str] = None,
        size: Optional[tuple[int, int]] = None,
        layout: Optional[str] = None,
        binarize: Optional[str] = None,
        corrupt: Optional[str] = None,
        objective: Optional[str] = None,
        beta: Optional[float] = None,
        kl_schedule: Optional[str] = None,
        kl: Optional[str] = None,
        samples: Optional[int] = None,
        free_bits: Optional[str] = None,
        capacity: Optional[str] = None,
        mmd_weight: Optional[float] = None,
        mmd_kernel: Optional[str] = None,
        optimizer: Optional[str] = None,
        lr: Optional[float] = None,
        lr_schedule: Optional[str] = None,
        weight_decay: Optional[float] = None,
        momentum: Optional[float] = None,
        eps: Optional[float] = None,
        clip_norm: Optional[float] = None,
        clip_value: Optional[float] = None,
        ema: Optional[float] = None,
        batch_size: Optional[int] = None,
        accumulate: Optional[int] = None,
        pieces: Optional[int] = None,
        epochs: Optional[int] = None,
        early_stopping: Optional[str] = None,
        best_by: Optional[str] = None,
        val_fraction: Optional[float] = None,
        on_nan: Optional[str] = None,
        backend: str = "auto",
        engine: Optional[str] = None,
        checkpoint_steps: Optional[int] = None,
        checkpoint_minutes: Optional[float] = None,
        on_device_lost: Optional[str] = None,
        verify_every: Optional[int] = None,
        tensorboard: Optional[bool] = None,
        seed: int = 0,
        preset: Optional[str] = None,
        out: Union[str, "os.PathLike[str]", None] = None,
        pictures: bool = False,
        verbose: int = 0,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.decoder_hidden = decoder_hidden
        self.channels = channels
        self.kernel = kernel
        self.stride = stride
        self.upsampling = upsampling
        self.group_norm = group_norm
        self.residual_blocks = residual_blocks
        self.activation = activation
        self.conditional = conditional
        self.init = init
        self.output_bias = output_bias
        self.likelihood = likelihood
        self.sigma = sigma
        self.prior = prior
        self.scale = scale
        self.size = size
        self.layout = layout
        self.binarize = binarize
        self.corrupt = corrupt
        self.objective = objective
        self.beta = beta
        self.kl_schedule = kl_schedule
        self.kl = kl
        self.samples = samples
        self.free_bits = free_bits
        self.capacity = capacity
        self.mmd_weight = mmd_weight
        self.mmd_kernel = mmd_kernel
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.eps = eps
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.ema = ema
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.pieces = pieces
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.best_by = best_by
        self.val_fraction = val_fraction
        self.on_nan = on_nan
        self.backend = backend
        self.engine = engine
        self.checkpoint_steps = checkpoint_steps
        self.checkpoint_minutes = checkpoint_minutes
        self.on_device_lost = on_device_lost
        self.verify_every = verify_every
        self.tensorboard = tensorboard
        self.seed = seed
        self.preset = preset
        self.out = out
        self.pictures = pictures
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        on_epoch: Optional[Callable[[dict[str, Any]], None]] = None,
    ) -> "VAE":
        """Train on samples.

        Parameters
        ----------
        X : array of shape (n, values), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Samples. Bytes stay bytes; other numbers become 32-bit floats. Do not change the array
            while this works, which is on its memory and without Python's lock.
        y : array of shape (n,), optional
            Labels, whole numbers or text, for ``conditional=True``; ignored without.
        validation : array, or (array, labels), optional
            Samples to validate on, instead of a part of ``X``.
        on_epoch : function, optional
            Called after every epoch with its report, a dictionary as in ``metrics.jsonl``. An exception
            that it raises ends the training.

        Returns
        -------
        VAE
            This estimator.

        Raises
        ------
        ValueError
            If samples or settings cannot be; the words are the program's.
        KeyboardInterrupt
            On Ctrl-C, after the state was saved: `resume` goes on from there.
        FileExistsError
            If ``out`` holds a run already.
        """
        given = self._given(X, y, reset=True)
        run = Run(self.out, self.backend)
        self._train(run, given, validation, None, on_epoch)
        return self

    def resume(
        self,
        X: Any,
        y: Any = None,
        *,
        epochs: int = 0,
        validation: Any = None,
        on_epoch: Optional[Callable[[dict[str, Any]], None]] = None,
    ) -> "VAE":
        """Go on with an interrupted `fit`, or train a finished one longer.

        Parameters
        ----------
        X, y, validation, on_epoch
            As of `fit`; the samples have to be the same.
        epochs : int
            How many epochs to add to those that were asked for.

        Returns
        -------
        VAE
            This estimator.
        """
        run = self._fitted()
        if not run.has_state:
            raise FileNotFoundError(
                f"{run.path}: the state of training is missing; a copy of an estimator has what using "
                "the model takes, and is resumed where it was fitted, or fitted anew"
            )
        given = self._given(X, y, reset=False)
        self._train(run, given, validation, epochs, on_epoch)
        return self

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Encode samples to the means of their posteriors.

        Parameters
        ----------
        X : array
            Samples, shaped as those of `fit`.
        y : array of shape (n,), optional
            Labels, for a conditional model.

        Returns
        -------
        array of shape (n, latent)
            32-bit floats.
        """
        return self._use("encode", X, y)[0]

    def inverse_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Decode latents.

        Parameters
        ----------
        X : array of shape (n, latent)
            Latents.
        y : label, or array of shape (n,), optional
            Labels to decode with; a conditional model needs them.

        Returns
        -------
        array of shape (n, *sample_shape_)
            Means of the likelihood, 32-bit floats, in units and shape of the samples of `fit`.
        """
        return self._as_given(self._fitted().model.decode(X, y))

    def sample(
        self,
        n_samples: int = 1,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        truncation: Optional[float] = None,
        y: Any = None,
    ) -> np.ndarray:
        """Draw samples from the prior; see ``Model.sample``. In units and shape as of `fit`."""
        model = self._fitted().model
        options = {"seed": seed, "temperature": temperature, "truncation": truncation, "y": y}
        return self._as_given(model.sample(n_samples, **options))

    def score_samples(
        self, X: Any, y: Any = None, *, importance_samples: Optional[int] = None
    ) -> np.ndarray:
        """Return the ELBO of each sample, or an estimate of its log-likelihood: nats, ``[n]``.

        Parameters
        ----------
        X, y
            As of `transform`.
        importance_samples : int, optional
            Estimate log-likelihoods with so many draws.

        Returns
        -------
        array of shape (n,)
            Higher is more likely. It is of the scaled values, where they were scaled.
        """
        scores: Scores = self._use("score", X, y, importance_samples=importance_samples)
        return scores.elbo if scores.nll is None else -scores.nll

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean ELBO of samples in nats; see `score_samples`."""
        return float(np.mean(self.score_samples(X, y)))

    @property
    def run_(self) -> str:
        """The run folder."""
        return str(self._fitted().path)

    @property
    def model_(self) -> Model:
        """The model with the weights of the best epoch."""
        return self._fitted().model

    @property
    def _n_features_out(self) -> int:
        return self._fitted().model.latent

    def _fitted(self) -> Run:
        if not hasattr(self, "n_iter_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )
        return self._run

    def _given(self, X: Any, y: Any, *, reset: bool) -> Samples:
        columns = column_names(X)
        values = checked(self, X, reset=reset)
        size = tuple(self.size) if self.size is not None and values.ndim == 2 else None
        labels = y if self.conditional else None
        given = samples(values, labels, size=size, layout=self.layout, columns=columns)
        if reset:
            self.sample_shape_ = values.shape[1:]
            self._was_bytes = values.dtype == np.uint8
        return given

    def _use(self, function: str, X: Any, y: Any, **options: Any) -> Any:
        model = self._fitted().model
        # Their names were compared; the model takes the columns as they come.
        return getattr(model, function)(checked(self, X, reset=False), y, **options)

    def _as_given(self, values: np.ndarray) -> np.ndarray:
        shape = self.sample_shape_
        model = self._fitted().model
        if self._was_bytes and model.settings["scale"] == "bytes":
            values = values * np.float32(255)
        if values.ndim == 4 and len(shape) == 3 and values.shape[1:] != shape:
            values = np.moveaxis(values, 1, -1)
        return values.reshape(len(values), *shape)

    def _train(
        self,
        run: Run,
        given: Samples,
        validation: Any,
        resumed_by: Optional[int],
        on_epoch: Optional[Callable[[dict[str, Any]], None]],
    ) -> None:
        judged = None
        if validation is not None:
            X, y = validation if isinstance(validation, tuple) else (validation, None)
            size = self.size if np.ndim(X) == 2 else None
            labels = y if self.conditional else None
            judged = samples(X, labels, size=size, layout=self.layout, name="validation")
        settings, preset = as_json(self.get_params(deep=False), given)

        def listen(event: str) -> None:
            report = json.loads(event)
            if "epoch" in report:
                if self.verbose:
                    _print(report["epoch"])
                if on_epoch is not None:
                    on_epoch(report["epoch"])
            elif self.verbose and "notice" in report:
                print(report["notice"])

        was_there = run.is_there and resumed_by is None
        try:
            _native.train(
                given,
                judged,
                settings,
                preset,
                os.fspath(run.path),
                resumed_by,
                bool(self.pictures),
                listen if self.verbose or on_epoch else None,
            )
        except BaseException:
            # What was saved can be used and resumed.
            if run.is_there and not was_there:
                self._remember(run)
            raise
        self._remember(run)

    def _remember(self, run: Run) -> None:
        run.forget_model()
        self._run = run
        epochs = run.epochs()
        self.n_iter_ = len(epochs)
        validation = [epoch["validation"] for epoch in epochs]
        self.losses_ = {
            "train": np.array([epoch["train"]["loss"] for epoch in epochs]),
            "validation": np.array([losses["loss"] for losses in validation]),
            "recon": np.array([losses["recon"] for losses in validation]),
            "kl": np.array([losses["kl"] for losses in validation]),
        }

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _more_tags(self) -> dict[str, Any]:
        # The same for scikit-learn before 1.6.
        return {"X_types": ["2darray", "3darray"], "preserves_dtype": [np.float32]}


# What is seen of a class is its parameters, not those of `__new__`.
VAE.__new__.__signature__ = inspect.signature(VAE.__init__)  # type: ignore[attr-defined]


def _print(epoch: dict[str, Any]) -> None:
    validation = epoch["validation"]
    parts = f"recon {validation['recon']:.2f}, kl {validation['kl']:.2f}"
    best = "  best" if epoch["is_best"] else ""
    losses = f"train {epoch['train']['loss']:.2f}  validation {validation['loss']:.2f} ({parts})"
    print(f"epoch {epoch['epoch']:3}  {losses}{best}", flush=True)
