"""Laws with symbols for parameters."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import scipy.stats
import sympy

from eafo import laws
from eafo.activation import VARIABLE as x
from eafo.errors import InputError

SIGMA = sympy.Symbol("sigma", positive=True)
MU = sympy.Symbol("mu", real=True)


def test_everything_stays_symbolic() -> None:
    law = laws.get("normal", mean=MU, deviation=SIGMA)
    assert law.name == "normal(mu, sigma)"
    assert law.free_symbols == {MU, SIGMA}
    assert sympy.simplify(law.score + (x - MU) / SIGMA**2) == 0
    assert sympy.simplify(law.cdf.diff(x) - law.density) == 0
    assert sympy.simplify(law.entropy - sympy.log(SIGMA * sympy.sqrt(2 * sympy.pi * sympy.E))) == 0
    assert law.quantile.free_symbols == {MU, SIGMA, law.U}


@pytest.mark.parametrize(
    ("family", "parameter", "symbol", "value", "form"),
    [
        ("normal", "deviation", SIGMA, 2.0, "normal(0, 2)"),
        ("logistic", "scale", SIGMA, 0.5, "logistic(0, 0.5)"),
        ("laplace", "mean", MU, -1, "laplace(-1, 1)"),
        ("cauchy", "location", MU, 0, "cauchy"),
        ("gumbel", "scale", SIGMA, 3, "gumbel(0, 3)"),
        ("student_t", "freedom", SIGMA, 5, "student_t(5)"),
        ("uniform", "upper", MU, 4, "uniform(-1, 4)"),
        ("exponential", "scale", SIGMA, 3, "exponential(3)"),
        ("half_normal", "location", MU, 3, "half_normal(1, 3)"),
    ],
)
def test_values_give_the_law_itself(
    family: str, parameter: str, symbol: sympy.Symbol, value: float, form: str
) -> None:
    law = laws.get(family, **{parameter: symbol})
    assert law.free_symbols == {symbol}
    assert law.at(**{symbol.name: value}) == laws.get(form)


def test_some_values_leave_the_others() -> None:
    law = laws.get("laplace", mean=MU, scale=2 * SIGMA).at(mu=1)
    assert law.name == "laplace(1, 2*sigma)"
    assert law.at(sigma=sympy.Rational(1, 2)) == laws.get("laplace(1, 1)")
    assert law.at() is law


def test_numbers_need_values() -> None:
    law = laws.get("normal", deviation=SIGMA)
    message = r"no symbols where numbers are asked for, but got 'normal\(0, sigma\) with sigma'; give the values first, as in law.at\(sigma=2.0\)"
    for ask in (lambda: law.numeric, law.frozen, lambda: law.sample(5, seed=0)):
        with pytest.raises(InputError, match=message):
            ask()
    moved = law.affine(2, 1)
    assert moved.free_symbols == {SIGMA}
    assert moved.at(sigma=2.0).numeric.entropy == pytest.approx(laws.get("normal(1, 4)").numeric.entropy)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"deviation": sympy.Symbol("s")},
            r"deviation must be known to be positive, but got s; declare .*Symbol\('s', positive=True\)",
        ),
        ({"mean": sympy.Symbol("m")}, r"mean must be known to be real.*Symbol\('m', real=True\)"),
        ({"mean": x}, "must not hold the law's own variable x"),
        ({"deviation": -SIGMA}, "must be known to be positive"),
        ({"foo": 1.0}, "parameters of this law are mean, deviation"),
        ({"deviation": "2"}, None),
        ({"deviation": "two"}, "must be a number or a SymPy expression"),
        ({"deviation": float("nan")}, "between 1e-100 and 1e100"),
        ({"deviation": 0}, "deviation must be positive"),
    ],
)
def test_bad_parameters(parameters: dict[str, object], message: str | None) -> None:
    if message is None:
        assert laws.get("normal", **parameters).name == "normal(0, 2)"  # type: ignore[arg-type]
        return
    with pytest.raises(InputError, match=message):
        laws.get("normal", **parameters)  # type: ignore[arg-type]


def test_bad_values() -> None:
    law = laws.get("normal", deviation=SIGMA)
    with pytest.raises(InputError, match="the symbols of this law are: sigma, but got 'tau'"):
        law.at(tau=1)
    with pytest.raises(InputError, match="deviation must be positive"):
        law.at(sigma=-1)
    with pytest.raises(InputError, match="given once"):
        laws.get("normal(0, 1)", deviation=SIGMA)
    with pytest.raises(InputError, match="the symbols of this law are: none"):
        laws.get("normal").at(sigma=1)


@pytest.mark.parametrize(
    "form", ["normal", "0.5*normal(-1,1)+0.5*cauchy", "scipy.gamma(2)", "scipy.nct(5, 1)"]
)
def test_a_law_travels_between_processes(form: str) -> None:
    law = laws.get(form)
    law.numeric.cdf(0.5)
    assert pickle.loads(pickle.dumps(law)).numeric.cdf(0.5) == law.numeric.cdf(0.5)


def test_an_affine_change_needs_a_scale() -> None:
    for scale, location in ((0, 1), (float("inf"), 0), (1, float("nan"))):
        with pytest.raises(InputError, match="must be finite, the scale not 0"):
            laws.get("normal").affine(scale, location)


def test_repeated_reading_is_cached() -> None:
    assert laws.get("normal(0, 3)") is laws.get("normal(0, 3)")


@pytest.mark.parametrize(
    "law", ["0.5*normal + 0.5*cauchy", "1*normal", laws.get("normal"), scipy.stats.norm(), Path("a.npy")]
)
def test_parameters_beside_what_takes_none(law: object) -> None:
    with pytest.raises(InputError, match="only a law by its name takes parameters beside it, but got 'mean"):
        laws.get(law, mean=1.0)


def test_parameters_beside_a_name_of_scipys() -> None:
    assert laws.get("scipy.gamma(2)", scale=3.0).name == "scipy.gamma(2, 0, 3)"


def test_values_are_numbers() -> None:
    law = laws.get("normal", mean=MU)
    for value in (float("nan"), float("inf"), "one", None):
        with pytest.raises(InputError, match="a law's parameter must be"):
            law.at(mu=value)  # type: ignore[arg-type]
