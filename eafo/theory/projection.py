r"""The correction in numbers: steepest ascent of the entropy in the span of odd Hermite functions.

ψ_n(x) = H_n(x/s) e^{−x²/2s²} / √(2ⁿ n! √π s), orthonormal in L²(dx), s the scale of the law where it is far from 1. The odd ones vanish
at 0, so they keep a seam there, and are complete on x > 0 under that condition. With φ_k = ψ_{2k−1}, or φ_k = f′ ψ_{2k−1} where
f′ falls off faster than ψ′ (then f + ε φ is f(x + ε ψ) to first order, and its bounds stay),

    c = Σ_k a_k φ_k,   M a = d on the a with A a = 0,   d_k = dH/dε of f + ε φ_k,   M_kl = ⟨φ_k, φ_l⟩,

A the values of the φ_k at the seams that must not move: where a flat part adjoins, and where the law ends with a density. In L²(dz),
the metric of eq. 7, ⟨φ, ψ⟩ = ∫ φ ψ / |f′| dx; where f′ has a zero this is infinite, and L²(dx) takes its place.

Where f has an inverse, d_k = E[φ_k′/f′]. Elsewhere the score is singular at the critical points of f, and H itself is
differenced, with all its branches. There f′ ψ_n have a merit of their own: they leave every fold at its height, while the ψ_n move
folds of equal height apart and cut new ones into a flat tail, at each of which H has a cusp.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import sympy
from numpy.polynomial import hermite

from eafo.activation import VARIABLE
from eafo.branching import derivative
from eafo.errors import RefusedError
from eafo.theory.closed_form import Metric
from eafo.theory.entropy import Measure
from eafo.theory.function import Direction, Numeric, Part
from eafo.theory.output import Output
from eafo.theory.quadrature import QuadratureError, numeric

__all__ = ["ODD_ORDERS", "Projection", "hermite_function", "normal_of", "project", "residual", "slope"]

FloatArray = npt.NDArray[np.float64]

#: The orders of the odd Hermite functions that a correction is projected on.
ODD_ORDERS = (1, 3, 5, 7, 9, 11, 13, 15)

_STEP = 1e-2
#: The largest |φ′/f′| that the direction may have where the law has all but 1e-9 of its mass.
_STEEPEST = 1e4
_NOTHING = 1e-12
_NOTHING_UPHILL = 1e-7
_BEYOND = 1e-4
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class Projection:
    """A direction of ascent in the span, of no particular size.

    Args:
        shape: c(x).
        carried: whether the functions are f′ ψ_n.
        metric: the metric in which it is the steepest.
        scale: s.
        differenced: whether d_k came from differences of the entropy.
        second_order: whether d = 0, so that the entropy falls to second order, whatever the direction.
        weights: the size of c along each ψ.
    """

    shape: sympy.Expr
    carried: bool
    metric: Metric
    scale: float
    differenced: bool
    second_order: bool
    weights: tuple[float, ...]


def hermite_function(order: int, scale: sympy.Expr = sympy.S.One) -> sympy.Expr:
    """ψ_n(x) = H_n(x/s) e^{−x²/2s²} / √(2ⁿ n! √π s), orthonormal in L²(dx).

    >>> hermite_function(1)
    sqrt(2)*x*exp(-x**2/2)/pi**(1/4)
    """
    norm = sympy.sqrt(2**order * sympy.factorial(order) * sympy.sqrt(sympy.pi) * scale)
    return sympy.hermite(order, VARIABLE / scale) * sympy.exp(-((VARIABLE / scale) ** 2) / 2) / norm


def _hermite(order: int, scale: float) -> Direction:
    """ψ_n in numbers, by its recurrence: n powers of x would cancel."""

    def psi(n: int, x: FloatArray) -> FloatArray:
        t = np.asarray(x, np.float64) / scale
        with np.errstate(under="ignore"):
            before, now = np.zeros_like(t), np.exp(-(t**2) / 2) / (math.pi**0.25 * math.sqrt(scale))
        for k in range(n):
            before, now = now, math.sqrt(2 / (k + 1)) * t * now - math.sqrt(k / (k + 1)) * before
        return now

    def slope(x: FloatArray) -> FloatArray:
        down, up = math.sqrt(order / 2), math.sqrt((order + 1) / 2)
        return (down * psi(order - 1, x) - up * psi(order + 1, x)) / scale

    def curvature(x: FloatArray) -> FloatArray:
        # Hermite's equation: ψ″ = (t² − 2n − 1) ψ.
        return ((np.asarray(x) / scale) ** 2 - 2 * order - 1) * psi(order, x) / scale**2

    return Direction(functools.partial(psi, order), slope, curvature)


def _carried(function: sympy.Expr, psi: Direction) -> Direction:
    """f′ ψ."""
    first, second, third = (numeric(d) for d in itertools.islice(_derivatives(function), 3))
    return Direction(
        lambda x: _times(first(x), psi.value(x)),
        lambda x: _times(second(x), psi.value(x)) + _times(first(x), psi.slope(x)),
        lambda x: (
            _times(third(x), psi.value(x))
            + 2 * _times(second(x), psi.slope(x))
            + _times(first(x), psi.curvature(x))
        ),
    )


def _times(derivative_of_f: FloatArray, psi: FloatArray) -> FloatArray:
    """Their product; ψ falls off faster than anything that overflows first."""
    with np.errstate(all="ignore"):
        return np.where(psi == 0, 0.0, derivative_of_f * psi)


def _derivatives(function: sympy.Expr) -> Iterator[sympy.Expr]:
    while True:
        function = derivative(function)
        yield function


def scale_of_law(output: Output) -> sympy.Rational:
    """s: 1, or the half-width of the law's central 68 % to two digits where it is not within a factor 3 of 1."""
    width = 0.5 * float(output.law.ppf(0.8413) - output.law.ppf(0.1587))
    return sympy.S.One if 1 / 3 <= width <= 3 else sympy.Rational(f"{width:.2g}")


def project(
    function: sympy.Expr,
    output: Output,
    measure: Measure,
    metric: Metric = "output",
    orders: tuple[int, ...] = ODD_ORDERS,
    *,
    carried: bool = False,
) -> Projection | None:
    """Steepest ascent of a measure of the output's entropy within the span; None where it has no first variation there.

    Args:
        function: f(x), without parameters.
        output: the output of f.
        measure: what ascends.
        metric: the metric asked for.
        orders: the odd orders.
        carried: whether the functions are f′ ψ_n.

    Raises:
        RefusedError: no function of the span keeps the ends.
    """
    scale = scale_of_law(output)
    plain = [_hermite(n, float(scale)) for n in orders]
    # f′ ψ vanishes with f′; it is ψ, which moves x, that must keep the ends.
    free = _free(_seams(output, plain))
    basis = [_combined(plain, column) for column in free.T]
    if carried:
        basis = [_carried(function, psi) for psi in basis]
    differenced = _differenced(output, measure)
    slopes = _first_variations(output, measure, basis, math.inf if carried else _STEEPEST)
    if slopes is None and carried and not differenced:
        # At a zero of f′ without a turn the first variation is a principal value: the turn stays none as f′ ψ moves it.
        slopes, differenced = _differences(output, measure, basis), True
    if slopes is None:
        return None
    gram, used = _gram(output, basis, metric if measure.resolution is None else "input")
    if _bounded(output):
        # Beyond a short D the functions could grow without any cost: the norm of the whole line counts a little too.
        gram += _BEYOND * np.linalg.eigvalsh(gram)[-1] * np.eye(len(basis))
    found, flat = _ascent(gram, slopes)
    weights = free @ found
    usual = 1.0 if measure.resolution is not None or carried else _typical_slope(output)
    # f′ would be written out by the product rule: the polynomial stands beside it.
    factor = derivative(function) if carried else sympy.Rational(f"{1.0 if usual > 0.1 else usual:.2g}")
    shape = _sum(weights, orders, scale) * factor
    return Projection(shape, carried, used, float(scale), differenced, flat, tuple(map(float, weights)))


def _bounded(output: Output) -> bool:
    """Whether what is not flat ends, within the law's support, elsewhere than at 0."""
    free = [p for p in output.parts if not p.flat]
    ends = max(free[0].lower, output.law.lower), min(free[-1].upper, output.law.upper)
    return any(math.isfinite(e) and e != 0.0 for e in ends)


def _free(seams: FloatArray) -> FloatArray:
    """The weights, one set a column, of which every combination vanishes at every seam."""
    found = np.asarray(scipy.linalg.null_space(seams)) if seams.shape[0] else np.eye(seams.shape[1])
    if not found.size:
        raise RefusedError("the odd Hermite functions leave no function that keeps every seam", len(seams))
    return found


def _combined(basis: list[Direction], weights: FloatArray) -> Direction:
    """Σ w_k φ_k."""

    def sum_of(name: str) -> Numeric:
        functions = [getattr(phi, name) for phi in basis]
        return lambda x: sum(w * f(x) for w, f in zip(weights, functions, strict=True) if w)

    return Direction(sum_of("value"), sum_of("slope"), sum_of("curvature"))


def _sum(weights: FloatArray, orders: tuple[int, ...], scale: sympy.Rational) -> sympy.Expr:
    """Σ a_k ψ_k up to a positive constant, so that its slope is 1 where it is steepest, as of x e^{−x²/2}; ten digits each."""
    s = float(scale)
    total = np.zeros(max(orders) + 1)
    for weight, order in zip(weights, orders, strict=True):
        norm = math.sqrt(2.0**order * math.factorial(order) * math.sqrt(math.pi) * s)
        power = hermite.herm2poly([0.0] * order + [1.0])
        total[: power.size] += weight / norm * power
    x = np.linspace(0.0, 8.0 * s, 1601)
    slopes = sum(w * _hermite(n, s).slope(x) for w, n in zip(weights, orders, strict=True))
    total /= float(np.max(np.abs(slopes)))
    # In powers of x/s, so that the scale does not tell the small ones.
    total[np.abs(total) < _NOTHING * np.max(np.abs(total))] = 0.0
    total /= s ** np.arange(total.size)
    odd = sum(
        (sympy.Rational(f"{r:.10g}") * VARIABLE ** (n - 1) for n, r in enumerate(total) if n % 2 and r),
        sympy.S.Zero,
    )
    return VARIABLE * sympy.horner(odd, VARIABLE) * sympy.exp(-((VARIABLE / scale) ** 2) / 2)


def _differenced(output: Output, measure: Measure) -> bool:
    """Whether sheets overlap, or the measure has no first variation as an integral, so that it is differenced."""
    if measure.scale_free and not math.isfinite(normal_of(output)[1]):
        return True
    return measure.resolution is not None or len(output.special) != _ends(output)


def _ends(output: Output) -> int:
    """How many special values a function has whose sheets follow one another without overlap."""
    ordered = sorted(output.sheets, key=lambda s: s.least)
    values = {v for s in ordered for v in (s.least, s.greatest)}
    apart = all(a.greatest <= b.least for a, b in itertools.pairwise(ordered))
    return len(output.special) if apart and values else -1


def _first_variations(
    output: Output, measure: Measure, basis: list[Direction], steepest: float = math.inf
) -> FloatArray | None:
    """d_k; None where they do not exist or the functions are too steep for f."""
    if _differenced(output, measure):
        return _differences(output, measure, basis)
    try:
        found = [_along(output, measure, phi, steepest) for phi in basis]
    except QuadratureError:
        return None
    return None if any(v is None for v in found) else np.array(found, np.float64)


def _differences(output: Output, measure: Measure, basis: list[Direction]) -> FloatArray | None:
    """d_k by differences of the measure; None where it has no value beside f."""
    # ψ′ goes like s^{−3/2}.
    size = 1.0 if measure.resolution is not None else _typical_slope(output)
    step = _STEP * size * float(scale_of_law(output)) ** 1.5
    try:
        return np.array(
            [
                (measure.of(output.moved(phi, step)) - measure.of(output.moved(phi, -step))) / (2 * step)
                for phi in basis
            ]
        )
    except QuadratureError:
        return None


def slope(output: Output, measure: Measure, phi: Direction) -> float:
    """dJ/dε of f + ε φ at ε = 0.

    Raises:
        QuadratureError: it does not exist.
    """
    found = _first_variations(output, measure, [phi])
    if found is None:
        raise QuadratureError("the first variation of the entropy must exist", "none along this direction")
    return float(found[0])


def residual(output: Output, projected: Projection, c: sympy.Expr) -> float | None:
    """‖c − its projection‖ / ‖c‖ in the projection's metric, the projection at its best size; None where ‖c‖ is not finite."""
    value, shape = numeric(c), numeric(projected.shape)
    inner = np.zeros((2, 2))
    for part, x, weight in _grid(output, projected.scale):
        with np.errstate(all="ignore"):
            both = np.array([np.broadcast_to(value(x), x.shape), np.broadcast_to(shape(x), x.shape)])
            weighted = both * weight * _metric_factor(projected.metric, part, output, x)
            inner += weighted @ both.T
    if not np.isfinite(inner).all() or inner[0, 0] == 0:
        return None
    return math.sqrt(max(0.0, 1 - inner[0, 1] ** 2 / (inner[0, 0] * inner[1, 1])))


def _metric_factor(metric: Metric, part: Part, output: Output, x: FloatArray) -> FloatArray:
    if metric == "output":
        return np.exp(-part.log_slope(x))
    return output.law.pdf(x) if metric == "probability" else np.ones_like(x)


def _typical_slope(output: Output) -> float:
    """The |f′| below which 10 % of the mass lies, at most 1."""
    sizes, weights = [], []
    for cell in output.cells:
        sizes.append(np.abs(output.sheets[cell.sheet].part.slope(cell.nodes.x)))
        weights.append(cell.nodes.weight)
    size, weight = np.concatenate(sizes), np.concatenate(weights)
    order = np.argsort(size)
    index = int(np.searchsorted(np.cumsum(weight[order]), 0.1 * weight.sum()))
    return float(np.clip(size[order][min(index, size.size - 1)], 1e-3, 1.0))


def _along(output: Output, measure: Measure, phi: Direction, steepest: float) -> float | None:
    """dJ/dε of f + ε φ, given that the output is no atom; nothing is integrated by parts."""
    total, moment = 0.0, 0.0
    mean, variance = normal_of(output) if measure.scale_free else (0.0, math.inf)
    for cell in output.cells:
        part = output.sheets[cell.sheet].part
        with np.errstate(all="ignore"):
            ratio = phi.slope(cell.nodes.x) / part.slope(cell.nodes.x)
        # Both underflow far out; a node rounded onto a zero of f′ carries next to nothing.
        nothing = (phi.slope(cell.nodes.x) == 0) | (cell.nodes.weight < 1e-12)
        ratio = np.where(nothing & ~np.isfinite(ratio), 0.0, ratio)
        found = cell.nodes.mean(ratio)
        if not math.isfinite(found.value) or found.error > 1e-4 * (1 + abs(found.value)):
            return None
        if np.max(np.abs(ratio[~_tail(output, cell.nodes.x)]), initial=0.0) > steepest:
            return None
        total += found.value
        if math.isfinite(variance):
            moment += cell.nodes.mean((cell.z - mean) * phi.value(cell.nodes.x)).value
    return (total - moment / variance) / output.mass


def _tail(output: Output, x: FloatArray) -> npt.NDArray[np.bool_]:
    low, high = float(output.law.ppf(1e-9)), float(output.law.isf(1e-9))
    return np.asarray((x < low) | (x > high))


def normal_of(output: Output) -> tuple[float, float]:
    """Mean and variance of the output given that it is no atom; an infinite variance where it has none."""
    try:
        mean = output.moment(1, atoms=False)
        return mean, output.moment(2, mean, atoms=False) if math.isfinite(mean) else math.inf
    except QuadratureError:
        return math.nan, math.inf


def _grid(output: Output, scale: float = 1.0) -> list[tuple[Part, FloatArray, FloatArray]]:
    """Gauss–Legendre nodes and weights of dx on every part that is not flat, as far as Hermite functions reach."""
    reach = 12.0 * scale
    found = []
    for part in output.parts:
        lower, upper = max(part.lower, output.law.lower, -reach), min(part.upper, output.law.upper, reach)
        if part.flat or not lower < upper:
            continue
        cuts = np.linspace(lower, upper, 2 + math.ceil((upper - lower) / (0.4 * scale)))
        half, middle = np.diff(cuts)[:, None] / 2, (cuts[:-1] + cuts[1:])[:, None] / 2
        found.append((part, (middle + half * _NODES).ravel(), (half * _WEIGHTS).ravel()))
    return found


def _gram(output: Output, basis: list[Direction], metric: Metric) -> tuple[FloatArray, Metric]:
    """M, and the metric that it is of: L²(dx) where the one asked for is infinite."""
    scale = float(scale_of_law(output))
    total = np.zeros((len(basis), len(basis)))
    plain = np.zeros_like(total)
    folds = any(s.rising != output.sheets[0].rising for s in output.sheets)
    for part, x, weight in _grid(output, scale):
        values = np.array([np.broadcast_to(phi.value(x), x.shape) for phi in basis])
        with np.errstate(all="ignore"):
            weighted = values * (weight * _metric_factor(metric, part, output, x))
        total += weighted @ values.T
        plain += (values * weight) @ values.T
    if np.isfinite(total).all() and not (folds and metric == "output"):
        return total, metric
    return plain, "input"


def _seams(output: Output, basis: list[Direction]) -> FloatArray:
    """The values of the functions at the points that must not move, one row each."""
    law = output.law
    points = set()
    for left, right in itertools.pairwise(output.parts):
        if left.flat != right.flat and law.lower < left.upper < law.upper:
            points.add((left.upper, 1 if left.flat else -1))
    for end, sign in ((law.lower, 1), (law.upper, -1)):
        if math.isfinite(end) and float(law.pdf(end + sign * 1e-12 * max(1.0, abs(end)))) > 1e-9:
            at = next(p for p in output.parts if p.lower <= end <= p.upper)
            if not at.flat:
                points.add((end, sign))
    rows = [[float(phi.value(np.array(at + sign * 1e-13))) for phi in basis] for at, sign in sorted(points)]
    kept = [row for row in rows if np.max(np.abs(row)) > 1e-9]
    return np.array(kept, np.float64).reshape(-1, len(basis))


def _ascent(gram: FloatArray, slopes: FloatArray) -> tuple[FloatArray, bool]:
    """The weights, and whether the first variation vanishes, so that the plainest function is taken."""
    # On a short interval the functions are nearly dependent; what they cannot tell apart is left out.
    size, axes = np.linalg.eigh(gram)
    clear = size > 1e-10 * size[-1]
    unit = axes[:, clear] / np.sqrt(size[clear])
    uphill = unit.T @ slopes
    steepness = float(np.linalg.norm(uphill))
    if steepness < _NOTHING_UPHILL:
        return unit @ (unit.T @ gram[:, 0]), True
    return unit @ uphill / steepness, False
