"""Samples: from an array, a file or a stream, checked at the border, in bounded memory, with their atoms set apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eafo.errors import InputError
from eafo.laws.numeric import Array

__all__ = ["FEWEST", "Sample", "SampleLike", "is_file_name", "read"]

#: Fewer distinct values than these say too little about a density.
FEWEST = 20
#: Values that are kept of a longer stream, drawn uniformly (Vitter 1985, algorithm R, a block at a time).
_MOST_KEPT = 100_000
_BLOCK = 65_536
#: Squares of larger values leave double precision.
_LARGEST = 1e100
#: A value is an atom where it holds this share of the sample, …
_ATOM_SHARE = 0.01
#: … at least so many values, and so many times as many as a typical value of a rounded sample.
_ATOM_COUNT, _ATOM_FACTOR = 3, 10
_SUFFIXES = (".npy", ".csv", ".txt")

#: An array or a list of numbers, the path of a file, or an iterable of arrays.
SampleLike = Any


@dataclass(frozen=True, eq=False)
class Sample:
    """What is kept of a sample.

    Args:
        values: the values outside the atoms, sorted; a uniform choice of 100,000 where there are more. Those that were rounded
            to the same number stand evenly in the interval that is rounded to it.
        distinct: how many of them differed.
        count: of all values.
        minimum: of all values.
        maximum: of all values.
        mean: of all values.
        deviation: the standard deviation of all values.
        atoms: values that hold a mass of their own, each with its share of the sample.
    """

    values: Array
    distinct: int
    count: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    atoms: tuple[tuple[float, float], ...]


def is_file_name(text: str, *, look: bool = True) -> bool:
    """Whether a text names a file of samples: by its suffix, or, where one may `look`, since there is such a file."""
    if text.strip().lower().endswith(_SUFFIXES):
        return True
    try:
        return look and Path(text).is_file()
    except (OSError, ValueError):
        return False


def read(source: SampleLike) -> Sample:
    """Read a sample in one pass and bounded memory.

    Raises:
        InputError: no file, no numbers, NaN or infinite values, a constant sample, too few distinct values.

    >>> read(np.linspace(0.0, 1.0, 101)).count
    101
    """
    reservoir = _Reservoir()
    for block in _blocks(source):
        reservoir.add(block)
    return reservoir.finished()


class _Reservoir:
    """A uniform choice of a stream, beside its exact count, extremes and moments."""

    def __init__(self) -> None:
        self.kept = np.empty(0)
        self.count = 0
        self.minimum, self.maximum = np.inf, -np.inf
        self.mean = self.squares = 0.0
        self.random = np.random.default_rng(0)

    def add(self, block: Array) -> None:
        """Take in a block of values."""
        if not np.isfinite(block).all():
            at = int(np.flatnonzero(~np.isfinite(block))[0])
            raise InputError("a sample must be finite numbers", f"{block[at]} at position {self.count + at}")
        size = block.size
        if not size:
            return
        if not np.abs(block).max() < _LARGEST:
            raise InputError(
                f"a sample's values must be below {_LARGEST:g} in size",
                float(np.abs(block).max()),
                "rescale it",
            )
        free = min(size, max(0, _MOST_KEPT - self.count))
        self.kept = np.concatenate([self.kept, block[:free]])
        # The value number n replaces one that is kept with probability kept/n, each place alike.
        places = self.random.integers(0, np.arange(self.count + free + 1, self.count + size + 1))
        chosen = places < _MOST_KEPT
        self.kept[places[chosen]] = block[free:][chosen]
        # Chan, Golub & LeVeque 1983: moments of two parts joined.
        mean, total = float(block.mean()), self.count + size
        self.squares += (
            float(((block - mean) ** 2).sum()) + (mean - self.mean) ** 2 * self.count * size / total
        )
        self.mean += (mean - self.mean) * size / total
        self.count = total
        self.minimum = min(self.minimum, float(block.min()))
        self.maximum = max(self.maximum, float(block.max()))

    def finished(self) -> Sample:
        """The sample, its atoms set apart."""
        if not self.count:
            raise InputError(
                "a sample must hold values", "none", "give an array, a file or a stream of arrays"
            )
        if self.minimum == self.maximum:
            raise InputError("a sample must not be constant", f"{self.count} times {self.minimum:g}")
        values, counts = np.unique(self.kept, return_counts=True)
        least = max(_ATOM_COUNT, _ATOM_SHARE * self.kept.size, _ATOM_FACTOR * float(np.median(counts) - 1))
        heavy = counts >= least
        atoms = tuple(
            (float(v), float(c / self.kept.size)) for v, c in zip(values[heavy], counts[heavy], strict=True)
        )
        rest = _spread(values[~heavy], counts[~heavy])
        if (~heavy).sum() < FEWEST:
            told = f"{int((~heavy).sum())} distinct values"
            told += f" beside {len(atoms)} that repeat" if atoms else ""
            raise InputError(
                f"a sample must hold at least {FEWEST} distinct values", told, "record more of them"
            )
        return Sample(
            rest,
            int((~heavy).sum()),
            self.count,
            self.minimum,
            self.maximum,
            self.mean,
            float(np.sqrt(self.squares / self.count)),
            atoms,
        )


def _spread(values: Array, counts: npt.NDArray[np.intp]) -> Array:
    """Each value as often as counted, those of one number spread evenly over the half gaps on its two sides."""
    gaps = np.diff(values)
    left, right = np.append(gaps[0], gaps) / 2, np.append(gaps, gaps[-1]) / 2
    # A gap in the data is no rounding: a cell is as wide on both sides as on its narrower one.
    half = np.repeat(np.minimum(left, right), counts)
    total = np.repeat(counts, counts)
    place = np.arange(total.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(values, counts) + half * ((2 * place + 1) / total - 1))


def _blocks(source: SampleLike) -> Iterator[Array]:
    if isinstance(source, (str, os.PathLike)):
        yield from _file(Path(source))
    elif (
        hasattr(source, "__array__")
        or np.isscalar(source)
        or (isinstance(source, (list, tuple)) and all(np.isscalar(v) for v in source))
    ):
        yield from _cut(_real(source))
    elif isinstance(source, Iterable):
        for part in source:
            yield from _cut(_real(part))
    else:
        raise InputError("a sample must be an array, the path of a file or an iterable of arrays", source)


def _cut(values: Array) -> Iterator[Array]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield np.asarray(flat[start : start + _BLOCK], np.float64)


def _real(values: Any) -> Any:
    """An array of real numbers, not copied where it is one already."""
    try:
        # What a mask hides is no value of the sample.
        array = np.ma.compressed(values) if np.ma.isMaskedArray(values) else _array(values)
        real = array.dtype.kind in "fiu" or array.size == 0
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("a sample must be real numbers", values) from error
    if not real:
        raise InputError("a sample must be real numbers", f"values of type {array.dtype}")
    return array


def _array(values: Any) -> npt.NDArray[Any]:
    """An array; of a tensor that has a gradient, lies on another device, or is of a type that NumPy has not, its numbers."""
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError):
        if not hasattr(values, "detach"):
            raise
        plain = values.detach().cpu()
        return np.asarray(plain if plain.is_complex() else plain.double())


def _file(path: Path) -> Iterator[Array]:
    remedy = "a sample's file is .npy, or .csv or .txt with numbers alone"
    if not path.exists():
        raise InputError("a sample's file must exist", str(path), remedy)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no plain file"
        raise InputError("a sample must be read from a plain file", f"{path}, which is {kind}", remedy)
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"a sample's file must end in {', '.join(_SUFFIXES)}", str(path))
    try:
        if path.suffix.lower() == ".npy":
            # Never a pickle: it would run what is in it. Mapped, so that a large file needs no memory.
            yield from _cut(_real(np.load(path, allow_pickle=False, mmap_mode="r")))
        else:
            yield from _text(path)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError("a sample's file must be readable", str(path), remedy) from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError("a sample's file must hold plain numbers", str(path), remedy) from error


def _text(path: Path) -> Iterator[Array]:
    numbers: list[float] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            for word in filter(None, re.split(r"[\s,;]+", line)):
                try:
                    numbers.append(float(word))
                except ValueError as error:
                    raise InputError(
                        "a sample's file must hold numbers alone",
                        f"'{word[:40]}' in line {number} of {path.name}",
                    ) from error
            if len(numbers) >= _BLOCK:
                yield np.array(numbers)
                numbers = []
    yield np.array(numbers)
