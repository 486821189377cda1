r"""The EAFO correction: from any activation and any input law to the direction that changes the output's entropy most.

Where f increases on one interval D and nothing stands against it, the correction has the closed form of eq. 7
(`eafo.theory.closed_form`). Elsewhere, for functions without an inverse, kinks, jumps, laws without a density in closed form,
ends that must not move, it is the steepest direction in the span of the odd Hermite functions (`eafo.theory.projection`).

Flat parts of f are atoms of the output. They stay atoms: what is lowered is the entropy of the output given that it is none.
Where the differential entropy is −∞ already, as of a sigmoid under a Cauchy law, the entropy at a resolution takes its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE, Activation
from eafo.errors import InputError, RefusedError
from eafo.laws import Law
from eafo.theory import closed_form, output, projection
from eafo.theory.closed_form import METRICS, ClosedForm, Metric
from eafo.theory.entropy import RESOLUTIONS, Measure, scale_of
from eafo.theory.function import Direction, Part, direction
from eafo.theory.output import Output
from eafo.theory.projection import ODD_ORDERS, Projection
from eafo.theory.quadrature import QuadratureError
from eafo.theory.sheets import Sheet

__all__ = ["START", "Correction", "correct", "descent_slope", "monotone_range"]

#: How far the odd Hermite functions reach; beyond it the tails of a periodic function may be folded.
_REACH = 12.0
_LEAST_MASS = 1e-9
#: An entropy less sure than this tells no change of the size of a correction: f′ has more zeros under a heavy tail than are seen.
_UNSURE = 1e-3
_CLOSE = 1e-9
#: Beside a zero of f′, and the growth between these that tells a pole.
_NEARER, _GROWS = np.array([1e-3, 1e-4]), 3.0
_WORST = "the output is uniform on D, so the base is the worst activation under its bounds: η = 0"
_WORST_SHAPE = "the output is normal, so no output of its scale has more entropy: c = 0"
#: The most sheets over one value: at this number a correction takes about a minute.
_MOST_FOLDED = 40
#: Where ε starts, here and in the paper.
START = 0.01


@dataclass(frozen=True)
class Correction:
    """A direction c(x) of change, and where it comes from.

    Args:
        shape: c(x) up to its constant; it continues beyond D in the same form.
        constant: the positive number that was taken out of c; 1 where c is a projection.
        function: the base at its default parameters.
        output: the law of the base's output.
        measure: what the correction lowers.
        metric: the metric in which it is the steepest.
        lower: the lower end of D, where the base is not flat.
        upper: the upper end of D.
        flat: whether a flat part of the base adjoins D.
        closed: the closed form, where the base and the law have one, used or not.
        projection: how the shape was found where the closed form is not used.
        why: why it is not used; empty where it is.
        residual: ‖c − its projection‖ / ‖c‖ in the metric, on D; None in closed form, and where c has no finite norm.
    """

    shape: sympy.Expr
    constant: sympy.Expr
    function: sympy.Expr
    output: Output
    measure: Measure
    metric: Metric
    lower: float
    upper: float
    flat: bool
    closed: ClosedForm | None = None
    projection: Projection | None = None
    why: str = ""
    residual: float | None = None

    @property
    def increasing(self) -> bool:
        """Whether the base increases on all of D, without a jump back."""
        return _increases(self.output)

    def at(self, epsilon: float) -> Output:
        """The output of the base + ε·shape, the flat parts kept."""
        return self.output.moved(direction(self.shape), epsilon)


def correct(
    base: Activation,
    law: Law,
    *,
    metric: Metric = "output",
    scale_free: bool = False,
    orders: tuple[int, ...] = ODD_ORDERS,
) -> Correction:
    """The correction of an activation for an input law.

    Args:
        base: any activation that is not flat throughout the law's support. Its parameters count at their defaults.
        law: any law.
        metric: steepest in L²(dz) (``"output"``, the paper's), L²(dx) (``"input"``) or L²(p) (``"probability"``).
        scale_free: lower H − log σ of the output, which no rescaling changes, in place of H.
        orders: the odd orders of the Hermite functions used where the closed form fails.

    Raises:
        InputError: no such metric; an order that is even or not positive.
        RefusedError: the base is flat wherever the law has mass; or no direction is found, and why.

    >>> from eafo import catalog, laws
    >>> correct(catalog.get("relu"), laws.get("normal")).shape
    x*exp(-x**2/2)
    """
    if metric not in METRICS:
        raise InputError("a metric must be one of " + ", ".join(METRICS), metric)
    if not orders or any(n < 1 or n % 2 == 0 for n in orders):
        raise InputError("the orders of the Hermite functions must be odd and positive", orders)
    function = base.concrete
    found = output.of(function, law.numeric, reach=_REACH)
    if found.mass < _LEAST_MASS:
        raise RefusedError(f"{base.name} must not be flat wherever the law {law} has mass")
    try:
        _require_few_folds(base, law, found)
        lower, upper, flat = _domain(found)
        measure = _measure(found, scale_free)
        made = Correction(sympy.S.Zero, sympy.S.One, function, found, measure, metric, lower, upper, flat)
        return _steepest(base, law, made, orders)
    except QuadratureError as error:
        raise RefusedError(
            f"the correction of {base.name} for the law {law} is beyond the quadrature: {error}"
        ) from error


def _require_few_folds(base: Activation, law: Law, found: Output) -> None:
    """Refuse a function whose differences of the entropy would take many minutes: they cost the cube of these pieces.

    Raises:
        RefusedError: more monotone pieces than can be followed have a value in common.
    """
    sheets = found.sheets
    least, greatest = (np.sort([getattr(s, end) for s in sheets]) for end in ("least", "greatest"))
    # At the beginning of a sheet's range: the sheets that have begun, less those that have ended.
    common = int(np.max(np.arange(1, len(sheets) + 1) - np.searchsorted(greatest, least, side="right")))
    if common > _MOST_FOLDED:
        raise RefusedError(
            f"a function to be corrected must take no value on more than {_MOST_FOLDED} monotone pieces under the law",
            f"{base.name} with {common} of them under {law}",
            "take a narrower law, or a function that turns less often",
        )


def _steepest(base: Activation, law: Law, made: Correction, orders: tuple[int, ...]) -> Correction:
    """Fill in the direction of a correction whose case is stated."""
    why = _no_closed_form(made.output, law, made.measure)
    closed = None if why else _closed_form(base, law, made)
    if closed is not None:
        worst = _WORST_SHAPE if made.measure.scale_free else _WORST
        why = worst if closed.worst else closed.obstacle
    if closed is not None and not why:
        constant, shape = _split(closed.direction)
        return replace(made, shape=shape, constant=constant, closed=closed)
    return _projected(replace(made, closed=closed, why=why), orders)


def _projected(made: Correction, orders: tuple[int, ...]) -> Correction:
    """Project on the odd Hermite functions; where no step along them lowers the entropy, on f′ times them."""
    for carried in (False, True):
        found = projection.project(
            made.function, made.output, made.measure, made.metric, orders, carried=carried
        )
        shape = None if found is None else _sized(replace(made, shape=found.shape))
        if found is not None and shape is not None:
            closed, residual = made.closed, None
            if closed is not None and not closed.dirac and not closed.worst:
                residual = projection.residual(made.output, found, closed.direction)
            return replace(made, shape=shape, metric=found.metric, projection=found, residual=residual)
    raise RefusedError(
        "no step along the odd Hermite functions, of any size from 1e-6 to 1, lowers the entropy"
    )


def _sized(found: Correction) -> sympy.Expr | None:
    """The shape at a size at which a step of 0.01 against it lowers what it should lower; None where there is none.

    Smaller where the linear range is short; larger where the entropy has a cusp, as where folds of equal height part (a sine).
    """
    now = found.measure.of(found.output)
    limits = monotone_range(found)
    for power in (0, -1, -2, 1, 2, -3, -4):
        shape = found.shape * sympy.Integer(10) ** power
        if limits is not None and not limits[0] < -START * 10.0**power < limits[1]:
            continue
        try:
            if found.measure.of(found.output.moved(direction(shape), -START)) < now:
                return shape
        except QuadratureError:
            continue
    return None


def _measure(found: Output, scale_free: bool) -> Measure:
    """H, or H at bf16's step of the output's scale where H is −∞."""
    value = Measure(scale_free).of(found)
    if value == math.inf:
        raise QuadratureError("the entropy of the output must not be +∞", "a tail too heavy for f")
    if math.isfinite(value):
        error = found.log_slope.error + found.branch_entropy.error
        if not error < _UNSURE:
            raise QuadratureError(f"the entropy of the output must be known to {_UNSURE:g}", f"± {error:.1e}")
        return Measure(scale_free)
    return Measure(scale_free, float(f"{RESOLUTIONS['bf16'] * scale_of(found, atoms=False):.3g}"))


def _domain(found: Output) -> tuple[float, float, bool]:
    """The hull of the sheets, out to the law's own ends, and whether a flat part lies in the support."""
    law = found.law
    free = [p for p in found.parts if not p.flat and p.upper > law.lower and p.lower < law.upper]
    flat = any(p.flat and p.upper > law.lower and p.lower < law.upper for p in found.parts)
    return max(free[0].lower, law.lower), min(free[-1].upper, law.upper), flat


def _increases(found: Output) -> bool:
    """Whether f increases from sheet to sheet, its values not overlapping, without a jump."""
    rising = all(s.rising for s in found.sheets)
    return rising and all(
        a.upper == b.lower and abs(b.below - a.above) <= 1e-9 * max(1.0, abs(a.above))
        for a, b in itertools.pairwise(found.sheets)
    )


def _no_closed_form(found: Output, law: Law, measure: Measure) -> str:
    """Why there is none to look for."""
    if measure.resolution is not None:
        return "the differential entropy of the output is −∞: the law's tail is too heavy for the slope"
    if not _increases(found):
        return _no_increase(found)
    if law.density is None:
        return "the law has no density in closed form"
    if measure.scale_free and not math.isfinite(projection.normal_of(found)[1]):
        return "the output has no variance, and half the width of its central 68 % is its scale"
    if found.law is not law.numeric:
        return "the law's tail is folded onto a period of f"
    return ""


def _no_increase(found: Output) -> str:
    """In which way f does not increase on one interval."""
    together = [(a, b) for a, b in itertools.pairwise(found.sheets) if a.upper == b.lower]
    turns = [a.upper for a, b in together if a.rising != b.rising]
    if turns:
        return f"f has no inverse: it turns at x = {', '.join(f'{t:.4g}' for t in turns[:3])}"
    jumps = [a.upper for a, b in together if abs(b.below - a.above) > _CLOSE * max(1.0, abs(a.above))]
    if jumps:
        return f"f jumps at x = {', '.join(f'{t:.4g}' for t in jumps[:3])}"
    if not any(s.rising for s in found.sheets):
        return "f decreases"
    return "a flat part of f lies between others"


def _closed_form(base: Activation, law: Law, made: Correction) -> ClosedForm:
    output = made.output
    normal = projection.normal_of(output) if made.measure.scale_free else None
    points = np.concatenate([c.nodes.x for c in output.cells])
    pieces = closed_form.contiguous(base, law, made.lower, made.upper)
    return closed_form.find(pieces, law, points, made.metric, normal)


def _split(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """A positive constant and the rest."""
    constant, shape = expression.as_independent(VARIABLE, as_Add=False)
    if constant.is_negative:
        constant, shape = -constant, -shape
    return constant, shape


def descent_slope(found: Correction) -> float:
    """The measure's dJ/dε at ε = 0 along the base + ε·shape: positive, since −c is the descent; 0 at a worst activation.

    Where the entropy was differenced, its mean slope over a step of 0.01 against the shape.
    """
    made = found.projection
    if made is not None and made.second_order:
        return 0.0
    if made is not None and made.differenced:
        return (found.measure.of(found.output) - found.measure.of(found.at(-START))) / START
    return projection.slope(found.output, found.measure, direction(found.shape))


def monotone_range(found: Correction) -> tuple[float, float] | None:
    """The ε for which f + ε·shape increases on D, as the reciprocals of the extremes of shape′/f′.

    None where f does not increase, or shape′/f′ has a pole at a zero of f′ inside D: then it does for ε = 0 alone.

    >>> from eafo import catalog, laws
    >>> low, high = monotone_range(correct(catalog.get("relu"), laws.get("normal")))
    >>> round(low, 9), round(high, 9)
    (-1.0, 2.240844535)
    """
    phi = direction(found.shape)
    if not found.increasing or _at_rest(found.output.sheets, phi):
        return None
    least, greatest = 0.0, 0.0
    for sheet in found.output.sheets:
        near = np.linspace(max(sheet.lower, -30.0), min(sheet.upper, 30.0), 6001)
        x = np.union1d(sheet.x, near[(near > sheet.lower) & (near < sheet.upper)])
        least = min(least, _lowest(sheet.part, phi, x, 1.0))
        greatest = max(greatest, -_lowest(sheet.part, phi, x, -1.0))
    return (-1 / greatest if greatest > 0 else -math.inf, -1 / least if least < 0 else math.inf)


def _at_rest(sheets: Sequence[Sheet], phi: Direction) -> bool:
    """Whether φ′/f′ has a pole where two rising sheets of one formula meet, at a zero of f′: it grows as one comes nearer."""
    for a, b in itertools.pairwise(sheets):
        if a.part is b.part and a.upper == b.lower and a.rising and b.rising:
            away = np.array([[-1.0], [1.0]]) * _NEARER * max(1.0, abs(a.upper))
            with np.errstate(all="ignore"):
                ratio = np.abs(phi.slope(a.upper + away) / a.part.slope(a.upper + away)).max(axis=0)
            if ratio[1] > _GROWS * ratio[0] > 0:
                return True
    return False


def _lowest(part: Part, phi: Direction, x: npt.NDArray[np.float64], sign: float) -> float:
    """The least sign·φ′/f′ on an interval, refined between its points."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - slow to load, and needed here alone

    def ratio(t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        at = np.asarray(t, np.float64)
        with np.errstate(all="ignore"):
            return np.asarray(sign * phi.slope(at) / part.slope(at))

    lower, upper, x = x[0], x[-1], x[np.isfinite(ratio(x))]
    if not x.size:
        raise QuadratureError("f′ must not vanish throughout a monotone piece", f"{lower:g} < x < {upper:g}")
    values = ratio(x)
    i = int(np.argmin(values))
    around = (float(x[max(i - 1, 0)]), float(x[min(i + 1, len(x) - 1)]))
    best = minimize_scalar(
        lambda t: float(ratio(t)), bounds=around, method="bounded", options={"xatol": 1e-12}
    )
    return min(float(best.fun), float(values[i]))
