"""CIFAR-10 and CIFAR-100 from the official binary version."""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eafo.errors import DataError
from eafo.tasks.mapped import mapped

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CIFAR10", "CIFAR100", "CifarSet", "ColourImages"]

_EDGE = 32
_PIXELS = 3 * _EDGE * _EDGE


@dataclass(frozen=True)
class ColourImages:
    """Images and labels, split as published.

    Args:
        train_images: uint8, (N, 3, H, W): red, green, blue.
        train_labels: int64, (N,).
        test_images: uint8, (M, 3, H, W).
        test_labels: int64, (M,).
        classes: how many.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    classes: int

    def first(self, count: int | None) -> ColourImages:
        """The first so many examples of each part; all of them for None."""
        return ColourImages(
            self.train_images[:count],
            self.train_labels[:count],
            self.test_images[:count],
            self.test_labels[:count],
            self.classes,
        )


@dataclass(frozen=True)
class CifarSet:
    """50,000 and 10,000 images of 32 by 32 pixels in three colours (Krizhevsky, Learning multiple layers of features, 2009).

    A file of the binary version is a row of records: a byte for each label, then 1,024 bytes each of red, green and blue.

    Args:
        name: as people call it.
        folder: of its files, under EAFO_DATA and in the cache.
        train: the training files.
        test: the test file.
        classes: how many.
        label_bytes: bytes before the pixels; the last of them is the label.
        archive: the published archive.
        md5: of the archive.
        mean: of red, green and blue over the training set, where white is 1.
        deviation: of these.
    """

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    classes: int
    label_bytes: int
    archive: str
    md5: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def check(self) -> None:
        """Check that the files are there and whole; fetch them where they may be fetched.

        Raises:
            DataError: a file is missing, cannot be fetched, or is not what was published.
        """
        self._counted(self.train, 50_000)
        self._counted((self.test,), 10_000)

    @functools.cache  # noqa: B019 - the two sets live as long as the process
    def load(self) -> ColourImages:
        """The images as they are stored, mapped from the files: all processes of a machine share them.

        The files are read from ``$EAFO_DATA/FOLDER/`` where EAFO_DATA is set, else from the user's cache, where the archive is
        fetched once and checked against its known hash. They are checked by size, range and the number of examples a class; not by
        hash, so that a set in another order will do.

        Raises:
            DataError: as `check`.
        """
        images, labels = self._counted(self.train, 50_000)
        test_images, test_labels = self._counted((self.test,), 10_000)
        return ColourImages(images, labels, test_images, test_labels, self.classes)

    def _counted(
        self, files: tuple[str, ...], count: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The images and labels of some files, as many of each class."""
        folder = self._folder()
        parts = [self._read(folder / name, count // len(files)) for name in files]
        labels = np.concatenate([p[:, self.label_bytes - 1] for p in parts]).astype(np.int64)
        found = np.bincount(labels, minlength=self.classes)
        if (found != count // self.classes).any():
            raise DataError(
                f"{folder} must hold {count // self.classes} images of each class in {', '.join(files)}",
                f"{found.min()} to {found.max()}",
                "fetch it anew",
            )
        pixels = [part[:, self.label_bytes :].reshape(-1, 3, _EDGE, _EDGE) for part in parts]
        if len(parts) == 1:
            return pixels[0], labels
        states = [(folder / name).stat() for name in files]
        key = f"{self.name} {folder.resolve()} {[(s.st_size, s.st_mtime_ns, s.st_ino) for s in states]}"
        joined = mapped(key, ("images",), lambda: {"images": np.concatenate(pixels)})["images"]
        return joined.astype(np.uint8, copy=False), labels

    def _read(self, path: Path, count: int) -> npt.NDArray[np.uint8]:
        """The records of a file, mapped."""
        size = self.label_bytes + _PIXELS
        try:
            length = path.stat().st_size
            if length != count * size:
                remedy = "it is truncated; fetch it anew" if length < count * size else "fetch it anew"
                raise DataError(
                    f"{path} must hold {count} records of {size} bytes", f"{length} bytes", remedy
                )
            # "c": torch takes no array that it must not write into; what is written stays with the process.
            records = np.memmap(path, np.uint8, mode="c", shape=(count, size))
        except OSError as error:
            raise DataError(f"{path} must be readable ({error.strerror})", remedy="fetch it anew") from error
        labels = records[:, self.label_bytes - 1]
        if labels.max() >= self.classes:
            raise DataError(
                f"the labels in {path} must lie between 0 and {self.classes - 1}",
                int(labels.max()),
                "fetch it anew",
            )
        if records[:, self.label_bytes :].max() == records[:, self.label_bytes :].min():
            raise DataError(f"the pixels in {path} must differ", int(records[0, -1]), "fetch it anew")
        return records

    def _folder(self) -> Path:
        """Where the files lie: under EAFO_DATA, or in the user's cache, fetched if need be."""
        root = os.environ.get("EAFO_DATA")
        if not root:
            return self._fetch()
        folder = Path(root) / self.folder
        for name in (*self.train, self.test):
            if not (folder / name).is_file():
                raise DataError(
                    f"{self.name} must lie under EAFO_DATA, but {folder / name} is missing",
                    remedy=f"unpack {self.archive.rsplit('/', 1)[1]} there, or unset EAFO_DATA to have it fetched",
                )
        return folder

    def _fetch(self) -> Path:
        import platformdirs  # noqa: PLC0415 - these two only where a file is fetched
        import pooch  # noqa: PLC0415

        pooch.get_logger().setLevel(logging.ERROR)
        place = platformdirs.user_cache_path("eafo") / "data"
        members = [f"{self.folder}/{name}" for name in (*self.train, self.test)]
        try:
            found = pooch.retrieve(
                self.archive,
                f"md5:{self.md5}",
                fname=self.archive.rsplit("/", 1)[1],
                path=place,
                # Its members by name: nothing else of the archive is unpacked.
                processor=pooch.Untar(members=members, extract_dir="."),
            )
        except (OSError, ValueError, KeyError) as error:  # no network, no space; or another archive
            raise DataError(
                f"{self.name} must be fetched once, but {self.archive} could not be ({type(error).__name__}: {error})"[
                    :300
                ],
                remedy=f"unpack it into a folder DIR/{self.folder} and set EAFO_DATA=DIR",
            ) from error
        return Path(found[0]).parent


CIFAR10 = CifarSet(
    name="CIFAR-10",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    classes=10,
    label_bytes=1,
    archive="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    mean=(0.4914, 0.4822, 0.4465),
    deviation=(0.2470, 0.2435, 0.2616),
)
CIFAR100 = CifarSet(
    name="CIFAR-100",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    classes=100,
    # The coarse label, then the fine one.
    label_bytes=2,
    archive="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    mean=(0.5071, 0.4865, 0.4409),
    deviation=(0.2673, 0.2564, 0.2762),
)
