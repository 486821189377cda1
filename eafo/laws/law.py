"""A law: what is known of it in closed form, its numbers, its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sympy

from eafo.activation import VARIABLE
from eafo.errors import InputError
from eafo.laws.numeric import Numbers
from eafo.limits import within

if TYPE_CHECKING:
    from eafo.laws.goodness import Fit

__all__ = ["Law", "exact", "increases"]

x = VARIABLE
_BLOCK = 65_536
#: What SymPy may take to shorten a score.
_PATIENCE = 3.0


def exact(value: Any) -> sympy.Expr:
    """A parameter as SymPy keeps it: a number as the fraction that is typed, an expression as it is.

    Raises:
        InputError: it is no number, or not a finite one.
    """
    if isinstance(value, sympy.Basic) and not isinstance(value, sympy.Float):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("a law's parameter must be a number or a SymPy expression", value) from error
    if not np.isfinite(number):
        raise InputError("a law's parameter must be finite", number)
    return sympy.Rational(repr(number))


def increases(expression: sympy.Expr) -> bool:
    """Whether a function provably increases on the whole line, with no pole or jump between two branches that do.

    >>> increases(1 - sympy.exp(-x)), increases(1 - x**-2), increases(-1/x)
    (True, False, False)
    """
    if expression.has(sympy.Piecewise, sympy.sign, sympy.tan):
        return False
    below = [
        p.base
        for p in expression.atoms(sympy.Pow)
        if p.exp.is_nonnegative is not True and x in p.base.free_symbols
    ]
    return all(b.is_nonzero for b in below) and bool(sympy.diff(expression, x).is_nonnegative)


@dataclass(frozen=True)
class Law:
    """A continuous law of one real variable.

    Args:
        name: its text form with all parameters, to twelve digits, ``"normal(0, 2)"``.
        density: p(x) on the support; None where there is no closed form, as for all that follow.
        cdf: F(x) on the support; F′ = p.
        survival: 1 − F(x) on the support, in a form that does not cancel where there is one.
        quantile: F⁻¹(u) for 0 < u < 1, in the symbol `Law.U`.
        lower: the support's lower end, ``-oo`` where it has none.
        upper: the support's upper end, ``oo`` where it has none.
        entropy: the differential entropy in nats.
        source: the name of the same law in `scipy.stats` and its positional arguments, for checks; None where SciPy has none.
        numbers: builds the law's numbers.
        replaced: the same law with symbols replaced.
        components: of a mixture: the weights and the laws.
        fit: of a measured law: how well it fits its sample.
    """

    name: str
    density: sympy.Expr | None
    cdf: sympy.Expr | None
    survival: sympy.Expr | None
    quantile: sympy.Expr | None
    lower: sympy.Expr
    upper: sympy.Expr
    entropy: sympy.Expr | None
    source: tuple[str, tuple[sympy.Expr, ...]] | None
    numbers: Callable[[], Numbers] = field(compare=False, repr=False)
    replaced: Callable[[Mapping[sympy.Symbol, sympy.Expr]], Law] | None = field(
        default=None, compare=False, repr=False
    )
    components: tuple[tuple[sympy.Expr, Law], ...] = ()
    fit: Fit | None = None

    #: The probability at which a quantile is taken.
    U = sympy.Symbol("u", positive=True)

    def __str__(self) -> str:
        return self.name

    def __getstate__(self) -> dict[str, Any]:
        # Compiled functions do not travel between processes; they are built anew.
        return {k: v for k, v in self.__dict__.items() if k not in ("numeric", "score")}

    @cached_property
    def score(self) -> sympy.Expr | None:
        """(log p)′ = p′/p.

        >>> from eafo import laws
        >>> laws.get("normal").score
        -x
        """
        if self.density is None:
            return None
        ratio = sympy.diff(self.density, x) / self.density
        if self.components or ratio.has(sympy.Piecewise):
            return ratio
        # simplify would open |x| into branches, and lose the sign's short form.
        short = sympy.powsimp if self.density.has(sympy.Abs) else sympy.simplify
        return within(_PATIENCE, partial(short, ratio), ratio)

    @property
    def free_symbols(self) -> set[sympy.Symbol]:
        """The symbols that stand for parameters.

        >>> from eafo import laws
        >>> laws.get("normal", deviation=sympy.Symbol("sigma", positive=True)).free_symbols
        {sigma}
        """
        known = [e for e in (self.density, self.lower, self.upper) if e is not None]
        known += [weight for weight, _ in self.components]
        own = set().union(*(e.free_symbols for e in known)) - {x}
        return own.union(*(law.free_symbols for _, law in self.components))

    def at(self, **values: float | sympy.Expr) -> Law:
        """The law with values in place of its symbols.

        Args:
            values: by the symbols' names; those not given stay symbolic.

        Raises:
            InputError: a name that is none of the law's symbols, a value that the law refuses.

        >>> from eafo import laws
        >>> laws.get("normal", deviation=sympy.Symbol("sigma", positive=True)).at(sigma=2.0).name
        'normal(0, 2)'
        """
        symbols = {s.name: s for s in self.free_symbols}
        for name in values:
            if name not in symbols or self.replaced is None:
                known = ", ".join(sorted(symbols)) or "none"
                raise InputError(f"the symbols of this law are: {known}", name)
        if not values or self.replaced is None:
            return self
        return self.replaced({symbols[name]: exact(value) for name, value in values.items()})

    def cdf_everywhere(self) -> sympy.Expr | None:
        """F on the whole line: 0 below the support and 1 above it.

        Where F's formula increases beyond the support too it is clipped, which needs no condition; else, where it turns or has no
        value there, it ends in branches.

        >>> from eafo import laws
        >>> laws.get("uniform").cdf_everywhere()
        Max(0, Min(1, x/2 + 1/2))
        >>> laws.get("scipy.pareto(2)").cdf_everywhere()
        Piecewise((1 - 1/x**2, x > 1), (0, True))
        """
        if self.cdf is None or (self.lower.is_infinite and self.upper.is_infinite):
            return self.cdf
        if increases(self.cdf):
            clipped = self.cdf if self.upper.is_infinite else sympy.Min(1, self.cdf)
            return clipped if self.lower.is_infinite else sympy.Max(0, clipped)
        ended = self.cdf
        if not self.lower.is_infinite:
            ended = sympy.Piecewise((ended, x > self.lower), (0, True))
        if not self.upper.is_infinite:
            ended = sympy.Piecewise((1, x >= self.upper), (ended, True))
        folded = sympy.piecewise_fold(ended)
        # A mixture's branches may leave none between two of their ends.
        return sympy.Piecewise(*((value, sympy.simplify(when)) for value, when in folded.args))

    @cached_property
    def numeric(self) -> Numbers:
        """The law in double precision, vectorised.

        Raises:
            InputError: the law has symbols that no number stands for.
        """
        self._require_numbers()
        return self.numbers()

    def frozen(self) -> Any:
        """The same law as a frozen `scipy.stats` distribution: the independent route of the checks.

        Raises:
            InputError: SciPy has no such law, or the law has symbols.
        """
        self._require_numbers()
        if self.source is None:
            raise InputError(
                "a law that scipy.stats knows is needed here", self.name, "law.numeric serves every law"
            )
        import scipy.stats  # noqa: PLC0415 - 0.8 s to load, needed for checks alone

        kind, arguments = self.source
        return getattr(scipy.stats, kind)(*map(float, arguments))

    def sample(self, size: int, seed: int) -> npt.NDArray[np.float64]:
        """Draw `size` independent values, repeatably: the quantile of uniform levels.

        Raises:
            InputError: a size below 1; a law with symbols.
        """
        if size < 1:
            raise InputError("a sample's size must be at least 1", size)
        numeric, random = self.numeric, np.random.default_rng(seed)
        if self.components:
            return _mixed(self.components, size, random)
        # Both tails are drawn from the side where levels are fine; in blocks, since a table holds its nodes for each value.
        blocks = []
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            levels, below = random.random(count) / 2 + 2.0**-54, random.random(count) < 0.5
            values = np.empty(count)
            values[below], values[~below] = numeric.ppf(levels[below]), numeric.isf(levels[~below])
            blocks.append(values)
        return np.concatenate(blocks)

    def affine(self, scale: float, location: float = 0.0) -> Law:
        """The law of scale·X + location.

        Args:
            scale: any number but 0.
            location: any number.

        Raises:
            InputError: the scale is 0, or a number is not finite.

        >>> from eafo import laws
        >>> laws.get("exponential").affine(2, 1).numeric.lower
        1.0
        """
        if not (np.isfinite(scale) and np.isfinite(location)) or scale == 0:
            raise InputError("a scale and a location must be finite, the scale not 0", f"{scale}, {location}")
        a, b = exact(scale), exact(location)
        standard = {x: (x - b) / a}
        first, last = (self.cdf, self.survival) if a > 0 else (self.survival, self.cdf)
        level = Law.U if a > 0 else 1 - Law.U
        ends = [a * self.lower + b, a * self.upper + b]
        return Law(
            name=f"{scale:.12g} of {self.name} + {location:.12g}",
            density=None if self.density is None else self.density.xreplace(standard) / abs(a),
            cdf=None if first is None else first.xreplace(standard),
            survival=None if last is None else last.xreplace(standard),
            quantile=None if self.quantile is None else a * self.quantile.xreplace({Law.U: level}) + b,
            lower=ends[0] if a > 0 else ends[1],
            upper=ends[1] if a > 0 else ends[0],
            entropy=None if self.entropy is None else self.entropy + sympy.log(abs(a)),
            source=None,
            numbers=partial(_affine, self, float(scale), float(location)),
            replaced=partial(_replaced_affine, self, float(scale), float(location)),
        )

    def _require_numbers(self) -> None:
        symbols = sorted(s.name for s in self.free_symbols)
        if symbols:
            example = ", ".join(f"{s}=2.0" for s in symbols)
            raise InputError(
                "a law must have no symbols where numbers are asked for",
                f"{self.name} with {', '.join(symbols)}",
                f"give the values first, as in law.at({example})",
            )


def _affine(law: Law, scale: float, location: float) -> Numbers:
    return law.numeric.affine(scale, location)


def _replaced_affine(
    law: Law, scale: float, location: float, values: Mapping[sympy.Symbol, sympy.Expr]
) -> Law:
    return law.at(**{s.name: v for s, v in values.items()}).affine(scale, location)


def _mixed(
    components: tuple[tuple[sympy.Expr, Law], ...], size: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw each value from a component chosen by its weight."""
    weights = np.array([float(w) for w, _ in components])
    chosen = random.choice(len(components), size, p=weights / weights.sum())
    values = np.empty(size)
    for i, (_, law) in enumerate(components):
        count = int((chosen == i).sum())
        if count:
            values[chosen == i] = law.sample(count, int(random.integers(2**62)))
    return values
