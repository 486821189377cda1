"""CIFAR's official files, and what is refused of others."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile

import numpy as np
import pooch
import pytest

from eafo.errors import DataError
from eafo.tasks.cifar import CIFAR10, CIFAR100, CifarSet

NEEDS = pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("EAFO_DATA", ""), CIFAR10.folder)),
    reason="EAFO_DATA is not set, or has no CIFAR-10",
)


@NEEDS
def test_cifar10_is_what_was_published() -> None:
    CIFAR10.check()
    data = CIFAR10.load()
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    # Of the training set, in every order: the means that recipes for CIFAR-10 subtract.
    means = data.train_images.mean(axis=(0, 2, 3)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert CIFAR10.load() is data
    assert isinstance(data.train_images, np.memmap)
    assert data.first(7).test_labels.tolist() == data.test_labels[:7].tolist()
    assert len(data.first(None).train_labels) == 50_000


def write(folder, given: CifarSet, seed: int = 0) -> dict[str, np.ndarray]:
    """Files of the right form."""
    generator, made = np.random.default_rng(seed), {}
    (folder / given.folder).mkdir(parents=True, exist_ok=True)
    for names, count in ((given.train, 50_000), ((given.test,), 10_000)):
        labels = generator.permutation(np.arange(count) % given.classes).astype(np.uint8)
        for name, own in zip(names, np.split(labels, len(names)), strict=True):
            records = np.zeros((len(own), given.label_bytes + 3072), np.uint8)
            records[:, given.label_bytes - 1] = own
            records[:, given.label_bytes :] = np.arange(3072) % 251
            records.tofile(folder / given.folder / name)
            made[name] = records
    return made


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return folder, write(folder, CIFAR100)


@pytest.fixture
def placed(hundred, monkeypatch):
    folder, made = hundred
    monkeypatch.setenv("EAFO_DATA", str(folder))
    path = folder / CIFAR100.folder / "test.bin"
    yield path, made
    made["test.bin"].tofile(path)


def load(given: CifarSet):
    return CifarSet.load.__wrapped__(given)


def test_cifar100_has_its_fine_labels_and_its_planes(placed) -> None:
    _, made = placed
    data = load(CIFAR100)
    assert data.classes == 100
    assert data.train_labels.tolist() == made["train.bin"][:, 1].tolist()
    assert data.test_images[5].tolist() == made["test.bin"][5, 2:].reshape(3, 32, 32).tolist()
    # Mapped, not read: a set in one file is shared as it is.
    assert isinstance(data.train_images, np.memmap)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: r[:-1],
            r"test.bin must hold 10000 records of 3074 bytes, but got '30736926 bytes'; it is truncated",
        ),
        (
            lambda r: np.concatenate([r, r[:1]]),
            r"must hold 10000 records of 3074 bytes, but got '30743074 bytes'; fetch",
        ),
        (
            lambda r: np.where(np.arange(3074) == 1, 100, r),
            r"the labels in .*test.bin must lie between 0 and 99, but got 100",
        ),
        (
            lambda r: np.where(np.arange(3074) == 1, 3, r),
            r"must hold 100 images of each class in test.bin, but got '0 to 10000'",
        ),
        (
            lambda r: np.where(np.arange(3074) > 1, 9, r),
            r"the pixels in .*test.bin must differ, but got 9; fetch it anew",
        ),
    ],
)
def test_damaged_files_are_named(placed, damage, message) -> None:
    path, made = placed
    damage(made["test.bin"]).astype(np.uint8).tofile(path)
    with pytest.raises(DataError, match=message):
        CIFAR100.check()


def test_a_missing_file_is_named(placed) -> None:
    path, _ = placed
    path.unlink()
    with pytest.raises(
        DataError, match=r"CIFAR-100 must lie under EAFO_DATA, but .*test.bin is missing; unpack cifar-100"
    ):
        CIFAR100.check()


def test_the_archive_is_fetched_and_its_members_alone_unpacked(hundred, tmp_path, monkeypatch) -> None:
    folder, _ = hundred
    archive = tmp_path / "published" / "cifar-100-binary.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in ("train.bin", "test.bin"):
            tar.add(folder / CIFAR100.folder / name, f"{CIFAR100.folder}/{name}")
        stray = tarfile.TarInfo("../stray")
        stray.size = 1
        tar.addfile(stray, io.BytesIO(b"x"))
    monkeypatch.delenv("EAFO_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    fetched = dataclasses.replace(
        CIFAR100, archive=f"file:///{archive.name}", md5=pooch.file_hash(str(archive), alg="md5")
    )
    monkeypatch.setattr(
        pooch,
        "retrieve",
        lambda url, known_hash, fname, path, processor: processor(str(archive), "download", None),
    )
    monkeypatch.setattr(pooch.Untar, "__call__", _beside(tmp_path / "cache"))
    assert len(load(fetched).train_labels) == 50_000
    assert sorted(p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()) == ["test.bin", "train.bin"]


def _beside(place):
    original = pooch.Untar.__call__

    def call(self, fname, action, pup):
        self.extract_dir = str(place)
        return original(self, fname, action, pup)

    return call


def test_without_a_network_the_remedy_is_named(tmp_path, monkeypatch) -> None:
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.delenv("EAFO_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(
        DataError,
        match=r"CIFAR-10 must be fetched once, but .* could not be \(OSError: no network\); unpack it",
    ):
        CIFAR10.check()
