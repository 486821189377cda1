"""SymPy to SymPy rewrites that keep a function, and the derivatives taken of it, finite and accurate.

Rules of phase ``function`` are applied to f before it is differentiated, so that its derivatives are those of the
stable form; rules of phase ``finish`` are applied to f and to each derivative last of all; some serve in both. Every rule is an identity
over the reals and carries its reason; `sweep` (in `eafo.kernels.verification`) measures what a rule is worth.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import sympy
from sympy.core.traversal import bottom_up

from eafo.activation import VARIABLE
from eafo.kernels.functions import (
    Erfc,
    Expm1,
    Log1p,
    LogCosh,
    NearSin,
    ScaledErfc,
    ScaledExp,
    ScaledSigmoid,
    Sech,
    ShiftedSin,
    Sigmoid,
    Softplus,
    Tanh,
    TanhSoftplus,
    TanhSoftplusSlope,
)
from eafo.kernels.tails import log_of_tails

__all__ = ["RULES", "Rule", "finish", "stabilise"]


@dataclass(frozen=True)
class Rule:
    """A rewrite: what it is called, why it is there, when it is applied, and what it does to one node."""

    name: str
    reason: str
    phase: Literal["function", "finish", "both"]
    apply: Callable[[Any], Any]


def _without(product: Any, factor: Any) -> Any:
    """The other factors; SymPy does not always cancel exp(u)/exp(u)."""
    return sympy.Mul(*(f for f in sympy.Mul.make_args(product) if f != factor))


def _absorb(node: Any, kind: Any, build: Callable[[Any, int], Any]) -> Any:
    """Turn c·k(u) ± c inside a sum into c·build(u, ±1), for a function k."""
    if not isinstance(node, sympy.Add):
        return node
    terms = list(node.args)
    for term in node.args:
        for function in sympy.Mul.make_args(term):
            if not isinstance(function, kind):
                continue
            coefficient = _without(term, function)
            for sign in (1, -1):
                replaced = (
                    build(function.args[0], sign) if sign * coefficient in terms and term in terms else None
                )
                if replaced is not None:
                    terms.remove(term)
                    terms.remove(sign * coefficient)
                    terms.append(coefficient * replaced)
    return sympy.Add(*terms)


def _expm1(node: Any) -> Any:
    return _absorb(node, sympy.exp, lambda u, sign: Expm1(u) if sign < 0 else None)


def _erfc(node: Any) -> Any:
    if isinstance(node, sympy.erfc):
        return Erfc(*node.args)
    return _absorb(node, sympy.erf, lambda u, sign: sign * Erfc(-sign * u))


def _one_over_cosh(node: Any) -> Any:
    if (
        isinstance(node, sympy.Pow)
        and isinstance(node.base, sympy.cosh)
        and node.exp.is_Integer
        and node.exp < 0
    ):
        (u,) = node.base.args
        pairs, left = divmod(int(-node.exp), 2)
        return (4 * Sigmoid(2 * u) * Sigmoid(-2 * u)) ** pairs * (2 * sympy.exp(-u) * Sigmoid(2 * u)) ** left
    return node


def _one_plus_tanh(node: Any) -> Any:
    return _absorb(node, Tanh, lambda u, sign: sign * 2 * Sigmoid(sign * 2 * u))


def _one_plus_sin(node: Any) -> Any:
    return _absorb(node, sympy.sin, lambda u, sign: sign * 2 * _sin_of(u / 2, sign * sympy.pi / 4) ** 2)


def _one_plus_cos(node: Any) -> Any:
    return _absorb(
        node, sympy.cos, lambda u, sign: 2 * sympy.cos(u / 2) ** 2 if sign > 0 else -2 * sympy.sin(u / 2) ** 2
    )


def _sin_of(u: Any, phase: Any) -> Any:
    """sin(u + phase), with π factored out of the argument where u is a multiple of π."""
    turns = u / sympy.pi
    if not turns.has(sympy.pi):
        return sympy.sin(sympy.pi * sympy.factor(turns + phase / sympy.pi))
    return ShiftedSin(u, phase)


def _sinusoids(node: Any) -> Any:
    if not isinstance(node, sympy.Add):
        return node
    for first in node.args:
        for sine in (f for f in sympy.Mul.make_args(first) if isinstance(f, sympy.sin)):
            for second in node.args:
                ratio = second / sympy.cos(sine.args[0]) / (first / sine)
                if ratio.is_number and ratio.is_real and not ratio.has(sympy.sin, sympy.cos):
                    length = first / sine * sympy.sqrt(1 + ratio**2)
                    rest = node - first - second
                    return rest + length * ShiftedSin(sine.args[0], sympy.atan(ratio))
    return node


def _positive_exponential(term: Any) -> tuple[Any, Any] | None:
    """(c, u) with term = c exp(u) and a positive number c; u is 0 where the term is a number."""
    coefficient, rest = term.as_independent(VARIABLE, as_Add=False)
    if not (coefficient.is_number and coefficient.is_positive):
        return None
    if rest == 1:
        return coefficient, sympy.S.Zero
    return (coefficient, rest.args[0]) if isinstance(rest, sympy.exp) else None


def _one_plus_exp(node: Any) -> tuple[Any, Any, Any] | None:
    """(a, w, v) with node = a exp(w) (1 + exp(v)), for a sum of two positive multiples of exponentials."""
    if not isinstance(node, sympy.Add) or len(node.args) != 2:
        return None
    first, second = (_positive_exponential(term) for term in node.args)
    if first is None or second is None:
        return None
    if second[1] == 0:
        first, second = second, first
    (a, w), (b, u) = first, second
    return a, w, sympy.expand(u - w) + sympy.log(b / a)


def _sigmoid(node: Any) -> Any:
    if isinstance(node, sympy.Pow) and node.exp.is_Integer and node.exp < 0:
        found = _one_plus_exp(node.base)
        if found is not None:
            a, w, v = found
            node = a**node.exp * sympy.exp(node.exp * w) * Sigmoid(-v) ** -node.exp
    return _exp_times_sigmoid(node) if isinstance(node, sympy.Mul) else node


def _sech(node: Any) -> Any:
    return _exp_times_sigmoid(node, halves=True) if isinstance(node, sympy.Mul) else node


def _exp_times_sigmoid(product: Any, *, halves: bool = False) -> Any:
    """exp(c − kv) σ(v)ⁿ = exp(c) σ(−v)ᵏ σ(v)ⁿ⁻ᵏ, as far as it goes; in halves, exp(−v/2) σ(v) = sech(v/2)/2."""
    for exponential in (f for f in product.args if isinstance(f, sympy.exp)):
        for factor in product.args:
            base, power = factor.as_base_exp()
            if isinstance(base, Sigmoid) and power.is_Integer and power > 0:
                u, v = exponential.args[0], base.args[0]
                k = _opposed(u, v)
                if k is None:
                    continue
                m, half = min(int(k), int(power)), sympy.Integer(0)
                gates = base ** (power - m) * Sigmoid(-v) ** m
                if halves and not k.is_Integer and power > m:
                    half = sympy.S.Half
                    gates = base ** (power - m - 1) * Sigmoid(-v) ** m * Sech(v / 2) / 2
                rest = sympy.Mul(*(f for f in product.args if f not in (exponential, factor)))
                return rest * sympy.exp(sympy.expand(u + (m + half) * v)) * gates
    return product


def _opposed(u: Any, v: Any) -> Any:
    """The k > 0, a multiple of 1/2, with u + kv free of x; None where there is none."""
    slope = v.diff(VARIABLE)
    if slope == 0:
        return None
    k = sympy.cancel(-u.diff(VARIABLE) / slope)
    if not ((2 * k).is_Integer and k > 0) or VARIABLE in sympy.expand(u + k * v).free_symbols:
        return None
    return k


def _softplus(node: Any) -> Any:
    if not isinstance(node, sympy.log):
        return node
    found = _one_plus_exp(node.args[0])
    if found is not None:
        a, w, v = found
        return sympy.log(a) + w + Softplus(v)
    base, power = node.args[0].as_base_exp()
    return -power * Softplus(-base.args[0]) if isinstance(base, Sigmoid) else node


def _tanh_of_quotients(node: Any) -> Any:
    """(exp(u) − 1)/(exp(u) + 1) = tanh(u/2) and sinh(u)/cosh(u) = tanh(u), to any powers."""
    if not isinstance(node, sympy.Mul):
        return node
    powers = dict(factor.as_base_exp() for factor in node.args)
    for above, below, sign, build in (
        (Expm1, Sigmoid, 1, lambda u: (Sigmoid(-u), Tanh(u / 2))),
        (sympy.sinh, sympy.cosh, -1, lambda u: (sympy.cosh(u), Tanh(u))),
    ):
        for base, power in powers.items():
            if not (isinstance(base, above) and power.is_Integer and power > 0):
                continue
            other, tanh = build(base.args[0])
            count = sign * powers.get(other, sympy.S.Zero)
            if isinstance(other, below) and count.is_Integer and count > 0:
                m = min(power, count)
                return node / base**m / other ** (sign * m) * tanh**m
    return node


def _log_cosh(node: Any) -> Any:
    if not isinstance(node, sympy.log):
        return node
    coefficient, rest = node.args[0].as_coeff_Mul()
    base, power = rest.as_base_exp()
    if isinstance(base, sympy.cosh) and coefficient.is_positive and power.is_number:
        return sympy.log(coefficient) + power * LogCosh(*base.args)
    return node


def _log1p(node: Any) -> Any:
    if (
        isinstance(node, sympy.log)
        and isinstance(node.args[0], sympy.Add)
        and sympy.S.One in node.args[0].args
    ):
        return Log1p(node.args[0] - 1)
    return node


def _tanh(node: Any) -> Any:
    return Tanh(*node.args) if isinstance(node, sympy.tanh) else node


def _tanh_softplus(node: Any) -> Any:
    if isinstance(node, Tanh) and isinstance(node.args[0], Softplus):
        return TanhSoftplus(*node.args[0].args)
    return node


def _sign_products(node: Any) -> Any:
    if isinstance(node, sympy.Mul):
        for factor in node.args:
            base, power = factor.as_base_exp()
            if isinstance(base, sympy.sign) and base.args[0] in node.args and power.is_Integer and power > 0:
                u = base.args[0]
                return _without(_without(node, factor), u) * sympy.Abs(u) * base ** (power - 1)
    return node


def _cancelling_fractions(node: Any) -> Any:
    if not isinstance(node, sympy.Add) or node.has(sympy.Piecewise):
        return node
    if not any(p.exp.is_negative for p in node.atoms(sympy.Pow)):
        return node
    top, bottom = sympy.fraction(sympy.together(node))
    top = sympy.expand(top)
    return top / bottom if len(sympy.Add.make_args(top)) < len(node.args) else node


def _cos_of_turns(node: Any) -> Any:
    if isinstance(node, sympy.cos):
        turns = node.args[0] / sympy.pi
        if not turns.has(sympy.pi):
            return sympy.sin(sympy.pi * sympy.factor(sympy.Rational(1, 2) - turns), evaluate=False)
    return node


_LESS = sympy.StrictLessThan | sympy.LessThan
_GREATER = sympy.StrictGreaterThan | sympy.GreaterThan


def _near_sines(node: Any) -> Any:
    """Between two bounds, the sine of what is affine and at both of them within a quarter turn."""
    return _within(node, ()) if isinstance(node, sympy.Piecewise) and node.has(sympy.sin) else node


def _within(node: Any, bounds: tuple[tuple[str, Any], ...]) -> Any:
    """An expression that counts only between some bounds: its branches between their own too."""
    if isinstance(node, sympy.Piecewise):
        pairs, refused = [], list[Any]()
        for chosen, when in node.args:
            found = [*_bounds(when, True), *(b for c in refused for b in _bounds(c, False))]
            pairs.append((_within(chosen, (*bounds, *found)), when))
            refused.append(when)
        return sympy.Piecewise(*pairs, evaluate=False)
    if isinstance(node, sympy.sin):
        lows, highs = ([at for side, at in bounds if side == s] for s in ("low", "high"))
        near = any(_is_near(node.args[0], ends) for ends in itertools.product(lows, highs))
        return NearSin(node.args[0]) if near else node
    if not node.has(sympy.sin):
        return node
    return node.func(*(_within(a, bounds) for a in node.args))


def _bounds(condition: Any, holds: bool) -> list[tuple[str, Any]]:
    """The ends of the interval of x on which a condition holds, or does not; of parts that are linear in x."""
    if isinstance(condition, sympy.And if holds else sympy.Or):
        return [b for part in condition.args for b in _bounds(part, holds)]
    if not isinstance(condition, _LESS | _GREATER):
        return []
    gap = sympy.expand(condition.lhs - condition.rhs)
    slope = gap.diff(VARIABLE)
    if not slope.is_number or slope == 0:
        return []
    below = (isinstance(condition, _LESS) == bool(slope > 0)) == holds
    return [("high" if below else "low", sympy.expand(VARIABLE - gap / slope))]


def _is_near(u: Any, ends: tuple[Any, Any]) -> bool:
    if u.diff(VARIABLE).has(VARIABLE):
        return False
    values = [sympy.simplify(u.subs(VARIABLE, end)) for end in ends]
    return all(v.is_number and bool(sympy.Abs(v) <= sympy.pi / 2) for v in values)


def _merged_exponentials(node: Any) -> Any:
    if not isinstance(node, sympy.Mul):
        return node
    exponentials = [f for f in node.args if isinstance(f, sympy.exp)]
    if len(exponentials) < 2 or not any(f.args[0].has(sympy.exp) for f in exponentials):
        return node
    rest = (f for f in node.args if f not in exponentials)
    return sympy.Mul(*rest) * sympy.exp(sympy.Add(*(f.args[0] for f in exponentials)))


def _common_exponential(node: Any) -> Any:
    if not isinstance(node, sympy.Add):
        return node
    groups: dict[Any, list[Any]] = {}
    for term in node.args:
        shared = [f for f in sympy.Mul.make_args(term) if isinstance(f, sympy.exp)]
        groups.setdefault(shared[0] if shared else sympy.S.One, []).append(term)
    if all(len(terms) == 1 or key == 1 for key, terms in groups.items()):
        return node
    return sympy.Add(
        *(
            sympy.Add(*terms)
            if key == 1
            else key * sympy.factor(sympy.Add(*(_without(t, key) for t in terms)))
            for key, terms in groups.items()
        )
    )


def _scaled(kind: Any, build: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A rule that takes k(u) and the factors that depend on x beside it into one function."""

    def apply(node: Any) -> Any:
        if isinstance(node, sympy.Mul):
            for factor in node.args:
                rest = _without(node, factor)
                # A number, as exp(−1), is a constant of the program.
                if isinstance(factor, kind) and not factor.is_number and VARIABLE in rest.free_symbols:
                    return build(apply(rest), factor.args[0])
        return node

    return apply


#: What may vanish as fast as an exponential grows.
_WILD = (
    sympy.exp, sympy.sinh, sympy.cosh, sympy.tanh, sympy.erfc, Erfc, Expm1, ScaledErfc, ScaledExp, ScaledSigmoid,
    Sech, Sigmoid, Softplus, TanhSoftplus, TanhSoftplusSlope,
)  # fmt: skip


def _scaled_exp(node: Any) -> Any:
    """Only where exp(u) cannot overflow against a p that vanishes: the halves would give a wrong number, not NaN."""
    scaled = _scale_exp(node)
    if isinstance(scaled, ScaledExp) and scaled.args[0].has(*_WILD) and not _is_bounded_above(scaled.args[1]):
        return node
    return scaled


_scale_exp = _scaled(sympy.exp, ScaledExp)


def _is_bounded_above(u: Any) -> bool:
    """Whether u is seen to have an upper bound: term by term, by its leading power, or by exp(bx) against cx."""
    terms = sympy.Add.make_args(sympy.expand(u))
    if all(t.is_nonpositive or VARIABLE not in t.free_symbols for t in terms):
        return True
    if u.is_polynomial(VARIABLE):
        leading = sympy.Poly(u, VARIABLE)
        return bool(leading.degree() % 2 == 0 and leading.LC().is_negative)
    rising = [t for t in terms if not t.is_nonpositive and VARIABLE in t.free_symbols]
    slopes = [
        e.args[0].diff(VARIABLE)
        for t in terms
        if t.is_nonpositive
        for e in t.args
        if isinstance(e, sympy.exp)
    ]
    return all(
        (slope := t.diff(VARIABLE)).is_number and any((slope * s).is_positive for s in slopes) for t in rising
    )


#: Every rewrite, in the order in which they are applied.
RULES: tuple[Rule, ...] = (
    Rule("sigmoid", "1/(1 + exp(u)) squares an overflow when differentiated", "function", _sigmoid),
    Rule("softplus", "log(1 + exp(u)) overflows for large u and rounds to 0 for small", "function", _softplus),
    Rule("log of tails", "1 − erf(u) and 1 − exp(−exp(u)) are 0 far out, and their logarithm is not −∞", "function", log_of_tails),
    Rule("log1p", "log(1 + u) loses the digits of a small u", "function", _log1p),
    Rule("expm1", "exp(u) − 1 cancels near 0", "both", _expm1),
    Rule("tanh of quotients", "sinh(u)/cosh(u) and (exp(u) − 1)/(exp(u) + 1) overflow", "function", _tanh_of_quotients),
    Rule("log cosh", "cosh(u) overflows, and log(cosh(u)) cancels near 0", "function", _log_cosh),
    Rule("erfc", "1 + erf(u) cancels in the left tail", "function", _erfc),
    Rule("tanh", "1 − tanh(u)² cancels in both tails", "function", _tanh),
    Rule("one over cosh", "cosh(u) overflows, and so makes NaN of the slope of 1/cosh(u)²", "function", _one_over_cosh),
    Rule("sech", "exp(−u) overflows where σ(2u) is 0; their product is 1/cosh(u)/2", "function", _sech),
    Rule("one plus tanh", "1 + tanh(u) cancels in the left tail", "function", _one_plus_tanh),
    Rule("tanh of softplus", "one exponential in place of three functions, all terms positive", "function", _tanh_softplus),
    Rule("one plus sin", "1 + sin(u) cancels at its double roots; u + π/4 is exact there as (x + t)", "function", _one_plus_sin),
    Rule("one plus cos", "1 + cos(u) cancels at its double roots", "function", _one_plus_cos),
    Rule("sinusoids", "a sin(u) + b cos(u) cancels at its roots; one shifted sine does not", "function", _sinusoids),
    Rule("sign products", "u sign(u) is |u|", "finish", _sign_products),
    Rule("cancelling fractions", "terms that cancel exactly are cancelled on paper", "finish", _cancelling_fractions),
    Rule("cos of turns", "near a quarter turn, cos(π r) is sin(π (1/2 − r)) with an exact difference", "finish", _cos_of_turns),
    Rule("merged exponentials", "exp(−u) overflows where exp(−exp(−u)) is 0; their product does not", "finish", _merged_exponentials),
    Rule("common exponential", "1 − x² beside exp(u) cancels at ±1; (1 − x)(1 + x) does not", "finish", _common_exponential),
    Rule("near sines", "between bounds within a quarter turn a sine is a polynomial, without a turn to take off", "finish", _near_sines),
    Rule("scaled exp", "p exp(u) amplifies the rounding of a subnormal exp(u)", "finish", _scaled_exp),
    Rule("scaled sigmoid", "p σ(u) amplifies the rounding of a subnormal σ(u)", "finish", _scaled(Sigmoid, ScaledSigmoid)),
    Rule("scaled erfc", "p erfc(u) amplifies the rounding of a subnormal erfc(u)", "finish", _scaled(Erfc, ScaledErfc)),
)  # fmt: skip


def _apply(expression: sympy.Expr, phase: str, without: Collection[str]) -> sympy.Expr:
    for rule in RULES:
        if rule.phase in (phase, "both") and rule.name not in without:
            expression = bottom_up(expression, functools.partial(_rewritten, rule))
    return expression


def _rewritten(rule: Rule, node: Any) -> Any:
    """What the rule makes of a node; a number stays, to be computed exactly: in parts it would be rounded in parts."""
    return node if node.is_number and not node.is_Boolean else rule.apply(node)


def stabilise(expression: sympy.Expr, without: Collection[str] = ()) -> sympy.Expr:
    """The stable form of f, to be differentiated.

    Args:
        expression: a real expression of the whitelisted functions.
        without: names of rules to leave out, for measuring what they are worth.

    >>> from eafo.activation import VARIABLE as x
    >>> stabilise(x / (1 + sympy.exp(-x)))
    x*Sigmoid(x)
    """
    return _apply(expression, "function", without)


def finish(expression: sympy.Expr, without: Collection[str] = ()) -> sympy.Expr:
    """The last rewrites before lowering, for a stable f or a derivative of it.

    >>> from eafo.activation import VARIABLE as x
    >>> finish(sympy.exp(-x**2 / 2) - x**2 * sympy.exp(-x**2 / 2))
    ScaledExp(-(x - 1)*(x + 1), -x**2/2)
    """
    return _apply(expression, "finish", without)
