"""How a training is run: all that is neither the task nor the activation nor the seed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from eafo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Precision", "Saved", "Setting"]

Precision = Literal["float32", "bfloat16", "float16"]
Saved = Literal["x", "code"]


@dataclass(frozen=True)
class Setting:
    """How trainings are run; the default is one thread of the processor in float32.

    Args:
        device: where, as torch calls it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        precision: ``"float32"``; or ``"bfloat16"`` or ``"float16"``, in which torch's autocast then runs the matrix products
            of the training, with the loss scaled in ``"float16"``. Scores are taken in float32.
        compiled: whether `torch.compile` compiles forward pass and loss.
        examples: so many training and so many test examples, the first of each; None for all.
        record: keep what every layer saw and learned; see `eafo.tasks.Layer`.
        stacked: so many seeds of one activation are trained as one stack of networks; see `eafo.tasks.run_stacked`.
        checkpoints: the directory where a training leaves its state after each epoch and from which it goes on; None for
            neither.
        rate: so many times the learning rates of the task's recipe, over the whole of its schedule.
        per_channel: a value of each learnable parameter a channel, not a layer; see `eafo.nn.by_channel`.
        saved: what an activation keeps for backward: ``"x"``, or ``"code"``, f′ in four bits, for activations without learnable
            parameters; see `eafo.nn.Module`.

    Raises:
        InputError: a value that is none of these.

    >>> Setting(precision="half")
    Traceback (most recent call last):
        ...
    eafo.errors.InputError: precision must be one of float32, bfloat16, float16, but got 'half'
    """

    device: str = "cpu"
    precision: Precision = "float32"
    compiled: bool = False
    examples: int | None = None
    record: bool = False
    stacked: int = 1
    checkpoints: str | None = None
    rate: float = 1.0
    per_channel: bool = False
    saved: Saved = "x"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise InputError(f"precision must be one of {', '.join(get_args(Precision))}", self.precision)
        if self.saved not in get_args(Saved):
            raise InputError(f"saved must be one of {', '.join(get_args(Saved))}", self.saved)
        if not isinstance(self.device, str) or not self.device:
            raise InputError("a device must be a name such as cpu or cuda", self.device)
        for what, count in (("examples", self.examples), ("stacked seeds", self.stacked)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise InputError(f"the number of {what} must be a whole number from 1", count)
        for what in ("compiled", "record", "per_channel"):
            if not isinstance(getattr(self, what), bool):
                raise InputError(f"{what} must be true or false", getattr(self, what))
        number = isinstance(self.rate, int | float) and not isinstance(self.rate, bool)
        if not number or not 0 < self.rate < math.inf:
            raise InputError("a rate must be a positive number, times the recipe's own", self.rate)
        if self.stacked > 1:
            self.check_stacked()

    def check_stacked(self) -> None:
        """Check that a stack can be trained so.

        Raises:
            InputError: it cannot.
        """
        given = sorted(set(self.to_dict()) & {"record", "checkpoints", "precision", "saved"})
        if given:
            raise InputError(
                "stacked trainings are in float32, not recorded, without checkpoints and keep x",
                ", ".join(given),
                "leave these out, or stack none",
            )

    def with_examples(self, count: int | None) -> Setting:
        """The same with so many examples, where it does not say itself how many."""
        return self if count is None or self.examples is not None else replace(self, examples=count)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the default, as plain JSON values.

        >>> Setting(device="cuda", compiled=True).to_dict()
        {'device': 'cuda', 'compiled': True}
        """
        default = Setting()
        return {key: value for key, value in asdict(self).items() if value != getattr(default, key)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Setting:
        """Read what `to_dict` wrote.

        Raises:
            InputError: the values are no such setting.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError("a setting must be what to_dict wrote", ", ".join(sorted(unknown)))
        return cls(**values)
