"""The IDX format of MNIST's official files, plain or gzipped, read with every field checked."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eafo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_bytes", "read_idx"]

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unzipped where it is gzipped.

    Raises:
        DataError: it cannot be read, or its gzip stream is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} must be a whole gzip file ({error})", remedy="fetch it anew") from error
    except OSError as error:
        raise DataError(f"{path} must be readable ({error.strerror})") from error


def read_idx(content: bytes, name: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """An array of unsigned bytes from the content of an IDX file.

    The file starts with two zero bytes, one byte for the type and one for the number of dimensions; the sizes follow
    as big-endian 32-bit integers, then the values (LeCun, Cortes, Burges, The MNIST database, "File formats").

    Args:
        content: the whole file, unzipped.
        name: what messages call it.
        dimensions: how many the file must have; 3 for images, 1 for labels.

    Raises:
        DataError: a wrong magic number, type or number of dimensions; or too few or too many values.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), "labels", 1)
    array([7, 8, 9], dtype=uint8)
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(
            f"{name} must start with the magic number of an IDX file", content[:4].hex(" ") or "nothing"
        )
    if content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{name} must hold unsigned bytes (type 0x08)", f"type 0x{content[2]:02x}")
    if content[3] != dimensions:
        raise DataError(f"{name} must have {dimensions} dimension{'s' * (dimensions > 1)}", content[3])
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(
            f"{name} must hold its sizes", f"{len(content)} bytes", "it is truncated; fetch it anew"
        )
    shape = [int(size) for size in np.frombuffer(content[4:start], ">u4")]
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        remedy = "it is truncated; fetch it anew" if len(content) - start < expected else "fetch it anew"
        raise DataError(f"{name} must hold {expected} values", f"{len(content) - start}", remedy)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
