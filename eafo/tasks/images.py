"""MNIST and Fashion-MNIST from their official IDX files."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eafo.errors import DataError
from eafo.tasks.data import DataSet
from eafo.tasks.idx import read_bytes, read_idx
from eafo.tasks.mapped import mapped

__all__ = ["FASHION_MNIST", "MNIST", "ImageSet", "check_mnist", "load_mnist"]


@dataclass(frozen=True)
class _File:
    name: str
    shape: tuple[int, ...]
    md5: str
    zipped_md5: str


@dataclass(frozen=True)
class ImageSet:
    """60,000 and 10,000 images of 28 by 28 pixels in ten classes, in four IDX files.

    Args:
        name: as people call it.
        folder: under EAFO_DATA and in the cache.
        files: training images and labels, test images and labels; each with the hashes of its content and as published.
        mirrors: where they are fetched from, the first that answers.
        installed: where a system's package puts them.
    """

    name: str
    folder: str
    files: tuple[_File, _File, _File, _File]
    mirrors: tuple[str, ...]
    installed: str | None = None

    def check(self) -> None:
        """Check that the four files are there and whole; fetch them where they may be fetched.

        Raises:
            DataError: a file is missing, cannot be fetched, or is not the official one.
        """
        for file in self.files:
            self._read(file)

    @functools.cache  # noqa: B019 - the two sets live as long as the process
    def load(self) -> DataSet:
        """The images as 784 pixels scaled to [−1, 1], converted once a machine and mapped into the memory of each process.

        The files are read from ``$EAFO_DATA/FOLDER/`` where EAFO_DATA is set and has it, else from where a package put
        them, else from the user's cache, where they are fetched once and checked against their known hash.

        Raises:
            DataError: as `check`.
        """
        for file in self.files:
            self._locate(file)
        key = " ".join((self.name, "scaled to [-1, 1]", *(file.md5 for file in self.files)))
        found: dict[str, npt.NDArray[Any]] = mapped(
            key, tuple(f.name for f in fields(DataSet)), self._converted
        )
        return DataSet(**found)

    def _converted(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the data set, from the official files."""
        images, labels, test_images, test_labels = map(self._read, self.files)
        return {
            "train_inputs": _scaled(images),
            "train_labels": labels.astype(np.int64),
            "test_inputs": _scaled(test_images),
            "test_labels": test_labels.astype(np.int64),
        }

    def _read(self, file: _File) -> npt.NDArray[np.uint8]:
        path = self._locate(file)
        content = read_bytes(path)
        values = read_idx(content, str(path), len(file.shape))
        if values.shape != file.shape:
            raise DataError(
                f"{path} must have the shape {file.shape}", values.shape, "fetch the official file"
            )
        if values.ndim == 1 and values.max() > 9:
            raise DataError(
                f"the labels in {path} must lie between 0 and 9", int(values.max()), "fetch the official file"
            )
        if (md5 := hashlib.md5(content, usedforsecurity=False).hexdigest()) != file.md5:
            raise DataError(
                f"{path} must be {self.name}'s official file, of md5 {file.md5}", md5, "fetch it anew"
            )
        return values

    def _locate(self, file: _File) -> Path:
        """Where a file lies: under EAFO_DATA, installed, or in the user's cache, fetched if need be."""
        root = os.environ.get("EAFO_DATA")
        folders = [Path(root) / self.folder] if root else []
        if self.installed is not None:
            folders.append(Path(self.installed))
        for folder in folders:
            for name in (file.name, f"{file.name}.gz"):
                if (folder / name).is_file():
                    return folder / name
        if root:
            raise DataError(
                f"{self.name} must lie under EAFO_DATA, but {folders[0] / file.name}[.gz] is missing",
                remedy="put the four official files there, or unset EAFO_DATA to have them fetched",
            )
        return self._fetch(file)

    def _fetch(self, file: _File) -> Path:
        import platformdirs  # noqa: PLC0415 - these two only where a file is fetched
        import pooch  # noqa: PLC0415

        pooch.get_logger().setLevel(logging.ERROR)
        folder = platformdirs.user_cache_path("eafo") / "data" / self.folder
        reason = ""
        for mirror in self.mirrors:
            try:
                found = pooch.retrieve(
                    f"{mirror}{file.name}.gz", f"md5:{file.zipped_md5}", fname=f"{file.name}.gz", path=folder
                )
                return Path(found)
            except (OSError, ValueError) as error:  # no network, no space; or a hash that does not match
                reason = f"{type(error).__name__}: {error}"[:160]
        raise DataError(
            f"{self.name} must be fetched once, but {file.name}.gz could not be ({reason})",
            remedy=f"put the four official files into a folder DIR/{self.folder} and set EAFO_DATA=DIR",
        )


def _scaled(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - np.float32(1)


def _files(*hashes: tuple[str, str]) -> tuple[_File, _File, _File, _File]:
    """The four files of a set, by the hashes of their contents and of the published files."""
    names = (
        ("train-images-idx3-ubyte", (60000, 28, 28)),
        ("train-labels-idx1-ubyte", (60000,)),
        ("t10k-images-idx3-ubyte", (10000, 28, 28)),
        ("t10k-labels-idx1-ubyte", (10000,)),
    )
    one, two, three, four = (_File(*n, *h) for n, h in zip(names, hashes, strict=True))
    return one, two, three, four


#: LeCun, Cortes, Burges, The MNIST database of handwritten digits.
MNIST = ImageSet(
    "MNIST",
    "mnist",
    _files(
        ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
        ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
    # The first is the mirror that torchvision reads; LeCun's own page no longer hands the files out.
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
#: Xiao, Rasul, Vollgraf, Fashion-MNIST, 2017 (arXiv 1708.07747); Debian has it as the package dataset-fashion-mnist.
FASHION_MNIST = ImageSet(
    "Fashion-MNIST",
    "fashion-mnist",
    _files(
        ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
        ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
        ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "/usr/share/datasets/fashion-mnist",
)


def check_mnist() -> None:
    """Check that the four official files of MNIST are there and whole; fetch them where they may be fetched.

    Raises:
        DataError: a file is missing, cannot be fetched, or is not the official one.
    """
    MNIST.check()


def load_mnist() -> DataSet:
    """MNIST: 60,000 and 10,000 images of 784 pixels, scaled to [−1, 1]; see `ImageSet.load`.

    Raises:
        DataError: as `check_mnist`.
    """
    return MNIST.load()
