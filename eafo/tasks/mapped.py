"""Arrays that all processes of a machine share: converted once, kept as files, mapped into memory."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from eafo.errors import BuildError
from eafo.kernels import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["mapped"]


def mapped(
    key: str, names: tuple[str, ...], make: Callable[[], Mapping[str, npt.NDArray[np.generic]]]
) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of a key, mapped from files of the user's cache; what is written into them stays with the process.

    Args:
        key: everything that the arrays are made of.
        names: of the arrays.
        make: makes them; called where a file is missing or damaged. What it raises is passed on.

    Returns:
        The arrays by name; as they were made, where there is no cache that can be trusted and written.
    """
    made: Mapping[str, npt.NDArray[np.generic]] = {}

    def write(name: str, path: Path) -> None:
        nonlocal made
        made = made or make()
        with path.open("wb") as file:
            np.save(file, made[name], allow_pickle=False)

    found = {}
    for name in names:
        try:
            path = build.cached(f"{key} {name}", ".npy", functools.partial(write, name))
        except BuildError:
            made = made or make()
            return dict(made)
        # "c": torch takes no array that it must not write into.
        found[name] = np.load(path, mmap_mode="c", allow_pickle=False)
    return found
