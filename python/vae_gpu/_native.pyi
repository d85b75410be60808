"""Types of the native half. It is private: its arguments are checked by the modules beside it."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, Union

__version__: str
SETTINGS: tuple[str, ...]

# array, (channels, height, width), whether its values were integers, labels, column names
Samples = tuple[
    Any, tuple[int, int, int], bool, Optional[Union[list[int], list[str]]], Optional[list[str]]
]

def run_command(arguments: Sequence[str], /) -> int: ...
def sample_shape(
    name: str,
    sizes: Sequence[int],
    size: Optional[Sequence[int]],
    layout: Optional[str],
    /,
) -> tuple[tuple[int, int, int], bool]: ...
def train(
    samples: Samples,
    validation: Optional[Samples],
    settings: str,
    preset: Optional[str],
    run: str,
    resumed_by: Optional[int],
    has_pictures: bool,
    on_event: Optional[Callable[[str], None]],
    /,
) -> None: ...
def open_run(run: str, config: Optional[str], backend: str, /) -> dict[str, Any]: ...
