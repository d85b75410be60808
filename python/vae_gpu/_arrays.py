"""What users give as samples and labels, made into what the native half takes, and back."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Sequence, Union

import numpy as np

from . import _native

# Whole numbers beyond this are not told apart by 32-bit floats.
_LARGEST_INTEGER = 2**24


class Samples(NamedTuple):
    """Samples as the native half takes them; see ``_native.pyi``."""

    values: np.ndarray
    shape: tuple[int, int, int]
    is_integer: bool
    labels: Optional[Union[list[int], list[str]]]
    columns: Optional[list[str]]


def samples(
    X: Any,
    y: Any = None,
    *,
    size: Optional[Sequence[int]] = None,
    layout: Optional[str] = None,
    columns: Optional[list[str]] = None,
    name: str = "X",
) -> Samples:
    """Return ``X`` with the labels ``y``: contiguous bytes or 32-bit floats, channels first.

    Bytes and contiguous 32-bit floats with channels first are not copied.
    """
    if columns is None:
        columns = column_names(X)
    values = numbers(X, name)
    shape, is_last = _native.sample_shape(name, values.shape, size, layout)
    if is_last:
        values = np.moveaxis(values, -1, 1)
    is_integer = values.dtype.kind in "iub"
    if values.dtype != np.uint8:
        values = _floats(values, is_integer, name)
    labels = None if y is None else class_labels(y, len(values))
    is_table = shape[0] == shape[1] == 1
    return Samples(
        np.ascontiguousarray(values), shape, is_integer, labels, columns if is_table else None
    )


def numbers(X: Any, name: str = "X") -> np.ndarray:
    """Return ``X`` as an array of real numbers with at least two axes and no empty one."""
    if hasattr(X, "toarray"):
        raise TypeError(f"{name}: expected a dense array, found a sparse one; use {name}.toarray()")
    values = np.asarray(X)
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: expected numbers: {error}") from None
    if values.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected numbers, found elements of type {values.dtype}")
    if values.ndim < 2:
        raise ValueError(
            f"{name}: expected [samples, values] or images, found an array of shape {values.shape}. "
            f"Reshape your data: {name}.reshape(-1, 1) if it has one column, "
            f"{name}.reshape(1, -1) if it is one sample"
        )
    if len(values) == 0:
        raise ValueError(f"{name}: Found array with 0 sample(s) (shape={values.shape})")
    if values.size == 0:
        raise ValueError(
            f"{name}: Found array with 0 feature(s) (shape={values.shape}) while a minimum of 1 is "
            "required."
        )
    return values


def _floats(values: np.ndarray, is_integer: bool, name: str) -> np.ndarray:
    if is_integer and values.dtype.itemsize > 2:
        largest = max(abs(int(values.min())), abs(int(values.max())))
        if largest > _LARGEST_INTEGER:
            raise ValueError(
                f"{name}: expected integers that 32-bit floats hold exactly, up to "
                f"{_LARGEST_INTEGER} (2^24), or floats ({name}.astype('float32') rounds them), "
                f"found {largest}"
            )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype="<f4")


def column_names(X: Any) -> Optional[list[str]]:
    """Return the column names of a data frame, if all are text."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def class_labels(y: Any, count: int) -> Union[list[int], list[str]]:
    """Return one label for each of ``count`` samples: whole numbers or text."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise ValueError(
            f"y: expected one label for each of {count} samples, found an array of shape "
            f"{labels.shape}"
        )
    if labels.dtype.kind == "f":
        whole = labels.astype(np.int64, copy=True) if np.isfinite(labels).all() else None
        if whole is None or (whole != labels).any():
            raise ValueError("y: expected classes, whole numbers or text, found fractions or NaN")
        labels = whole
    if labels.dtype.kind in "biu":
        return [int(label) for label in labels]
    return [str(label) for label in labels]


def label_names(y: Any, count: int) -> list[str]:
    """Return the names of one label, or of one for each of ``count`` latents."""
    if y is None:
        return []
    if np.ndim(y) == 0:
        y = np.full(count, y)
    return [str(label) for label in class_labels(y, count)]


class _Memory:
    """Memory that the native half gave away, for NumPy."""

    def __init__(self, owned: tuple[Any, int], shape: tuple[int, ...], typestr: str) -> None:
        self._owner, address = owned
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": typestr,
            "data": (address, False),
        }


def taken(owned: tuple[Any, int], shape: tuple[int, ...], typestr: str = "<f4") -> np.ndarray:
    """Return what the native half gave away as an array, without copying it."""
    if 0 in shape:
        return np.empty(shape, typestr)
    return np.asarray(_Memory(owned, shape, typestr))
