"""The record of a derivation: its steps, their checks run again, and copies of it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle

import pytest
import sympy

from eafo import catalog, laws
from eafo.derivation.record import Derivation, Step, Verification
from eafo.errors import InputError, RefusedError

x = sympy.Symbol("x", real=True)
SUM = sympy.Eq(sympy.Symbol("s"), 4)


def tell(text: str) -> str:
    return text


def fail() -> str:
    raise ArithmeticError("both routes must agree")


def derivation(*steps: Step) -> Derivation:
    base = catalog.get("relu")
    return Derivation(base, laws.get("normal"), steps, x, sympy.S.One, base, 0.0, (), ("a finding",))


def test_four_arguments_still_make_a_step() -> None:
    step = Step("a", SUM, "why", "how")
    assert (step.check, step.route) == (None, "symbolic")
    assert "check" not in repr(step)
    assert step == Step("a", SUM, "why", "how", check=fail)
    assert hash(step) == hash(Step("a", SUM, "why", "how", check=fail))


def test_every_check_runs_and_failures_are_collected() -> None:
    told = derivation(
        Step("first", SUM, "", "4", check=lambda: str(2 + 2)),
        Step("second", SUM, "", "4", check=fail),
        Step("unchecked", SUM, "", "by SymPy's assumptions"),
        Step("third", SUM, "", "4", check=lambda: str(2 * 2)),
    ).verify()
    assert [(v.step, v.ok) for v in told] == [("first", True), ("second", False), ("third", True)]
    assert [str(v) for v in told] == [
        "✓ first: 4",
        "✗ second: ArithmeticError: both routes must agree",
        "✓ third: 4",
    ]


@pytest.mark.parametrize(
    "change",
    [{"verification": "5"}, {"verification": "4 at last"}, {"formula": sympy.Eq(sympy.Symbol("s"), 5)}],
    ids=str,
)
def test_a_corrupted_step_fails(change: dict[str, object]) -> None:
    step = Step("sum", SUM, "", "4", check=lambda: str(2 + 2))
    assert step.verify().ok
    corrupted = dataclasses.replace(step, **change)  # type: ignore[arg-type]
    assert not corrupted.verify().ok
    (verdict,) = derivation(corrupted).verify()
    assert not verdict.ok


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ("agrees to 3e-16, H = 0.725791353", True),
        ("agrees to 1e-15, H = 0.7257913530001", True),
        ("agrees to 1e-15, H = 0.725795", False),
        ("agrees to 1e-15, h = 0.725791353", False),
        ("agrees to 1e-3, H = 0.725791353", False),
    ],
)
def test_numbers_may_differ_by_rounding_alone(told: str, ok: bool) -> None:
    step = Step("a", SUM, "", "agrees to 2e-16, H = 0.725791353", check=lambda: told)
    assert step.verify().ok is ok


def test_without_any_check_there_is_nothing_to_verify() -> None:
    with pytest.raises(RefusedError, match="none of the derivation's steps has a check"):
        derivation(Step("a", SUM, "", "")).verify()
    with pytest.raises(InputError, match="where it has a check, but got 'a'"):
        Step("a", SUM, "", "").verify()


def test_the_route_is_shown() -> None:
    shown = derivation(
        Step("quadrature", SUM, "because", "4", route="numeric"), Step("closed form", SUM, "because", "4")
    )
    assert "1. quadrature (numerical). because" in shown.text()
    assert "2. closed form. because" in shown.text()
    assert "<strong>quadrature (numerical).</strong>" in shown.html()
    assert [s["route"] for s in shown.to_dict()["steps"]] == ["numeric", "symbolic"]
    assert all("check" not in s for s in shown.to_dict()["steps"])
    with pytest.raises(InputError, match="must be one of symbolic, numeric, but got 'guessed'"):
        Step("a", SUM, "", "", route="guessed")  # type: ignore[arg-type]


def test_copies_keep_their_checks() -> None:
    made = derivation(Step("sum", SUM, "", "4", check=lambda: str(2 + 2)))
    for copied in (copy.copy(made), copy.deepcopy(made)):
        assert copied == made
        assert copied.verify() == (Verification("sum", True, "4"),)


def test_pickled_derivations_say_which_checks_stayed_behind() -> None:
    made = derivation(
        Step("travels", SUM, "", "4", check=functools.partial(tell, "4")),
        Step("stays", SUM, "", "4", check=lambda: str(2 + 2)),
    )
    there = pickle.loads(pickle.dumps(made))
    assert there == made
    travels, stays = there.verify()
    assert travels == Verification("travels", True, "4")
    assert not stays.ok
    assert "derive anew" in stays.told
