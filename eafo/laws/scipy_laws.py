"""Laws of `scipy.stats`: any continuous distribution by its name there, or a frozen one; the common ones in closed form."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws.densities import Known, checked_numbers
from eafo.laws.law import Law, exact
from eafo.laws.numeric import Array, Function, Numbers
from eafo.laws.quadrature import integrals, refined
from eafo.laws.scipy_forms import FORMS, KINKS, Form
from eafo.laws.tabled import tabled, tabulate

__all__ = ["PREFIX", "from_frozen", "from_name", "is_distribution"]

#: How a law of SciPy's is named in text.
PREFIX = "scipy."

#: Densities that take SciPy so long that a table of them is out of reach.
_SLOW = (
    "dpareto_lognorm", "gausshyper", "irwinhall", "ksone", "kstwo", "kstwobign", "levy_stable", "nct",
    "studentized_range",
)  # fmt: skip
_MASS_TOLERANCE = 1e-6
#: Closed forms that lose their digits in a tail, where SciPy's logarithm of the density keeps them.
_CANCELLING = ("skewnorm",)
_CIRCULAR = ("vonmises",)
#: Coefficients of the central differences of sixth and of fourth order.
_STENCIL = ((1, 3 / 4, 2 / 3), (2, -3 / 20, -1 / 12), (3, 1 / 60, 0.0))
#: Closed forms with a gamma function of their shapes, which leaves every number's range beyond the largest.
_GAMMAS, _LARGEST_SHAPE = ("beta", "chi2", "gamma"), 1000.0


@cache
def _distributions() -> dict[str, Any]:
    import scipy.stats  # noqa: PLC0415 - 0.8 s to load, which the closed forms need not pay

    return {
        name: found
        for name, found in vars(scipy.stats).items()
        if isinstance(found, scipy.stats.rv_continuous) and not name.startswith("_")
    }


def is_distribution(law: object) -> bool:
    """Whether an object is a distribution of SciPy's, frozen or not, without loading SciPy."""
    return any(k.__module__.startswith("scipy.stats") for k in type(law).__mro__)


def from_name(name: str, positional: Sequence[float], named: Mapping[str, float]) -> Law:
    """A continuous law by its name in `scipy.stats`.

    Args:
        name: for example ``"gamma"``.
        positional: SciPy's arguments in SciPy's order: shapes, loc, scale.
        named: the same by name.

    Raises:
        InputError: no such continuous distribution, or arguments that it does not take.

    >>> law = from_name("gamma", [2], {})
    >>> law.name, law.density
    ('scipy.gamma(2, 0, 1)', x*exp(-x))
    """
    known = _distributions()
    if name not in known:
        raise InputError(
            "a law of SciPy must be a continuous distribution of scipy.stats",
            name,
            "for example scipy.gamma(2)",
        )
    return _law(known[name], positional, named)


def _require_line(name: str) -> None:
    """The circle's laws repeat along the line, where their mass has no end."""
    if name in _CIRCULAR:
        raise InputError(
            "a law must live on the line, not on the circle", f"{PREFIX}{name}", "vonmises_line lives there"
        )


def from_frozen(law: Any) -> Law:
    """A law from a frozen distribution of `scipy.stats`, or from one that needs no parameters.

    Raises:
        InputError: the distribution is discrete, multivariate or not one of scipy.stats.
    """
    is_frozen = hasattr(law, "args")
    distribution: Any = law.dist if is_frozen else law
    known = _distributions().get(getattr(distribution, "name", ""))
    if known is None or type(known) is not type(distribution):
        raise InputError(
            "a law of SciPy must be a continuous distribution of scipy.stats",
            repr(law),
            "for example scipy.stats.gamma(2)",
        )
    return _law(known, law.args, law.kwds) if is_frozen else _law(known, (), {})


def _law(distribution: Any, positional: Sequence[float], named: Mapping[str, float]) -> Law:
    name = distribution.name
    _require_line(name)
    parameters = [*filter(None, (s.strip() for s in (distribution.shapes or "").split(","))), "loc", "scale"]
    signature = inspect.Signature(
        [
            inspect.Parameter(
                p,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default={"loc": 0.0, "scale": 1.0}.get(p, inspect.Parameter.empty),
            )
            for p in parameters
        ]
    )
    shown = f"{PREFIX}{name}({', '.join([*map(str, positional), *(f'{k}={v}' for k, v in named.items())])})"
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as error:
        raise InputError(
            f"the parameters of {PREFIX}{name} are {', '.join(parameters)}, each given once", shown
        ) from error
    bound.apply_defaults()
    values = _numbers_in(bound.arguments, shown)
    frozen = distribution(*values)
    lower, upper = map(float, frozen.support())
    if not lower < upper:
        raise InputError(f"the parameters of {PREFIX}{name} must lie in its range", shown)
    text = f"{PREFIX}{name}({', '.join(f'{v:.12g}' for v in values)})"
    return _built(text, name, values, (lower, upper))


def _numbers_in(arguments: Mapping[str, Any], shown: str) -> list[float]:
    try:
        values = [float(v) for v in arguments.values()]
    except (TypeError, ValueError) as error:
        raise InputError("the parameters of a law of SciPy must be single numbers", shown) from error
    if not np.isfinite(values).all():
        raise InputError("a law's parameters must be finite", shown)
    return values


def _built(text: str, name: str, values: list[float], ends: tuple[float, float]) -> Law:
    """The law with its closed form where there is one that bears out SciPy's numbers."""
    *shapes, location, scale = map(exact, values)
    lower, upper = (sympy.oo * np.sign(e) if np.isinf(e) else exact(e) for e in ends)
    density, known = None, Known()
    form = _form(name, shapes)
    if form is not None:
        standard = {VARIABLE: (VARIABLE - location) / scale}
        density = form.density.xreplace(standard) / scale
        known = Known(
            cdf=None if form.cdf is None else form.cdf.xreplace(standard),
            quantile=None if form.quantile is None else location + scale * form.quantile,
            entropy=None if form.entropy is None else form.entropy + sympy.log(scale),
        )
    return Law(
        name=text,
        density=density,
        cdf=known.cdf,
        survival=None if known.cdf is None else 1 - known.cdf,
        quantile=known.quantile,
        lower=lower,
        upper=upper,
        entropy=known.entropy,
        source=(name, tuple(map(exact, values))),
        numbers=partial(_numbers, name, tuple(values)),
    )


def _form(name: str, shapes: Sequence[sympy.Expr]) -> Form | None:
    if name not in FORMS or (name in _GAMMAS and max(shapes) > _LARGEST_SHAPE):
        return None
    return FORMS[name](*shapes)


def _numbers(name: str, values: tuple[float, ...]) -> Numbers:
    """In the standard form, where the ends lie at 0 more often and doubles are denser there; then located."""
    *shapes, location, scale = values
    frozen = _distributions()[name](*shapes)
    lower, upper = map(float, frozen.support())
    form = _form(name, [exact(s) for s in shapes])
    ends = (sympy.oo * np.sign(e) if np.isinf(e) else exact(e) for e in (lower, upper))
    try:
        opened = form is not None and name not in _CANCELLING
        standard = checked_numbers(form.density, *ends) if form and opened else None
    except InputError:
        # So much of its mass next to an end that doubles do not reach it: gamma(0.001).
        standard = None
    if standard is None:
        standard = _tabled(name, tuple(shapes), frozen)
    if form is not None and form.entropy is not None:
        entropy = float(form.entropy)
        standard = replace(standard, entropy_with_error=lambda: (entropy, 1e-15 * max(1.0, abs(entropy))))
    return standard.affine(scale, location)


def _tabled(name: str, shapes: tuple[float, ...], frozen: Any) -> Numbers:
    """Numbers from SciPy's density; from its own distribution function and quantile where the density is slow."""
    lower, upper = map(float, frozen.support())
    kinks = tuple(k for k in KINKS.get(name, lambda *_: ())(*shapes) if lower < k < upper)

    def log_density(x: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(frozen.logpdf(x))

    middle, spread = _spread(frozen)
    slope = partial(_slope, log_density, middle, spread, (lower, *kinks, upper))
    if name in _SLOW:
        return _own(frozen, slope, kinks)
    table = tabulate(log_density, lower, upper, (*kinks, middle))
    if not abs(table.mass - 1) < _MASS_TOLERANCE:
        # Some of SciPy's densities lose themselves far out; its other routines need not.
        return _own(frozen, slope, kinks)
    table = replace(table, error=table.error + abs(table.mass - 1))
    return tabled(log_density, slope, lower, upper, kinks=kinks, table=table, normalised=True)


def _spread(frozen: Any) -> tuple[float, float]:
    """A middle and a width that hold for laws without moments too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, middle, high = map(float, frozen.ppf([0.25, 0.5, 0.75]))
    return middle, high - low


def _slope(log_density: Function, middle: float, spread: float, cuts: tuple[float, ...], x: Array) -> Array:
    """(log p)′ by differences of sixth order, that cross no kink and no end.

    Their step is an eighth as wide, up to three times, where they differ from those of fourth order by more than 1e-9 of the score.
    """
    flat = np.ravel(x)
    room = np.min(np.abs(flat[:, None] - np.array(cuts)), axis=1)
    step = np.minimum(0.01 * np.maximum(spread, np.abs(flat - middle) / 3), room / 64)
    step = np.where(step > 0, step, 1e-8 * spread)
    with np.errstate(all="ignore"):
        value, doubt = _difference(log_density, flat, step)
        for fraction in (1 / 8, 1 / 64, 1 / 512):
            rough = np.flatnonzero(~(doubt <= 1e-9 * (np.abs(value) + 1 / spread)))
            if not rough.size:
                break
            finer, less = _difference(log_density, flat[rough], fraction * step[rough])
            better = (less < doubt[rough]) | (np.isnan(doubt[rough]) & ~np.isnan(less))
            value[rough[better]], doubt[rough[better]] = finer[better], less[better]
    return value.reshape(np.shape(x))


def _difference(log_density: Function, x: Array, step: Array) -> tuple[Array, Array]:
    """The difference of sixth order, and what it may be off: its distance from that of fourth, and rounding."""
    sixth, fourth = np.zeros_like(x), np.zeros_like(x)
    for k, six, four in _STENCIL:
        right, left = log_density(x + k * step), log_density(x - k * step)
        sixth += six * (right - left)
        fourth += four * (right - left)
    return sixth / step, (np.abs(sixth - fourth) + 2e-16 * (1 + np.abs(left))) / step


def _own(frozen: Any, slope: Function, kinks: tuple[float, ...]) -> Numbers:
    """SciPy's own routines throughout."""

    def quiet(function: Callable[[Array], Array]) -> Function:
        def values(x: Array) -> Array:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.asarray(function(x), np.float64)

        return values

    lower, upper = map(float, frozen.support())
    numbers = Numbers(
        log_density=quiet(frozen.logpdf),
        slope=slope,
        below=quiet(frozen.cdf),
        above=quiet(frozen.sf),
        from_below=quiet(frozen.ppf),
        from_above=quiet(frozen.isf),
        entropy_with_error=lambda: _entropy(numbers),
        lower=lower,
        upper=upper,
        kinks=kinks,
    )
    return numbers


def _entropy(numbers: Numbers) -> tuple[float, float]:
    """Over the quantiles from 1e-9 to 1 − 1e-9, the mass beyond in the error; slow densities bear no finer one."""
    t = np.array([1e-9, 1e-6, 1e-3, 0.05, 0.25, 0.5])
    edges = np.unique(np.concatenate([numbers.ppf(t), numbers.isf(t), numbers.kinks]))
    edges = edges[np.isfinite(edges)]

    def integrand(x: Array) -> Array:
        log = numbers.logpdf(x)
        return np.where(log > -700, -np.exp(log) * log, 0.0)

    _, values, misses = refined(partial(integrals, integrand), edges, 1e-8, 1e-8)
    unseen = max(2e-9, float(numbers.cdf(edges[0]) + numbers.sf(edges[-1])))
    beyond = 2 * unseen * float(np.max(np.abs(numbers.logpdf(edges[[0, -1]]))) + 1)
    return float(np.sum(values)), float(np.sum(misses)) + beyond
