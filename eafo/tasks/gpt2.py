"""GPT-2 around any activation: from its official files, or a small one with random weights and bytes for tokens."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eafo.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from eafo.tasks.models import ActivationFactory

__all__ = ["LONGEST", "OFFICIAL", "TINY", "Gpt2", "Official", "Tiny", "Tokens"]

#: Tokens of a prompt and its response at most.
LONGEST = 512


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
        return _BytePairs(self._folder())

    def build(self, activation: ActivationFactory) -> nn.Module:
        """As `Gpt2.build`.

        Raises:
            DataError: the files are damaged, or are not GPT-2's.
        """
        from safetensors import SafetensorError  # noqa: PLC0415 - only where weights are read

        folder = self._folder()
        _check_config(folder / "config.json", _BytePairs(folder).count)
        try:
            model, found = _transformers().GPT2LMHeadModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                # Told below, and better.
                ignore_mismatched_sizes=True,
                # Replaced in every block, whatever the file says.
                activation_function="gelu_new",
                **_WITHOUT_DROPOUT,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise DataError(
                f"{folder} must hold GPT-2's weights ({str(error).splitlines()[0]})", remedy="fetch them anew"
            ) from error
        _check_weights(folder / "model.safetensors", model, found)
        return _around(model.float(), activation)


def _check_weights(path: Path, model: nn.Module, found: Mapping[str, Any]) -> None:
    """Check that a file held all weights of a model: what it lacks was left at random values without an error.

    Raises:
        DataError: it did not.
    """
    missing = sorted(found["missing_keys"])
    if missing:
        raise DataError(f"{path} must hold all of GPT-2, but {missing[0]} is missing", remedy="fetch it anew")
    mismatched = sorted(found["mismatched_keys"])
    if mismatched:
        name, shape, wanted = mismatched[0]
        raise DataError(f"{name} in {path} must be of shape {tuple(wanted)}", tuple(shape), "fetch it anew")
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise DataError(f"{name} in {path} must be finite", "NaN or infinity", "fetch it anew")


def _check_config(path: Path, tokens: int) -> None:
    """Check that a configuration is a GPT-2's that takes so many tokens, 512 at a time.

    Raises:
        DataError: it is not.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be JSON ({error})", remedy="fetch it anew") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "gpt2":
        raise DataError(f"'model_type' in {path} must be gpt2", kind, "fetch GPT-2's own")
    for key, least in (("n_positions", LONGEST), ("vocab_size", tokens)):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DataError(f"'{key}' in {path} must be at least {least}", value, "fetch GPT-2's own")


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
        self.count: int = self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text).ids
        return tokens


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
            n_positions=LONGEST,
            n_embd=64,
            n_layer=2,
            n_head=4,
            bos_token_id=256,
            eos_token_id=256,
            **_WITHOUT_DROPOUT,
        )
        return _around(transformers.GPT2LMHeadModel(config), activation)


OFFICIAL, TINY = Official(), Tiny()
