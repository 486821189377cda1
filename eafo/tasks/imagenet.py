"""Images in folders, a folder a class, as ImageNet comes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from eafo.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["IMAGENET", "ImageFolder", "ImageFolders", "read_centre", "read_random"]

_ENDINGS = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class ImageFolders:
    """Where images lie, and what is in them; the images themselves are read when they are needed.

    Args:
        train: the training images.
        train_labels: int64, (N,), the place of each image's folder in their alphabetical order.
        test: the images for validation.
        test_labels: int64, (M,).
        classes: the names of the folders.
    """

    train: tuple[Path, ...]
    train_labels: npt.NDArray[np.int64]
    test: tuple[Path, ...]
    test_labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ImageFolder:
    """A set of ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG`` (Deng et al., ImageNet: a large-scale hierarchical image database, 2009).

    Args:
        name: as people call it.
        folder: under EAFO_DATA.
        most: so many classes at most.
    """

    name: str
    folder: str
    most: int

    def check(self) -> None:
        """Check that both parts are there, with the same classes, and that Pillow is installed.

        Raises:
            DataError: a folder is missing or empty, or the classes differ.
            MissingDependencyError: Pillow is not installed.
        """
        _pillow()
        self.load()

    @functools.cache  # noqa: B019 - the set lives as long as the process
    def load(self) -> ImageFolders:
        """List the images.

        Raises:
            DataError: as `check`.
        """
        root = os.environ.get("EAFO_DATA")
        place = Path(root or "EAFO_DATA") / self.folder
        if not root or not (place / "train").is_dir():
            raise DataError(
                f"{self.name} must lie under EAFO_DATA, but {place / 'train'} is missing",
                remedy=f"put its folders train and val into DIR/{self.folder} and set EAFO_DATA=DIR",
            )
        classes = self._classes(place / "train")
        train, labels = self._listed(place / "train", classes)
        if not (place / "val").is_dir():
            raise DataError(
                f"{self.name} must have the folder {place / 'val'}",
                remedy="sort its images into one folder a class",
            )
        other = self._classes(place / "val")
        if other != classes:
            found = ", ".join(sorted(set(other) ^ set(classes))[:3])
            raise DataError(
                f"the classes of {place / 'val'} must be those of train",
                found,
                "sort its images into one folder a class",
            )
        test, test_labels = self._listed(place / "val", classes)
        return ImageFolders(train, labels, test, test_labels, classes)

    def taught(self) -> npt.NDArray[np.int64]:
        """A teacher's class of each training image, from ``teacher.npy`` beside ``train``.

        Raises:
            DataError: the file is missing, or is not one class an image in the order of folders and files.
        """
        count = len(self.load().train)
        path = Path(os.environ["EAFO_DATA"]) / self.folder / "teacher.npy"
        remedy = f"write {count} whole numbers there, the class that a teacher gives each image of train, in alphabetical order"
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} must hold a teacher's classes ({error})", remedy=remedy) from error
        classes = len(self.load().classes)
        fits = found.shape == (count,) and found.dtype.kind in "iu"
        if not fits or found.min() < 0 or found.max() >= classes:
            shown = f"{found.dtype} of shape {found.shape}"
            raise DataError(f"{path} must hold {count} classes from 0 to {classes - 1}", shown, remedy)
        return found.astype(np.int64)

    def _classes(self, place: Path) -> tuple[str, ...]:
        classes = tuple(sorted(p.name for p in place.iterdir() if p.is_dir()))
        if not 2 <= len(classes) <= self.most:
            raise DataError(f"{place} must hold from 2 to {self.most} folders, one a class", len(classes))
        return classes

    @staticmethod
    def _listed(place: Path, classes: tuple[str, ...]) -> tuple[tuple[Path, ...], npt.NDArray[np.int64]]:
        files, labels = [], []
        for label, name in enumerate(classes):
            found = sorted(p for p in (place / name).iterdir() if p.suffix.lower() in _ENDINGS)
            if not found:
                raise DataError(f"{place / name} must hold images ({', '.join(_ENDINGS)})", "none")
            files += found
            labels += [label] * len(found)
        return tuple(files), np.array(labels, np.int64)


def read_random(
    paths: Sequence[Path], size: int, seeds: Sequence[int], threads: int
) -> npt.NDArray[np.uint8]:
    """A random part of each image, of 8 to 100 % of its area and with sides in a ratio from 3/4 to 4/3, scaled to a square.

    Args:
        paths: the images.
        size: pixels along an edge of the squares.
        seeds: one an image, from which its part is drawn.
        threads: so many are read at a time.

    Returns:
        uint8, (N, 3, size, size).

    Raises:
        DataError: an image cannot be read.
    """
    return _read(paths, size, [functools.partial(_random_box, seed) for seed in seeds], threads)


def read_centre(paths: Sequence[Path], size: int, threads: int) -> npt.NDArray[np.uint8]:
    """The middle of each image, 7/8 of its shorter edge, scaled to a square; as `read_random`."""
    return _read(paths, size, [_centre_box] * len(paths), threads)


_Box = tuple[float, float, float, float]
_BoxOf = Callable[[tuple[int, int]], _Box]


def _read(paths: Sequence[Path], size: int, boxes: Sequence[_BoxOf], threads: int) -> npt.NDArray[np.uint8]:
    with ThreadPoolExecutor(threads) as pool:
        images = pool.map(functools.partial(_square, size), paths, boxes)
        return np.stack(list(images)).transpose(0, 3, 1, 2).copy()


def _square(size: int, path: Path, box_of: _BoxOf) -> npt.NDArray[np.uint8]:
    image_module = _pillow()
    try:
        with image_module.open(path) as file:
            image = file.convert("RGB")
            box = box_of(image.size)
            return np.asarray(image.resize((size, size), image_module.Resampling.BICUBIC, box=box))
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        raise DataError(f"{path} must be an image ({error})", remedy="fetch it anew") from error


def _random_box(seed: int, size: tuple[int, int]) -> _Box:
    """As timm and torchvision draw it: the first of ten tries that fits, else the middle."""
    generator, (width, height) = np.random.default_rng(seed), size
    for _ in range(10):
        area = width * height * generator.uniform(0.08, 1)
        ratio = float(np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3))))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = generator.integers(width - w + 1), generator.integers(height - h + 1)
            return float(left), float(top), float(left + w), float(top + h)
    return _middle(size, 1.0)


def _centre_box(size: tuple[int, int]) -> _Box:
    return _middle(size, 0.875)


def _middle(size: tuple[int, int], share: float) -> _Box:
    width, height = size
    edge = share * min(width, height)
    return (width - edge) / 2, (height - edge) / 2, (width + edge) / 2, (height + edge) / 2


def _pillow() -> ModuleType:
    try:
        from PIL import Image  # noqa: PLC0415 - only where images are read
    except ImportError as error:
        raise MissingDependencyError(
            "images in folders need Pillow", remedy='pip install "eafo[images]"'
        ) from error
    return Image


IMAGENET = ImageFolder("ImageNet", "imagenet", 1000)
