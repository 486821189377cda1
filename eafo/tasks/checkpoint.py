"""The state of a training in a safetensors file: written after each epoch, read where the training goes on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from eafo.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Checkpoint", "fingerprint", "generators"]

_FORMAT = "eafo-checkpoint-1"
_RECORD = "record"


def fingerprint(model: nn.Module, *facts: object, batch: tuple[Tensor, Tensor]) -> str:
    """What tells a training from every other: its network with its first weights, its facts and its first batch.

    Args:
        model: before the first step.
        facts: what else fixes the training; shown by ``repr``.
        batch: the inputs and the targets of the first step.
    """
    digest = hashlib.sha256(repr((str(model), facts)).encode())
    for tensor in (*model.state_dict().values(), *batch):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


class Checkpoint:
    """One training's file.

    Tensors are kept bit for bit, the rest as JSON in the file's header; nothing in it is ever run.

    Args:
        directory: where the files lie; made where it is missing.
        key: the training's fingerprint.

    Raises:
        InputError: the directory cannot be made.
    """

    def __init__(self, directory: str, key: str) -> None:
        self.path = Path(directory) / f"{key}.safetensors"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"checkpoints need a directory that can be written ({error.strerror})", directory
            ) from error

    def write(self, state: Mapping[str, Any]) -> None:
        """Put a nested dictionary of tensors, numbers, texts, lists and dictionaries in the place of what was there.

        Raises:
            InputError: it cannot be written, for example because the disk is full.
        """
        tensors: dict[str, Tensor] = {}
        record = json.dumps(_without_tensors(state, "", tensors))
        content = save(tensors, {"format": _FORMAT, _RECORD: record})
        name = ""
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, suffix=".partial")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            Path(name).replace(self.path)
        except OSError as error:
            if name:
                Path(name).unlink(missing_ok=True)
            raise InputError(
                f"checkpoints must be writable ({error.strerror})",
                str(self.path),
                "make room, or name another directory",
            ) from error

    def read(self) -> dict[str, Any] | None:
        """Give what was written, its tensors on the processor; None where nothing was.

        Raises:
            DataError: the file is not what `write` left.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata() or {}
                if header.get("format") != _FORMAT:
                    raise DataError(
                        f"{self.path} must be a checkpoint", header.get("format", "no format"), "delete it"
                    )
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dictionary
            found: dict[str, Any] = _with_tensors(json.loads(header[_RECORD]), tensors)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.path} must be a whole checkpoint ({error})", remedy="delete it"
            ) from error
        return found


def _without_tensors(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The same with the name of each tensor in its place."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().contiguous().cpu().clone()
        return {"tensor": path}
    if isinstance(value, dict):
        # Lists of pairs: the keys of an optimiser's state are numbers, which JSON would make texts of.
        return {"pairs": [[k, _without_tensors(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [_without_tensors(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(v, tensors) for v in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {k: _with_tensors(v, tensors) for k, v in value["pairs"]}
    return value


def generators(device: torch.device) -> Iterator[torch.Generator]:
    """Torch's global generators that a training on a device draws from."""
    yield torch.default_generator
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        yield torch.cuda.default_generators[index]
