"""Laws by their density alone, as a SymPy expression or formula text: checked, integrated, closed where SymPy can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from sympy.codegen.cfunctions import expm1
from sympy.core.function import AppliedUndef

from eafo import formula
from eafo.activation import VARIABLE
from eafo.branching import branch_at, pieces
from eafo.errors import InputError
from eafo.laws.law import Law
from eafo.laws.numeric import Array, Function, Numbers
from eafo.laws.tabled import tabled, tabulate
from eafo.limits import within

__all__ = [
    "PATIENCE",
    "Known",
    "assembled",
    "attempted",
    "checked_numbers",
    "confirmed",
    "from_density",
    "inside",
    "integrated",
    "require_function",
]

x = VARIABLE
#: What SymPy may take for a distribution function, and for an entropy, which it seldom finds.
PATIENCE, _HASTE = 3.0, 0.7
_MASS_TOLERANCE = 1e-7
_AGREEMENT = 1e-9
#: A density below its least double has no logarithm to compare with.
_LEAST_LOG = -700.0
_NO_FUNCTIONS = (AppliedUndef, sympy.Integral, sympy.Sum, sympy.Product, sympy.Derivative, sympy.DiracDelta)


def from_density(
    density: sympy.Expr | str,
    lower: float | sympy.Expr | str = -sympy.oo,
    upper: float | sympy.Expr | str = sympy.oo,
    *,
    name: str = "",
    cdf: sympy.Expr | str | None = None,
) -> Law:
    """The law of a given density.

    Args:
        density: p(x) as a SymPy expression of one variable, or formula text such as ``"1/(2*(1 + abs(x))**2)"``.
        lower: the support's lower end.
        upper: the support's upper end.
        name: what the law is called; its density where not given.
        cdf: the distribution function where it is known, as the density is given; SymPy looks for it, for some seconds, where not.

    Raises:
        InputError: the density holds two variables, is negative or not a number somewhere, or does not integrate to one.

    >>> softsign = from_density("1/(2*(1 + abs(x))**2)")
    >>> softsign.numeric.cdf(3.0).round(12), round(softsign.numeric.entropy, 9)
    (np.float64(0.875), 2.693147181)
    """
    expression = _one_variable(density)
    low, high = _end(lower), _end(upper)
    if low is None or high is None or not float(low) < float(high):
        raise InputError("a law's lower end must be a number below its upper end", f"{lower}, {upper}")
    if expression == 0:
        raise InputError("a density must integrate to one on its support", 0)
    expression, low, high, _ = inside(expression, low, high)
    _require_positive(expression, low, high)
    numbers = checked_numbers(expression, low, high)
    cdf = formula.parse(cdf) if isinstance(cdf, str) else cdf
    found = integrated(expression, low, high)
    known = confirmed(Known(cdf=found.cdf if cdf is None else cdf, entropy=found.entropy), numbers)
    if cdf is not None and known.cdf is None:
        raise InputError("a law's distribution function must be the integral of its density", cdf)
    shown = name or f"density({formula.to_text(expression)}; {low}, {high})"
    return assembled(shown, expression, (low, high), known, numbers=numbers)


def checked_numbers(density: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr) -> Numbers:
    """The numbers of a density.

    Raises:
        InputError: it does not integrate to one.
    """
    expression, low, high, kinks = inside(density, lower, upper)
    log_density, slope = _logarithm(expression, float(low), float(high))
    table = tabulate(log_density, float(low), float(high), kinks)
    if not abs(table.mass - 1) <= _MASS_TOLERANCE:
        sized = 0 < table.mass < np.inf
        remedy = f"divide it by {table.mass:.9g}" if sized else "give its support, lower and upper"
        raise InputError("a density must integrate to one on its support", f"{table.mass:.9g}", remedy)
    table = replace(table, error=table.error + abs(table.mass - 1))
    return tabled(log_density, slope, float(low), float(high), kinks=kinks, table=table, normalised=True)


def require_function(density: sympy.Expr) -> None:
    """Refuse what no number can be asked of.

    Raises:
        InputError: the density holds an unknown function, an integral, a sum or a point mass.
    """
    if density.has(*_NO_FUNCTIONS):
        raise InputError(
            "a density must be a closed form in numbers, without unknown functions, integrals, sums and point masses",
            density,
        )


def _end(value: Any) -> sympy.Expr | None:
    """An end as a real number or an infinity, None where it is none; text is no code here, and is never run."""
    if isinstance(value, str):
        if value.strip().lstrip("+-") in ("oo", "inf"):
            return -sympy.oo if value.strip().startswith("-") else sympy.oo
        value = formula.parse(value, {})
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(value, sympy.Expr):
        return value
    if isinstance(value, (int, np.integer)):
        return sympy.Integer(int(value))
    return sympy.oo * int(np.sign(number)) if np.isinf(number) else sympy.Float(number)


def _one_variable(density: sympy.Expr | str) -> sympy.Expr:
    if isinstance(density, str):
        return formula.parse(density)
    if not isinstance(density, sympy.Expr):
        raise InputError("a density must be a SymPy expression or formula text", density)
    symbols = density.free_symbols
    if len(symbols) > 1:
        raise InputError(
            "a density must have one variable",
            f"{', '.join(sorted(s.name for s in symbols))} in {density}",
            "give the other symbols their values first",
        )
    if density.has(sympy.nan, sympy.zoo, sympy.oo) or density.has(sympy.I):
        raise InputError("a density must be finite and real", density)
    require_function(density)
    return density.xreplace(dict.fromkeys(symbols, x))


def inside(
    density: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr
) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr, tuple[float, ...]]:
    """The density on its support, without branches where it has one there, its ends and its kinks."""
    if not density.has(sympy.Piecewise, sympy.Abs, sympy.sign, sympy.Max, sympy.Min):
        return density, lower, upper, ()
    try:
        parts = [
            p for p in pieces(density, {}) if float(p.upper) > float(lower) and float(p.lower) < float(upper)
        ]
    except (InputError, TypeError):
        return density, lower, upper, ()
    while parts and parts[0].expression == 0:
        parts = parts[1:]
    while parts and parts[-1].expression == 0:
        parts = parts[:-1]
    if not parts:
        raise InputError("a density must integrate to one on its support", 0)
    low, high = sympy.Max(lower, parts[0].lower), sympy.Min(upper, parts[-1].upper)
    if len(parts) == 1:
        return parts[0].expression, low, high, ()
    *cases, last = parts
    joined = sympy.Piecewise(*((p.expression, x < p.upper) for p in cases), (last.expression, True))
    return joined, low, high, tuple(float(p.lower) for p in parts[1:])


def compiled(expression: sympy.Expr) -> Function:
    """An expression in x as a NumPy function whose value has the shape of its argument."""
    # NumPy's functions take no integer of more than 64 bits.
    large = {n: sympy.Float(n, 25) for n in expression.atoms(sympy.Rational) if max(abs(n.p), n.q) > 2**52}
    function = sympy.lambdify(x, expression.xreplace(large), modules=["scipy", "numpy"])

    def real(points: Array) -> Array:
        values = np.asarray(function(points))
        if np.iscomplexobj(values):
            values = np.where(values.imag == 0, values.real, np.nan)
        return np.broadcast_to(values.astype(np.float64, copy=False), np.shape(points))

    return real


def _logarithm(density: sympy.Expr, lower: float, upper: float) -> tuple[Function, Function]:
    """Log p and its slope as functions; opened, so that they outlast p's underflow, where that changes no value."""

    def opened(e: Any) -> Any:
        return -sympy.oo if e == 0 else sympy.expand_log(sympy.log(e), force=True)

    if isinstance(density, sympy.Piecewise):
        open_form = sympy.Piecewise(*((opened(e), c) for e, c in density.args))
    else:
        open_form = opened(density)
    plain = open_form if open_form.has(sympy.oo) else sympy.log(density)
    open_form = open_form.replace(sympy.log, _without_overflow)
    # The logarithm of a constant is a double where the constant itself, as Γ(1000), is none.
    open_form = open_form.replace(
        lambda e: isinstance(e, sympy.log) and e.is_number, lambda e: e.evalf(25) if e.is_real else e
    )
    first, second = compiled(plain), compiled(open_form)
    wide = np.logspace(-3, 3, 61)
    probes = np.concatenate([c + s * wide for c in (0.0, lower, upper) if np.isfinite(c) for s in (-1, 1)])
    probes = probes[(probes > lower) & (probes < upper)]
    with np.errstate(all="ignore"):
        a, b = first(probes), second(probes)
    some = np.isfinite(a) & (a > _LEAST_LOG)
    same = np.allclose(a[some], b[some], rtol=1e-9, atol=1e-9)
    log, form = (second, open_form) if same else (first, plain)
    return log, compiled(sympy.diff(form, x).replace(sympy.DiracDelta, lambda *_: sympy.S.Zero))


def _without_overflow(argument: sympy.Expr) -> sympy.Expr:
    """The logarithm of cosh u, of e^u + 1 or of e^u − 1, in a form whose exponentials stay below 1; any other as it is."""
    if isinstance(argument, sympy.cosh):
        size = sympy.Abs(argument.args[0])
        return size + sympy.log(1 + sympy.exp(-2 * size)) - sympy.log(2)
    more, rest = argument + 1, argument - 1
    if isinstance(more, sympy.exp):
        u = more.args[0]
        return (u + sympy.Abs(u)) / 2 + sympy.log(-expm1(-sympy.Abs(u)))
    if isinstance(rest, sympy.exp):
        u = rest.args[0]
        return (u + sympy.Abs(u)) / 2 + sympy.log(1 + sympy.exp(-sympy.Abs(u)))
    return sympy.log(argument)


def _require_positive(density: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr) -> None:
    """Look at the density on a fine grid of its support."""
    low, high = float(lower), float(upper)
    t = (np.arange(4096) + 0.5) / 4096
    if np.isfinite(low) and np.isfinite(high):
        points = low + (high - low) * t
    else:
        wide = np.logspace(-6, 6, 2048)
        around = np.concatenate([-wide, wide])
        points = around + (low if np.isfinite(low) else high if np.isfinite(high) else 0.0)
        points = points[(points > low) & (points < high)]
    with np.errstate(all="ignore"):
        values = compiled(density)(points)
    # An overflow on the way to 0 (e^x / (1 + e^x)² far out) is no fault of the density.
    bad = np.isnan(values) & (np.abs(points) < 50)
    for fault, what in ((bad, "a number"), (values < -1e-12, "at least 0")):
        if fault.any():
            at = float(points[np.argmax(fault)])
            raise InputError(
                f"a density must be {what} everywhere on its support",
                f"{values[np.argmax(fault)]:.6g} at x = {at:.6g}",
            )


@dataclass(frozen=True)
class Known:
    """What is known of a law in closed form beside its density.

    Args:
        cdf: F(x) inside the support.
        quantile: F⁻¹(u) in `Law.U`.
        entropy: in nats.
    """

    cdf: sympy.Expr | None = None
    quantile: sympy.Expr | None = None
    entropy: sympy.Expr | None = None


def attempted(work: Callable[[], Any], seconds: float = _HASTE) -> Any:
    """What SymPy finds within the time limit, or None: its integrals fail in many ways."""

    def safely() -> Any:
        try:
            return work()
        except Exception:  # whatever goes wrong inside SymPy, the number remains
            return None

    return within(seconds, safely, None)


def integrated(density: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr) -> Known:
    """The distribution function and the entropy, where SymPy integrates them in time, branch by branch."""
    cases = density.args if isinstance(density, sympy.Piecewise) else ((density, sympy.true),)
    ends = [lower, *(condition.rhs for _, condition in cases[:-1]), upper]

    def value(antiderivative: sympy.Expr, end: sympy.Expr) -> sympy.Expr:
        return sympy.limit(antiderivative, x, end, "-" if end == upper else "+")

    def distribution() -> sympy.Expr:
        found, before = [], sympy.Integer(0)
        for (part, condition), start, end in zip(cases, ends[:-1], ends[1:], strict=True):
            # The indefinite integral is quick where there is one; the numbers check what came of it.
            antiderivative = sympy.integrate(part, x)
            found.append((sympy.expand(before + antiderivative - value(antiderivative, start)), condition))
            before += value(antiderivative, end) - value(antiderivative, start)
        return found[0][0] if len(found) == 1 else sympy.Piecewise(*found)

    def surprise() -> sympy.Expr:
        total = sympy.Integer(0)
        for (part, _), start, end in zip(cases, ends[:-1], ends[1:], strict=True):
            if part != 0:
                total -= sympy.integrate(
                    part * sympy.expand_log(sympy.log(part), force=True), (x, start, end)
                )
        return sympy.simplify(total)

    return Known(cdf=attempted(distribution, PATIENCE), entropy=attempted(surprise))


def confirmed(known: Known, numbers: Numbers) -> Known:
    """Keep what agrees with the numbers, and is in one piece inside the support."""
    levels = np.array([0.01, 0.2, 0.45, 0.7, 0.95])
    points = numbers.ppf(levels)

    def agrees(
        expression: sympy.Expr | None, symbol: sympy.Symbol, at: Array, value: Array
    ) -> sympy.Expr | None:
        if expression is None or expression.has(sympy.Integral) or expression.free_symbols - {symbol}:
            return None
        try:
            with np.errstate(all="ignore"):
                found = sympy.lambdify(symbol, expression, modules=["scipy", "numpy"])(at)
            close = np.allclose(found, value, rtol=_AGREEMENT, atol=_AGREEMENT)
        except Exception:  # functions that NumPy does not know
            return None
        return expression if close else None

    def one_branch(expression: sympy.Expr | None, symbol: sympy.Symbol, at: float) -> sympy.Expr | None:
        if expression is None or not expression.has(sympy.Piecewise):
            return expression
        as_x = expression.xreplace({symbol: x})
        return branch_at(as_x, sympy.Float(at)).xreplace({x: symbol})

    def best(
        expression: sympy.Expr | None, symbol: sympy.Symbol, at: Array, value: Array
    ) -> sympy.Expr | None:
        single = agrees(one_branch(expression, symbol, float(at[2])), symbol, at, value)
        return agrees(expression, symbol, at, value) if single is None else single

    entropy = agrees(known.entropy, x, np.zeros(1), np.array([numbers.entropy]))
    return Known(best(known.cdf, x, points, levels), best(known.quantile, Law.U, levels, points), entropy)


def assembled(
    name: str,
    density: sympy.Expr | None,
    ends: tuple[sympy.Expr, sympy.Expr],
    known: Known,
    *,
    numbers: Numbers,
    source: tuple[str, tuple[sympy.Expr, ...]] | None = None,
) -> Law:
    """A law of parts that have been checked against each other."""
    lower, upper = ends
    law = Law(
        name=name,
        density=density,
        cdf=known.cdf,
        survival=None if known.cdf is None else 1 - known.cdf,
        quantile=known.quantile,
        lower=lower,
        upper=upper,
        entropy=known.entropy,
        source=source,
        numbers=partial(checked_numbers, density, lower, upper) if density is not None else lambda: numbers,
    )
    # They are at hand: the cached property need not build them again.
    law.__dict__["numeric"] = numbers
    return law
