r"""The first variation of the output entropy, derived for a general density and a general inverse.

With ``f`` increasing, ``y = f⁻¹`` and ``p`` the input's density, the output has the density ``p(y) y′`` and the entropy

    H[y] = ∫ G(y, y′) dz,    G(y, y′) = −p(y) y′ log(p(y) y′).

Everything below follows from ``G`` by differentiation; no result is typed in. The Lagrangian is differentiated
in the independent symbols u = y, v = y′, w = y″, which is the chain rule of the calculus of variations written out.

Source: Sun et al. 2024 (arXiv 2405.12954), eqs. 1-3 and Proposition 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy
from sympy.calculus.euler import euler_equations

from eafo.activation import VARIABLE

__all__ = ["Variation", "against_euler_equations", "along", "conserved", "general", "lagrangian"]

#: The output, z = f(x).
Z = sympy.Symbol("z", real=True)
#: y, y′ and y″ as independent symbols.
U = sympy.Symbol("y", real=True)
V = sympy.Symbol("y'", positive=True)
W = sympy.Symbol("y''", real=True)
#: A general density; its argument is real.
P = sympy.Function("p", positive=True)


def lagrangian(density: sympy.Expr) -> sympy.Expr:
    """G(y, y′) = −p(y) y′ log(p(y) y′), for the density given as an expression in `U`."""
    return -density * V * sympy.log(density * V)


@dataclass(frozen=True)
class Variation:
    """What follows from the Lagrangian G of a law.

    Args:
        lagrangian: G(y, y′).
        euler_lagrange: EL[y] = ∂G/∂y − d/dz ∂G/∂y′ (eq. 2).
        first_integral: G − y′ ∂G/∂y′, constant on extremals since G does not hold z (Beltrami; eq. 3).
        legendre: ∂²G/∂y′²; negative for a maximum.
    """

    lagrangian: sympy.Expr
    euler_lagrange: sympy.Expr
    first_integral: sympy.Expr
    legendre: sympy.Expr


def of_lagrangian(g: sympy.Expr) -> Variation:
    """Differentiate a Lagrangian G(y, y′) that does not hold z."""
    g_v = sympy.diff(g, V)
    # d/dz ∂G/∂y′ by the chain rule: dy/dz = y′, dy′/dz = y″.
    along_z = sympy.diff(g_v, U) * V + sympy.diff(g_v, V) * W
    return Variation(
        lagrangian=g,
        euler_lagrange=sympy.expand(sympy.simplify(sympy.expand(sympy.diff(g, U) - along_z))),
        first_integral=sympy.simplify(sympy.expand(g - V * g_v)),
        legendre=sympy.simplify(sympy.diff(g_v, V)),
    )


@cache
def general() -> Variation:
    """For a general density p.

    >>> general().first_integral
    y'*p(y)
    >>> general().legendre
    -p(y)/y'
    """
    return of_lagrangian(lagrangian(P(U)))


@cache
def against_euler_equations() -> float:
    """The largest difference from SymPy's own Euler equations, at three points of a trial density and inverse.

    The two share nothing but G: SymPy's route differentiates by the functions y(z) and y′(z) themselves.

    >>> against_euler_equations() < 1e-14
    True
    """
    density, trial = sympy.exp(-(U**2) / 2), sympy.sinh(Z) + 2 * Z
    y = sympy.Function("y")(Z)
    g = lagrangian(density).subs({V: sympy.diff(y, Z), U: y}, simultaneous=True)
    (equation,) = euler_equations(g, y, Z)
    theirs, ours = equation.lhs.subs(y, trial).doit(), along(density.xreplace({U: VARIABLE}), trial)
    return max(abs(float((theirs - ours).subs(Z, point).evalf(30))) for point in (-0.7, 0.2, 0.9))


def along(density: sympy.Expr, inverse: sympy.Expr, z: sympy.Symbol = Z) -> sympy.Expr:
    """The Euler–Lagrange expression of a density along a given inverse y(z).

    Args:
        density: p(x), smooth where y runs.
        inverse: y(z), increasing.
        z: its variable.

    Returns:
        EL[y](z) = p′(y) y′ + p(y) y″/y′. Steepest descent of the entropy in L²(dz) is η = −EL (eqs. 6, 7).

    >>> from eafo import laws
    >>> along(laws.get("normal").density, Z)
    -sqrt(2)*z*exp(-z**2/2)/(2*sqrt(pi))
    """
    first, second = sympy.diff(inverse, z), sympy.diff(inverse, z, 2)
    in_y = density.xreplace({VARIABLE: U})
    slope = sympy.diff(P(U), U)
    filled = general().euler_lagrange.subs(slope, sympy.diff(in_y, U)).subs(P(U), in_y)
    return sympy.simplify(filled.subs({W: second, V: first, U: inverse}, simultaneous=True))


def conserved() -> sympy.Expr:
    """d/dz (G − y′ ∂G/∂y′) − y′ EL[y], zero for every p and y: the first integral is one.

    >>> conserved()
    0
    """
    variation = general()
    first = variation.lagrangian - V * sympy.diff(variation.lagrangian, V)
    along_z = sympy.diff(first, U) * V + sympy.diff(first, V) * W
    return sympy.simplify(sympy.expand(along_z - V * variation.euler_lagrange))
