"""The data sets of the embedded tasks: MNIST from its official files, MNIST-1D generated in place."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eafo.errors import DataError
from eafo.tasks.idx import read_bytes, read_idx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DataSet", "check_mnist", "load_mnist", "make_mnist1d"]


@dataclass(frozen=True)
class DataSet:
    """Inputs and labels, split as published.

    Args:
        train_inputs: float32, (N, features).
        train_labels: int64, (N,), 0 to 9.
        test_inputs: float32, (M, features).
        test_labels: int64, (M,), 0 to 9.
    """

    train_inputs: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_inputs: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _File:
    name: str
    shape: tuple[int, ...]
    md5: str
    zipped_md5: str


_TRAIN_IMAGES = _File(
    "train-images-idx3-ubyte",
    (60000, 28, 28),
    "6bbc9ace898e44ae57da46a324031adb",
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
)
_TRAIN_LABELS = _File(
    "train-labels-idx1-ubyte",
    (60000,),
    "a25bea736e30d166cdddb491f175f624",
    "d53e105ee54ea40749a09fcbcd1e9432",
)
_TEST_IMAGES = _File(
    "t10k-images-idx3-ubyte",
    (10000, 28, 28),
    "2646ac647ad5339dbf082846283269ea",
    "9fb629c4189551a2d022fa330f9573f3",
)
_TEST_LABELS = _File(
    "t10k-labels-idx1-ubyte", (10000,), "27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"
)
_FILES = (_TRAIN_IMAGES, _TRAIN_LABELS, _TEST_IMAGES, _TEST_LABELS)
# The first is the mirror that torchvision reads; LeCun's own page no longer hands the files out.
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


# -- MNIST -----------------------------------------------------------------------------------------------------


def _locate(file: _File) -> Path:
    """Where a file lies: under EAFO_DATA where that is set, else in the user's cache, fetched if need be."""
    root = os.environ.get("EAFO_DATA")
    if not root:
        return _fetch(file)
    folder = Path(root) / "mnist"
    for name in (file.name, f"{file.name}.gz"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"MNIST must lie under EAFO_DATA, but {folder / file.name}[.gz] is missing",
        remedy="put the four official files there, or unset EAFO_DATA to have them fetched",
    )


def _fetch(file: _File) -> Path:
    import platformdirs  # noqa: PLC0415 - these two only where a file is fetched
    import pooch  # noqa: PLC0415

    pooch.get_logger().setLevel(logging.ERROR)
    folder = platformdirs.user_cache_path("eafo") / "data" / "mnist"
    reason = ""
    for mirror in _MIRRORS:
        try:
            found = pooch.retrieve(
                f"{mirror}{file.name}.gz", f"md5:{file.zipped_md5}", fname=f"{file.name}.gz", path=folder
            )
            return Path(found)
        except (OSError, ValueError) as error:  # no network, no space; or a hash that does not match
            reason = f"{type(error).__name__}: {error}"[:160]
    raise DataError(
        f"MNIST must be fetched once, but {file.name}.gz could not be ({reason})",
        remedy="put the four official files into a folder DIR/mnist and set EAFO_DATA=DIR",
    )


def _read(file: _File) -> npt.NDArray[np.uint8]:
    path = _locate(file)
    content = read_bytes(path)
    values = read_idx(content, str(path), len(file.shape))
    if values.shape != file.shape:
        raise DataError(f"{path} must have the shape {file.shape}", values.shape, "fetch the official file")
    if values.ndim == 1 and values.max() > 9:
        raise DataError(
            f"the labels in {path} must lie between 0 and 9", int(values.max()), "fetch the official file"
        )
    if (md5 := hashlib.md5(content, usedforsecurity=False).hexdigest()) != file.md5:
        raise DataError(f"{path} must be MNIST's official file, of md5 {file.md5}", md5, "fetch it anew")
    return values


def check_mnist() -> None:
    """Check that the four official files of MNIST are there and whole; fetch them where they may be fetched.

    Raises:
        DataError: a file is missing, cannot be fetched, or is not the official one.
    """
    for file in _FILES:
        _read(file)


@functools.cache
def load_mnist() -> DataSet:
    """MNIST (LeCun, Cortes, Burges): 60,000 and 10,000 images of 784 pixels, scaled to [−1, 1].

    The four official IDX files are read from ``$EAFO_DATA/mnist/`` where EAFO_DATA is set, else from the user's cache,
    where they are fetched once and checked against their known hash. Read once per process.

    Raises:
        DataError: a file is missing, cannot be fetched, or is not the official one.
    """

    def pixels(file: _File) -> npt.NDArray[np.float32]:
        images = _read(file).reshape(file.shape[0], -1)
        return images.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def labels(file: _File) -> npt.NDArray[np.int64]:
        return _read(file).astype(np.int64)

    return DataSet(pixels(_TRAIN_IMAGES), labels(_TRAIN_LABELS), pixels(_TEST_IMAGES), labels(_TEST_LABELS))


# -- MNIST-1D --------------------------------------------------------------------------------------------------


@contextmanager
def _global_generators_kept() -> Iterator[None]:
    """Python's and NumPy's global generators, put back as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@functools.cache
def make_mnist1d() -> DataSet:
    """MNIST-1D (Greydanus, Kobak, Scaling down deep learning with MNIST-1D, 2024): 4,000 and 1,000 signals of length 40.

    Generated by the `mnist1d` package with its default arguments (seed 42); nothing is downloaded or written. Generated
    once per process, in a second or two.
    """
    from mnist1d.data import make_dataset  # noqa: PLC0415 - loads matplotlib

    with _global_generators_kept():
        made = make_dataset()
    return DataSet(
        made["x"].astype(np.float32),
        made["y"].astype(np.int64),
        made["x_test"].astype(np.float32),
        made["y_test"].astype(np.int64),
    )
