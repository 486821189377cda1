"""Functions that SymPy lacks and kernels need: each knows its derivative in a form that does not cancel or overflow.

`elementary` writes them out again, so that every rewrite can be checked against the formula it came from.
"""

from __future__ import annotations

from typing import Any

import sympy

__all__ = [
    "Erfc",
    "ErfcRatio",
    "Expm1",
    "GumbelSlope",
    "Log1p",
    "LogCosh",
    "LogErfc",
    "LogGumbel",
    "LogHalfErfc",
    "NearSin",
    "ScaledErfc",
    "ScaledExp",
    "ScaledSigmoid",
    "Sech",
    "ShiftedCos",
    "ShiftedSin",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "TanhSoftplus",
    "TanhSoftplusSlope",
    "elementary",
]


class _Real(sympy.Function):
    """A real function; SymPy keeps it as it is unless told otherwise."""

    is_real = True

    @classmethod
    def eval(cls, *_: Any) -> None:
        """Stay unevaluated: a kernel computes it."""
        return

    @staticmethod
    def definition(*_: Any) -> sympy.Expr:
        """In elementary functions; each has its own."""
        raise NotImplementedError

    def _eval_evalf(self, prec: int) -> Any:
        """As a number, where maxima compare it with others."""
        return self.definition(*self.args)._eval_evalf(prec)


class Sigmoid(_Real):
    """1/(1 + exp(−u)); its slope σ(u) σ(−u) has no cancelling 1 − σ.

    >>> Sigmoid(sympy.Symbol("u")).diff()
    Sigmoid(-u)*Sigmoid(u)
    """

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """σ(u) σ(−u)."""
        (u,) = self.args
        return Sigmoid(u) * Sigmoid(-u)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return 1 / (1 + sympy.exp(-u))


class Softplus(_Real):
    """log(1 + exp(u)), computed as max(u, 0) + log1p(exp(−|u|))."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """σ(u)."""
        return Sigmoid(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(1 + sympy.exp(u))


class Expm1(_Real):
    """exp(u) − 1, without cancellation at 0."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """exp(u)."""
        return sympy.exp(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.exp(u) - 1


class NearSin(_Real):
    """sin(u) for |u| ≤ π/2, where no turn has to be taken off."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """cos(u)."""
        return sympy.cos(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.sin(u)


class Erfc(_Real):
    """1 − erf(u); SymPy's own rewrites erfc(−u) as 2 − erfc(u), which loses the tail again."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """−2/√π exp(−u²)."""
        return -2 * sympy.exp(-(self.args[0] ** 2)) / sympy.sqrt(sympy.pi)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.erfc(u)


class Log1p(_Real):
    """log(1 + u), without cancellation at 0."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """1/(1 + u)."""
        return 1 / (1 + self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(1 + u)


class Tanh(_Real):
    """tanh(u) with the slope sech²(u) = 4 σ(2u) σ(−2u), which keeps its digits where 1 − tanh² has none left."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """4 σ(2u) σ(−2u)."""
        (u,) = self.args
        return 4 * Sigmoid(2 * u) * Sigmoid(-2 * u)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.tanh(u)


class Sech(_Real):
    """1/cosh(u), computed as 2h/(1 + h²) with h = exp(−|u|): cosh(u) itself overflows."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """−sech(u) tanh(u)."""
        (u,) = self.args
        return -Sech(u) * Tanh(u)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return 1 / sympy.cosh(u)


class LogCosh(_Real):
    """log(cosh(u)) without the overflow of cosh(u) far out or the cancellation near 0."""

    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """tanh(u)."""
        return Tanh(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(sympy.cosh(u))


class LogErfc(_Real):
    """log(erfc(u)), right where erfc(u) itself underflows."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """−2/√π exp(−u²)/erfc(u)."""
        return -2 * ErfcRatio(self.args[0]) / sympy.sqrt(sympy.pi)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(1 - sympy.erf(u))


class LogHalfErfc(_Real):
    """log(erfc(u)/2), the log-survival of a normal law: right in both tails, also where it is nearly 0 on the left."""

    is_negative = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """That of `LogErfc`."""
        return LogErfc(self.args[0]).fdiff()

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(sympy.S.Half - sympy.erf(u) / 2)


class ErfcRatio(_Real):
    """exp(−u²)/erfc(u), which grows like √π u where both underflow."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The ratio times 2/√π ratio − 2u."""
        (u,) = self.args
        return self * (2 * self / sympy.sqrt(sympy.pi) - 2 * u)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.exp(-(u**2)) / (1 - sympy.erf(u))


class LogGumbel(_Real):
    """log(1 − exp(−exp(u))), the log-survival of a Gumbel law at −u: about u far to the left, where 1 − exp(−exp(u)) is 0."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """exp(u)/(exp(exp(u)) − 1)."""
        return GumbelSlope(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.log(1 - sympy.exp(-sympy.exp(u)))


class GumbelSlope(_Real):
    """t/(exp(t) − 1) with t = exp(u): the slope of `LogGumbel`."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The slope times 1 − t − the slope."""
        (u,) = self.args
        return self * (1 - sympy.exp(u) - self)

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.exp(u) / (sympy.exp(sympy.exp(u)) - 1)


class TanhSoftplus(_Real):
    """tanh(log(1 + exp(u))), the gate of Mish: a rational function of exp(−|u|) with positive terms only."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """See `TanhSoftplusSlope`."""
        return TanhSoftplusSlope(self.args[0])

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.tanh(sympy.log(1 + sympy.exp(u)))


class TanhSoftplusSlope(_Real):
    """4 w (1 + w)/(w² + 2w + 2)² with w = exp(u): the slope of `TanhSoftplus`."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The slope times σ(−u) − 2 tanh(softplus(u)) σ(u)."""
        (u,) = self.args
        return self * (Sigmoid(-u) - 2 * TanhSoftplus(u) * Sigmoid(u))

    @staticmethod
    def definition(u: Any) -> sympy.Expr:
        """In elementary functions."""
        w = sympy.exp(u)
        return 4 * w * (1 + w) / (w**2 + 2 * w + 2) ** 2


class ShiftedSin(_Real):
    """sin(u + φ) for a constant φ, held in two words, so that roots far from 0 keep their relative accuracy."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """cos(u + φ)."""
        if argindex != 1:
            raise sympy.core.function.ArgumentIndexError(self, argindex)
        return ShiftedCos(*self.args)

    @staticmethod
    def definition(u: Any, phase: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.sin(u + phase)


class ShiftedCos(_Real):
    """cos(u + φ), the partner of `ShiftedSin`."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """−sin(u + φ)."""
        if argindex != 1:
            raise sympy.core.function.ArgumentIndexError(self, argindex)
        return -ShiftedSin(*self.args)

    @staticmethod
    def definition(u: Any, phase: Any) -> sympy.Expr:
        """In elementary functions."""
        return sympy.cos(u + phase)


class ScaledExp(_Real):
    """p exp(u), computed as (p exp(u/2)) exp(u/2): right to the last subnormal, where exp(u) alone has lost digits."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """exp(u) by p, and itself by u."""
        return sympy.exp(self.args[1]) if argindex == 1 else self

    @staticmethod
    def definition(p: Any, u: Any) -> sympy.Expr:
        """In elementary functions."""
        return p * sympy.exp(u)


class ScaledSigmoid(_Real):
    """p σ(u), computed so that a subnormal σ(u) does not cost p σ(u) its digits."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """σ(u) by p, and p σ(u) σ(−u) by u."""
        p, u = self.args
        return Sigmoid(u) if argindex == 1 else p * Sigmoid(u) * Sigmoid(-u)

    @staticmethod
    def definition(p: Any, u: Any) -> sympy.Expr:
        """In elementary functions."""
        return p / (1 + sympy.exp(-u))


class ScaledErfc(_Real):
    """p erfc(u), computed so that a subnormal erfc(u) does not cost p erfc(u) its digits."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """erfc(u) by p, and −2p/√π exp(−u²) by u."""
        p, u = self.args
        return Erfc(u) if argindex == 1 else p * Erfc(u).fdiff()

    @staticmethod
    def definition(p: Any, u: Any) -> sympy.Expr:
        """In elementary functions."""
        return p * sympy.erfc(u)


def elementary(expression: sympy.Expr) -> sympy.Expr:
    """The expression with every function of this module written out.

    >>> elementary(Expm1(sympy.Symbol("u")))
    exp(u) - 1
    """
    for kind in _Real.__subclasses__():
        expression = expression.replace(kind, kind.definition)
    return expression
