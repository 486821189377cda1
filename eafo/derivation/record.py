"""What a derivation is: its steps, its result, and the forms it is read in."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

import sympy

from eafo import rendering
from eafo.activation import Activation
from eafo.laws import Law

__all__ = ["PAPER", "Derivation", "EntropyAt", "Step"]

#: The source of the method.
PAPER = "Sun et al. 2024, arXiv 2405.12954"


@dataclass(frozen=True)
class Step:
    """One step of a derivation: what it is, its formula, why it holds and how that was verified."""

    name: str
    formula: sympy.Basic
    justification: str
    verification: str


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

    def __repr__(self) -> str:
        return f"Derivation({self.base.name} × {self.law}: {self.activation})"

    def text(self) -> str:
        """All steps as Unicode text for a terminal."""
        blocks = [f"{self.base.name} × {self.law}"]
        for number, step in enumerate(self.steps, 1):
            shown = "\n".join("     " + line for line in rendering.pretty(step.formula).splitlines())
            blocks.append(
                f"{number}. {step.name}. {step.justification}\n\n{shown}\n\n   ✓ {step.verification}"
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
            f"<li><p><strong>{html.escape(s.name)}.</strong> {html.escape(s.justification)}</p>"
            f'<div class="formula">{rendering.mathml(s.formula)}</div>'
            f'<p class="verification">{html.escape(s.verification)}</p></li>'
            for s in self.steps
        )
        found = "".join(f"<li>{html.escape(f)}</li>" for f in self.findings)
        return f'<ol class="derivation">{items}</ol><ul class="findings">{found}</ul>'

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.base.name} × {self.law}")
        return f"<h4>{title}</h4>{self.html()}"

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
            "steps": [
                {
                    "name": s.name,
                    "formula": rendering.text(s.formula),
                    "latex": rendering.latex(s.formula),
                    "justification": s.justification,
                    "verification": s.verification,
                }
                for s in self.steps
            ],
            "findings": list(self.findings),
        }
