"""GPT-2 around any activation: from its official files, or a small one with random weights and bytes for tokens."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eafo.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

    from eafo.tasks.models import ActivationFactory

__all__ = ["OFFICIAL", "TINY", "Gpt2", "Official", "Tiny", "Tokens"]


class Tokens(Protocol):
    """A language's tokens."""

    #: Ends a text.
    end: int

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...


class Gpt2(Protocol):
    """A GPT-2 and its tokens."""

    @property
    def name(self) -> str:
        """In a word or two."""
        ...

    def check(self) -> None:
        """Check that all is there.

        Raises:
            DataError: a file is missing.
            MissingDependencyError: transformers is not installed.
        """
        ...

    def tokens(self) -> Tokens:
        """Its tokens."""
        ...

    def build(self, activation: ActivationFactory) -> nn.Module:
        """A network from (N, T) tokens to (N, T, vocabulary) logits, without dropout, an activation of its own in every block."""
        ...


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise MissingDependencyError(
            "GPT-2 needs transformers", remedy='pip install "eafo[transformers]"'
        ) from error
    # Its words about weights and lengths are for others.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _around(model: nn.Module, activation: ActivationFactory) -> nn.Module:
    """A model of transformers that gives its logits, its activations replaced."""
    from eafo.tasks.models import Logits  # noqa: PLC0415 - loads torch

    for block in model.transformer.h:  # type: ignore[union-attr]  # GPT-2's blocks
        block.mlp.act = activation("feed-forward")
    return Logits(model)


_WITHOUT_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


@dataclass(frozen=True)
class Official:
    """GPT-2 (Radford et al., 2019) from its files as Hugging Face has them, under ``$EAFO_DATA/gpt2/``; nothing is fetched or unpickled."""

    name: str = "GPT-2"

    def check(self) -> None:
        """As `Gpt2.check`."""
        _transformers()
        self._folder()

    def _folder(self) -> Path:
        root = os.environ.get("EAFO_DATA")
        folder = Path(root or "EAFO_DATA") / "gpt2"
        for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
            if not root or not (folder / name).is_file():
                raise DataError(
                    f"GPT-2 must lie under EAFO_DATA, but {folder / name} is missing",
                    remedy="put config.json, model.safetensors, vocab.json and merges.txt of gpt2 there and set EAFO_DATA",
                )
        return folder

    def tokens(self) -> Tokens:
        """GPT-2's byte pairs."""
        return _byte_pairs(self._folder())

    def build(self, activation: ActivationFactory) -> nn.Module:
        """As `Gpt2.build`.

        Raises:
            DataError: the files are damaged, or are not GPT-2's.
        """
        from safetensors import SafetensorError  # noqa: PLC0415 - only where weights are read

        folder = self._folder()
        try:
            model = _transformers().GPT2LMHeadModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, **_WITHOUT_DROPOUT
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise DataError(
                f"{folder} must hold GPT-2's weights ({str(error).splitlines()[0]})", remedy="fetch them anew"
            ) from error
        return _around(model.float(), activation)


class _BytePairs:
    def __init__(self, folder: Path) -> None:
        from tokenizers import ByteLevelBPETokenizer  # noqa: PLC0415 - comes with transformers

        try:
            self._tokenizer = ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        except Exception as error:  # tokenizers raises no narrower one
            raise DataError(
                f"{folder} must hold GPT-2's vocab.json and merges.txt ({error})", remedy="fetch them anew"
            ) from error
        end = self._tokenizer.token_to_id("<|endoftext|>")
        if end is None:
            raise DataError(f"{folder / 'vocab.json'} must hold <|endoftext|>", "none", "fetch it anew")
        self.end: int = end

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text).ids
        return tokens


@functools.cache
def _byte_pairs(folder: Path) -> _BytePairs:
    return _BytePairs(folder)


class _Bytes:
    end = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


@dataclass(frozen=True)
class Tiny:
    """A GPT-2 of two blocks of width 64, its tokens bytes; some 120,000 random weights."""

    name: str = "a GPT-2 of two blocks and width 64"

    def check(self) -> None:
        """As `Gpt2.check`."""
        _transformers()

    def tokens(self) -> Tokens:
        """The 256 bytes, and one that ends."""
        return _Bytes()

    def build(self, activation: ActivationFactory) -> nn.Module:
        """As `Gpt2.build`, its weights from torch's generator."""
        transformers = _transformers()
        config = transformers.GPT2Config(
            vocab_size=257,
            n_positions=512,
            n_embd=64,
            n_layer=2,
            n_head=4,
            bos_token_id=256,
            eos_token_id=256,
            **_WITHOUT_DROPOUT,
        )
        return _around(transformers.GPT2LMHeadModel(config), activation)


OFFICIAL, TINY = Official(), Tiny()
