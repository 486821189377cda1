"""What a derivation is: its steps, its result, and the forms it is read in."""

from __future__ import annotations

import html
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import sympy

from eafo import rendering
from eafo.activation import VARIABLE, Activation
from eafo.errors import InputError, RefusedError
from eafo.laws import Law
from eafo.theory import bounds
from eafo.theory.bounds import Bound, End

__all__ = ["PAPER", "Derivation", "EntropyAt", "Route", "Step", "Verification"]

#: The source of the method.
PAPER = "Sun et al. 2024, arXiv 2405.12954"

#: How a step was found: by SymPy, or by numbers where SymPy has no closed form or did not end in time.
Route = Literal["symbolic", "numeric"]

#: How a derivation ended.
Ending = Literal["closed form", "projection", "maximum"]

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class _Sealed:
    """A check together with the formula that it was written for, so that it vouches for no other."""

    run: Callable[[], str]
    formula: sympy.Basic

    def __call__(self) -> str:
        return self.run()

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.run)
        except (pickle.PicklingError, AttributeError, TypeError):
            return {"run": _left_behind, "formula": self.formula}
        return {"run": self.run, "formula": self.formula}


def _left_behind() -> str:
    raise RefusedError("a check that is a local function does not travel between processes: derive anew")


@dataclass(frozen=True)
class Step:
    """One step of a derivation: what it is, its formula, why it holds and how that was verified.

    Args:
        name: what the step is.
        formula: its result.
        justification: why it holds.
        verification: what its check told.
        check: runs the check again and returns what it tells, or raises; None where the step has no check by number.
            It vouches for this formula alone: a step made from this one with another formula fails.
        route: whether SymPy found the formula, or numbers did.

    Raises:
        InputError: no such route.

    >>> Step("Sum", sympy.Eq(sympy.Symbol("s"), 4), "2 + 2", "4", check=lambda: str(2 + 2)).verify()
    Verification(step='Sum', ok=True, told='4')
    """

    name: str
    formula: sympy.Basic
    justification: str
    verification: str
    check: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    route: Route = "symbolic"

    def __post_init__(self) -> None:
        if self.route not in get_args(Route):
            raise InputError(f"the route of a step must be one of {', '.join(get_args(Route))}", self.route)
        if self.check is not None and not isinstance(self.check, _Sealed):
            object.__setattr__(self, "check", _Sealed(self.check, self.formula))

    def __copy__(self) -> Step:
        return self

    def __deepcopy__(self, memo: Any) -> Step:
        # Nothing in it can change, and a copy made as pickle makes it would lose a local check.
        return self

    @property
    def title(self) -> str:
        """The name, and the route where it is not SymPy's."""
        return self.name if self.route == "symbolic" else f"{self.name} (numerical)"

    def verify(self) -> Verification:
        """Run the check again.

        Raises:
            InputError: the step has none.
        """
        if self.check is None:
            raise InputError("a step can be verified anew where it has a check", self.name)
        if isinstance(self.check, _Sealed) and self.check.formula != self.formula:
            return Verification(self.name, False, "the formula is not the one that the check was made for")
        try:
            told = self.check()
        except Exception as error:
            # Whatever stops a check, the verdict is that it failed.
            return Verification(self.name, False, f"{type(error).__name__}: {error}")
        if not _same(told, self.verification):
            return Verification(self.name, False, f"'{told}' where the step says '{self.verification}'")
        return Verification(self.name, True, told)


@dataclass(frozen=True)
class Verification:
    """What came of running one step's check again.

    Args:
        step: the step's name.
        ok: whether the check passed and told what the step says.
        told: what the check told, or why it failed.
    """

    step: str
    ok: bool
    told: str

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.step}: {self.told}"


def _plain(text: str) -> str:
    """A text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}#$~|<>&])", r"\\\1", " ".join(text.split()))


def _same(told: str, stated: str) -> bool:
    """Whether two texts agree, their numbers to a relative 1e-6 or an absolute 1e-9: residuals differ by machine."""
    if _NUMBER.split(told) != _NUMBER.split(stated):
        return False
    pairs = zip(map(float, _NUMBER.findall(told)), map(float, _NUMBER.findall(stated)), strict=True)
    return all(a == b or abs(a - b) <= 1e-9 + 1e-6 * max(abs(a), abs(b)) for a, b in pairs)


@dataclass(frozen=True)
class EntropyAt:
    """The output entropy of the corrected branch at one ε, in nats; None where the branch is not increasing.

    Args:
        epsilon: the size of the correction.
        entropy: H of the output, conditional on the branch.
        shape: H − log of the output's standard deviation, which no rescaling can change; None where there is none.
    """

    epsilon: float
    entropy: float | None
    shape: float | None


@dataclass(frozen=True, repr=False)
class Derivation:
    """A new activation and the way to it; shows itself in a notebook.

    Args:
        base: the activation that was corrected.
        law: the input law.
        steps: every step, in order.
        correction: c(x) without its constant; for ReLU × normal η of eq. 7, x e^{−x²/2}.
        constant: the positive constant that was taken out of c.
        activation: base + ε·correction, ε learnable and 0.01 at the start (eq. 10).
        slope: dH/dε at ε = 0, positive: the entropy falls for ε < 0.
        entropies: the output entropy at some ε.
        findings: what a reader should know before using the result, a sentence or two each.
        ended: with the ``"closed form"``, a ``"projection"`` on odd Hermite functions, or, where the base is at a maximum of
            the entropy already and every direction lowers it to second order, at a ``"maximum"``.
        why: why the closed form was not used; empty where it was.
        measure: what is lowered, ``"H"`` or one of its forms.
        metric: the metric in which the direction is the steepest; L²(dz) is ``"output"``.
        resolution: δ, where the entropy is lowered at one.
        residual: how much of c the projection misses, ‖c − its projection‖ / ‖c‖; None where c has no finite norm.
    """

    base: Activation
    law: Law
    steps: tuple[Step, ...]
    correction: sympy.Expr
    constant: sympy.Expr
    activation: Activation
    slope: float
    entropies: tuple[EntropyAt, ...]
    findings: tuple[str, ...]
    ended: Ending = "closed form"
    why: str = ""
    measure: str = "H"
    metric: str = "output"
    resolution: float | None = None
    residual: float | None = None

    def __repr__(self) -> str:
        return f"Derivation({self.base.name} × {self.law}: {self.activation})"

    def verify(self) -> tuple[Verification, ...]:
        """Run every step's numeric check again; a failure is collected, and stops nothing.

        Raises:
            RefusedError: no step has a check, so that nothing would be verified.
        """
        checked = [step for step in self.steps if step.check is not None]
        if not checked:
            raise RefusedError("none of the derivation's steps has a check that could be run again")
        return tuple(step.verify() for step in checked)

    def error_bound(
        self, epsilon: float = 0.01, interval: tuple[End, End] = (0, "oo"), relative: float = 1e-3
    ) -> Bound:
        """A proved bound of the error of the inverse to first order: sup |g(f(x)) − x| over an interval (Prop. 2).

        With F the base on the branch that holds the interval, c the correction and h = c/F′: g = F⁻¹ + ε h∘F⁻¹ (eq. 8) and
        f = F − ε c (eq. 9). For ReLU, F(x) = x: g(z) = z + ε c(z), f(x) = x − ε c(x).

        Args:
            epsilon: the size of the correction; either sign.
            interval: its ends; numbers, "oo" or "-oo"; inside one branch of the base.
            relative: how far the bound may exceed a value attained, relative to it.

        Raises:
            InputError: ε is not finite; no such interval.
            RefusedError: the interval holds a seam of the base, the base is flat there, or no bound can be proved.

        >>> import eafo
        >>> print(eafo.derive("relu", law="normal").error_bound(0.01, interval=(0, "oo")).what)
        sup |g(f(x)) − x|
        """
        try:
            lower, upper = interval
        except (TypeError, ValueError) as error:
            raise InputError("an interval has two ends", interval, "for example (0, 'oo')") from error
        low, high = bounds.as_number(lower), bounds.as_number(upper)
        at_default = {p.symbol: sympy.Rational(repr(p.default)) for p in self.base.parameters}
        for piece in self.base.pieces():
            function, left, right = (
                sympy.sympify(e).xreplace(at_default) for e in (piece.expression, piece.lower, piece.upper)
            )
            if float(left) <= low and high <= float(right):
                if low < high and VARIABLE not in function.free_symbols:
                    raise RefusedError(
                        "an error of the inverse is bounded where the base increases",
                        f"({lower}, {upper}), where {self.base.name} is flat",
                    )
                return bounds.inverse_error(
                    self.correction, epsilon, lower, upper, base=function, relative=relative
                )
        raise RefusedError(
            f"the interval of an error bound must lie inside one branch of {self.base.name}",
            f"({lower}, {upper})",
        )

    def text(self) -> str:
        """All steps as Unicode text for a terminal."""
        blocks = [f"{self.base.name} × {self.law}"]
        for number, step in enumerate(self.steps, 1):
            shown = "\n".join("     " + line for line in rendering.pretty(step.formula).splitlines())
            blocks.append(
                f"{number}. {step.title}. {step.justification}\n\n{shown}\n\n   ✓ {step.verification}"
            )
        blocks += [f"• {finding}" for finding in self.findings]
        return "\n\n".join(blocks)

    def latex(self) -> str:
        """The steps' formulas as one LaTeX ``align*`` environment."""
        rows = [rf"& {rendering.latex(s.formula)} && \text{{{s.name}}}" for s in self.steps]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def html(self) -> str:
        """A fragment of HTML with the formulas as MathML; every text is escaped."""
        items = "".join(
            f"<li><p><strong>{html.escape(s.title)}.</strong> {html.escape(s.justification)}</p>"
            f'<div class="formula">{rendering.mathml(s.formula)}</div>'
            f'<p class="verification">{html.escape(s.verification)}</p></li>'
            for s in self.steps
        )
        found = "".join(f"<li>{html.escape(f)}</li>" for f in self.findings)
        return f'<ol class="derivation">{items}</ol><ul class="findings">{found}</ul>'

    def _repr_markdown_(self) -> str:
        """What a notebook shows: formulas as LaTeX, every text escaped."""
        title = f"**{_plain(self.base.name)} × {_plain(str(self.law))}**"
        steps = [
            f"**{number}. {_plain(s.title)}.** {_plain(s.justification)}\n\n$$ {rendering.latex(s.formula)} $$\n\n"
            f"*Verified:* {_plain(s.verification)}"
            for number, s in enumerate(self.steps, 1)
        ]
        found = "\n".join(f"- {_plain(finding)}" for finding in self.findings)
        return "\n\n".join([title, *steps, found])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form: everything above, formulas as text and LaTeX."""
        return {
            "base": self.base.name,
            "law": str(self.law),
            "correction": rendering.text(self.correction),
            "constant": rendering.text(self.constant),
            "slope": self.slope,
            "activation": json.loads(self.activation.to_json()),
            "entropies": [vars(e) for e in self.entropies],
            "ended": self.ended,
            "why": self.why,
            "measure": self.measure,
            "metric": self.metric,
            "resolution": self.resolution,
            "residual": self.residual,
            "steps": [
                {
                    "name": s.name,
                    "formula": rendering.text(s.formula),
                    "latex": rendering.latex(s.formula),
                    "justification": s.justification,
                    "verification": s.verification,
                    "route": s.route,
                }
                for s in self.steps
            ],
            "findings": list(self.findings),
        }
