r"""The first variation of the entropy in score form, which needs no inverse.

Perturbing f to f + ε φ moves the density q of the output by the flux J(z) = Σ_k q_k(z) φ(x_k(z)): dq/dε = −J′. With moving ends,

    dH/dε = −∫ (dq/dε) log q dz + … = −∫ J s dz + Σ [q φ],    s = (log q)′ = Σ_k π_k (p′/p − f″/f′)(x_k) / f′(x_k),

∫ J s dz = E[E[φ(X) | Z] s(Z)], the bracket over the ends of every sheet, where q may jump. At a fold x₀ of f the score is singular
like (x − x₀)⁻². A shift of φ changes no entropy: with φ − φ(x₀) in place of φ the two sheets at the fold cancel, and the
integral over z is the principal value over x. With several folds no one shift serves them all, and H itself is differenced.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from eafo.theory.function import Direction
from eafo.theory.output import Output
from eafo.theory.quadrature import QuadratureError

__all__ = ["first_variation", "folds", "score_at_nodes"]

FloatArray = npt.NDArray[np.float64]

#: Nearer to a fold than this the score's two large terms no longer cancel to a digit.
_NEAR = 3e-4
_MOST = 1e6


def folds(output: Output) -> tuple[float, ...]:
    """The points where f turns from rising to falling or back, without a jump."""
    return tuple(
        a.upper
        for a, b in itertools.pairwise(output.sheets)
        if a.upper == b.lower and a.rising != b.rising and abs(a.above - b.below) < 1e-9
    )


def score_at_nodes(output: Output) -> list[FloatArray]:
    """s(f(x)) at the nodes of each of the output's cells."""
    found = []
    for cell in output.cells:
        total = np.zeros(cell.z.size)
        for k, x in cell.roots.items():
            part = output.sheets[k].part
            with np.errstate(all="ignore"):
                slope = part.slope(x)
                term = (output.law.score(x) - part.curvature(x) / slope) / slope
                share = np.exp(cell.logs[k] - cell.log_density)
                # Where f′ underflows, far out, there is nothing left to weigh.
                total += np.where((share > 0) & (np.abs(slope) > 1e-150), share * term, 0.0)
        found.append(total)
    return found


def first_variation(output: Output, phi: Direction) -> float:
    """dH/dε of f + ε φ at ε = 0, the bracket included; atoms stay and keep their probability.

    Raises:
        QuadratureError: f has several folds, φ moves an end where f′ vanishes, or the integral diverges.

    >>> import sympy
    >>> from eafo import laws
    >>> from eafo.theory import function, output
    >>> x = sympy.Symbol("x", real=True)
    >>> uniform = output.of(x, laws.get("uniform").numeric)
    >>> round(first_variation(uniform, function.direction(x)), 12)  # all of it from the bracket
    1.0
    """
    turns = folds(output)
    if len(turns) > 1:
        raise QuadratureError("the score form needs a function with one fold at most", len(turns))
    shift = float(phi.value(np.array(turns[0]))) if turns else 0.0
    total = _bracket(output, phi, shift, turns)
    for cell, score in zip(output.cells, score_at_nodes(output), strict=True):
        mean = np.zeros(cell.z.size)
        for k, x in cell.roots.items():
            share = np.exp(cell.logs[k] - cell.log_density)
            mean += np.where(share > 0, share * (phi.value(x) - shift), 0.0)
        with np.errstate(all="ignore"):
            product = mean * score
        found = cell.nodes.mean(_smoothed(product, cell.nodes.x, turns))
        if not found.error < 1e-4 * (1 + abs(found.value)):
            raise QuadratureError(
                "the integral of the score form must converge", f"{found.value} ± {found.error:.1e}"
            )
        total -= found.value
    return total


def _smoothed(values: FloatArray, x: FloatArray, turns: tuple[float, ...]) -> FloatArray:
    """Next to a fold, where two large terms cancel, the value a little farther off: the product is smooth there."""
    for turn in turns:
        near = np.abs(x - turn) < _NEAR * max(1.0, abs(turn))
        if near.any() and not near.all():
            away = np.flatnonzero(~near)
            values = np.where(near, values[away[np.argmin(np.abs(x[away] - turn))]], values)
    return values


def _bracket(output: Output, phi: Direction, shift: float, turns: tuple[float, ...]) -> float:
    """Σ [q (φ − shift)] over the ends of the sheets that are no folds and no infinities."""
    total = 0.0
    low, high = output.law.lower, output.law.upper
    for sheet in output.sheets:
        for end, sign in ((sheet.lower, -1.0), (sheet.upper, 1.0)):
            inner = low < end < high and any(end in (p.lower, p.upper) for p in output.parts)
            if end in turns or not (
                inner or end in output.law.kinks or (end in (low, high) and math.isfinite(end))
            ):
                continue
            at = np.array([np.nextafter(end, -sign * math.inf)])
            with np.errstate(all="ignore"):
                density = np.exp(output.law.logpdf(at) - sheet.part.log_slope(at))
            term = float(density[0] * (phi.value(at)[0] - shift))
            if not abs(term) < _MOST:
                raise QuadratureError("φ must vanish at an end where f′ does", f"x = {end:g}")
            total += (sign if sheet.rising else -sign) * term
    return total
