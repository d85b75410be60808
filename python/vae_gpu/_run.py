"""The folder of a fitted estimator's run, and its model."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from pathlib import Path
from shutil import rmtree
from typing import Any, Optional, Union

from ._model import Model

# What a copy of a run needs, to be used and to be looked at; not to be resumed.
_COPIED = ("config.toml", "model.safetensors", "manifest.json", "metrics.jsonl")


class Run:
    """A run folder: the user's, or a private one that goes when this does.

    A pickle of it holds the files that using the model takes, so that it can be loaded elsewhere.
    """

    def __init__(
        self, out: Optional[Union[str, "os.PathLike[str]"]] = None, backend: str = "auto"
    ) -> None:
        self.backend = backend
        self._model: Optional[Model] = None
        if out is None:
            self.path = _private_folder(self)
        else:
            self.path = Path(out)

    @property
    def model(self) -> Model:
        """The model with the weights of the best epoch, loaded when it is first asked for."""
        if self._model is None:
            self._model = Model(self.path, backend=self.backend)
        return self._model

    def forget_model(self) -> None:
        """Load the model anew when it is next asked for."""
        self._model = None

    @property
    def is_there(self) -> bool:
        """Whether the folder is a run already, which can be loaded and resumed."""
        return (self.path / "config.toml").exists()

    @property
    def has_state(self) -> bool:
        """Whether it can be resumed."""
        return (self.path / "state.safetensors").exists()

    def epochs(self) -> list[dict[str, Any]]:
        """Return the reports of all epochs."""
        lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if entry["kind"] == "epoch"]

    def __getstate__(self) -> dict[str, Any]:
        files = {name: self.path / name for name in _COPIED}
        return {
            "backend": self.backend,
            "files": {name: path.read_bytes() for name, path in files.items() if path.exists()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.backend, self._model = state["backend"], None
        self.path = _private_folder(self)
        for name, content in state["files"].items():
            (self.path / name).write_bytes(content)


def _private_folder(owner: Run) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vae-gpu-"))
    weakref.finalize(owner, _remove, folder, os.getpid())
    return folder


def _remove(folder: Path, process: int) -> None:
    # A forked child ends with copies of its parent's objects.
    if os.getpid() == process:
        rmtree(folder, ignore_errors=True)
