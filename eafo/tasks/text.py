"""Language models of bytes: a small GPT on text that is always there."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from eafo.errors import DataError, InputError
from eafo.tasks.classification import check_run
from eafo.tasks.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import NextByte
    from eafo.tasks.protocol import DivergedError, Outcome
    from eafo.tasks.setting import Setting

__all__ = ["CHAR_LM", "CHAR_LM_GATED", "LanguageModel", "Text", "read_text"]

_CONTEXT, _WIDTH, _DEPTH, _HEADS = 64, 64, 2, 4
_BATCH, _STEPS = 32, 50
_LEAST, _MOST = 100_000, 4_000_000
#: The last so many bytes, at most a tenth, are held out.
_HELD_OUT = 65_537
RECIPE = Recipe(
    "adamw", learning_rate=3e-3, batch=_BATCH, weight_decay=0.01, schedule="cosine", warmup=0.05, clip=1.0
)


@dataclass(frozen=True)
class Text:
    """What is learned from.

    Args:
        content: the bytes.
        source: what they are, with the SHA-256 of them.
    """

    content: bytes
    source: str


@functools.cache
def read_text() -> Text:
    """The first text file under ``$EAFO_DATA/text/``, or the source of Python's standard library; at most 4 MB.

    Raises:
        DataError: the file holds less than 100 kB.
    """
    root = os.environ.get("EAFO_DATA")
    files = sorted((Path(root) / "text").glob("*.txt")) if root else []
    if files:
        content, name = files[0].read_bytes()[:_MOST], files[0].name
        if len(content) < _LEAST:
            raise DataError(
                f"{files[0]} must hold at least {_LEAST} bytes", len(content), "put a longer text there"
            )
    else:
        content = b"\n".join(p.read_bytes() for p in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
        content, name = content[:_MOST], f"the source of Python {platform.python_version()}'s library"
    return Text(
        content, f"{name}, {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()[:16]}"
    )


@dataclass(frozen=True)
class LanguageModel:
    """A task that trains a GPT on bytes.

    Args:
        name: how plans and commands call it.
        gated: whether the feed-forward layers are gated.
        tiny: epochs of the budget ``"tiny"``.
        short: epochs of the budget ``"short"``.
        full: epochs of the budget ``"full"``.
        measure: what the score is.
        recipe: how it is trained.
    """

    name: str
    gated: bool
    tiny: int
    short: int
    full: int
    measure: str = "- bits per byte"
    recipe: Recipe = RECIPE

    @property
    def description(self) -> str:
        """In a sentence, with the text's hash."""
        kind = "gated" if self.gated else "plain"
        return (
            f"GPT of {_DEPTH} blocks, width {_WIDTH}, context {_CONTEXT}, {kind} feed-forward layers, on {read_text().source}; "
            f"AdamW 3e-3 down a cosine, batch {_BATCH}; minus bits per byte held out"
        )

    @property
    def epochs(self) -> Mapping[str, int]:
        """The number of epochs, of 50 steps, of each budget."""
        return MappingProxyType({"tiny": self.tiny, "short": self.short, "full": self.full})

    def prepare(self) -> None:
        """Read the text.

        Raises:
            DataError: it is too short.
        """
        read_text()

    def run(self, activation: Activation, seed: int, epochs: int, setting: Setting | None = None) -> Outcome:
        """Train once and score; bit for bit repeatable on one machine's processor.

        Raises:
            InputError: a wrong seed or number of epochs; a number of examples, of which a text has none.
            DataError: the text is too short.
            DivergedError: the loss left the finite numbers.
        """
        check_run(seed, epochs)
        from eafo.tasks.train import train  # noqa: PLC0415 - torch is loaded only where a training runs

        return train(
            self.problem(setting),
            activation,
            self.recipe,
            seed=seed,
            epochs=epochs,
            share=0.0,
            setting=setting,
        )

    def problem(self, setting: Setting | None = None) -> NextByte:
        """What is trained.

        Raises:
            InputError: a number of examples, of which a text has none.
            DataError: the text is too short.
        """
        _check_setting(setting)
        return problem(self.gated)

    def run_stacked(
        self, activation: Activation, seeds: Sequence[int], epochs: int, setting: Setting
    ) -> Sequence[Outcome | DivergedError]:
        """As `run`, with several seeds as one stack; see `eafo.tasks.stacked.train_stacked`."""
        for seed in seeds:
            check_run(seed, epochs)
        _check_setting(setting)
        from eafo.tasks.stacked import train_stacked  # noqa: PLC0415 - as above

        members = [(activation, seed) for seed in seeds]
        return train_stacked(
            problem(self.gated), members, self.recipe, epochs=epochs, share=0.0, setting=setting
        )


def _check_setting(setting: Setting | None) -> None:
    if setting is not None and setting.examples is not None:
        raise InputError("a text has no examples to count", setting.examples, "give fewer epochs")


@functools.cache
def problem(gated: bool) -> NextByte:
    """The text, cut into what is learned from and what is held out."""
    import torch  # noqa: PLC0415 - only where a training runs

    from eafo.tasks.problem import NextByte  # noqa: PLC0415

    content = torch.frombuffer(bytearray(read_text().content), dtype=torch.uint8)
    held_out = min(_HELD_OUT, len(content) // 10)
    model = functools.partial(_gpt, gated=gated)
    return NextByte(model, content[:-held_out], content[-held_out:], _CONTEXT, _BATCH, _STEPS)


def _gpt(activation: ActivationFactory, *, gated: bool) -> nn.Module:
    from eafo.tasks.models import GPT  # noqa: PLC0415

    return GPT(activation, width=_WIDTH, depth=_DEPTH, heads=_HEADS, context=_CONTEXT, gated=gated)


CHAR_LM = LanguageModel("char-lm", gated=False, tiny=1, short=10, full=60)
"""A GPT on bytes with plain feed-forward layers, some 130,000 weights.

Score: minus the bits per byte on 65,536 bytes held out, after the last epoch. Cost: 50 steps an epoch, a second or two on one
processor.
"""

CHAR_LM_GATED = LanguageModel("char-lm-gated", gated=True, tiny=1, short=10, full=60)
"""The same with gated feed-forward layers of as many weights, W₂ (f(W₁ x) ∘ W₃ x) (Shazeer, GLU variants improve transformer, 2020)."""
