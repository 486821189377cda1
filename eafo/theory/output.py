r"""The law of an activation's output, for any activation and any law.

The line is cut into *sheets*, intervals on which f is monotone, x_k(z) the root of f = z on sheet k. The output has the density

    q(z) = Σ_k q_k(z),    q_k(z) = p(x_k) / |f′(x_k)|,

and an atom for every flat part. With respect to Lebesgue measure plus the counting measure at the atoms its entropy is

    H = −Σ_a P_a log P_a − ∫ q log q dz = −Σ_a P_a log P_a − E[log q(f(X)); X on a sheet],

and −log q(f(x)) = −log p(x) + log |f′(x)| + log π(x), π the share of x's own sheet in q, which gives

    H = h(X) + E[log |f′(X)|] − E[−Σ_k π_k log π_k]                  (branch entropy)

where nothing is flat. Sheets are cut where another sheet begins or ends at the same z, so that every integrand is smooth inside
its cell; see `eafo.theory.nodes` for the quadrature.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.special
import sympy

from eafo.laws import Numbers
from eafo.theory import extent
from eafo.theory.folding import folded
from eafo.theory.function import Direction, Part, parts
from eafo.theory.nodes import Mean, Nodes, between, inmost
from eafo.theory.quadrature import QuadratureError
from eafo.theory.sheets import Sheet, clipped, critical_points, sheet_of

__all__ = ["Atom", "Output", "Sheet", "of"]

FloatArray = npt.NDArray[np.float64]

#: A tail of less probability than this has few enough pieces to be taken as it is.
_FOLDED = 1e-7
#: Periods by which a fold may start further out.
_FOLDS = 4
#: Points at which a distribution function is asked for in one call.
_AT_ONCE = 64
_SAME = 1e-12
_MOST_SHEETS = 256
_NEAR_FOLD = 2e-6
#: A function is even if so many values of it and of its mirror image are the same but for rounding.
_ENOUGH, _ALIKE = 8, 1e-15
#: How far a log-density is off where a node is moved away from a pole of the density, at most.
_POLE = 60.0


@dataclass(frozen=True)
class Atom:
    """A value that the output takes with positive probability."""

    value: float
    probability: float


@dataclass(frozen=True)
class _Cell:
    """Part of a sheet over which the same sheets lie throughout, with what is known at its nodes."""

    sheet: int
    nodes: Nodes
    z: FloatArray
    roots: dict[int, FloatArray]
    logs: dict[int, FloatArray]

    @cached_property
    def log_density(self) -> FloatArray:
        """Log q at the nodes."""
        return np.asarray(scipy.special.logsumexp(np.stack(list(self.logs.values())), axis=0))


@dataclass(frozen=True)
class Output:
    """The law of f(X).

    Args:
        parts: f, cut at its seams.
        law: the law of X.
    """

    parts: tuple[Part, ...]
    law: Numbers

    def moved(self, phi: Direction, step: float) -> Output:
        """The output of f + step·φ; flat parts stay."""
        return replace(self, parts=tuple(part.moved(phi, step) for part in self.parts))

    # -- pieces ------------------------------------------------------------------------------------------------

    @cached_property
    def _smooth(self) -> tuple[tuple[Part, float, float], ...]:
        """The parts within the law's span, cut where the law has a kink."""
        low, high = extent.span(self.law)
        found = []
        for part in self.parts:
            lower, upper = max(part.lower, low), min(part.upper, high)
            if lower < upper:
                cuts = [lower, *(k for k in self.law.kinks if lower < k < upper), upper]
                found += [(part, a, b) for a, b in itertools.pairwise(cuts)]
        return tuple(found)

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """The values of the flat parts, with their probabilities."""
        masses: dict[float, float] = {}
        for part, lower, upper in self._smooth:
            if part.flat:
                value = float(part.value(np.array(_inside(lower, upper))))
                masses[value] = masses.get(value, 0.0) + self._probability(lower, upper)
        return tuple(Atom(v, p) for v, p in sorted(masses.items()) if p > 0)

    def _probability(self, lower: float, upper: float) -> float:
        low, high = extent.span(self.law)
        a, b = (-math.inf if lower <= low else lower), (math.inf if upper >= high else upper)
        if self.law.sf(a) < 0.5:
            return float(self.law.sf(a) - self.law.sf(b))
        return float(self.law.cdf(b) - self.law.cdf(a))

    @cached_property
    def sheets(self) -> tuple[Sheet, ...]:
        """The monotone pieces that are not flat, from left to right."""
        found: list[Sheet] = []
        for part, lower, upper in self._smooth:
            if not part.flat:
                cuts = [lower, *critical_points(part, lower, upper, extent.searched(self.law)), upper]
                if len(cuts) + len(found) > _MOST_SHEETS:
                    raise QuadratureError(f"f must have at most {_MOST_SHEETS} monotone pieces under the law")
                found += [
                    sheet_of(part, a, b, self._table(a, b), extent.seen(self.law))
                    for a, b in itertools.pairwise(cuts)
                ]
        return tuple(found)

    def _table(self, lower: float, upper: float) -> FloatArray:
        points = extent.table(self.law)
        inside = points[(points > lower) & (points < upper)]
        return np.concatenate([[lower], inside, [upper]])

    @cached_property
    def special(self) -> tuple[float, ...]:
        """The values of z where a sheet begins or ends, in order; q is smooth between them."""
        values = sorted({v for s in self.sheets for v in (s.below, s.above)})
        kept: list[float] = []
        for value in values:
            if not kept or value - kept[-1] > _SAME * max(1.0, abs(value)):
                kept.append(value)
        return tuple(kept)

    # -- densities ---------------------------------------------------------------------------------------------

    def _log_share(self, sheet: int, x: FloatArray) -> FloatArray:
        # A root may be rounded onto an end of the support, where the density need not be finite.
        within = np.clip(x, *inmost(self.law))
        return np.asarray(self.law.logpdf(within)) - self._log_slope(sheet, x)

    def _log_slope(self, sheet: int, x: FloatArray) -> FloatArray:
        """Log |f′|; at a point rounded onto a critical point that of its neighbours, which carry 1e-16 of the mass."""
        found = self.sheets[sheet].part.log_slope(x)
        return np.where(np.isneginf(found), -37.0, found)

    @cached_property
    def cells(self) -> tuple[_Cell, ...]:
        """The sheets cut at the special values, with the roots of all sheets at every node."""
        found = [cell for k in range(len(self.sheets)) for cell in self._cells_of(k)]
        for i in range(len(self.sheets)):
            self._enter(i, [c for c in found if i in c.logs and i != c.sheet])
        return tuple(found)

    def _cells_of(self, k: int) -> list[_Cell]:
        """The cells of one sheet, with places for the sheets that lie over each."""
        sheet = self.sheets[k]
        least, greatest = (
            v + s * _SAME * max(1.0, abs(v)) for v, s in ((sheet.least, 1), (sheet.greatest, -1))
        )
        inner = np.array([v for v in self.special if least < v < greatest])
        cuts = (
            [sheet.lower, *sorted(sheet.root(inner)), sheet.upper]
            if inner.size
            else [sheet.lower, sheet.upper]
        )
        low, high = extent.span(self.law)
        found = []
        for a, b in itertools.pairwise(cuts):
            nodes = between(self.law, -math.inf if a <= low else a, math.inf if b >= high else b)
            if nodes.x.size:
                middle = sheet.middle(a, b)
                over = [i for i, s in enumerate(self.sheets) if i == k or s.least < middle < s.greatest]
                logs = dict.fromkeys(over, np.empty(0)) | {k: self._log_share(k, nodes.x)}
                found.append(_Cell(k, nodes, clipped(sheet.part.value(nodes.x)), {k: nodes.x}, logs))
        return found

    def _enter(self, i: int, cells: list[_Cell]) -> None:
        """Put the roots of another sheet into cells; all at once: a call costs more than its points."""
        if not cells:
            return
        sheet, ends = self.sheets[i], np.cumsum([c.z.size for c in cells])[:-1]
        z = np.concatenate([c.z for c in cells])
        # Rounding may put z on a sheet's end, or beyond it, where it has no share.
        roots, inside = sheet.root(z), (z > sheet.least) & (z < sheet.greatest)
        for cell, x, within in zip(cells, np.split(roots, ends), np.split(inside, ends), strict=True):
            if self._mirrored(cell.sheet, i):
                opposite = -cell.nodes.x
                known = (opposite > sheet.lower) & (opposite < sheet.upper)
                x[known], within[known] = opposite[known], True
            elif (fold := self._fold(cell.sheet, i)) is not None:
                near = _near(cell, fold)
                x[near], within[near] = 2 * fold - cell.nodes.x[near], True
        logs = np.where(inside, self._log_share(i, roots), -np.inf)
        for cell, x, log in zip(cells, np.split(roots, ends), np.split(logs, ends), strict=True):
            cell.roots[i], cell.logs[i] = x, log

    def _mirrored(self, k: int, i: int) -> bool:
        """Whether f(−x) is f(x) on one of two sheets and on the other: roots are known there where f itself is saturated."""
        first, second = self.sheets[k], self.sheets[i]
        x = -first.x[(-first.x > second.lower) & (-first.x < second.upper)]
        if first.rising == second.rising or x.size < _ENOUGH:
            return False
        z, opposite = first.part.value(-x), second.part.value(x)
        return bool(np.unique(z).size >= _ENOUGH and np.allclose(z, opposite, rtol=_ALIKE, atol=0.0))

    def _fold(self, k: int, i: int) -> float | None:
        """The critical point inside a smooth part where two sheets meet."""
        first, second = (self.sheets[j] for j in sorted((k, i)))
        inside = (
            first.part is second.part and first.upper == second.lower and first.upper not in self.law.kinks
        )
        return first.upper if inside and first.rising != second.rising else None

    def density(self, z: npt.ArrayLike) -> FloatArray:
        """q(z), without the atoms."""
        at = np.asarray(z, np.float64)
        total = np.zeros(at.shape)
        for k, sheet in enumerate(self.sheets):
            inside = (at > sheet.least) & (at < sheet.greatest)
            if inside.any():
                total[inside] += np.exp(self._log_share(k, sheet.root(at[inside])))
        return total

    def cdf(self, z: npt.ArrayLike) -> FloatArray:
        """P(f(X) ≤ z), atoms included."""
        at = np.asarray(z, np.float64)
        total = np.zeros(at.shape)
        low, high = extent.span(self.law)
        for sheet in self.sheets:
            x = np.asarray(sheet.root(np.clip(at, sheet.least, sheet.greatest)))
            ends = [
                -math.inf if sheet.lower <= low else sheet.lower,
                math.inf if sheet.upper >= high else sheet.upper,
            ]
            x = np.where(at >= sheet.greatest, ends[1] if sheet.rising else ends[0], x)
            x = np.where(at <= sheet.least, ends[0] if sheet.rising else ends[1], x)
            first, last = np.asarray(self.law.cdf(np.array(ends)))
            here = np.asarray(self.law.cdf(x))
            total += here - first if sheet.rising else last - here
        for atom in self.atoms:
            total += np.where(at >= atom.value, atom.probability, 0.0)
        return total

    # -- expectations ------------------------------------------------------------------------------------------

    @cached_property
    def mass(self) -> float:
        """P(X on a sheet)."""
        return sum(self._probability(lower, upper) for part, lower, upper in self._smooth if not part.flat)

    @cached_property
    def values(self) -> tuple[FloatArray, FloatArray]:
        """Values of the output in order, with their probabilities: a discrete stand-in for its law."""
        z = np.concatenate([*(c.z for c in self.cells), [a.value for a in self.atoms]])
        weight = np.concatenate([*(c.nodes.weight for c in self.cells), [a.probability for a in self.atoms]])
        order = np.argsort(z)
        return z[order], weight[order]

    def quantile(self, level: float) -> float:
        """The least z with P(f(X) ≤ z) ≥ `level`, as near as doubles lie.

        >>> import sympy
        >>> from eafo import laws
        >>> round(of(sympy.exp(sympy.Symbol("x", real=True)), laws.get("normal").numeric).quantile(0.5), 9)
        1.0
        """
        # The weights' own sums are a rough distribution function where sheets overlap: a bracket comes from the exact one.
        z, _ = self.values
        first, last = 0, z.size - 1
        while last - first > 1:
            # Many points at once cost little more than one.
            some = np.unique(np.linspace(first, last, _AT_ONCE).round().astype(int))
            first, last = some[self._around(z[some], level)]
        low, high = float(z[first]), float(z[last])
        while high - low > 1e-15 * max(abs(low), abs(high)) and low < 0.5 * (low + high) < high:
            between = np.linspace(low, high, _AT_ONCE)
            low, high = map(float, between[self._around(between, level)])
        return high

    def _around(self, z: FloatArray, level: float) -> list[int]:
        """The neighbours among points in order between which the distribution function reaches a level."""
        k = int(np.searchsorted(np.maximum.accumulate(self.cdf(z)), level))
        return [max(k - 1, 0), min(k, z.size - 1)]

    def _sum(self, values: Sequence[FloatArray]) -> Mean:
        total = sum((c.nodes.mean(v) for c, v in zip(self.cells, values, strict=True)), Mean(0.0, 0.0))
        if math.isnan(total.value):
            raise QuadratureError("an integral must not diverge to both sides", "∞ − ∞")
        return total

    @cached_property
    def log_likelihood(self) -> Mean:
        """E[log q(f(X)); X on a sheet] = ∫ q log q dz.

        Raises:
            QuadratureError: it diverges.
        """
        return self._sum([c.log_density for c in self.cells])

    @cached_property
    def rounding(self) -> float:
        """What the rounding of z may change in E[log q]: a root on another sheet by ε|z/f′|, and log |f′| by |f″/f′| times that.

        Where z is rounded to a sheet's end, the sheet's share is lost; beside a pole of the density, x itself is moved.
        """
        low, high = inmost(self.law)
        total = sum(
            _POLE * float(beyond(x))
            for end, x, beyond in ((self.law.lower, low, self.law.cdf), (self.law.upper, high, self.law.sf))
            if np.isposinf(self.law.logpdf(end))
        )
        for cell in self.cells:
            for i, x in cell.roots.items():
                if i == cell.sheet or self._mirrored(cell.sheet, i):
                    continue
                part, fold = self.sheets[i].part, self._fold(cell.sheet, i)
                with np.errstate(all="ignore"):
                    off = np.finfo(np.float64).eps * np.abs(cell.z * part.curvature(x)) / part.slope(x) ** 2
                off = np.where(np.isfinite(off), np.minimum(off, 1.0), 1.0)
                lost = (cell.z <= self.sheets[i].least) | (cell.z >= self.sheets[i].greatest)
                if fold is not None:
                    off[_near(cell, fold)], lost[_near(cell, fold)] = 0.0, False
                total += math.log(2) * float(np.sum(cell.nodes.weight[lost]))
                total += float(np.sum(cell.nodes.weight * np.exp(cell.logs[i] - cell.log_density) * off))
        return total

    @cached_property
    def branch_entropy(self) -> Mean:
        """E[−Σ_k π_k log π_k]: what is not known of X's sheet when the output is."""
        return self._sum([c.log_density - c.logs[c.sheet] for c in self.cells])

    @cached_property
    def log_slope(self) -> Mean:
        """E[log |f′(X)|; X on a sheet]."""
        return self._sum([self._log_slope(c.sheet, c.nodes.x) for c in self.cells])

    def moment(self, power: int, centre: float = 0.0, *, atoms: bool = True) -> float:
        """E[(f(X) − centre)^power], of the whole output or given that it is no atom; ±inf where it diverges.

        Raises:
            QuadratureError: it diverges without a sign.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            total = self._sum([(c.z - centre) ** power for c in self.cells]).value
            if not atoms:
                return total / self.mass
            return float(
                total + sum(a.probability * np.float64(a.value - centre) ** power for a in self.atoms)
            )


def of(expression: sympy.Expr, law: Numbers, reach: float = 0.0) -> Output:
    """The output of an expression in x alone.

    Args:
        expression: f(x), without parameters.
        law: the law of X.
        reach: tails are folded onto a period of f beyond ±reach only: what is added to f must be gone there.

    Raises:
        InputError: the seams of f cannot be found.
    """
    found, reach = parts(expression), max(reach, *map(abs, law.kinks), 0.0)
    left, right = (found[0], -1), (found[-1], 1)
    folds: list[tuple[float, float] | None] = []
    for part, sign in (left, right):
        if part.period is None:
            folds.append(None)
            continue
        end = max(reach, sign * (part.lower if sign > 0 else part.upper)) if _one_sided(part) else reach
        tail = float(law.sf(end + part.period) if sign > 0 else law.cdf(-end - part.period))
        folds.append((sign * end, part.period) if tail > _FOLDED else None)
    return Output(found, _folded(law, folds) if any(folds) else law)


def _folded(law: Numbers, folds: list[tuple[float, float] | None]) -> Numbers:
    """The law with its tails folded as near as they are smooth on the scale of the period."""
    for away in range(_FOLDS):
        moved = [f and (f[0] + side * away * f[1], f[1]) for f, side in zip(folds, (-1, 1), strict=True)]
        try:
            return folded(law, *moved)
        except QuadratureError:
            if away == _FOLDS - 1:
                raise
    return law


def _near(cell: _Cell, fold: float) -> npt.NDArray[np.bool_]:
    """So near to a fold that z − f(fold) is lost to rounding, while x itself is not."""
    return np.asarray(np.abs(cell.nodes.x - fold) < _NEAR_FOLD * max(1.0, abs(fold)))


def _one_sided(part: Part) -> bool:
    return math.isfinite(part.lower) or math.isfinite(part.upper)


def _inside(lower: float, upper: float) -> float:
    return 0.5 * lower + 0.5 * upper
