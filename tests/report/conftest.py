"""Results made by hand, with every case that a page must show: intervals, one seed, failures, pruned trials."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from eafo import catalog
from eafo.search import Arm, Comparison, Estimate, Plan, Study, TrialResult
from eafo.tasks import Learned, Outcome


def outcome(seed: int, level: float, epochs: int = 5, learned: bool = False) -> Outcome:
    noise = np.random.default_rng(seed).normal(0, 0.5, epochs)
    curve = tuple(float(level - 20 / (e + 1) + n) for e, n in enumerate(noise))
    moved = (Learned("activations.0.epsilon", 0.01, 0.3 + 0.01 * seed),) if learned else ()
    return Outcome(
        seed, curve[-1], curve, tuple(2.0 / (e + 1) for e in range(epochs)), moved, 1.5 + seed, 200
    )


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    arms = (
        Arm(catalog.get("relu"), tuple(outcome(s, 84) for s in range(3))),
        Arm(catalog.get("crrelu"), tuple(outcome(s, 86, learned=True) for s in range(3))),
        Arm(catalog.get("sinerelu(epsilon=0.3)"), tuple(outcome(s, 80) for s in range(3))),
        Arm(
            catalog.get("relu_squared"),
            (outcome(0, 90),),
            ("seed 1: the loss is NaN", "seed 2: the loss is NaN"),
        ),
        Arm(catalog.get("x*sigmoid(beta*x); beta=2"), tuple(outcome(s, 85) for s in range(3))),
    )
    return Comparison("mnist1d", 5, (0, 1, 2), arms)


@pytest.fixture(scope="session")
def study() -> Study:
    plan = Plan.from_dict(
        {
            "name": "relu-parameters",
            "task": "mnist1d",
            "budget": "tiny",
            "trials": 8,
            "seeds": 2,
            "space": {
                "bases": ["relu", "srelu"],
                "laws": ["none", "normal"],
                "parameters": {"epsilon": {"low": -0.5, "high": 1.0}, "srelu.t": {"low": 0.5, "high": 3}},
            },
        }
    )
    return Study(plan.name, plan, (*map(scored, range(6)), failed(6), scored(7)), unfinished=1)


def scored(number: int) -> TrialResult:
    if number == 2:
        base, law, parameters, activation = "srelu", "none", (("srelu.t", 1.5),), catalog.get("srelu(t=1.5)")
    else:
        epsilon = 0.1 * number - 0.2
        base, law, parameters = "relu", "normal", (("epsilon", epsilon),)
        activation = catalog.get("crrelu", epsilon=epsilon)
    state = "pruned" if number in (3, 4) else "complete"
    outcomes = tuple(outcome(s + 10 * number, 80 + number) for s in range(1 if state == "pruned" else 2))
    estimate = Estimate.of(o.score for o in outcomes)
    return TrialResult(number, state, base, law, activation, parameters, outcomes, estimate)


def failed(number: int) -> TrialResult:
    reason = "the loss left the finite numbers in epoch 1"
    return TrialResult(
        number, "failed", "relu", "normal", catalog.get("crrelu"), (("epsilon", 0.9),), (), None, reason
    )


class Inspector(HTMLParser):
    """Reads a page and keeps what the tests ask about; a wrongly nested element fails at once."""

    VOID = frozenset(("meta", "br", "link", "img", "hr", "input"))

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def inspect() -> Callable[[Path], Inspector]:
    return lambda path: Inspector(path.read_text(encoding="utf-8"))
