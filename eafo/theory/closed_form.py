r"""The correction in closed form: the score form of eq. 7, for an activation that increases on one interval.

With y = f⁻¹ on the branch D where f increases, steepest descent of the entropy in L²(dz) is η = −EL[y], and the corrected
activation is the inverse of z ↦ y(z) + ε η(z) (Sun et al. 2024, eqs. 6-8). To first order in ε that is f(x) − ε c(x) with

    c(x) = η(f(x)) f′(x) = p(x) ( f″(x)/f′(x) − p′(x)/p(x) ),

which needs no inverse. For ReLU and a normal law c = η = x e^{−x²/2}/√(2π).

With the output's score s(f) = (p′/p − f″/f′)/f′ this is −p f′ s(f). Steepest descent depends on the metric: in L²(dx) it is −p s(f), in
L²(p) −s(f). Without the output's scale, s is replaced by s(f) + (f − μ)/σ², the score relative to a normal law.

The closed form stands where η vanishes at a seam of D, where c neither jumps nor meets a kink of f, in which EL holds a
Dirac term, and where c′/f′ is bounded: else the boundary term turns descent into ascent (ReLU × Laplace).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE, Activation
from eafo.branching import Piece
from eafo.laws import Law
from eafo.limits import within
from eafo.theory.quadrature import numeric

__all__ = ["METRICS", "ClosedForm", "Metric", "find"]

FloatArray = npt.NDArray[np.float64]

#: The space whose inner product makes a direction the steepest: L²(dz), the paper's; L²(dx); L²(p).
Metric = Literal["output", "input", "probability"]
METRICS: tuple[Metric, ...] = ("output", "input", "probability")

_CLOSE = 1e-9
_SECONDS = 1.0
#: The largest |c′/f′| of use, where the law has all but this much of its mass on either side.
_STEEPEST, _RARE = 1e4, 1e-9
#: Stands for infinity, of which no percentile can be taken.
_INFINITE = 1e300


@dataclass(frozen=True)
class ClosedForm:
    """c(x) on D, and what stands against its use.

    Args:
        direction: c(x), constant and all.
        function: f on D.
        density: p on D.
        lower: D's lower end.
        upper: D's upper end.
        obstacle: why c cannot be used as it is; empty where it can.
        worst: whether c = 0 throughout: the output is uniform.
        dirac: whether EL holds a Dirac term or c′/f′ is unbounded, so that c is no function of finite size.
    """

    direction: sympy.Expr
    function: sympy.Expr
    density: sympy.Expr
    lower: sympy.Expr
    upper: sympy.Expr
    obstacle: str
    worst: bool
    dirac: bool


@dataclass(frozen=True)
class _Part:
    """An interval on which f and p are both smooth."""

    function: sympy.Expr
    density: sympy.Expr
    lower: float
    upper: float

    def direction(self, metric: Metric, normal: tuple[float, float] | None) -> sympy.Expr:
        """C = −w s(f), w the metric's weight; relative to a normal law of the given mean and variance if any."""
        first, second = sympy.diff(self.function, VARIABLE), sympy.diff(self.function, VARIABLE, 2)
        score = _simplified(sympy.diff(self.density, VARIABLE) / self.density)
        # −f′ s(f). Left as a sum: a common denominator would overflow where the terms do not.
        bent = _simplified(second / first) - score
        if normal is not None:
            mean, variance = _rounded(*normal)
            bent -= first * (self.function - mean) / variance
        if _simplified(bent) == 0:
            return sympy.S.Zero
        weight = {"output": self.density, "input": self.density / first, "probability": 1 / first}[metric]
        return weight * bent


def _rounded(mean: float, variance: float) -> tuple[sympy.Rational, sympy.Rational]:
    """Both to twelve digits of the output's own scale, so that the quadrature's rounding is no direction."""
    places = 12 - math.ceil(0.5 * math.log10(variance))
    return sympy.Rational(repr(round(mean, places))), sympy.Rational(f"{variance:.12g}")


def _simplified(expression: sympy.Expr) -> sympy.Expr:
    return within(_SECONDS, functools.partial(sympy.simplify, expression), expression)


def find(
    pieces: Sequence[Piece],
    law: Law,
    points: FloatArray,
    metric: Metric = "output",
    normal: tuple[float, float] | None = None,
) -> ClosedForm:
    """The closed form on contiguous increasing pieces.

    Args:
        pieces: f's pieces on D, free of parameters, cut to the law's support.
        law: a law with a density in closed form.
        points: points of D, dense enough to see how large c is.
        metric: the metric of steepest descent.
        normal: mean and variance of the output, for the scale-free direction.
    """
    parts = _parts(pieces, law)
    directions = [part.direction(metric, normal) for part in parts]
    direction = _join(parts, directions)
    kink = _kink(parts)
    worst = not kink and all(c == 0 for c in directions)
    # Not the largest value: c may be infinite at a seam.
    sizes = np.abs(numeric(direction, exact=False)(points))
    largest = 0.0 if worst else float(np.percentile(sizes[np.isfinite(sizes)], 90))
    unbounded = (
        "" if kink or worst else _unbounded(parts, directions) or _steep(parts, directions, law, points)
    )
    why = kink or ("" if worst else _obstacle(parts, directions, law, _CLOSE * largest)) or unbounded
    return ClosedForm(
        direction,
        _join(parts, [p.function for p in parts]),
        _join(parts, [p.density for p in parts]),
        pieces[0].lower,
        pieces[-1].upper,
        why,
        worst,
        bool(kink or unbounded),
    )


def contiguous(base: Activation, law: Law, lower: float, upper: float) -> tuple[Piece, ...]:
    """The pieces of an activation between two points, at its default parameters, cut to the law's support."""
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in base.parameters}
    found = []
    for piece in base.pieces():
        f, low, high = (
            sympy.sympify(e).xreplace(at_default) for e in (piece.expression, piece.lower, piece.upper)
        )
        low = low if float(low) > float(law.lower) else law.lower
        high = high if float(high) < float(law.upper) else law.upper
        middle = _between(float(low), float(high))
        if float(low) < float(high) and lower <= middle <= upper:
            found.append(Piece(f, low, high))
    return tuple(found)


def _parts(pieces: Sequence[Piece], law: Law) -> list[_Part]:
    """Cut the pieces where the law's density has a kink, and open |x| and branches on each side."""
    parts: list[_Part] = []
    for piece in pieces:
        cuts = [k for k in law.numeric.kinks if float(piece.lower) < k < float(piece.upper)]
        ends = [float(piece.lower), *cuts, float(piece.upper)]
        for lower, upper in itertools.pairwise(ends):
            middle = _between(lower, upper)
            parts.append(_Part(_opened(piece.expression, middle), _opened(law.density, middle), lower, upper))
    return parts


def _between(lower: float, upper: float) -> float:
    if math.isfinite(lower) and math.isfinite(upper):
        return (lower + upper) / 2
    return lower + 1.0 if math.isfinite(lower) else (upper - 1.0 if math.isfinite(upper) else 0.0)


def _opened(expression: sympy.Expr, point: float) -> sympy.Expr:
    at = sympy.nsimplify(point)

    def choose(node: sympy.Piecewise) -> sympy.Expr:
        return next((value for value, when in node.args if when.subs(VARIABLE, at) == sympy.true), sympy.nan)

    expression = expression.replace(lambda e: isinstance(e, sympy.Piecewise), choose)
    return expression.replace(sympy.Abs, lambda u: u if float(u.subs(VARIABLE, point)) > 0 else -u)


def _at(expression: sympy.Expr, point: float) -> float:
    value = expression.subs(VARIABLE, sympy.nsimplify(point)).evalf()
    return float(value) if value.is_real else math.inf


def _kink(parts: list[_Part]) -> str:
    for left, right in itertools.pairwise(parts):
        slopes = [_at(sympy.diff(p.function, VARIABLE), left.upper) for p in (left, right)]
        if abs(slopes[1] - slopes[0]) > _CLOSE * max(map(abs, slopes)):
            return (
                f"f′ jumps by {slopes[1] - slopes[0]:.4g} at x = {left.upper:g}, where EL holds a Dirac term"
            )
    return ""


def _obstacle(parts: list[_Part], directions: list[sympy.Expr], law: Law, close: float) -> str:
    """Why the closed form cannot be used at a seam; empty where it can. Values of c below `close` count as zero."""
    for end, part, c in (
        (parts[0].lower, parts[0], directions[0]),
        (parts[-1].upper, parts[-1], directions[-1]),
    ):
        if math.isfinite(end) and abs(value := _at(c, end)) > close:
            return (
                f"η does not vanish at the seam x = {end:g} (c = {value:.4g}): the branch would lose its end"
            )
        if math.isfinite(end) and end in (float(law.lower), float(law.upper)) and _at(part.density, end) > 0:
            return f"the density does not vanish at the support's end x = {end:g}"
    for part, pair in zip(parts, itertools.pairwise(directions), strict=False):
        values = [_at(c, part.upper) for c in pair]
        if abs(values[1] - values[0]) > close:
            return f"c jumps by {values[1] - values[0]:.4g} at x = {part.upper:g}"
    return ""


def _steep(parts: list[_Part], directions: list[sympy.Expr], law: Law, points: FloatArray) -> str:
    """Whether c′/f′ has a pole inside D, or is so large that next to no ε leaves the activation increasing."""
    low, high = float(law.numeric.ppf(_RARE)), float(law.numeric.isf(_RARE))
    for part, c in zip(parts, directions, strict=True):
        x = points[(points > max(part.lower, low)) & (points < min(part.upper, high))]
        with np.errstate(all="ignore"):
            slope = numeric(sympy.diff(part.function, VARIABLE), exact=False)(x)
            ratio = np.abs(numeric(sympy.diff(c, VARIABLE), exact=False)(x) / slope)
        ratio = np.nan_to_num(ratio, nan=_INFINITE, posinf=_INFINITE)
        if x.size and not np.percentile(ratio, 99.5) < _STEEPEST:
            at = x[int(np.argmax(ratio))]
            return f"c′/f′ is beyond {_STEEPEST:g} near x = {at:.3g}: next to no ε would leave the activation increasing"
    return ""


def _unbounded(parts: list[_Part], directions: list[sympy.Expr]) -> str:
    """Whether c′/f′ grows without bound, so that no ε ≠ 0 leaves the activation increasing."""
    for part, c, sign in ((parts[0], directions[0], -1), (parts[-1], directions[-1], 1)):
        if math.isfinite(part.lower if sign < 0 else part.upper):
            continue
        ratio = sympy.diff(c, VARIABLE) / sympy.diff(part.function, VARIABLE)
        near, far = (abs(ratio.subs(VARIABLE, sign * sympy.Integer(n)).evalf(40)) for n in (40, 80))
        if not far.is_finite or far > 1e3 * (1 + near):
            return "c′/f′ grows without bound: no step along c, however small, would leave the activation increasing"
    return ""


def _join(parts: Sequence[_Part], values: Sequence[sympy.Expr]) -> sympy.Expr:
    """One expression over all parts; the outer ones continue to infinity."""
    result = values[-1]
    for part, value in zip(reversed(parts[:-1]), reversed(values[:-1]), strict=True):
        if value != result:
            result = sympy.Piecewise((value, sympy.nsimplify(part.upper) > VARIABLE), (result, True))
    return sympy.piecewise_fold(result)
