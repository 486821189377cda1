r"""Proved bounds: suprema, ranges, Lipschitz constants, and the error of the first-order inverse (Proposition 2).

Branch and bound (`eafo.theory.branch_and_bound`) over interval enclosures (`eafo.theory.enclosures`) whose ends are
computed by FLINT's ball arithmetic, through python-flint. Nothing is sampled: each number is a theorem about every x.

Proposition 2 of Sun et al. 2024: with

    g(z) = z + ε c(z)  (eq. 8)   and   f(x) = x − ε c(x)  (eq. 9),
    g(f(x)) − x = ε ( c(x − ε c(x)) − c(x) ) = −ε² c(x) c′(t),   t between x and x − ε c(x),

and `inverse_error` bounds the middle expression, exactly as it stands. f(g(x)) − x is the same with −ε for ε.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sympy

from eafo import branching
from eafo.activation import VARIABLE
from eafo.errors import InputError, RefusedError
from eafo.theory.branch_and_bound import Bound, End, Objective, as_number, search

if TYPE_CHECKING:
    from eafo.theory.enclosures import Jet
    from eafo.theory.intervals import Interval

__all__ = [
    "Bound",
    "End",
    "Range",
    "as_number",
    "inverse_error",
    "lipschitz",
    "monotone_range",
    "range_of",
    "supremum",
]


@dataclass(frozen=True)
class Range:
    """Proved enclosures of an expression's infimum and supremum over an interval."""

    infimum: tuple[float, float]
    supremum: tuple[float, float]
    interval: tuple[float, float]


def _seams(expression: sympy.Expr) -> list[sympy.Rational]:
    """Where branches meet, as far as a box's end can hit them exactly."""
    margins = [r.lhs - r.rhs for r in expression.atoms(sympy.core.relational.Relational)]
    margins += [e.args[0] for e in expression.atoms(sympy.Abs, sympy.sign)]
    for e in expression.atoms(sympy.Max, sympy.Min):
        margins += [a - b for a, b in itertools.combinations(e.args, 2)]
    found: set[sympy.Rational] = {sympy.S.Zero}
    for margin in margins:
        slope = sympy.diff(margin, VARIABLE)
        root = -margin.subs(VARIABLE, 0) / slope if slope.is_number and slope != 0 else sympy.nan
        if root.is_Rational and (root.q & (root.q - 1)) == 0:
            found.add(root)
    return sorted(found)


def _objective(expression: sympy.Expr) -> Objective:
    from eafo.theory.enclosures import Evaluation  # noqa: PLC0415 - FLINT is loaded where it is needed

    if unknown := sorted(s.name for s in expression.free_symbols - {VARIABLE}):
        raise InputError(
            "a proved bound needs an expression of x alone", unknown[0], f"give {unknown[0]} a value"
        )
    return lambda box, inside: Evaluation(box, inside=inside).of(expression)


def supremum(
    expression: sympy.Expr,
    lower: End = -math.inf,
    upper: End = math.inf,
    relative: float = 0.01,
    what: str = "",
) -> Bound:
    """A proved bound of sup |e(x)| over lower < x < upper, tight to `relative`.

    Args:
        expression: a SymPy expression of x.
        lower: the lower end; a number, -inf, "-oo".
        upper: the upper end; a number, inf, "oo".
        relative: how far the bound may exceed a value attained, relative to it.
        what: the quantity's name in the result.

    Raises:
        InputError: another free symbol, or no such interval.
        RefusedError: e is unbounded or undefined there, or holds a function that cannot be enclosed.

    >>> bound = supremum(VARIABLE * sympy.exp(-VARIABLE**2 / 2), 0, "oo")
    >>> bound.lower <= math.exp(-0.5) <= bound.upper <= 1.01 * math.exp(-0.5)
    True
    """
    name = what or f"sup |{expression}|"
    cuts = tuple(_seams(expression))
    return search(_objective(expression), lower, upper, what=name, cuts=cuts, relative=relative)


def range_of(
    expression: sympy.Expr, lower: End = -math.inf, upper: End = math.inf, relative: float = 0.01
) -> Range:
    """Proved enclosures of inf e and sup e, each as wide as `relative` times sup |e| at most.

    >>> found = range_of(VARIABLE * sympy.exp(-VARIABLE**2 / 2))
    >>> found.supremum[0] <= math.exp(-0.5) <= found.supremum[1], found.infimum[0] <= -math.exp(-0.5)
    (True, True)
    """
    objective, cuts = _objective(expression), tuple(_seams(expression))
    scale = supremum(expression, lower, upper, 0.5).upper
    tolerance = max(relative * scale / 1.5, 1e-300)
    most, least = (
        search(
            objective,
            lower,
            upper,
            what=str(expression),
            cuts=cuts,
            kind=kind,
            relative=0.0,
            absolute=tolerance,
        )
        for kind in ("maximum", "minimum")
    )
    return Range((-least.upper, -least.lower), (most.lower, most.upper), most.interval)


def lipschitz(
    expression: sympy.Expr, lower: End = -math.inf, upper: End = math.inf, relative: float = 0.01
) -> Bound:
    """A proved Lipschitz constant: sup |e′| over the pieces of a continuous function.

    Raises:
        RefusedError: the function jumps at a seam, or its slope is unbounded.

    >>> lipschitz(sympy.Max(0, VARIABLE)).upper
    1.0
    """
    parts = branching.pieces(expression, {})
    for left, right in itertools.pairwise(parts):
        if sympy.simplify((right.expression - left.expression).subs(VARIABLE, left.upper)) != 0:
            raise RefusedError(
                "a function that jumps has no Lipschitz constant", f"a jump at x = {left.upper}"
            )
    low, high = as_number(lower), as_number(upper)
    found: list[Bound] = []
    for part in parts:
        if float(part.upper) > low and float(part.lower) < high:
            ends = (
                lower if float(part.lower) <= low else part.lower,
                upper if float(part.upper) >= high else part.upper,
            )
            found.append(supremum(sympy.diff(part.expression, VARIABLE), *ends, relative))
    worst = max(found, key=lambda b: b.upper)
    return Bound(
        f"Lipschitz constant of {expression}",
        worst.upper,
        max(b.lower for b in found),
        max(found, key=lambda b: b.lower).point,
        (low, high),
        sum(b.boxes for b in found),
        worst.bits,
    )


def monotone_range(
    function: sympy.Expr,
    correction: sympy.Expr,
    lower: End = -math.inf,
    upper: End = math.inf,
    relative: float = 1e-6,
) -> tuple[float, float]:
    """Values of ε, proved: for every ε strictly between them f + ε c increases on the interval, where f′ > 0.

    1 + ε c′/f′ > 0 for −1/sup(c′/f′) < ε < −1/inf(c′/f′); the proved enclosures of the extremes are used on their safe side.

    Raises:
        RefusedError: f′ > 0 or a bound of c′/f′ cannot be proved.

    >>> low, high = monotone_range(VARIABLE, VARIABLE * sympy.exp(-VARIABLE**2 / 2), 0, "oo")
    >>> -1.0 <= low < -0.999998, 2.2408 < high <= 2.240844536
    (True, True)
    """
    slope = sympy.diff(function, VARIABLE)
    if not slope.is_positive and range_of(slope, lower, upper).infimum[0] <= 0:
        raise RefusedError(
            "the function to be corrected must increase, with a slope provably positive", slope
        )
    found = range_of(sympy.diff(correction, VARIABLE) / slope, lower, upper, relative)
    most, least = found.supremum[1], found.infimum[0]
    low = math.nextafter(-1 / most, math.inf) if most > 0 else -math.inf
    return low, (math.nextafter(-1 / least, -math.inf) if least < 0 else math.inf)


def inverse_error(
    correction: sympy.Expr,
    epsilon: float | sympy.Rational,
    lower: End = 0.0,
    upper: End = math.inf,
    *,
    base: sympy.Expr = VARIABLE,
    reverse: bool = False,
    relative: float = 0.01,
) -> Bound:
    """A proved bound of sup |g(f(x)) − x| with g(z) = z + ε c(z) and f(x) = x − ε c(x) (eqs. 8, 9; Prop. 2).

    For an activation written x + ε c(x) (eq. 10) and its first-order inverse z − ε c(z), pass −ε. For another base f the
    bound is that of |g(F(x)) − x| with g = f⁻¹ + ε η, η∘f = c/f′, and F = f − ε c (`eafo.theory.perturbed`).

    Args:
        correction: c(x), an expression of x, read by its formula wherever f takes its argument.
        epsilon: the size of the correction; a float counts as the decimal that it shows.
        lower: the lower end of the interval.
        upper: its upper end.
        base: f, smooth, with a slope that is provably positive on the interval and beside it.
        reverse: bound sup |f(g(x)) − x| in place of it; for the identity alone.
        relative: how far the bound may exceed a value attained.

    Raises:
        InputError: ε is not finite; no such interval; `reverse` with another base.
        RefusedError: no bound can be proved.

    >>> c = VARIABLE * sympy.exp(-VARIABLE**2 / 2)
    >>> 2.94633e-5 <= inverse_error(c, 0.01).upper <= 1.01 * 2.94633e-5
    True
    """
    size = _rational(epsilon)
    if base == VARIABLE:
        objective = _inverse_objective(_flat(correction), -size if reverse else size)
    else:
        objective = _perturbed(base, correction, size, reverse)
    name = "sup |f(g(x)) − x|" if reverse else "sup |g(f(x)) − x|"
    cuts = tuple(_seams(correction))
    found = search(objective, lower, upper, what=name, cuts=cuts, relative=relative)
    return replace(found, epsilon=float(size))


def _flat(expression: sympy.Expr) -> sympy.Expr:
    """The same function with its nested polynomials as sums of powers.

    On an unbounded box each level of Horner's rule is compared with its leading term anew, and with all levels in it.
    """
    factors = sympy.Mul.make_args(expression)
    return sympy.Mul(*(sympy.expand(f) if f.is_polynomial(VARIABLE) else f for f in factors))


def _perturbed(base: sympy.Expr, correction: sympy.Expr, size: sympy.Rational, reverse: bool) -> Objective:
    from eafo.theory.perturbed import Perturbed  # noqa: PLC0415 - FLINT is loaded where it is needed

    if reverse:
        raise InputError("the reversed error is bounded for the identity alone", str(base))
    for e in (base, correction):
        _objective(e)
        if e.has(sympy.Piecewise, sympy.Abs, sympy.Max, sympy.Min, sympy.sign):
            raise InputError("the base and its correction must be smooth", str(e), "take one branch of it")
    return Perturbed(base, correction, size)


def _rational(epsilon: float | sympy.Rational) -> sympy.Rational:
    try:
        if math.isfinite(float(epsilon)):
            return sympy.Rational(str(epsilon))
    except (TypeError, ValueError):
        pass
    raise InputError("epsilon must be a finite number", epsilon)


def _inverse_objective(correction: sympy.Expr, epsilon: sympy.Rational) -> Objective:
    """E(x) = ε (c(w) − c(x)) with w = x − ε c(x), and on bounded boxes −ε² c(x) c′(t), t between x and w, as well.

    The set W of all w is enclosed first, and then c over W: so tails need no more than the decay of c itself.
    """
    from eafo.theory.enclosures import Evaluation, Jet  # noqa: PLC0415 - FLINT is loaded where it is needed
    from eafo.theory.intervals import Interval, hull  # noqa: PLC0415 - as above

    _objective(correction)
    zero, one = Interval.exact(0), Interval.exact(1)

    def objective(box: Interval, inside: Interval | None) -> Jet:
        here = Evaluation(box, inside=inside)
        c, size = here.of(correction), here.of(epsilon).value
        moved = Evaluation(box - size * c.value, closed=True).of(correction)
        value = size * (moved.value - c.value)
        slope = size * (moved.slope * (one - size * c.slope) - c.slope)
        if box.bounded and not box.degenerate:
            between = Evaluation(box - hull(zero, size * c.value), closed=True).of(correction)
            value = value.meet(-(size * size * c.value * between.slope))
        return Jet(value, slope)

    return objective
