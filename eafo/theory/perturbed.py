r"""The error of the first-order inverse through a base that is not the identity, enclosed box by box.

Let f increase on an interval, y = f⁻¹, h = c/f′, η = h∘y. With

    g(z) = y(z) + ε η(z)  (Sun et al. 2024, eq. 8)   and   F(x) = f(x) − ε c(x)  (eq. 9),

write Y(x) = y(F(x)) = x + u(x). Then g(F(x)) − x = E(x) with

    E = Y + ε h(Y) − x,     E′ = Y′ (1 + ε h′(Y)) − 1,     Y′ = (f′(x) − ε c′(x)) / f′(Y).

y is never computed. By the mean-value theorem f′(t) u = −ε c(x) for some t between x and x + u, so that for x in the box X

    u ∈ U = −ε c(X)/f′(T)     as soon as     X + hull(0, U) ⊆ T     and     f′(T) > 0:

f is continuous on T and grows across it by enough to take the value f(x) − ε c(x), hence u exists; it is unique as f increases.
E is enclosed on the box as the intersection of two forms. The first, ε ( h(Y) − c(x)/f′(t) ), serves wide boxes and tails; the
second has its factor ε² in front and so needs no narrow boxes for a small ε: with r, s between x and Y,

    E = ε h′(s) u + ½ ε c(x) f″(r) u / ( f′(x) ( f′(x) + ½ f″(r) u ) ).

At a single point U is narrowed by interval Newton steps, and E taken as it stands. For f = id all of this is
ε ( c(x − ε c(x)) − c(x) ), Proposition 2.
"""

from __future__ import annotations

import sympy
from flint import arb

from eafo.activation import VARIABLE
from eafo.theory.enclosures import Evaluation, Jet
from eafo.theory.intervals import Interval, UndefinedError, hull

__all__ = ["Perturbed"]

_ZERO, _ONE = Interval.exact(0), Interval.exact(1)
_TRIES = 30
_STEPS = 8


class Perturbed:
    """The objective |E| of a base and a correction; call it with a box.

    Args:
        base: f, smooth and increasing where it is used, read by its formula.
        correction: c, smooth.
        epsilon: the size of the correction.
    """

    def __init__(self, base: sympy.Expr, correction: sympy.Expr, epsilon: sympy.Rational) -> None:
        self.base, self.correction, self.epsilon = base, correction, epsilon
        self.slope = sympy.diff(base, VARIABLE)
        self.curvature = sympy.diff(base, VARIABLE, 2)
        self.h = correction / self.slope
        self.h_slope = sympy.diff(self.h, VARIABLE)
        self.correction_slope = sympy.diff(correction, VARIABLE)

    def __call__(self, box: Interval, inside: Interval | None) -> Jet:
        """Enclosures of E and E′ over a box; `inside` decides nothing, as both functions are smooth."""
        here = Evaluation(box)
        epsilon = here.of(self.epsilon).value
        c = epsilon * here.of(self.correction).value
        u, between = self._shift(box, c)
        if box.degenerate:
            u = self._narrowed(here, c, u)
            there = Evaluation(box + u)
            return Jet(u + epsilon * there.of(self.h).value, Interval.whole())
        there, along = Evaluation(box + u), Evaluation(between)
        steepness = along.of(self.slope).value
        first = epsilon * there.of(self.h).value - c * steepness.reciprocal()
        h_slope = along.of(self.h_slope).value
        return Jet(first.meet(self._second(here, along, c, u)), self._slope(here, there, epsilon, h_slope))

    def _shift(self, box: Interval, c: Interval) -> tuple[Interval, Interval]:
        """U and T."""
        guess = -(c * Evaluation(box).of(self.slope).value.reciprocal())
        for _ in range(_TRIES):
            between = box + hull(_ZERO, guess)
            steepness = Evaluation(between).of(self.slope).value
            if not steepness.lo > 0:
                break
            found = -(c * steepness.reciprocal())
            wide = hull(_ZERO, guess)
            if found.lo >= wide.lo and found.hi <= wide.hi:
                return found, between
            guess = hull(_ZERO, found) * Interval(arb(1), arb(1.0625))
        raise UndefinedError("the base's inverse cannot be enclosed")

    def _narrowed(self, here: Evaluation, c: Interval, u: Interval) -> Interval:
        """Interval Newton steps for f(x + u) = f(x) − ε c(x) at one point x."""
        x, f = here.box, here.of(self.base).value
        for _ in range(_STEPS):
            middle = ((u.lo + u.hi) / 2).mid()
            centre = Interval(middle, middle)
            miss = Evaluation(x + centre).of(self.base).value - f + c
            steepness = Evaluation(x + u).of(self.slope).value
            u = u.meet(centre - miss * steepness.reciprocal())
        return u

    def _second(self, here: Evaluation, along: Evaluation, c: Interval, u: Interval) -> Interval:
        slope = here.of(self.slope).value
        bend = along.of(self.curvature).value * u * Interval.exact(0.5)
        denominator = slope * (slope + bend)
        if not denominator.lo > 0:
            return Interval.whole()
        epsilon = here.of(self.epsilon).value
        return epsilon * along.of(self.h_slope).value * u + c * bend * denominator.reciprocal()

    def _slope(self, here: Evaluation, there: Evaluation, epsilon: Interval, h_slope: Interval) -> Interval:
        rise = here.of(self.slope).value - epsilon * here.of(self.correction_slope).value
        return rise * there.of(self.slope).value.reciprocal() * (_ONE + epsilon * h_slope) - _ONE
