"""Input laws: the distribution of a layer's pre-activation, with density, cdf and score in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
        quantile: F⁻¹(u) for 0 < u < 1, in the symbol `Law.U`.
        lower: the support's lower end, ``-oo`` where it has none.
        upper: the support's upper end, ``oo`` where it has none.
        entropy: the differential entropy in nats.
        source: the name of the same law in `scipy.stats` and its positional arguments, for checks and sampling.
    """

    name: str
    density: sympy.Expr
    cdf: sympy.Expr
    quantile: sympy.Expr
    lower: sympy.Expr
    upper: sympy.Expr
    entropy: sympy.Expr
    source: tuple[str, tuple[float, ...]]

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
        # F is increasing, so clipping its continuation needs no condition; it is linear for the uniform law.
        return sympy.Max(0, sympy.Min(1, self.cdf))

    def frozen(self) -> Any:
        """The same law as a frozen `scipy.stats` distribution: the independent route of the checks."""
        import scipy.stats  # noqa: PLC0415 - 0.8 s to load, needed for sampling and checks alone

        kind, arguments = self.source
        return getattr(scipy.stats, kind)(*arguments)

    def sample(self, size: int, seed: int) -> npt.NDArray[np.float64]:
        """Draw `size` independent values, repeatably."""
        if size < 1:
            raise InputError("a sample's size must be at least 1", size)
        return np.asarray(self.frozen().rvs(size=size, random_state=np.random.default_rng(seed)), np.float64)


#: What every function of eafo accepts as a law: its text form or a `Law`.
LawLike = str | Law


def _normal(mean: Any, deviation: Any, raw: tuple[float, float]) -> dict[str, Any]:
    z = (x - mean) / deviation
    return {
        "density": sympy.exp(-(z**2) / 2) / (deviation * sympy.sqrt(2 * sympy.pi)),
        # Expanded, since SymPy's limit of erf needs its argument so.
        "cdf": (1 + sympy.erf(sympy.expand(z / sympy.sqrt(2)))) / 2,
        "quantile": mean + deviation * sympy.sqrt(2) * sympy.erfinv(2 * Law.U - 1),
        "entropy": sympy.log(2 * sympy.pi * sympy.E * deviation**2) / 2,
        "source": ("norm", raw),
    }


def _logistic(mean: Any, scale: Any, raw: tuple[float, float]) -> dict[str, Any]:
    z = (x - mean) / scale
    return {
        # The same as e^{-z} / (1 + e^{-z})², without overflow on either side.
        "density": 1 / (4 * scale * sympy.cosh(z / 2) ** 2),
        "cdf": 1 / (1 + sympy.exp(-z)),
        "quantile": mean + scale * sympy.log(Law.U / (1 - Law.U)),
        "entropy": sympy.log(scale) + 2,
        "source": ("logistic", raw),
    }


def _laplace(mean: Any, scale: Any, raw: tuple[float, float]) -> dict[str, Any]:
    z, u = (x - mean) / scale, Law.U
    return {
        "density": sympy.exp(-sympy.Abs(z)) / (2 * scale),
        "cdf": sympy.Piecewise((1 - sympy.exp(-z) / 2, x > mean), (sympy.exp(z) / 2, True)),
        "quantile": mean
        - scale * sympy.sign(u - sympy.S.Half) * sympy.log(1 - 2 * sympy.Abs(u - sympy.S.Half)),
        "entropy": sympy.log(2 * scale) + 1,
        "source": ("laplace", raw),
    }


def _cauchy(location: Any, scale: Any, raw: tuple[float, float]) -> dict[str, Any]:
    z = (x - location) / scale
    return {
        "density": 1 / (sympy.pi * scale * (1 + z**2)),
        "cdf": sympy.atan(z) / sympy.pi + sympy.S.Half,
        "quantile": location + scale * sympy.tan(sympy.pi * (Law.U - sympy.S.Half)),
        "entropy": sympy.log(4 * sympy.pi * scale),
        "source": ("cauchy", raw),
    }


def _uniform(lower: Any, upper: Any, raw: tuple[float, float]) -> dict[str, Any]:
    return {
        "density": 1 / (upper - lower),
        "cdf": sympy.expand((x - lower) / (upper - lower)),
        "quantile": lower + (upper - lower) * Law.U,
        "lower": lower,
        "upper": upper,
        "entropy": sympy.log(upper - lower),
        "source": ("uniform", (raw[0], raw[1] - raw[0])),
    }


@dataclass(frozen=True)
class _Family:
    build: Callable[[Any, Any, tuple[float, float]], dict[str, Any]]
    parameters: tuple[str, str]
    defaults: tuple[float, float] = (0.0, 1.0)


_FAMILIES: dict[str, _Family] = {
    "cauchy": _Family(_cauchy, ("location", "scale")),
    "laplace": _Family(_laplace, ("mean", "scale")),
    "logistic": _Family(_logistic, ("mean", "scale")),
    "normal": _Family(_normal, ("mean", "deviation")),
    "uniform": _Family(_uniform, ("lower", "upper"), (-1.0, 1.0)),
}


def names() -> tuple[str, ...]:
    """The names of the laws.

    >>> names()
    ('cauchy', 'laplace', 'logistic', 'normal', 'uniform')
    """
    return tuple(_FAMILIES)


def get(law: LawLike) -> Law:
    """A law by its text form.

    Args:
        law: ``"normal"``, ``"normal(0, 2)"``, ``"laplace(scale=0.5)"``, or a `Law`, returned as it is. Parameters:
            normal(mean, deviation), logistic(mean, scale), laplace(mean, scale), cauchy(location, scale), uniform(lower,
            upper). Standard ones where not given; uniform on (−1, 1).

    Raises:
        InputError: an unknown name, an unknown or missing parameter, a scale that is not positive.

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
    values = _arguments(law, _FAMILIES[name], positional, named)
    exact = (sympy.Rational(repr(values[0])), sympy.Rational(repr(values[1])))
    shown = name if values == _FAMILIES[name].defaults else f"{name}({values[0]:.12g}, {values[1]:.12g})"
    return Law(
        **{"name": shown, "lower": -sympy.oo, "upper": sympy.oo, **_FAMILIES[name].build(*exact, values)}
    )


def _arguments(
    text: str, family: _Family, positional: list[str], named: dict[str, float]
) -> tuple[float, float]:
    known = ", ".join(family.parameters)
    if len(positional) > 2 or named.keys() - set(family.parameters[len(positional) :]):
        raise InputError(f"the parameters of this law are {known}, each given once", text)
    given = formula.parse_assignments(
        ",".join(f"{n}={v}" for n, v in zip(family.parameters, positional, strict=False))
    )
    filled = {**dict(zip(family.parameters, family.defaults, strict=True)), **given, **named}
    first, second = (filled[n] for n in family.parameters)
    if family.parameters == ("lower", "upper"):
        if not first < second:
            raise InputError("a uniform law's lower end must lie below its upper end", text)
    elif not second > 0 or not math.isfinite(second):
        raise InputError(f"a law's {family.parameters[1]} must be positive", text)
    return first, second
