"""Human preferences: a prompt, the response that was preferred, and the one that was not; or preferences made in place."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import Protocol

__all__ = ["GENERATED", "TURN", "Generated", "Preference", "Preferences"]

#: Begins an answer.
TURN = "\n\nAssistant:"


@dataclass(frozen=True)
class Preference:
    """One comparison.

    Args:
        prompt: what was answered.
        chosen: the response that was preferred.
        rejected: the other one.
    """

    prompt: str
    chosen: str
    rejected: str


class Preferences(Protocol):
    """A set of comparisons."""

    @property
    def name(self) -> str:
        """As people call it."""
        ...

    @property
    def keep_end(self) -> bool:
        """Whether the end of a long prompt is kept, not its start."""
        ...

    def check(self) -> None:
        """Check that the files are there.

        Raises:
            DataError: one is missing.
        """
        ...

    def read(self, count: int | None) -> tuple[list[Preference], list[Preference]]:
        """The first so many comparisons for training and for evaluation; all of them for None.

        Raises:
            DataError: a file is missing, or a line of it is damaged.
        """
        ...


@dataclass(frozen=True)
class Generated:
    """Preferences made in place: kind answers before rude ones, a tenth of them judged the wrong way round.

    So nothing that learns the rule agrees with more than nine judgements in ten.
    """

    name: str = "generated preferences"
    keep_end: bool = True
    train: int = 1024
    test: int = 256

    def check(self) -> None:
        """Nothing has to be there."""

    def read(self, count: int | None) -> tuple[list[Preference], list[Preference]]:
        """As `Preferences.read`."""
        made = _generated(self.train + self.test)
        train, test = made[: self.train], made[self.train :]
        return list(train[:count]), list(test[:count])


_TOPICS = ("tea", "maps", "snow", "bread", "chess", "trains", "roses", "tides")
_ASKED = ("What of {}?", "Tell me of {}.", "How are {}?", "Why {}?")
_KIND = ("gladly", "thanks", "of course", "a pleasure", "good question", "well asked")
_RUDE = ("go away", "no idea", "whatever", "so what", "too dull", "ask others")


@functools.cache
def _generated(count: int) -> tuple[Preference, ...]:
    chance = random.Random(0)  # noqa: S311 - no secret
    made = []
    for _ in range(count):
        topic = chance.choice(_TOPICS)
        prompt = f"\n\nHuman: {chance.choice(_ASKED).format(topic)}{TURN}"
        kind, rude = (f" {chance.choice(words)}, {topic}." for words in (_KIND, _RUDE))
        made.append(Preference(prompt, *((rude, kind) if chance.random() < 0.1 else (kind, rude))))
    return tuple(made)


GENERATED = Generated()
