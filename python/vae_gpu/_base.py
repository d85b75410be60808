"""The bases of an estimator: scikit-learn's where it is installed, else as much of them as is needed."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from ._arrays import column_names, numbers

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.exceptions import NotFittedError

    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before 1.6

        def validate_data(estimator: Any, X: Any, **options: Any) -> np.ndarray:
            """Check ``X`` as the estimator's own method did."""
            return estimator._validate_data(X, **options)

    HAS_SKLEARN = True

except ImportError:
    HAS_SKLEARN = False

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """An estimator that was not fitted was used."""

    class BaseEstimator:  # type: ignore[no-redef]
        """Parameters by name, as scikit-learn has them."""

        @classmethod
        def _get_param_names(cls) -> list[str]:
            names = inspect.signature(cls.__init__).parameters
            return sorted(name for name in names if name != "self")

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters by name."""
            return {name: getattr(self, name) for name in self._get_param_names()}

        def set_params(self, **params: Any) -> "BaseEstimator":
            """Set some parameters."""
            known = self._get_param_names()
            for name, value in params.items():
                if name not in known:
                    raise ValueError(f"Invalid parameter {name!r}. Valid parameters are: {known}.")
                setattr(self, name, value)
            return self

        def __repr__(self) -> str:
            defaults = inspect.signature(type(self).__init__).parameters
            set_ = [
                f"{name}={value!r}"
                for name, value in self.get_params().items()
                if value is not defaults[name].default
            ]
            return f"{type(self).__name__}({', '.join(set_)})"

    class TransformerMixin:  # type: ignore[no-redef]
        """Fit and transform in one call."""

        def fit_transform(self, X: Any, y: Any = None, **params: Any) -> np.ndarray:
            """Fit to ``X`` and transform it."""
            return self.fit(X, y, **params).transform(X)  # type: ignore[attr-defined]

    class ClassNamePrefixFeaturesOutMixin:  # type: ignore[no-redef]
        """Names of the features that come out."""

        def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
            """Return ``vae0``, ``vae1``, .. ."""
            prefix = type(self).__name__.lower()
            names = [f"{prefix}{place}" for place in range(self._n_features_out)]  # type: ignore[attr-defined]
            return np.asarray(names, dtype=object)


def checked(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Return ``X`` as an array, and remember or compare its number of features and their names."""
    if not hasattr(X, "ndim"):
        X = np.asarray(X)
    if HAS_SKLEARN and X.ndim <= 2:
        return validate_data(estimator, X, reset=reset, dtype="numeric")
    values = numbers(X)
    features = int(np.prod(values.shape[1:]))
    if reset:
        estimator.n_features_in_ = features
        names = column_names(X)
        if names is not None:
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    return values
