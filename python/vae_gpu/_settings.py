"""The settings of training, as the estimator passes them on."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from typing import Any, Optional

import numpy as np

from ._arrays import Samples

# Parameters of the estimator that are no settings of the command.
OWN = ("preset", "out", "pictures", "verbose")

# Settings that are lists, of which a single number may be given, and text that may be a number alone.
_LISTS = {"hidden", "decoder_hidden", "channels"}
_TEXTS = {"free_bits", "capacity", "early_stopping"}
# Scalings to 0..1.
_UNIT = {"bytes", "min-max", "range"}


def refuse_unknown(cls: type, names: dict[str, Any]) -> None:
    """Raise a ``TypeError`` that names what an unknown parameter may have been meant to be."""
    known = list(inspect.signature(cls.__init__).parameters)[1:]  # type: ignore[misc]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; expected one of {known}"
            raise TypeError(f"{cls.__name__}: there is no setting {name!r}{hint}")


def as_json(params: dict[str, Any], X: Samples) -> tuple[str, Optional[str]]:
    """Return the settings that are set as a JSON object, and the name of the preset.

    The likelihood ``"auto"`` is chosen by the samples: ``bernoulli`` of bytes and of values that are from
    0 to 1 or scaled to it, else ``gaussian`` of standardized values.
    """
    params = dict(params)
    preset = params.pop("preset")
    for name in OWN[1:]:
        del params[name]
    if params["likelihood"] == "auto":
        params["likelihood"] = None
        if preset is None and params["scale"] not in _UNIT and not _is_unit(X):
            params["likelihood"] = "gaussian"
            if params["scale"] is None:
                params["scale"] = "standardize"
    settings = {name: value for name, value in params.items() if value is not None}
    for name in _LISTS & settings.keys():
        if isinstance(settings[name], (int, np.integer)):
            settings[name] = [int(settings[name])]
    for name in _TEXTS & settings.keys():
        settings[name] = str(settings[name])
    return json.dumps(settings, default=_plain), preset


def _is_unit(X: Samples) -> bool:
    if X.values.dtype == np.uint8:
        return True
    low, high = X.values.min(), X.values.max()
    # Whole numbers of 0 to 255 in images are bytes, which the program finds out.
    is_image = X.shape[0] * X.shape[1] > 1
    return bool(low >= 0 and high <= (255 if X.is_integer and is_image else 1))


def _plain(value: Any) -> Any:
    """Return a value of a setting that JSON does not know as one that it knows."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"expected text, numbers or lists as settings, found {value!r}")
