"""Input laws: the distribution of a layer's pre-activation, with density, cdf and score in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from eafo import formula
from eafo.activation import VARIABLE
from eafo.errors import InputError

__all__ = ["Law", "LawLike", "get", "names"]

x = VARIABLE


@dataclass(frozen=True)
class Law:
    """A continuous law of one real variable, in closed form.

    Args:
        name: its text form with all parameters, ``"normal(0, 2)"``.
        density: p(x) on the support.
        cdf: F(x) on the support; F′ = p.
        survival: 1 − F(x) on the support, in a form that does not cancel where there is one.
        quantile: F⁻¹(u) for 0 < u < 1, in the symbol `Law.U`.
        lower: the support's lower end, ``-oo`` where it has none.
        upper: the support's upper end, ``oo`` where it has none.
        entropy: the differential entropy in nats.
        source: the name of the same law in `scipy.stats` and its positional arguments, for checks and sampling.
    """

    name: str
    density: sympy.Expr
    cdf: sympy.Expr
    survival: sympy.Expr
    quantile: sympy.Expr
    lower: sympy.Expr
    upper: sympy.Expr
    entropy: sympy.Expr
    source: tuple[str, tuple[sympy.Expr, ...]]

    #: The probability at which a quantile is taken.
    U = sympy.Symbol("u", positive=True)

    def __str__(self) -> str:
        return self.name

    @property
    def score(self) -> sympy.Expr:
        """(log p)′ = p′/p.

        >>> get("normal").score
        -x
        """
        ratio = sympy.diff(self.density, x) / self.density
        # simplify would open |x| into branches, and lose the sign's short form.
        return sympy.powsimp(ratio) if self.density.has(sympy.Abs) else sympy.simplify(ratio)

    def cdf_everywhere(self) -> sympy.Expr:
        """F on the whole line: 0 below the support and 1 above it.

        >>> get("uniform").cdf_everywhere()
        Max(0, Min(1, x/2 + 1/2))
        """
        if self.lower.is_infinite and self.upper.is_infinite:
            return self.cdf
        # F is increasing, and so is its continuation: clipping needs no condition.
        clipped = self.cdf if self.upper.is_infinite else sympy.Min(1, self.cdf)
        return clipped if self.lower.is_infinite else sympy.Max(0, clipped)

    @cached_property
    def numeric(self) -> Numbers:
        """The law in double precision, vectorised."""
        return Numbers(self)

    def frozen(self) -> Any:
        """The same law as a frozen `scipy.stats` distribution: the independent route of the checks."""
        import scipy.stats  # noqa: PLC0415 - 0.8 s to load, needed for sampling and checks alone

        kind, arguments = self.source
        return getattr(scipy.stats, kind)(*map(float, arguments))

    def sample(self, size: int, seed: int) -> npt.NDArray[np.float64]:
        """Draw `size` independent values, repeatably."""
        if size < 1:
            raise InputError("a sample's size must be at least 1", size)
        return np.asarray(self.frozen().rvs(size=size, random_state=np.random.default_rng(seed)), np.float64)


class Numbers:
    """A law in double precision; every method takes an array of any shape and returns one of the same shape.

    Attributes:
        lower: the support's lower end, may be -inf.
        upper: the support's upper end, may be inf.
        kinks: the points inside the support where the density or its slope jumps.
        entropy: the differential entropy in nats.
        entropy_error: a bound of its absolute error.
    """

    def __init__(self, law: Law) -> None:
        frozen = law.frozen()
        self.pdf, self.logpdf = frozen.pdf, frozen.logpdf
        self.cdf, self.sf, self.ppf, self.isf = frozen.cdf, frozen.sf, frozen.ppf, frozen.isf
        self.lower, self.upper = float(law.lower), float(law.upper)
        inside = (k for a in law.density.atoms(sympy.Abs) for k in sympy.solve(a.args[0], x))
        self.kinks: tuple[float, ...] = tuple(sorted(float(k) for k in inside))
        self.entropy, self.entropy_error = float(law.entropy), 1e-15
        self._score = sympy.lambdify(x, law.score, modules=["scipy", "numpy"])

    def score(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """p′/p inside the support."""
        at = np.asarray(points, np.float64)
        return np.array(np.broadcast_to(self._score(at), at.shape), np.float64)


#: What every function of eafo accepts as a law: its text form or a `Law`.
LawLike = str | Law


def _normal(mean: Any, deviation: Any) -> dict[str, Any]:
    # Expanded, since SymPy's limit of erf needs its argument so.
    z = sympy.expand((x - mean) / (deviation * sympy.sqrt(2)))
    return {
        "density": sympy.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * sympy.sqrt(2 * sympy.pi)),
        "cdf": (1 + sympy.erf(z)) / 2,
        "survival": sympy.erfc(z) / 2,
        "quantile": mean + deviation * sympy.sqrt(2) * sympy.erfinv(2 * Law.U - 1),
        "entropy": sympy.log(2 * sympy.pi * sympy.E * deviation**2) / 2,
        "source": ("norm", (mean, deviation)),
    }


def _logistic(mean: Any, scale: Any) -> dict[str, Any]:
    z = (x - mean) / scale
    return {
        # The same as e^{-z} / (1 + e^{-z})², without overflow on either side.
        "density": 1 / (4 * scale * sympy.cosh(z / 2) ** 2),
        "cdf": 1 / (1 + sympy.exp(-z)),
        "survival": 1 / (1 + sympy.exp(z)),
        "quantile": mean + scale * sympy.log(Law.U / (1 - Law.U)),
        "entropy": sympy.log(scale) + 2,
        "source": ("logistic", (mean, scale)),
    }


def _laplace(mean: Any, scale: Any) -> dict[str, Any]:
    z, u = (x - mean) / scale, Law.U
    return {
        "density": sympy.exp(-sympy.Abs(z)) / (2 * scale),
        "cdf": sympy.Piecewise((1 - sympy.exp(-z) / 2, x > mean), (sympy.exp(z) / 2, True)),
        "survival": sympy.Piecewise((sympy.exp(-z) / 2, x > mean), (1 - sympy.exp(z) / 2, True)),
        "quantile": mean
        - scale * sympy.sign(u - sympy.S.Half) * sympy.log(1 - 2 * sympy.Abs(u - sympy.S.Half)),
        "entropy": sympy.log(2 * scale) + 1,
        "source": ("laplace", (mean, scale)),
    }


def _cauchy(location: Any, scale: Any) -> dict[str, Any]:
    z = (x - location) / scale
    return {
        "density": 1 / (sympy.pi * scale * (1 + z**2)),
        "cdf": sympy.atan(z) / sympy.pi + sympy.S.Half,
        "survival": sympy.S.Half - sympy.atan(z) / sympy.pi,
        "quantile": location + scale * sympy.tan(sympy.pi * (Law.U - sympy.S.Half)),
        "entropy": sympy.log(4 * sympy.pi * scale),
        "source": ("cauchy", (location, scale)),
    }


def _gumbel(location: Any, scale: Any) -> dict[str, Any]:
    z = (x - location) / scale
    return {
        "density": sympy.exp(-z - sympy.exp(-z)) / scale,
        "cdf": sympy.exp(-sympy.exp(-z)),
        "survival": 1 - sympy.exp(-sympy.exp(-z)),
        "quantile": location - scale * sympy.log(-sympy.log(Law.U)),
        "entropy": sympy.log(scale) + sympy.EulerGamma + 1,
        "source": ("gumbel_r", (location, scale)),
    }


def _uniform(lower: Any, upper: Any) -> dict[str, Any]:
    return {
        "density": 1 / (upper - lower),
        "cdf": sympy.expand((x - lower) / (upper - lower)),
        "survival": sympy.expand((upper - x) / (upper - lower)),
        "quantile": lower + (upper - lower) * Law.U,
        "lower": lower,
        "upper": upper,
        "entropy": sympy.log(upper - lower),
        "source": ("uniform", (lower, upper - lower)),
    }


def _exponential(scale: Any) -> dict[str, Any]:
    return {
        "density": sympy.exp(-x / scale) / scale,
        "cdf": 1 - sympy.exp(-x / scale),
        "survival": sympy.exp(-x / scale),
        "quantile": -scale * sympy.log(1 - Law.U),
        "lower": sympy.S.Zero,
        "entropy": sympy.log(scale) + 1,
        "source": ("expon", (sympy.S.Zero, scale)),
    }


def _half_normal(deviation: Any) -> dict[str, Any]:
    z = x / (deviation * sympy.sqrt(2))
    return {
        "density": sympy.sqrt(2 / sympy.pi) * sympy.exp(-(z**2)) / deviation,
        "cdf": sympy.erf(z),
        "survival": sympy.erfc(z),
        "quantile": deviation * sympy.sqrt(2) * sympy.erfinv(Law.U),
        "lower": sympy.S.Zero,
        "entropy": sympy.log(sympy.pi * deviation**2 / 2) / 2 + sympy.S.Half,
        "source": ("halfnorm", (sympy.S.Zero, deviation)),
    }


@dataclass(frozen=True)
class _Family:
    """How a law is built from its parameters, of which those in `positive` must be."""

    build: Callable[..., dict[str, Any]]
    defaults: dict[str, float]
    positive: str = "scale"


_FAMILIES: dict[str, _Family] = {
    "cauchy": _Family(_cauchy, {"location": 0.0, "scale": 1.0}),
    "exponential": _Family(_exponential, {"scale": 1.0}),
    "gumbel": _Family(_gumbel, {"location": 0.0, "scale": 1.0}),
    "half_normal": _Family(_half_normal, {"deviation": 1.0}, "deviation"),
    "laplace": _Family(_laplace, {"mean": 0.0, "scale": 1.0}),
    "logistic": _Family(_logistic, {"mean": 0.0, "scale": 1.0}),
    "normal": _Family(_normal, {"mean": 0.0, "deviation": 1.0}, "deviation"),
    "uniform": _Family(_uniform, {"lower": -1.0, "upper": 1.0}, ""),
}


def names() -> tuple[str, ...]:
    """The names of the laws.

    >>> names()
    ('cauchy', 'exponential', 'gumbel', 'half_normal', 'laplace', 'logistic', 'normal', 'uniform')
    """
    return tuple(_FAMILIES)


def get(law: LawLike) -> Law:
    """A law by its text form.

    Args:
        law: ``"normal"``, ``"normal(0, 2)"``, ``"laplace(scale=0.5)"``, or a `Law`, returned as it is. Parameters:
            normal(mean, deviation), logistic(mean, scale), laplace(mean, scale), cauchy(location, scale),
            gumbel(location, scale), uniform(lower, upper), exponential(scale), half_normal(deviation). Standard ones
            where not given; uniform on (−1, 1).

    Raises:
        InputError: an unknown name, an unknown or doubled parameter, a scale that is not positive.

    >>> str(get("normal(0, 2)")), get("logistic").cdf
    ('normal(0, 2)', 1/(1 + exp(-x)))
    """
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        raise InputError("a law must be its text form or a Law", law)
    call = formula.parse_call(law)
    if call is None or call[0] not in _FAMILIES:
        raise InputError("a law must be one of " + ", ".join(_FAMILIES), law, "for example normal(0, 2)")
    name, positional, named = call
    family = _FAMILIES[name]
    values = _arguments(law, family, positional, named)
    exact = {n: sympy.Rational(repr(v)) for n, v in values.items()}
    shown = (
        name if values == family.defaults else f"{name}({', '.join(f'{v:.12g}' for v in values.values())})"
    )
    line = {"lower": -sympy.oo, "upper": sympy.oo}
    return Law(name=shown, **{**line, **family.build(**exact)})


def _arguments(
    text: str, family: _Family, positional: list[str], named: dict[str, float]
) -> dict[str, float]:
    known = list(family.defaults)
    if len(positional) > len(known) or named.keys() - set(known[len(positional) :]):
        raise InputError(f"the parameters of this law are {', '.join(known)}, each given once", text)
    given = formula.parse_assignments(",".join(f"{n}={v}" for n, v in zip(known, positional, strict=False)))
    values = {**family.defaults, **given, **named}
    if any(v and not 1e-100 < abs(v) < 1e100 for v in values.values()):
        raise InputError("a law's parameters must be 0 or lie between 1e-100 and 1e100 in size", text)
    if family.positive and not values[family.positive] > 0:
        raise InputError(f"a law's {family.positive} must be positive", text)
    if "upper" in values and not values["lower"] < values["upper"]:
        raise InputError("a uniform law's lower end must lie below its upper end", text)
    return values
