r"""The EAFO correction: from an increasing activation and an input law to the direction that changes the entropy most.

With y = f⁻¹ on the branch D where f increases, steepest descent of the entropy in L²(dz) is η = −EL[y], and the
corrected activation is the inverse of z ↦ y(z) + ε η(z) (Sun et al. 2024, eqs. 6-8). To first order in ε that is
f(x) − ε c(x) with

    c(x) = η(f(x)) f′(x) = p(x) ( f″(x)/f′(x) − p′(x)/p(x) ),

which needs no inverse. For ReLU and a normal law c = η = x e^{−x²/2}/√(2π).

η must vanish where D ends inside the support of the law (the seam), and c must neither jump nor meet a kink of f,
where EL holds a Dirac term: else the boundary term turns the descent into an ascent (ReLU × Laplace). There the
correction is projected: steepest descent in the span of the odd Hermite functions ψ₁, ψ₃, … of L²(dx), which vanish
at 0 and are complete on x > 0 under that condition,

    c = Σ_k a_k ψ_k,   M a = d,   d_k = dH/dε of f + ε ψ_k = E[ψ_k′(X)/f′(X)],   M_kl = ∫ ψ_k ψ_l / f′ dx,

where M is the inner product of L²(dz), the metric of η, written in x.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from eafo.activation import VARIABLE, Activation
from eafo.branching import Piece, derivative
from eafo.errors import RefusedError
from eafo.laws import Law
from eafo.theory.branch import Branch
from eafo.theory.quadrature import QuadratureError, numeric

__all__ = ["ODD_ORDERS", "Correction", "correct"]

#: The orders of the odd Hermite functions that a correction is projected on.
ODD_ORDERS = (1, 3, 5, 7)

_CLOSE = 1e-9


@dataclass(frozen=True)
class Correction:
    """A direction c(x) of change, and where it comes from.

    Args:
        shape: c(x) up to its constant; it continues beyond D in the same form.
        constant: the positive number that was taken out of c.
        lower: D's lower end.
        upper: D's upper end.
        branch: f, p and D in numbers, for entropies.
        direction: c(x) on D as it is, constant and all, before any projection.
        projected: why the closed form could not be used; empty where it was.
        flat: whether a flat branch of the base adjoins D.
        residual: ‖c − its projection‖ / ‖c‖ in the metric of η, L²(dz), on D; None in closed form, where c holds a Dirac
            term, or where c′/f′ is unbounded.
    """

    shape: sympy.Expr
    constant: sympy.Expr
    lower: sympy.Expr
    upper: sympy.Expr
    branch: Branch
    direction: sympy.Expr
    flat: bool = False
    projected: str = ""
    residual: float | None = None


@dataclass(frozen=True)
class _Part:
    """An interval on which f and p are both smooth."""

    function: sympy.Expr
    density: sympy.Expr
    lower: float
    upper: float

    def direction(self) -> sympy.Expr:
        """C = p (f″/f′ − p′/p), the score form."""
        first, second = sympy.diff(self.function, VARIABLE), sympy.diff(self.function, VARIABLE, 2)
        score = sympy.simplify(sympy.diff(self.density, VARIABLE) / self.density)
        difference = sympy.simplify(second / first) - score
        # Left as a sum: a common denominator would overflow where the terms do not.
        return sympy.S.Zero if sympy.simplify(difference) == 0 else self.density * difference


def increasing_pieces(base: Activation, law: Law) -> tuple[tuple[Piece, ...], bool]:
    """The branches of `base` on which it increases, contiguous, cut to the law's support; and whether others are flat.

    Raises:
        RefusedError: a branch decreases, a seam jumps, nothing increases, or a flat branch lies in between.
    """
    at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in base.parameters}
    concrete = (
        Piece(*(sympy.sympify(e).xreplace(at_default) for e in (p.expression, p.lower, p.upper)))
        for p in base.pieces()
    )
    pieces = [p for p in (_cut(piece, law) for piece in concrete) if p is not None]
    for left, right in itertools.pairwise(pieces):
        jump = float((right.expression - left.expression).subs(VARIABLE, left.upper))
        if abs(jump) > _CLOSE:
            raise RefusedError(
                f"{base.name} has no entropy correction: a correction needs a continuous activation",
                f"a jump of {jump:g} at x = {left.upper}",
                "repair the jump first",
            )
    rising = [p for p in pieces if _rises(base, p, law)]
    first, last = (pieces.index(rising[0]), pieces.index(rising[-1])) if rising else (0, -1)
    if not rising or len(rising) != last - first + 1:
        raise RefusedError(
            f"{base.name} has no entropy correction: one interval on which it increases is needed", base.name
        )
    return tuple(rising), len(rising) < len(pieces)


def _cut(piece: Piece, law: Law) -> Piece | None:
    if float(piece.upper) <= float(law.lower) or float(piece.lower) >= float(law.upper):
        return None
    lower = piece.lower if float(piece.lower) > float(law.lower) else law.lower
    upper = piece.upper if float(piece.upper) < float(law.upper) else law.upper
    return Piece(piece.expression, lower, upper)


def _knots(law: Law, lower: float, upper: float) -> tuple[tuple[float, ...], float]:
    """Quantiles of the law on D, and P(X ∈ D); by the tail that does not cancel."""
    levels = np.array([1e-9, 0.01, 0.5, 0.99, 1 - 1e-9])
    frozen = law.frozen()
    low, high = frozen.sf(lower), frozen.sf(upper)
    if low < 0.5:
        mass, points = low - high, frozen.isf(low - levels * (low - high))
    else:
        low, high = frozen.cdf(lower), frozen.cdf(upper)
        mass, points = high - low, frozen.ppf(low + levels * (high - low))
    if not mass > 0:
        raise RefusedError(
            f"the law {law} must have mass where the activation increases, on ({lower:g}, {upper:g})", mass
        )
    return tuple(float(p) for p in np.unique(points) if lower < p < upper), float(mass)


def _rises(base: Activation, piece: Piece, law: Law) -> bool:
    """True where the piece increases, False where it is flat."""
    slope = sympy.diff(piece.expression, VARIABLE)
    if slope == 0:
        return False
    lower, upper = float(piece.lower), float(piece.upper)
    around = (-30.0, -1.0, 0.0, 1.0, 30.0)
    knots = (*_knots(law, lower, upper)[0], *(a for a in around if lower < a < upper))
    x = Branch(piece.expression, law.density, (lower, upper), knots).grid()
    values = numeric(slope, exact=False)(x)
    steepest = float(np.nanmax(np.abs(values)))
    if np.any(values < -1e-12 * steepest):
        worst = float(x[int(np.nanargmin(values))])
        raise RefusedError(
            f"{base.name} has no inverse, and its correction by the inverse does not exist: it must increase",
            f"a slope of {float(np.nanmin(values)):.3g} at x = {worst:.3g}",
            "choose an increasing activation such as relu, softplus, elu or tanh",
        )
    return True


def _parts(pieces: tuple[Piece, ...], law: Law) -> list[_Part]:
    """Cut the pieces where the law's density has a kink, and open |x| on each side."""
    kinks = {k for a in law.density.atoms(sympy.Abs) for k in sympy.solve(a.args[0], VARIABLE)}
    parts: list[_Part] = []
    for piece in pieces:
        cuts = sorted({float(k) for k in kinks if piece.lower < k < piece.upper})
        ends = [float(piece.lower), *cuts, float(piece.upper)]
        for lower, upper in itertools.pairwise(ends):
            middle = _between(lower, upper)
            parts.append(
                _Part(_without_abs(piece.expression, middle), _without_abs(law.density, middle), lower, upper)
            )
    return parts


def _between(lower: float, upper: float) -> float:
    if math.isfinite(lower) and math.isfinite(upper):
        return (lower + upper) / 2
    return lower + 1.0 if math.isfinite(lower) else (upper - 1.0 if math.isfinite(upper) else 0.0)


def _without_abs(expression: sympy.Expr, point: float) -> sympy.Expr:
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
    """Why the closed form cannot be used; empty where it can. Values of c below `close` count as zero."""
    for end, part, c in (
        (parts[0].lower, parts[0], directions[0]),
        (parts[-1].upper, parts[-1], directions[-1]),
    ):
        if math.isfinite(end) and abs(value := _at(c, end)) > close:
            return (
                f"η does not vanish at the seam x = {end:g} (c = {value:.4g}): the branch would lose its end"
            )
        if math.isfinite(end) and _at(part.density, end) > 0 and end in (float(law.lower), float(law.upper)):
            return f"the density does not vanish at the support's end x = {end:g}"
    for part, pair in zip(parts, itertools.pairwise(directions), strict=False):
        values = [_at(c, part.upper) for c in pair]
        if abs(values[1] - values[0]) > close:
            return f"c jumps by {values[1] - values[0]:.4g} at x = {part.upper:g}"
    return _unbounded(parts, directions)


def _unbounded(parts: list[_Part], directions: list[sympy.Expr]) -> str:
    """Whether c′/f′ grows without bound, so that no ε ≠ 0 leaves the activation increasing."""
    for part, c, sign in ((parts[0], directions[0], -1), (parts[-1], directions[-1], 1)):
        if math.isfinite(part.lower if sign < 0 else part.upper):
            continue
        ratio = sympy.diff(c, VARIABLE) / sympy.diff(part.function, VARIABLE)
        near, far = (abs(ratio.subs(VARIABLE, sign * sympy.Integer(n)).evalf(40)) for n in (40, 80))
        if far > 1e3 * (1 + near) or not far.is_finite:
            return "c′/f′ grows without bound: no step along c, however small, would leave the activation increasing"
    return ""


def hermite_function(order: int) -> sympy.Expr:
    """ψ_n(x) = H_n(x) e^{−x²/2} / √(2ⁿ n! √π), orthonormal in L²(dx).

    >>> hermite_function(1)
    sqrt(2)*x*exp(-x**2/2)/pi**(1/4)
    """
    norm = sympy.sqrt(2**order * sympy.factorial(order) * sympy.sqrt(sympy.pi))
    return sympy.hermite(order, VARIABLE) * sympy.exp(-(VARIABLE**2) / 2) / norm


def _project(branch: Branch, orders: tuple[int, ...]) -> sympy.Expr:
    """Steepest ascent of the entropy within the span, in L²(dz): an odd polynomial times e^{−x²/2}."""
    basis = [hermite_function(n) for n in orders]
    slopes = [branch.mass * branch.slope(psi) for psi in basis]
    gram = np.empty((len(basis), len(basis)))
    for i, j in np.ndindex(*gram.shape):
        if i <= j:
            gram[i, j] = gram[j, i] = branch.inner(basis[i], basis[j])
    weights = np.linalg.solve(gram, slopes)
    return sum((_decimal(w, 15) * psi for w, psi in zip(weights, basis, strict=True)), sympy.S.Zero)


def _decimal(value: float, digits: int) -> sympy.Rational:
    return sympy.Rational(f"{value:.{digits}g}")


def _split(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """A positive constant and the rest."""
    constant, shape = expression.as_independent(VARIABLE, as_Add=False)
    if constant.is_negative:
        constant, shape = -constant, -shape
    return constant, shape


def correct(base: Activation, law: Law, orders: tuple[int, ...] = ODD_ORDERS) -> Correction:
    """The correction of an activation for an input law.

    Args:
        base: continuous; increasing on one interval and flat elsewhere. Its parameters count at their defaults.
        law: the input law.
        orders: the odd orders of the Hermite functions used where the closed form fails.

    Raises:
        RefusedError: `base` is not such a function; it is the worst one already (c = 0); or no correction keeps its ends.

    >>> from eafo import catalog, laws
    >>> correct(catalog.get("relu"), laws.get("normal")).shape
    x*exp(-x**2/2)
    """
    pieces, flat = increasing_pieces(base, law)
    parts = _parts(pieces, law)
    directions = [part.direction() for part in parts]
    ends = (parts[0].lower, *(p.upper for p in parts))
    knots, mass = _knots(law, ends[0], ends[-1])
    function, density = (
        _join(parts, values) for values in zip(*((p.function, p.density) for p in parts), strict=True)
    )
    knots, mass = _knots(law, ends[0], ends[-1])
    branch = Branch(function, density, ends, knots, mass)
    direction, ends_of_d = _join(parts, directions), (pieces[0].lower, pieces[-1].upper)
    _require_entropy(base, law, branch)
    kink = _kink(parts)
    if not kink and all(c == 0 for c in directions):
        raise RefusedError(
            f"{base.name} cannot be corrected for the law {law}: its output is uniform there already, so it is the worst "
            "activation under its bounds (η = 0)",
        )
    largest = float(np.nanmax(np.abs(numeric(direction, exact=False)(branch.grid()))))
    why = kink or _obstacle(parts, directions, law, _CLOSE * largest)
    if not why:
        constant, shape = _split(direction)
        return Correction(shape, constant, *ends_of_d, branch, direction, flat)
    if any(math.isfinite(end) and end != 0.0 for end in (ends[0], ends[-1])):
        raise RefusedError(
            f"{base.name} cannot be corrected for the law {law}: {why}; odd Hermite functions keep a seam at 0 alone"
        )
    try:
        projection = _project(branch, orders)
    except QuadratureError as error:
        raise RefusedError(
            f"{base.name} cannot be corrected for the law {law}: {why}, and the first variation along the Hermite functions "
            "diverges: the slope vanishes at an end, or faster than the law's tail"
        ) from error
    undefined = kink or _unbounded(parts, directions)
    residual = None if undefined else _residual(branch, direction, projection)
    constant, shape = _leading(projection)
    return Correction(shape, constant, *ends_of_d, branch, direction, flat, why, residual)


def _require_entropy(base: Activation, law: Law, branch: Branch) -> None:
    try:
        branch.entropy()
    except QuadratureError as error:
        raise RefusedError(
            f"{base.name} cannot be corrected for the law {law}: the entropy of its output is not finite, since the law's tail "
            "is too heavy for its slope"
        ) from error


def _leading(projection: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Take out the modulus of the linear coefficient, so that the shape starts as ±x e^{−x²/2}; six digits each."""
    gaussian = sympy.exp(-(VARIABLE**2) / 2)
    polynomial = sympy.Poly(sympy.expand(projection / gaussian).evalf(17), VARIABLE)
    scale = abs(float(polynomial.coeff_monomial(VARIABLE))) or 1.0
    ratios = {power: float(c) / scale for (power,), c in polynomial.terms()}
    terms = [_decimal(r, 6) * VARIABLE**n for n, r in ratios.items() if abs(r) > _CLOSE]
    return _decimal(scale, 10), sympy.factor_terms(sum(terms, sympy.S.Zero)) * gaussian


def _join(parts: list[_Part], values: Sequence[sympy.Expr]) -> sympy.Expr:
    """One expression over all parts; the outer ones continue to infinity."""
    result = values[-1]
    for part, value in zip(reversed(parts[:-1]), reversed(values[:-1]), strict=True):
        if value != result:
            result = sympy.Piecewise((value, sympy.nsimplify(part.upper) > VARIABLE), (result, True))
    return sympy.piecewise_fold(result)


def _residual(branch: Branch, direction: sympy.Expr, projection: sympy.Expr) -> float:
    """‖c − projection‖ / ‖c‖ in L²(dz) on D."""
    missed = direction - projection
    return math.sqrt(branch.inner(missed, missed) / branch.inner(direction, direction))


def descent_slope(correction: Correction) -> float:
    """dH/dε at ε = 0 of f + ε·shape on the branch: positive, since −c is the descent."""
    return correction.branch.slope(correction.shape)


def monotone_range(correction: Correction) -> tuple[float, float]:
    """The ε for which f + ε·shape is increasing on D, as the reciprocals of the extremes of shape′/f′.

    >>> from eafo import catalog, laws
    >>> low, high = monotone_range(correct(catalog.get("relu"), laws.get("normal")))
    >>> round(low, 9), round(high, 9)
    (-1.0, 2.240844535)
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - slow to load, and needed here alone

    branch = correction.branch
    ratio = numeric(derivative(correction.shape) / branch.slope_of_function, exact=False)
    # Beside the law's own scale, that of the Hermite functions around 0.
    near = np.linspace(-30, 30, 6001)
    x = np.union1d(branch.grid(1001), near[(near > branch.ends[0]) & (near < branch.ends[-1])])
    x = x[np.isfinite(ratio(x))]
    values = ratio(x)
    extremes: list[float] = []
    for sign in (-1.0, 1.0):
        i = int(np.nanargmin(sign * values))
        around = (float(x[max(i - 1, 0)]), float(x[min(i + 1, len(x) - 1)]))
        best = minimize_scalar(
            lambda t, s=sign: s * float(ratio(t)), bounds=around, method="bounded", options={"xatol": 1e-12}
        )
        ends = [sign * float(ratio(e)) for e in branch.ends if math.isfinite(e) and math.isfinite(ratio(e))]
        extremes.append(sign * min(best.fun, *ends, float(sign * values[i])))
    greatest, least = map(float, extremes)
    return (-1 / greatest if greatest > 0 else -math.inf, -1 / least if least < 0 else math.inf)
