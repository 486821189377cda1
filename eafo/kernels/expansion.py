"""How the functions that keep their digits are computed: each as a few operations of a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, Protocol

import sympy

from eafo.activation import VARIABLE
from eafo.kernels import functions as fn
from eafo.kernels.program import Mode, Operation, Precision

__all__ = ["EXPANSIONS", "LARGEST_PRODUCT", "Builder"]

#: Integer powers up to this one are products.
LARGEST_PRODUCT = 16
#: Where the asymptotic series of erfc takes over, far from where erfc is subnormal, and how many terms follow the first.
_ERFC_TAIL = {Precision.FLOAT32: (8, 5), Precision.FLOAT64: (16, 9)}

#: Up to here the low word of u + φ is so small that its square is nothing.
_FAR_TURNS = 256


#: Integers up to here have a square that float32 holds.
_LARGEST_SQUARED = 2**12


class Builder(Protocol):
    """What an expansion is given: it emits operations and hands back their positions."""

    precision: Precision
    mode: Mode
    #: Whether the program's sigmoids share their exponential with another: `_gate` then serves them all.
    gates: Literal["single", "shared"]

    def value(self, e: Any) -> int:
        """Give the position of an expression's value."""
        ...

    def pair(self, e: Any) -> tuple[int, int | None]:
        """Give the position of an expression's value, and where it is kept that of what rounding took."""
        ...

    def const(self, number: Any) -> int:
        """Give the position of a number."""
        ...

    def op(self, operation: Operation, *operands: int) -> int:
        """Emit an operation on earlier values."""
        ...

    def round(self, number: float) -> float:
        """Give the nearest number of the program's precision."""
        ...


def scaled_exp(builder: Builder, e: Any) -> int:
    """(first factor · h) · other factors · t with exp(u) = h t: their own product might overflow where h is 0.

    A factor that may itself overflow where h is 0 (a polynomial, another exponential) makes it a select: where
    h underflows, no p that a format holds brings p exp(u) back.
    """
    p, u = e.args
    head, tail = exponential(builder, u)
    factors = [f for f in sympy.Mul.make_args(p) if VARIABLE in f.free_symbols]
    scale = sympy.Mul(*(f for f in sympy.Mul.make_args(p) if VARIABLE not in f.free_symbols))
    single = [f.base if _is_small_power(f) else f for f in factors for _ in range(_times(f))]
    values = _factors(builder, single)
    first = builder.op(Operation.MUL, values[0], head)
    result = functools.reduce(lambda a, b: builder.op(Operation.MUL, a, b), values[1:], first)
    if scale not in (1, -1):
        result = builder.op(Operation.MUL, result, builder.value(scale))
    result = builder.op(Operation.MUL, result, tail)
    if len(values) < len(single) or not all(_is_linear(f) for f in single):
        result = _zero_with(builder, head, p, result)
    return builder.op(Operation.NEG, result) if scale == -1 else result


def _factors(builder: Builder, factors: list[Any]) -> list[int]:
    """Give the values of factors; (x − c)(x + c) as a fused x² − c², where c² is exact."""
    left, values = list(factors), list[int]()
    for f in factors if builder.mode is not Mode.PLAIN else ():
        constant = f - VARIABLE
        opposite = VARIABLE - constant
        if f in left and opposite in left and constant.is_Integer and 0 < abs(constant) < _LARGEST_SQUARED:
            left.remove(f)
            left.remove(opposite)
            x = builder.value(VARIABLE)
            values.append(builder.op(Operation.FMA, x, x, builder.const(-(constant**2))))
    return values + [builder.value(f) for f in left]


def exponential(builder: Builder, u: Any) -> tuple[int, int]:
    """Give the two factors of exp(u)."""
    high, low = builder.pair(u)
    head = builder.op(Operation.EXP_HEAD, *((high,) if low is None else (high, low)))
    return head, builder.op(Operation.EXP_TAIL, head, high)


def scaled_sigmoid(builder: Builder, e: Any) -> int:
    """(p r) a with r = 1/(a + b), where a and b are the factors of the sigmoids of u and −u: nothing underflows early.

    σ(u) σ(−u) p is p (a b) r r, with a b between 1/2 and 4. For a p that is no polynomial, and so may itself be tiny
    where r is, it is p (a r) for u ≥ 0, where σ(u) is near 1.
    """
    (p, u), mul = e.args, Operation.MUL
    a, over = _gate(builder, u)
    factors = p.args[0] * fn.Sigmoid(p.args[1]) if isinstance(p, fn.ScaledSigmoid) else p
    rest = factors / fn.Sigmoid(-u)
    if not rest.has(fn.Sigmoid(-u)) and fn.Sigmoid(-u) in sympy.Mul.make_args(factors):
        b, _ = _gate(builder, -u)
        pair = builder.op(mul, builder.op(mul, a, b), over)
        result = builder.op(mul, builder.op(mul, builder.value(rest), pair), over)
        return _zero_with(builder, pair, rest, result)
    if not p.is_polynomial(VARIABLE):
        right = builder.op(Operation.LESS_EQUAL, builder.const(0), builder.value(u))
        first = builder.op(Operation.SELECT, right, builder.op(mul, a, over), a)
        last = builder.op(Operation.SELECT, right, builder.const(1), over)
        return builder.op(mul, builder.op(mul, builder.value(p), first), last)
    return _zero_with(builder, a, p, builder.op(mul, builder.op(mul, builder.value(p), over), a))


def _zero_with(builder: Builder, gate: int, p: Any, product: int) -> int:
    """Make a product 0 where a gate is, even if p overflows there."""
    if _is_linear(p):
        return product
    zero = builder.const(0)
    return builder.op(Operation.SELECT, builder.op(Operation.EQUAL, gate, zero), zero, product)


def sigmoid(builder: Builder, e: Any) -> int:
    """An operation of its own where it stands alone; else by what it shares with the other gates: one exp, one division."""
    if builder.gates == "single" and builder.pair(e.args[0])[1] is None:
        return builder.op(Operation.SIGMOID, builder.value(e.args[0]))
    return builder.op(Operation.MUL, *_gate(builder, e.args[0]))


def _gate(builder: Builder, argument: Any) -> tuple[int, int]:
    """Give the factor a of σ(u) and 1/(a + b), which serve σ(−u) too, with b in the place of a."""
    opposite = argument.could_extract_minus_sign()
    high, low = builder.pair(-argument if opposite else argument)
    a = builder.op(Operation.GATE, high)
    b = builder.op(Operation.COGATE, a, high, *(() if low is None else (low,)))
    over = builder.op(Operation.DIV, builder.const(1), builder.op(Operation.ADD, a, b))
    return (b if opposite else a), over


def erfc(builder: Builder, e: Any) -> int:
    """In float32 h erfcx(|u|) t with exp(−u²) = h t, taken from 2 for u < 0; in float64 an operation of its own."""
    if builder.precision is Precision.FLOAT32:
        return _by_erfcx(builder, None, e.args[0])
    return builder.op(Operation.ERFC, builder.value(e.args[0]))


def _by_erfcx(builder: Builder, p: int | None, argument: Any) -> int:
    """Give p erfc(u), or erfc(u) without p."""
    u, mul = builder.value(argument), Operation.MUL
    head, tail = exponential(builder, -(argument**2))
    size = builder.op(Operation.ERFCX, builder.op(Operation.ABS, u))
    first = head if p is None else builder.op(mul, p, head)
    right = builder.op(mul, builder.op(mul, first, size), tail)
    whole = builder.const(2) if p is None else builder.op(Operation.ADD, p, p)
    left = builder.op(Operation.SUB, whole, right)
    return builder.op(Operation.SELECT, builder.op(Operation.LESS, u, builder.const(0)), left, right)


def scaled_erfc(builder: Builder, e: Any) -> int:
    """Compute p erfc(u) with exp(−u²) = h t.

    In float32 as (p h) erfcx(|u|) t, taken from 2p for u < 0. In float64, for which no fast erfcx is at hand, by erfc
    itself, and far out as (p h) t A(u)/(u √π) with A the asymptotic series.

    Abramowitz, Stegun, Handbook of mathematical functions, 7.1.23; the first term left out is below half a unit.
    """
    p, u, mul = builder.value(e.args[0]), builder.value(e.args[1]), Operation.MUL
    if builder.precision is Precision.FLOAT32:
        return _by_erfcx(builder, p, e.args[1])
    start, terms = _ERFC_TAIL[builder.precision]
    head, tail = exponential(builder, -(e.args[1] ** 2))
    q = builder.op(Operation.DIV, builder.const(1), builder.op(mul, u, u))
    series = builder.const(_erfc_coefficient(terms))
    for k in reversed(range(terms)):
        series = builder.op(Operation.ADD, builder.op(mul, series, q), builder.const(_erfc_coefficient(k)))
    over = builder.op(Operation.DIV, series, builder.op(mul, u, builder.const(sympy.sqrt(sympy.pi))))
    far = builder.op(mul, builder.op(mul, builder.op(mul, p, head), over), tail)
    near = builder.op(mul, p, builder.op(Operation.ERFC, u))
    return builder.op(Operation.SELECT, builder.op(Operation.LESS, builder.const(start), u), far, near)


def _erfc_series(builder: Builder, u: int) -> tuple[int, int]:
    """Whether u lies in the asymptotic tail, and A(u) − 1 there."""
    start, terms = _ERFC_TAIL[builder.precision]
    q = builder.op(Operation.DIV, builder.const(1), builder.op(Operation.MUL, u, u))
    series = builder.const(_erfc_coefficient(terms))
    for k in reversed(range(1, terms)):
        series = builder.op(
            Operation.ADD, builder.op(Operation.MUL, series, q), builder.const(_erfc_coefficient(k))
        )
    return builder.op(Operation.LESS, builder.const(start), u), builder.op(Operation.MUL, series, q)


def log_erfc(builder: Builder, e: Any) -> int:
    """log1p(−erf(u)) up to 0, log(erfc(u)) in the middle, and −u² − log(u √π) + log A(u) in the tail.

    For log(erfc(u)/2) the left side is log1p(−erfc(−u)/2), and the others are less by log 2.
    """
    u, mul, sub = builder.value(e.args[0]), Operation.MUL, Operation.SUB
    tail, rest = _erfc_series(builder, u)
    middle, unit = builder.op(Operation.ERFC, u), sympy.sqrt(sympy.pi)
    if isinstance(e, fn.LogHalfErfc):
        other, half = builder.op(Operation.ERFC, builder.op(Operation.NEG, u)), builder.const(sympy.S.Half)
        small, middle, unit = builder.op(mul, other, half), builder.op(mul, middle, half), 2 * unit
    else:
        small = builder.op(Operation.ERF, u)
    left = builder.op(Operation.LOG1P, builder.op(Operation.NEG, small))
    is_left = builder.op(Operation.LESS_EQUAL, u, builder.const(0))
    near = builder.op(Operation.SELECT, is_left, left, builder.op(Operation.LOG, middle))
    front = builder.op(Operation.LOG, builder.op(mul, u, builder.const(unit)))
    far = builder.op(sub, builder.op(Operation.LOG1P, rest), front)
    return builder.op(Operation.SELECT, tail, builder.op(sub, far, builder.op(mul, u, u)), near)


def erfc_ratio(builder: Builder, e: Any) -> int:
    """exp(−u²)/erfc(u), and √π u/A(u) in the tail."""
    u = builder.value(e.args[0])
    tail, rest = _erfc_series(builder, u)
    far = builder.op(
        Operation.DIV,
        builder.op(Operation.MUL, u, builder.const(sympy.sqrt(sympy.pi))),
        builder.op(Operation.ADD, builder.const(1), rest),
    )
    near = builder.op(
        Operation.DIV, builder.value(sympy.exp(-(e.args[0] ** 2))), builder.op(Operation.ERFC, u)
    )
    return builder.op(Operation.SELECT, tail, far, near)


#: Left of it three terms of the series in exp(u) are exact to rounding.
_GUMBEL_START = -8


def log_gumbel(builder: Builder, e: Any) -> int:
    """With t = exp(u): u − t/2 + t²/24 far left, log(−expm1(−t)) up to t = 1/2, and log1p(−exp(−t)) beyond."""
    u, mul, select = builder.value(e.args[0]), Operation.MUL, Operation.SELECT
    t = builder.op(Operation.EXP, u)
    minus = builder.op(Operation.NEG, t)
    series = builder.op(
        mul,
        t,
        builder.op(
            Operation.SUB,
            builder.op(mul, t, builder.const(sympy.Rational(1, 24))),
            builder.const(sympy.S.Half),
        ),
    )
    middle = builder.op(Operation.LOG, builder.op(Operation.NEG, builder.op(Operation.EXPM1, minus)))
    right = builder.op(Operation.LOG1P, builder.op(Operation.NEG, builder.op(Operation.EXP, minus)))
    near = builder.op(select, builder.op(Operation.LESS, t, builder.const(sympy.S.Half)), middle, right)
    left = builder.op(Operation.LESS, u, builder.const(_GUMBEL_START))
    return builder.op(select, left, builder.op(Operation.ADD, u, series), near)


def gumbel_slope(builder: Builder, e: Any) -> int:
    """With t = exp(u): 1 − t/2 + t²/12 far left, and exp(u − t)/(−expm1(−t)), which is 0 where t is infinite."""
    u, mul = builder.value(e.args[0]), Operation.MUL
    t = builder.op(Operation.EXP, u)
    series = builder.op(
        mul,
        t,
        builder.op(
            Operation.SUB,
            builder.op(mul, t, builder.const(sympy.Rational(1, 12))),
            builder.const(sympy.S.Half),
        ),
    )
    below = builder.op(Operation.NEG, builder.op(Operation.EXPM1, builder.op(Operation.NEG, t)))
    near = builder.op(Operation.DIV, builder.op(Operation.EXP, builder.op(Operation.SUB, u, t)), below)
    left = builder.op(Operation.LESS, u, builder.const(_GUMBEL_START))
    return builder.op(Operation.SELECT, left, builder.op(Operation.ADD, builder.const(1), series), near)


def shifted(builder: Builder, e: Any) -> int:
    """sin(s + r) = sin s + r cos s, with s + r = u + φ exactly up to r's own rounding (Knuth's two-sum).

    Where |u| is large, so is r; u has no digits to spare there, and sin u cos φ + cos u sin φ loses none.
    """
    u, phase = builder.value(e.args[0]), sympy.N(e.args[1], 60)
    high = builder.round(float(phase))
    hi, lo = builder.const(high), builder.const(phase - sympy.Float(high, 60))
    s = builder.op(Operation.ADD, u, hi)
    back = builder.op(Operation.SUB, s, u)
    r = builder.op(
        Operation.ADD,
        builder.op(Operation.SUB, u, builder.op(Operation.SUB, s, back)),
        builder.op(Operation.SUB, hi, back),
    )
    r = builder.op(Operation.ADD, r, lo)
    far = builder.op(Operation.LESS, builder.const(_FAR_TURNS), builder.op(Operation.ABS, u))
    s = builder.op(Operation.SELECT, far, u, s)
    r = builder.op(Operation.SELECT, far, builder.const(sympy.sin(phase)), r)
    c = builder.op(Operation.SELECT, far, builder.const(sympy.cos(phase)), builder.const(1))
    sine, cosine, mul = builder.op(Operation.SIN, s), builder.op(Operation.COS, s), Operation.MUL
    if isinstance(e, fn.ShiftedSin):
        return builder.op(Operation.ADD, builder.op(mul, c, sine), builder.op(mul, r, cosine))
    return builder.op(Operation.SUB, builder.op(mul, c, cosine), builder.op(mul, r, sine))


def sech(builder: Builder, e: Any) -> int:
    """Compute 2h/(1 + h²) with h = exp(−|u|)."""
    u, add, mul = builder.value(e.args[0]), Operation.ADD, Operation.MUL
    h = builder.op(Operation.EXP, builder.op(Operation.NEG, builder.op(Operation.ABS, u)))
    return builder.op(
        Operation.DIV, builder.op(add, h, h), builder.op(add, builder.const(1), builder.op(mul, h, h))
    )


def log_cosh(builder: Builder, e: Any) -> int:
    """Compute log1p(2 sinh²(u/2)) for |u| < 1, and |u| + log1p(exp(−2|u|)) − log 2 beyond."""
    size, mul = builder.op(Operation.ABS, builder.value(e.args[0])), Operation.MUL
    sinh = builder.op(Operation.SINH, builder.op(mul, size, builder.const(sympy.S.Half)))
    near = builder.op(Operation.LOG1P, builder.op(mul, builder.op(mul, sinh, sinh), builder.const(2)))
    small = builder.op(Operation.EXP, builder.op(mul, size, builder.const(-2)))
    # The two small terms first: far out they are lost beside |u| as they should be.
    rest = builder.op(Operation.SUB, builder.op(Operation.LOG1P, small), builder.const(sympy.log(2)))
    far = builder.op(Operation.ADD, size, rest)
    return builder.op(Operation.SELECT, builder.op(Operation.LESS, size, builder.const(1)), near, far)


def tanh_softplus(builder: Builder, e: Any) -> int:
    """With t = exp(−|u|): N/(N + D), where N, D = 1 + 2t, 2t² for u ≥ 0 and t(t + 2), 2 for u < 0."""
    u, one, two = builder.value(e.args[0]), builder.const(1), builder.const(2)
    add, mul, select = Operation.ADD, Operation.MUL, Operation.SELECT
    t = builder.op(Operation.EXP, builder.op(Operation.NEG, builder.op(Operation.ABS, u)))
    right = builder.op(Operation.LESS_EQUAL, builder.const(0), u)
    twice = builder.op(add, t, t)
    top = builder.op(select, right, builder.op(add, one, twice), builder.op(mul, t, builder.op(add, t, two)))
    bottom = builder.op(add, top, builder.op(select, right, builder.op(mul, twice, t), two))
    if isinstance(e, fn.TanhSoftplus):
        return builder.op(Operation.DIV, top, bottom)
    four = builder.op(mul, builder.const(4), builder.op(mul, builder.op(add, one, t), t))
    slope = builder.op(Operation.DIV, four, builder.op(mul, bottom, bottom))
    return builder.op(mul, slope, builder.op(select, right, t, one))


def _erfc_coefficient(k: int) -> Any:
    """(−1)ᵏ (2k − 1)!!/2ᵏ."""
    return (-1) ** k * sympy.factorial2(2 * k - 1) / sympy.Integer(2) ** k


def _is_linear(e: Any) -> bool:
    return bool(e.is_polynomial(VARIABLE) and sympy.degree(e, VARIABLE) <= 1)


def _is_small_power(e: Any) -> bool:
    return bool(e.is_Pow and e.exp.is_Integer and 1 < e.exp <= LARGEST_PRODUCT)


def _times(e: Any) -> int:
    return int(e.exp) if _is_small_power(e) else 1


#: The functions that are no operation of their own.
EXPANSIONS: dict[Any, Callable[[Builder, Any], int]] = {
    fn.Erfc: erfc,
    fn.Sigmoid: sigmoid,
    sympy.erfc: erfc,
    fn.ScaledErfc: scaled_erfc,
    fn.ScaledExp: scaled_exp,
    fn.ScaledSigmoid: scaled_sigmoid,
    fn.ErfcRatio: erfc_ratio,
    fn.GumbelSlope: gumbel_slope,
    fn.LogCosh: log_cosh,
    fn.LogErfc: log_erfc,
    fn.LogGumbel: log_gumbel,
    fn.LogHalfErfc: log_erfc,
    fn.Sech: sech,
    fn.ShiftedCos: shifted,
    fn.ShiftedSin: shifted,
    fn.TanhSoftplus: tanh_softplus,
    fn.TanhSoftplusSlope: tanh_softplus,
}
