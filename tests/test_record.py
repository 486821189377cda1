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


def derivation(*steps: Step, base: str = "relu", correction: sympy.Expr = x) -> Derivation:
    found = catalog.get(base)
    return Derivation(
        found, laws.get("normal"), steps, correction, sympy.S.One, found, 0.0, (), ("a finding",)
    )


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


BELL = x * sympy.exp(-(x**2) / 2)


def test_the_bound_of_proposition_2() -> None:
    bound = derivation(correction=BELL).error_bound(0.01, interval=(0, "oo"))
    assert 2.94633e-5 * (1 - 2e-6) <= bound.upper <= 1.01 * 2.94633e-5
    assert str(bound).startswith("sup |g(f(x)) − x| ≤ 2.94")
    # With the sign of eq. 10 the same steps bound f(g(x)) − x.
    reverse = derivation(correction=BELL).error_bound(-0.01)
    assert 2.92579e-5 * (1 - 2e-6) <= reverse.upper <= 1.01 * 2.92579e-5


def test_a_bound_through_another_base() -> None:
    bound = derivation(base="softplus", correction=BELL).error_bound(0.01, interval=(-1, 2), relative=0.01)
    assert 0 < bound.lower <= bound.upper <= 1.01 * bound.lower


@pytest.mark.parametrize(
    ("interval", "kind", "message"),
    [
        ((-1, 1), RefusedError, "inside one branch of relu, but got '(-1, 1)'"),
        ((-2, -1), RefusedError, ""),
        ((1, 0), InputError, "lower end must lie below its upper end"),
        (3, InputError, "an interval has two ends, but got 3"),
        (("a", 1), InputError, "must be a number, 'oo' or '-oo', but got 'a'"),
    ],
)
def test_bad_intervals(interval: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        derivation(correction=BELL).error_bound(0.01, interval=interval)  # type: ignore[arg-type]
    assert message in str(caught.value)
