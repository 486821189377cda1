r"""Enclosures of an expression and its slope over an interval: the formula language, read by interval arithmetic.

`Evaluation(box).of(e)` is a `Jet`: intervals that contain e(x), and e′(x) wherever it exists, for every x of the box. On
the box X with middle m, both forms hold for a function that is absolutely continuous there,

    e(X) ⊆ E(X)                              (natural form)
    e(X) ⊆ e(m) + E′(X) (X − m)              (mean-value form),

and where E′(X) has one sign, e is monotone and its range lies between its values at the ends. Across a seam of max, min
and \|x\| the slope is the hull of both sides'; across a seam of a piecewise function it is the whole line, for the
function may jump. A box's ends count as its neighbour's where a seam runs through them, so that a box that ends at a seam
is decided.

Tails. On X = [R, ∞), R ≥ 0, the natural form of a product such as x e^{−x²/2} is 0·∞. There the logarithmic derivative
decides: with a weight m > 0, if E[u] = m (log \|u\|)′ is not positive anywhere on X then \|u\| falls, and \|u\| ≤ \|u(R)\| on X. E is
itself enclosed, term by term:

    E[x] = m/x,   E[Π uᵢ] = Σ E[uᵢ],   E[uᵏ] = k E[u],   E[e^w] = m w′,   E[u] = m u′/u,
    E[Σ tⱼ] = E[t_d] + Σ_{j≠d} (tⱼ/t_d) (E[tⱼ] − E[t_d]) / Σ_k (t_k/t_d),   for each d,
    E[erfc w] = −m w′ h(w),   w + √(w² + 4/π) ≤ h(w) = (2/√π) e^{−w²}/erfc(w) ≤ w + √(w² + 2) for w ≥ 0

(the last from Abramowitz and Stegun, 7.1.13). All are true enclosures, so their intersection is taken. Two weights are
tried: m = x, under which powers have constant E, and m = 1, under which exponentials have. For x e^{−x²/2} they give 1 − x²
and 1/x − x, not positive from R = 1 on. A zero of u does no harm: from there on \|u\| could only grow, which the sign
excludes. On (−∞, −R] the weights are x and −1. As 1 ± erf cancels in its tail, it is evaluated as erfc.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb

from eafo.activation import VARIABLE
from eafo.branching import derivative
from eafo.errors import RefusedError
from eafo.theory.intervals import Interval, UndefinedError, hull

__all__ = ["Evaluation", "Jet"]

_ZERO, _ONE = Interval.exact(0), Interval.exact(1)
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Jet:
    """Enclosures of a function's values and of its slopes over a box."""

    value: Interval
    slope: Interval

    def chain(self, value: Interval, outer: Callable[[], Interval]) -> Jet:
        """φ(u), from φ's range and its derivative's; no derivative is the whole line."""
        try:
            return Jet(value, outer() * self.slope)
        except UndefinedError:
            return Jet(value, Interval.whole())

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: Jet) -> Jet:
        return Jet(self.value * other.value, self.slope * other.value + self.value * other.slope)


class Evaluation:
    """Evaluates expressions of x over one box, each subexpression once.

    Args:
        box: the values of x.
        depth: how many enclosures of logarithmic derivatives this one serves.
        closed: whether the box's ends count as its own, so that a seam through an end stays undecided.
        inside: a box around this one that decides on branches: one-sided limits at its ends.

    >>> Evaluation(Interval.exact(2)).of(VARIABLE**2).value
    [4, 4]
    """

    def __init__(
        self, box: Interval, depth: int = 0, *, closed: bool = False, inside: Interval | None = None
    ) -> None:
        self.box, self.depth, self.closed = box, depth, closed
        self._around = Evaluation(inside) if inside is not None else None
        self._known: dict[Any, Jet] = {VARIABLE: Jet(box, _ONE)}
        self._end: Evaluation | None = None

    def of(self, expression: sympy.Expr) -> Jet:
        """The jet of an expression.

        Raises:
            UndefinedError: it may have no real value somewhere in the box.
            RefusedError: it holds a function that cannot be enclosed.
        """
        found = self._known.get(expression)
        if found is None:
            found = self._compute(expression)
            self._known[expression] = found
        return found

    def _compute(self, e: sympy.Expr) -> Jet:  # noqa: PLR0911 - one return a kind of node
        if e.is_Add:
            if (tail := _as_erfc(e)) is not None:
                return self.of(tail[0]) * _RULES[sympy.erfc](self.of(tail[1]))
            return self._gathered(e, functools.reduce(Jet.__add__, map(self.of, e.args)))
        if e.is_Mul:
            return self._tamed(e, functools.reduce(Jet.__mul__, map(self.of, e.args)))
        if e.is_Rational or e.is_Float:
            exact = sympy.Rational(e)
            return Jet(Interval.ball(arb(int(exact.p)) / arb(int(exact.q))), _ZERO)
        if e.is_Pow:
            return self._tamed(e, self._power(e))
        if isinstance(e, sympy.exp):
            u = self.of(e.args[0])
            value = u.value.exp()
            return self._tamed(e, u.chain(value, lambda: value))
        if isinstance(e, sympy.Piecewise):
            return self._piecewise(e)
        if isinstance(e, (sympy.Max, sympy.Min)):
            greatest = isinstance(e, sympy.Max)
            return functools.reduce(lambda a, b: _extreme(a, b, greatest), map(self.of, e.args))
        rule = _RULES.get(type(e))
        if rule is not None:
            return rule(self.of(e.args[0]))
        return self._other(e)

    def _other(self, e: sympy.Expr) -> Jet:
        if e is sympy.pi:
            return Jet(Interval.ball(arb.pi()), _ZERO)
        if e is sympy.E:
            return Jet(Interval.ball(arb.const_e()), _ZERO)
        if e in (sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise UndefinedError("an expression without a finite value")
        if isinstance(e, sympy.sign):
            u = e.args[0]
            sides = [
                side for side, when in ((1, u > 0), (-1, u < 0), (0, sympy.Eq(u, 0))) if self._truth(when)
            ]
            if sides:
                return Jet(Interval.exact(sides[0]), _ZERO)
            return Jet(Interval(arb(-1), arb(1)), Interval.whole())
        raise RefusedError(
            "a proved bound needs a function that ball arithmetic encloses: the formula language's, without unbound "
            "symbols, integrals or limits",
            str(e),
        )

    def _power(self, e: sympy.Expr) -> Jet:
        base, k = e.args
        if k.is_Rational:
            u = self.of(base)
            factor = self.of(k).value
            return u.chain(u.value.power(k), lambda: factor * u.value.power(k - 1))
        return self.of(sympy.exp(k * sympy.log(base), evaluate=False))

    # -- seams -----------------------------------------------------------------------------------------------------

    def _piecewise(self, e: sympy.Expr) -> Jet:
        possible: list[Jet] = []
        for value, condition in e.args:
            truth = self._truth(condition)
            if truth is not False:
                possible.append(self.of(value))
            if truth:
                break
        else:
            raise UndefinedError("a piecewise function without a branch")
        if len(possible) == 1:
            return possible[0]
        return Jet(hull(*(p.value for p in possible)), Interval.whole())

    def _truth(self, condition: Any) -> bool | None:  # noqa: PLR0911 - as above
        """Whether a condition holds throughout the box; None where it cannot be told."""
        if condition in (sympy.true, sympy.false):
            return bool(condition)
        if isinstance(condition, sympy.Not):
            inner = self._truth(condition.args[0])
            return None if inner is None else not inner
        if isinstance(condition, (sympy.And, sympy.Or)):
            parts = [self._truth(c) for c in condition.args]
            decisive = isinstance(condition, sympy.Or)
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
        if isinstance(condition, sympy.ITE):
            when, then, otherwise = map(self._truth, condition.args)
            if when is None:
                return then if then is otherwise else None
            return then if when else otherwise
        return self._compare(condition) if condition.is_Relational else None

    def _compare(self, relation: Any) -> bool | None:
        if self._around is not None and (decided := self._around._compare(relation)) is not None:
            return decided
        margin = relation.lhs - relation.rhs
        value = self.of(margin).value
        # At the end of a box an affine margin touches zero at that one end, which the neighbouring box owns as well.
        shared = not (self.closed or self.box.degenerate or isinstance(relation, (sympy.Eq, sympy.Ne)))
        touching = shared and _affine(margin)
        if value.lo > 0 or (touching and value.lo.is_zero()):
            return isinstance(relation, (sympy.Gt, sympy.Ge, sympy.Ne))
        if value.hi < 0 or (touching and value.hi.is_zero()):
            return isinstance(relation, (sympy.Lt, sympy.Le, sympy.Ne))
        if value.lo.is_zero() and value.hi.is_zero():
            return isinstance(relation, (sympy.Le, sympy.Ge, sympy.Eq))
        return None

    # -- tails -----------------------------------------------------------------------------------------------------

    def _tamed(self, e: sympy.Expr, jet: Jet) -> Jet:
        """Bounds a product on a tail by its value at the tail's end, where it falls from there on."""
        box, value = self.box, jet.value
        end = box.lo if box.lo >= 0 else box.hi
        tail = not box.bounded and (box.lo >= 0 or box.hi <= 0)
        if value.bounded or not tail or self.depth >= _DEEPEST:
            return jet
        try:
            deeper = Evaluation(box, self.depth + 1, closed=True)
            if not deeper.seamless(e):
                return jet
            weights = (VARIABLE, sympy.Integer(1 if box.lo >= 0 else -1))
            if not any(deeper.decay(e, m).hi <= 0 for m in weights):
                divided = _divided(e)
                return jet if divided is None else Jet(value.meet(self.of(divided).value), jet.slope)
            if self._end is None:
                self._end = Evaluation(Interval(end, end))
            most = self._end.of(e).value.magnitude()
        except (UndefinedError, RefusedError):
            # What is derived from e may be beyond enclosing although e is not.
            return jet
        return Jet(value.meet(Interval(-most, most)), jet.slope)

    def seamless(self, e: sympy.Expr) -> bool:
        """Whether no seam where e may jump runs through the box."""
        conditions = {c for p in e.atoms(sympy.Piecewise) for _, c in p.args}
        conditions |= {u.args[0] > 0 for u in e.atoms(sympy.sign)}
        return all(self._truth(c) is not None for c in conditions)

    def decay(self, e: sympy.Expr, m: sympy.Expr) -> Interval:  # noqa: PLR0911 - one return a kind of node
        """An enclosure of E[e] = m (log |e|)′, for an expression without a seam in the box."""
        if VARIABLE not in e.free_symbols:
            return _ZERO
        if e == VARIABLE:
            return self.of(m / VARIABLE).value
        if isinstance(e, sympy.exp):
            return self.of(_weighted(e.args[0], m)).value
        if e.is_Mul:
            return functools.reduce(Interval.__add__, (self.decay(u, m) for u in e.args))
        if e.is_Pow and e.args[1].is_Rational:
            return self.of(e.args[1]).value * self.decay(e.args[0], m)
        if isinstance(e, sympy.Piecewise):
            possible = [value for value, condition in e.args if self._truth(condition) is not False]
            return self.decay(possible[0], m)
        if (tail := _as_erfc(e)) is not None:
            return self._hazard(tail[1], m)
        if (known := _LOGARITHMIC.get(type(e))) is not None:
            return self.of(_weighted(e.args[0], m) * known(e.args[0])).value
        try:
            natural = self.of(_weighted(e, m)).value * self.of(e).value.reciprocal()
        except UndefinedError:
            natural = Interval.whole()
        return self._dominant(e, m, natural) if e.is_Add else natural

    def _dominant(self, e: sympy.Expr, m: sympy.Expr, found: Interval) -> Interval:
        each = [self.decay(t, m) for t in e.args]
        for d, leading in enumerate(each):
            ratios = [self.of(_ratio(t, e.args[d])).value for t in e.args]
            whole = functools.reduce(Interval.__add__, ratios)
            if whole.contains_zero():
                continue
            others = [
                r * whole.reciprocal() * (a - leading)
                for j, (r, a) in enumerate(zip(ratios, each, strict=True))
                if j != d
            ]
            found = found.meet(functools.reduce(Interval.__add__, others, leading))
        return found

    def _gathered(self, e: sympy.Expr, jet: Jet) -> Jet:
        """A sum on a tail, read as its leading term times a bounded factor: x⁶ − x⁴ as x⁶ (1 − x⁻²)."""
        value = jet.value
        if self.box.bounded or value.bounded or not value.contains_zero():
            return jet
        for t in e.args:
            with contextlib.suppress(UndefinedError, RefusedError):
                factor = functools.reduce(Interval.__add__, (self.of(_ratio(u, t)).value for u in e.args))
                value = value.meet(self.of(t).value * factor)
        return Jet(value, jet.slope)

    def _hazard(self, w: sympy.Expr, m: sympy.Expr) -> Interval:
        """E[erfc w]."""
        u = self.of(w).value
        if u.lo < 0:
            raise UndefinedError("the tail of erfc begins at 0")
        low, high = (u + (_square(u) + Interval.ball(c)).power(sympy.S.Half) for c in (4 / arb.pi(), arb(2)))
        return -(self.of(_weighted(w, m)).value * Interval(low.lo, high.hi))


@functools.lru_cache(maxsize=4096)
def _weighted(e: sympy.Expr, m: sympy.Expr) -> sympy.Expr:
    return m * derivative(e)


@functools.lru_cache(maxsize=4096)
def _ratio(t: sympy.Expr, u: sympy.Expr) -> sympy.Expr:
    return sympy.powsimp(t / u)


@functools.lru_cache(maxsize=4096)
def _divided(e: sympy.Expr) -> sympy.Expr | None:
    """The same function with a quotient's exponential taken into its denominator: e^w/(1 + e^w) as 1/(e^{−w} + 1)."""
    powers = [
        f for f in sympy.Mul.make_args(e) if f.is_Pow and f.base.is_Add and f.exp.is_Integer and f.exp < 0
    ]
    exponentials = [f for f in sympy.Mul.make_args(e) if isinstance(f, sympy.exp)]
    if not powers or not exponentials:
        return None
    below, above = powers[0], exponentials[0]
    share = above.args[0] / below.exp
    terms = [sympy.powsimp(t * sympy.exp(share)) for t in below.base.args]
    if not any(t.is_number for t in terms):
        return None
    rest = sympy.Mul(*(f for f in sympy.Mul.make_args(e) if f is not below and f is not above))
    return rest * sympy.Add(*terms) ** below.exp


@functools.lru_cache(maxsize=4096)
def _as_erfc(e: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(a, w) where e = a erfc(w): 1 ± erf, which cancels in its tail, and erfc itself."""
    if isinstance(e, sympy.erfc):
        return sympy.S.One, e.args[0]
    if not e.is_Add or len(e.args) != 2:
        return None
    constant, term = e.args
    factor, erf = term.as_coeff_Mul()
    if not (constant.is_Rational and isinstance(erf, sympy.erf) and abs(factor) == constant):
        return None
    return constant, -erf.args[0] if factor > 0 else erf.args[0]


@functools.lru_cache(maxsize=4096)
def _affine(margin: sympy.Expr) -> bool:
    slope = sympy.diff(margin, VARIABLE)
    return bool(slope.is_number and slope != 0)


def _extreme(a: Jet, b: Jet, greatest: bool) -> Jet:
    """The larger, or smaller, of two."""
    over, under = (a, b) if greatest else (b, a)
    if over.value.lo >= under.value.hi:
        return a
    if under.value.lo >= over.value.hi:
        return b
    pick = max if greatest else min
    value = Interval(pick(a.value.lo, b.value.lo), pick(a.value.hi, b.value.hi))
    return Jet(value, hull(a.slope, b.slope))


def _absolute(u: Jet) -> Jet:
    if u.value.lo >= 0:
        return u
    if u.value.hi <= 0:
        return Jet(-u.value, -u.slope)
    return Jet(abs(u.value), hull(u.slope, -u.slope))


def _square(u: Interval) -> Interval:
    return u.power(sympy.Integer(2))


def _bell(u: Interval) -> Interval:
    """erf′."""
    return Interval.ball(2 / arb.pi().sqrt()) * (-_square(u)).exp()


def _tanh(u: Jet) -> Jet:
    value = u.value.tanh()
    return u.chain(value, lambda: _ONE - _square(value))


def _tan(u: Jet) -> Jet:
    value = u.value.tan()
    return u.chain(value, lambda: _ONE + _square(value))


#: φ′/φ, where the quotient as such would be ∞/∞.
_LOGARITHMIC: dict[Any, Callable[[sympy.Expr], sympy.Expr]] = {
    sympy.cosh: sympy.tanh,
    sympy.sinh: lambda w: 1 / sympy.tanh(w),
    sympy.tanh: lambda w: 2 / sympy.sinh(2 * w),
}
_RULES: dict[Any, Callable[[Jet], Jet]] = {
    sympy.Abs: _absolute,
    sympy.log: lambda u: u.chain(u.value.log(), u.value.reciprocal),
    sympy.erf: lambda u: u.chain(u.value.erf(), lambda: _bell(u.value)),
    sympy.erfc: lambda u: u.chain(u.value.erfc(), lambda: -_bell(u.value)),
    sympy.tanh: _tanh,
    sympy.tan: _tan,
    sympy.sinh: lambda u: u.chain(u.value.sinh(), u.value.cosh),
    sympy.cosh: lambda u: u.chain(u.value.cosh(), u.value.sinh),
    sympy.sin: lambda u: u.chain(u.value.sin(), u.value.cos),
    sympy.cos: lambda u: u.chain(u.value.cos(), lambda: -u.value.sin()),
    sympy.atan: lambda u: u.chain(u.value.atan(), (_ONE + _square(u.value)).reciprocal),
    sympy.asinh: lambda u: u.chain(
        u.value.asinh(), (_ONE + _square(u.value)).power(sympy.Rational(1, 2)).reciprocal
    ),
}
