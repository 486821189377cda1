"""Arrays are converted once a machine, and mapped by every process."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
import torch

from eafo.tasks.images import MNIST
from eafo.tasks.mapped import mapped


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("EAFO_CACHE", str(folder))
    return folder


class Maker:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self):
        self.count += 1
        return {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.arange(3)}


def test_they_are_made_once_and_mapped(cache):
    make = Maker()
    for _ in range(2):
        found = mapped("key", ("x", "y"), make)
        assert isinstance(found["x"], np.memmap)
        assert found["x"].tolist() == make()["x"].tolist()
        assert found["y"].dtype == np.int64
        make.count -= 1
    assert make.count == 1
    mapped("another", ("x",), make)
    assert make.count == 2
    assert len(list(cache.iterdir())) == 3


def test_what_a_process_writes_stays_with_it(cache):
    first = mapped("key", ("x",), Maker())["x"]
    first[0, 0] = 7
    assert torch.from_numpy(first)[0, 0] == 7
    assert mapped("key", ("x",), Maker())["x"][0, 0] == 0


def test_a_damaged_file_is_made_anew(cache):
    make = Maker()
    mapped("key", ("x",), make)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-40] + b"\0" * 40)
    assert mapped("key", ("x",), make)["x"].tolist() == Maker()()["x"].tolist()
    assert make.count == 2


def test_without_a_cache_to_trust_they_are_made_in_memory(cache):
    cache.mkdir(mode=0o777)
    cache.chmod(cache.stat().st_mode | stat.S_IWOTH)
    found = mapped("key", ("x", "y"), Maker())
    assert not isinstance(found["x"], np.memmap)
    assert found["y"].tolist() == [0, 1, 2]
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not os.environ.get("EAFO_DATA"), reason="EAFO_DATA is not set")
def test_mnist_is_mapped(cache):
    load = type(MNIST).load.__wrapped__
    first, second = load(MNIST), load(MNIST)
    assert first.train_inputs.filename == second.train_inputs.filename
    assert np.array_equal(first.train_inputs[:100], MNIST._converted()["train_inputs"][:100])
