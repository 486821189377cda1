"""Closed forms of SciPy's common distributions in their standard form, and where the others have kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import (
    E,
    EulerGamma,
    Rational,
    asin,
    asinh,
    atan,
    beta,
    cosh,
    digamma,
    erf,
    exp,
    gamma,
    log,
    loggamma,
    pi,
    sin,
    sqrt,
    tan,
    tanh,
)  # fmt: skip

from eafo.activation import VARIABLE as x
from eafo.laws.families import FAMILIES
from eafo.laws.law import Law

__all__ = ["FORMS", "KINKS", "Form"]

u = Law.U


@dataclass(frozen=True)
class Form:
    """A law at location 0 and scale 1, on its support.

    Args:
        density: p(x).
        cdf: F(x), None where it is not elementary.
        quantile: F⁻¹(u).
        entropy: in nats.
    """

    density: sympy.Expr
    cdf: sympy.Expr | None = None
    quantile: sympy.Expr | None = None
    entropy: sympy.Expr | None = None


def _family(name: str, **parameters: Any) -> Form:
    form = FAMILIES[name].form(**parameters)
    return Form(form.density, form.cdf, form.quantile, form.entropy)


def _beta(a: Any, b: Any) -> Form:
    return Form(x ** (a - 1) * (1 - x) ** (b - 1) / beta(a, b))


def _chi2(df: Any) -> Form:
    k = df / 2
    density = x ** (k - 1) * exp(-x / 2) / (2**k * gamma(k))
    return Form(density, entropy=k + log(2) + loggamma(k) + (1 - k) * digamma(k))


def _gamma(a: Any) -> Form:
    density = x ** (a - 1) * exp(-x) / gamma(a)
    return Form(density, entropy=a + loggamma(a) + (1 - a) * digamma(a))


def _gumbel_l() -> Form:
    return Form(exp(x - exp(x)), 1 - exp(-exp(x)), log(-log(1 - u)), EulerGamma + 1)


def _halfcauchy() -> Form:
    return Form(2 / (pi * (1 + x**2)), 2 * atan(x) / pi, tan(pi * u / 2), log(2 * pi))


def _halflogistic() -> Form:
    return Form(1 / (2 * cosh(x / 2) ** 2), tanh(x / 2), log((1 + u) / (1 - u)), 2 - log(2))


def _hypsecant() -> Form:
    return Form(1 / (pi * cosh(x)), 2 * atan(exp(x)) / pi, log(tan(pi * u / 2)), log(2 * pi))


def _lognorm(s: Any) -> Form:
    density = exp(-(log(x) ** 2) / (2 * s**2)) / (s * x * sqrt(2 * pi))
    return Form(density, (1 + erf(log(x) / (s * sqrt(2)))) / 2, entropy=log(2 * pi * E * s**2) / 2)


def _lomax(c: Any) -> Form:
    density = c * (1 + x) ** (-c - 1)
    return Form(density, 1 - (1 + x) ** (-c), (1 - u) ** (-1 / c) - 1, 1 + 1 / c - log(c))


def _maxwell() -> Form:
    density = sqrt(2 / pi) * x**2 * exp(-(x**2) / 2)
    cdf = erf(x / sqrt(2)) - sqrt(2 / pi) * x * exp(-(x**2) / 2)
    return Form(density, cdf, entropy=EulerGamma + log(2 * pi) / 2 - Rational(1, 2))


def _moyal() -> Form:
    return Form(exp(-(x + exp(-x)) / 2) / sqrt(2 * pi), 1 - erf(exp(-x / 2) / sqrt(2)))


def _pareto(b: Any) -> Form:
    return Form(b * x ** (-b - 1), 1 - x ** (-b), (1 - u) ** (-1 / b), 1 + 1 / b - log(b))


def _rayleigh() -> Form:
    density, cdf = x * exp(-(x**2) / 2), 1 - exp(-(x**2) / 2)
    return Form(density, cdf, sqrt(-2 * log(1 - u)), 1 - log(2) / 2 + EulerGamma / 2)


def _semicircular() -> Form:
    cdf = Rational(1, 2) + (x * sqrt(1 - x**2) + asin(x)) / pi
    return Form(2 * sqrt(1 - x**2) / pi, cdf, entropy=log(pi) - Rational(1, 2))


def _arcsine() -> Form:
    return Form(1 / (pi * sqrt(x * (1 - x))), 2 * asin(sqrt(x)) / pi, sin(pi * u / 2) ** 2, log(pi / 4))


def _cosine() -> Form:
    return Form((1 + sympy.cos(x)) / (2 * pi), (pi + x + sin(x)) / (2 * pi), entropy=log(4 * pi) - 1)


def _johnsonsu(a: Any, b: Any) -> Form:
    z = a + b * asinh(x)
    return Form(b * exp(-(z**2) / 2) / sqrt(2 * pi * (1 + x**2)), (1 + erf(z / sqrt(2))) / 2)


def _skewnorm(a: Any) -> Form:
    return Form(exp(-(x**2) / 2) / sqrt(2 * pi) * (1 + erf(a * x / sqrt(2))))


def _weibull(c: Any) -> Form:
    density = c * x ** (c - 1) * exp(-(x**c))
    entropy = EulerGamma * (1 - 1 / c) - log(c) + 1
    return Form(density, 1 - exp(-(x**c)), (-log(1 - u)) ** (1 / c), entropy)


#: By SciPy's names; each takes SciPy's shapes.
FORMS: dict[str, Callable[..., Form]] = {
    "arcsine": _arcsine,
    "beta": _beta,
    "cauchy": lambda: _family("cauchy", location=sympy.S.Zero, scale=sympy.S.One),
    "chi2": _chi2,
    "cosine": _cosine,
    "expon": lambda: _family("exponential", scale=sympy.S.One, location=sympy.S.Zero),
    "gamma": _gamma,
    "gumbel_l": _gumbel_l,
    "gumbel_r": lambda: _family("gumbel", location=sympy.S.Zero, scale=sympy.S.One),
    "halfcauchy": _halfcauchy,
    "halflogistic": _halflogistic,
    "halfnorm": lambda: _family("half_normal", deviation=sympy.S.One, location=sympy.S.Zero),
    "hypsecant": _hypsecant,
    "johnsonsu": _johnsonsu,
    "laplace": lambda: _family("laplace", mean=sympy.S.Zero, scale=sympy.S.One),
    "logistic": lambda: _family("logistic", mean=sympy.S.Zero, scale=sympy.S.One),
    "lognorm": _lognorm,
    "lomax": _lomax,
    "maxwell": _maxwell,
    "moyal": _moyal,
    "norm": lambda: _family("normal", mean=sympy.S.Zero, deviation=sympy.S.One),
    "pareto": _pareto,
    "rayleigh": _rayleigh,
    "semicircular": _semicircular,
    "skewnorm": _skewnorm,
    "t": lambda df: _family("student_t", freedom=df, location=sympy.S.Zero, scale=sympy.S.One),
    "uniform": lambda: _family("uniform", lower=sympy.S.Zero, upper=sympy.S.One),
    "weibull_min": _weibull,
}

#: Where the density or its slope jumps inside the support, in the standard form; by SciPy's names and shapes.
KINKS: dict[str, Callable[..., tuple[float, ...]]] = {
    "crystalball": lambda beta, m: (-beta,),
    "dgamma": lambda a: (0.0,),
    "dweibull": lambda c: (0.0,),
    "gennorm": lambda beta: (0.0,),
    "irwinhall": lambda n: tuple(float(k) for k in range(1, int(n))) if n < 3 else (),
    "laplace_asymmetric": lambda kappa: (0.0,),
    "loglaplace": lambda c: (1.0,),
    "skewcauchy": lambda a: (0.0,),
    "trapezoid": lambda c, d: (float(c), float(d)),
    "triang": lambda c: (float(c),),
}
