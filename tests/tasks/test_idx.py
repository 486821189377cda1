from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eafo.errors import DataError
from eafo.tasks.idx import read_bytes, read_idx

if TYPE_CHECKING:
    from pathlib import Path


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    return (
        bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_reads_what_was_written(shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    found = read_idx(idx(values), "file", len(shape))
    assert found.shape == values.shape
    assert (found == values).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file must start with the magic number of an IDX file, but got 'nothing'"),
        (b"\x1f\x8b\x08\0", "file must start with the magic number of an IDX file, but got '1f 8b 08 00'"),
        (idx(np.zeros(3, np.uint8), 0x0D), "file must hold unsigned bytes (type 0x08), but got 'type 0x0d'"),
        (idx(np.zeros((3, 1), np.uint8)), "file must have 1 dimension, but got 2"),
        (
            idx(np.zeros(3, np.uint8))[:6],
            "file must hold its sizes, but got '6 bytes'; it is truncated; fetch it anew",
        ),
        (
            idx(np.zeros(3, np.uint8))[:-1],
            "file must hold 3 values, but got '2'; it is truncated; fetch it anew",
        ),
        (idx(np.zeros(3, np.uint8)) + b"\0", "file must hold 3 values, but got '4'; fetch it anew"),
    ],
)
def test_damaged_content_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_idx(content, "file", 1)
    assert str(caught.value) == message


def test_sizes_that_overflow_are_refused() -> None:
    with pytest.raises(DataError, match=f"must hold {(2**32 - 1) ** 3} values, but got '8'"):
        read_idx(bytes([0, 0, 8, 3]) + b"\xff" * 8 + struct.pack(">I", 2**32 - 1) + b"\0" * 8, "file", 3)


def test_plain_and_gzipped_files_read_alike(tmp_path: Path) -> None:
    content = idx(np.arange(10, dtype=np.uint8))
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(content))
    assert read_bytes(tmp_path / "plain") == read_bytes(tmp_path / "zipped.gz") == content


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.gz").write_bytes(gzip.compress(bytes(range(256)) * 9)[:-9])
    with pytest.raises(DataError, match=r"labels\.gz must be a whole gzip file"):
        read_bytes(tmp_path / "labels.gz")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels must be readable \(No such file or directory\)"):
        read_bytes(tmp_path / "labels")
