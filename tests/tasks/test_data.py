from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from eafo.errors import DataError
from eafo.tasks import images
from eafo.tasks.data import make_mnist1d, make_mnist1d_held_out
from eafo.tasks.images import check_mnist, load_mnist

needs_mnist = pytest.mark.skipif(not os.environ.get("EAFO_DATA"), reason="EAFO_DATA is not set")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The four official files once more, to be damaged."""
    folder = tmp_path / "mnist"
    shutil.copytree(Path(os.environ["EAFO_DATA"]) / "mnist", folder)
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    return folder


def content(folder: Path, name: str) -> bytes:
    plain = folder / name
    return plain.read_bytes() if plain.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())


def replace(folder: Path, name: str, new: bytes) -> None:
    (folder / f"{name}.gz").unlink(missing_ok=True)
    (folder / name).write_bytes(new)


@needs_mnist
def test_mnist_is_what_was_published() -> None:
    mnist = load_mnist()
    assert mnist.train_inputs.shape == (60000, 784)
    assert mnist.test_inputs.shape == (10000, 784)
    assert mnist.train_inputs.dtype == np.float32
    assert mnist.train_inputs.min() == -1
    assert mnist.train_inputs.max() == 1
    # The digit counts of LeCun's page.
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert load_mnist() is mnist


@needs_mnist
def test_plain_files_will_do(copy: Path) -> None:
    for name in ("t10k-labels-idx1-ubyte", "train-labels-idx1-ubyte"):
        replace(copy, name, content(copy, name))
    check_mnist()
    assert not (copy / "t10k-labels-idx1-ubyte.gz").exists()


@needs_mnist
def test_a_truncated_file_is_refused(copy: Path) -> None:
    name = "t10k-labels-idx1-ubyte"
    replace(copy, name, content(copy, name)[:-10])
    with pytest.raises(DataError, match=f"{name} must hold 10000 values, but got '9990'; it is truncated"):
        check_mnist()


@needs_mnist
def test_labels_beyond_nine_are_refused(copy: Path) -> None:
    name = "train-labels-idx1-ubyte"
    replace(copy, name, content(copy, name)[:-1] + b"\x0a")
    with pytest.raises(DataError, match=f"labels in .*{name} must lie between 0 and 9, but got 10"):
        check_mnist()


@needs_mnist
def test_wrong_labels_are_refused(copy: Path) -> None:
    name = "train-labels-idx1-ubyte"
    good = content(copy, name)
    replace(copy, name, good[:-1] + bytes([(good[-1] + 1) % 10]))
    with pytest.raises(
        DataError, match=f"{name} must be MNIST's official file, of md5 a25bea736e30d166cdddb491f175f624"
    ):
        check_mnist()


@needs_mnist
def test_another_count_is_refused(copy: Path) -> None:
    replace(
        copy, "train-images-idx3-ubyte", bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 28, 28) + bytes(2 * 784)
    )
    with pytest.raises(DataError, match=r"must have the shape \(60000, 28, 28\), but got \(2, 28, 28\)"):
        check_mnist()


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        check_mnist()
    assert str(caught.value) == (
        f"MNIST must lie under EAFO_DATA, but {tmp_path}/mnist/train-images-idx3-ubyte[.gz] is missing; "
        "put the four official files there, or unset EAFO_DATA to have them fetched"
    )


def test_a_failed_fetch_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EAFO_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path)
    # Nothing listens on the discard port of this machine.
    monkeypatch.setattr(images, "MNIST", dataclasses.replace(images.MNIST, mirrors=("http://127.0.0.1:9/",)))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte\.gz could not be \(.*set EAFO_DATA=DIR"
    ) as caught:
        check_mnist()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*ubyte*"))


@needs_mnist
def test_fetched_files_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "data" / "mnist"
    cache.mkdir(parents=True)
    source = Path(os.environ["EAFO_DATA"]) / "mnist"
    files = []
    for file in images.MNIST.files:
        # The zipped files' own hashes: the same content can be zipped in many ways.
        zipped = gzip.compress(content(source, file.name), 1, mtime=0)
        (cache / f"{file.name}.gz").write_bytes(zipped)
        files.append(
            dataclasses.replace(file, zipped_md5=hashlib.md5(zipped, usedforsecurity=False).hexdigest())
        )
    one, two, three, four = files
    patched = dataclasses.replace(
        images.MNIST, files=(one, two, three, four), mirrors=("http://127.0.0.1:9/",)
    )
    monkeypatch.setattr(images, "MNIST", patched)
    monkeypatch.delenv("EAFO_DATA")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path)
    check_mnist()
    (cache / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz could not be"):
        check_mnist()


def test_mnist1d_is_what_the_package_makes() -> None:
    from mnist1d.data import make_dataset

    kept = random.getstate(), np.random.get_state()
    expected = make_dataset()
    random.setstate(kept[0])
    np.random.set_state(kept[1])
    found = make_mnist1d()
    assert found.train_inputs.shape == (4000, 40)
    assert found.test_inputs.shape == (1000, 40)
    assert (found.train_inputs == expected["x"].astype(np.float32)).all()
    assert (found.test_labels == expected["y_test"]).all()


def test_making_mnist1d_leaves_the_global_generators_and_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()  # noqa: S311 - the generators under test
    random.seed(7)
    np.random.seed(7)
    make_mnist1d.cache_clear()
    make_mnist1d()
    assert (random.random(), np.random.random()) == expected  # noqa: S311
    assert list(tmp_path.iterdir()) == []


def test_held_out_signals_are_new_ones_of_the_same_kind() -> None:
    known, held = make_mnist1d(), make_mnist1d_held_out()
    assert held.train_inputs is known.train_inputs
    assert held.test_inputs.shape == (4000, 40)
    assert np.bincount(held.test_labels).min() > 300
    seen = {row.tobytes() for row in (*known.train_inputs, *known.test_inputs)}
    assert not any(row.tobytes() in seen for row in held.test_inputs)
    assert held.test_inputs.mean() == pytest.approx(known.test_inputs.mean(), abs=0.05)
    assert held.test_inputs.std() == pytest.approx(known.test_inputs.std(), rel=0.05)
