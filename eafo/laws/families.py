"""The families of laws with a closed form: how each is built of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws.law import Law, exact
from eafo.laws.numeric import Numbers
from eafo.laws.standard import located

__all__ = ["FAMILIES", "Family", "build"]

x = VARIABLE
#: Beyond it the closed form of Student's distribution function is long.
_MOST_FREEDOM = 12
#: Beyond it the gamma function of whole degrees of freedom has more digits than anybody can use.
_MOST_EXACT = 200


@dataclass(frozen=True)
class _Form:
    """The closed form of a law; its `source` ends in location and scale, as SciPy's arguments do."""

    density: sympy.Expr
    cdf: sympy.Expr | None
    survival: sympy.Expr | None
    quantile: sympy.Expr | None
    entropy: sympy.Expr
    source: tuple[str, tuple[sympy.Expr, ...]]
    lower: sympy.Expr = field(default=-sympy.oo)
    upper: sympy.Expr = field(default=sympy.oo)


def _normal(mean: Any, deviation: Any) -> _Form:
    # Expanded, since SymPy's limit of erf needs its argument so.
    z = sympy.expand((x - mean) / (deviation * sympy.sqrt(2)))
    return _Form(
        density=sympy.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * sympy.sqrt(2 * sympy.pi)),
        cdf=(1 + sympy.erf(z)) / 2,
        survival=sympy.erfc(z) / 2,
        quantile=mean + deviation * sympy.sqrt(2) * sympy.erfinv(2 * Law.U - 1),
        entropy=sympy.log(2 * sympy.pi * sympy.E * deviation**2) / 2,
        source=("norm", (mean, deviation)),
    )


def _logistic(mean: Any, scale: Any) -> _Form:
    z = (x - mean) / scale
    return _Form(
        # The same as e^{-z} / (1 + e^{-z})², without overflow on either side.
        density=1 / (4 * scale * sympy.cosh(z / 2) ** 2),
        cdf=1 / (1 + sympy.exp(-z)),
        survival=1 / (1 + sympy.exp(z)),
        quantile=mean + scale * sympy.log(Law.U / (1 - Law.U)),
        entropy=sympy.log(scale) + 2,
        source=("logistic", (mean, scale)),
    )


def _laplace(mean: Any, scale: Any) -> _Form:
    z, u = (x - mean) / scale, Law.U
    return _Form(
        density=sympy.exp(-sympy.Abs(z)) / (2 * scale),
        cdf=sympy.Piecewise((1 - sympy.exp(-z) / 2, x > mean), (sympy.exp(z) / 2, True)),
        survival=sympy.Piecewise((sympy.exp(-z) / 2, x > mean), (1 - sympy.exp(z) / 2, True)),
        quantile=mean - scale * sympy.sign(u - sympy.S.Half) * sympy.log(1 - 2 * sympy.Abs(u - sympy.S.Half)),
        entropy=sympy.log(2 * scale) + 1,
        source=("laplace", (mean, scale)),
    )


def _cauchy(location: Any, scale: Any) -> _Form:
    z = (x - location) / scale
    return _Form(
        density=1 / (sympy.pi * scale * (1 + z**2)),
        cdf=sympy.atan(z) / sympy.pi + sympy.S.Half,
        survival=sympy.S.Half - sympy.atan(z) / sympy.pi,
        quantile=location + scale * sympy.tan(sympy.pi * (Law.U - sympy.S.Half)),
        entropy=sympy.log(4 * sympy.pi * scale),
        source=("cauchy", (location, scale)),
    )


def _gumbel(location: Any, scale: Any) -> _Form:
    z = (x - location) / scale
    return _Form(
        density=sympy.exp(-z - sympy.exp(-z)) / scale,
        cdf=sympy.exp(-sympy.exp(-z)),
        survival=1 - sympy.exp(-sympy.exp(-z)),
        quantile=location - scale * sympy.log(-sympy.log(Law.U)),
        entropy=sympy.log(scale) + sympy.EulerGamma + 1,
        source=("gumbel_r", (location, scale)),
    )


def _uniform(lower: Any, upper: Any) -> _Form:
    return _Form(
        density=1 / (upper - lower),
        cdf=sympy.expand((x - lower) / (upper - lower)),
        survival=sympy.expand((upper - x) / (upper - lower)),
        quantile=lower + (upper - lower) * Law.U,
        lower=lower,
        upper=upper,
        entropy=sympy.log(upper - lower),
        source=("uniform", (lower, upper - lower)),
    )


def _exponential(scale: Any, location: Any) -> _Form:
    z = (x - location) / scale
    return _Form(
        density=sympy.exp(-z) / scale,
        cdf=1 - sympy.exp(-z),
        survival=sympy.exp(-z),
        quantile=location - scale * sympy.log(1 - Law.U),
        lower=location,
        entropy=sympy.log(scale) + 1,
        source=("expon", (location, scale)),
    )


def _half_normal(deviation: Any, location: Any) -> _Form:
    z = (x - location) / (deviation * sympy.sqrt(2))
    return _Form(
        density=sympy.sqrt(2 / sympy.pi) * sympy.exp(-(z**2)) / deviation,
        cdf=sympy.erf(z),
        survival=sympy.erfc(z),
        quantile=location + deviation * sympy.sqrt(2) * sympy.erfinv(Law.U),
        lower=location,
        entropy=sympy.log(sympy.pi * deviation**2 / 2) / 2 + sympy.S.Half,
        source=("halfnorm", (location, deviation)),
    )


def _student_t(freedom: Any, location: Any, scale: Any) -> _Form:
    z = (x - location) / scale
    few = freedom if freedom.free_symbols or freedom <= _MOST_EXACT else _with_digits(freedom)
    front = sympy.gamma((few + 1) / 2) / (sympy.gamma(few / 2) * sympy.sqrt(sympy.pi * few) * scale)
    half, u = _half_of_t(freedom, z), Law.U
    quantiles = {
        sympy.Integer(1): sympy.tan(sympy.pi * (u - sympy.S.Half)),
        sympy.Integer(2): (2 * u - 1) / sympy.sqrt(2 * u * (1 - u)),
    }
    spread = sympy.digamma((few + 1) / 2) - sympy.digamma(few / 2)
    # log(√ν B(ν/2, 1/2)), the beta function written out.
    volume = sympy.log(few * sympy.pi) / 2 + sympy.loggamma(few / 2) - sympy.loggamma((few + 1) / 2)
    return _Form(
        density=front * (1 + z**2 / freedom) ** (-(freedom + 1) / 2),
        cdf=None if half is None else sympy.S.Half + half,
        survival=None if half is None else sympy.S.Half - half,
        quantile=location + scale * quantiles[freedom] if freedom in quantiles else None,
        entropy=(few + 1) / 2 * spread + volume + sympy.log(scale),
        source=("t", (freedom, location, scale)),
    )


def _with_digits(number: sympy.Expr) -> sympy.Expr:
    """A large number with so many digits that differences of its gamma functions keep a double's."""
    return sympy.Float(number, 40 + 3 * len(str(int(number))))


def _half_of_t(freedom: Any, z: Any) -> sympy.Expr | None:
    """F(z) − 1/2 of Student's t for few whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    if not freedom.is_Integer or freedom > _MOST_FREEDOM:
        return None
    square = 1 / (1 + z**2 / freedom)
    sine = z / sympy.sqrt(freedom) * sympy.sqrt(square)
    odd = int(freedom) % 2
    term, total = sympy.Integer(1), sympy.Integer(0)
    for k in range(int(freedom) // 2):
        total += term * square**k
        term *= sympy.Rational(2 * k + 2, 2 * k + 3) if odd else sympy.Rational(2 * k + 1, 2 * k + 2)
    if odd:
        return (sympy.atan(z / sympy.sqrt(freedom)) + sine * sympy.sqrt(square) * total) / sympy.pi
    return sine * total / 2


@dataclass(frozen=True)
class Family:
    """How a law is built of its parameters.

    Args:
        form: its closed form.
        defaults: the parameters in their order.
        positive: those that must be positive.
    """

    form: Callable[..., _Form]
    defaults: Mapping[str, float]
    positive: tuple[str, ...] = ("scale",)


FAMILIES: dict[str, Family] = {
    "cauchy": Family(_cauchy, {"location": 0.0, "scale": 1.0}),
    "exponential": Family(_exponential, {"scale": 1.0, "location": 0.0}),
    "gumbel": Family(_gumbel, {"location": 0.0, "scale": 1.0}),
    "half_normal": Family(_half_normal, {"deviation": 1.0, "location": 0.0}, ("deviation",)),
    "laplace": Family(_laplace, {"mean": 0.0, "scale": 1.0}),
    "logistic": Family(_logistic, {"mean": 0.0, "scale": 1.0}),
    "normal": Family(_normal, {"mean": 0.0, "deviation": 1.0}, ("deviation",)),
    "student_t": Family(_student_t, {"freedom": 3.0, "location": 0.0, "scale": 1.0}, ("freedom", "scale")),
    "uniform": Family(_uniform, {"lower": -1.0, "upper": 1.0}, ()),
}


def build(family: str, given: Mapping[str, float | sympy.Expr]) -> Law:
    """The law of a family, with the parameters that are given and the defaults of the others.

    Raises:
        InputError: an unknown or a missing parameter, or one outside its range.

    >>> build("student_t", {"freedom": 5}).name
    'student_t(5)'
    """
    known = FAMILIES[family]
    if given.keys() - known.defaults.keys():
        raise InputError(
            f"the parameters of this law are {', '.join(known.defaults)}, each given once",
            f"{family}({', '.join(given)})",
        )
    values = {**known.defaults, **given}
    parameters = {name: _checked(family, known, name, value) for name, value in values.items()}
    if family == "uniform" and (parameters["upper"] - parameters["lower"]).is_positive is False:
        raise InputError("a uniform law's lower end must lie below its upper end", _named(family, parameters))
    form = known.form(**parameters)
    return Law(
        name=_named(family, parameters),
        density=form.density,
        cdf=form.cdf,
        survival=form.survival,
        quantile=form.quantile,
        lower=form.lower,
        upper=form.upper,
        entropy=form.entropy,
        source=form.source,
        numbers=partial(_numbers, family, form.source[1]),
        replaced=partial(_replaced, family, tuple(parameters.items())),
    )


def _numbers(family: str, source: tuple[sympy.Expr, ...]) -> Numbers:
    *shape, location, scale = map(float, source)
    return located(family, location, scale, *shape)


def _replaced(
    family: str,
    parameters: tuple[tuple[str, sympy.Expr], ...],
    values: Mapping[sympy.Symbol, sympy.Expr],
) -> Law:
    return build(family, {name: value.xreplace(values) for name, value in parameters})


def _checked(family: str, known: Family, name: str, value: Any) -> sympy.Expr:
    """A parameter in exact form, or the reason why it cannot be one."""
    if isinstance(value, sympy.Basic) and value.free_symbols:
        return _checked_symbol(known, name, value)
    number = _as_number(value)
    if not (number == 0 or 1e-100 < abs(number) < 1e100):
        raise InputError(
            "a law's parameters must be 0 or lie between 1e-100 and 1e100 in size",
            f"{family}({name}={value})",
        )
    if name in known.positive and not number > 0:
        raise InputError(f"a law's {name} must be positive", f"{family}({name}={number:g})")
    return exact(value)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("a law's parameter must be a number or a SymPy expression", value) from error


def _checked_symbol(known: Family, name: str, value: sympy.Expr) -> sympy.Expr:
    declared = "positive" if name in known.positive else "real"
    if x in value.free_symbols or any(s.name == x.name for s in value.free_symbols):
        raise InputError(
            "a law's parameter must not hold the law's own variable x", value, "choose another name"
        )
    holds = value.is_positive if declared == "positive" else value.is_real
    if not holds:
        raise InputError(
            f"a law's {name} must be known to be {declared}",
            value,
            f"declare its symbols so, as in sympy.Symbol('{min(s.name for s in value.free_symbols)}', {declared}=True)",
        )
    return value


def _named(family: str, parameters: Mapping[str, sympy.Expr]) -> str:
    """The text form: bare where all parameters are the defaults; a location that comes last is left out where 0."""
    defaults = FAMILIES[family].defaults
    shown = {n: str(v) if v.free_symbols else f"{float(v):.12g}" for n, v in parameters.items()}
    standard = {n: f"{v:.12g}" for n, v in defaults.items()}
    if shown == standard:
        return family
    if family in ("exponential", "half_normal") and shown["location"] == "0":
        del shown["location"]
    if family == "student_t" and (shown["location"], shown["scale"]) == ("0", "1"):
        del shown["location"], shown["scale"]
    return f"{family}({', '.join(shown.values())})"
