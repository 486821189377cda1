"""The steps of a derivation in order, and what a reader should know before using the result."""

from __future__ import annotations

import numpy as np
import sympy

from eafo import rendering
from eafo.activation import VARIABLE, Activation
from eafo.branching import derivative
from eafo.derivation import checks
from eafo.derivation.checks import SECONDS, START
from eafo.derivation.record import EntropyAt, Step
from eafo.laws import Law
from eafo.limits import within
from eafo.theory import correction as corrections
from eafo.theory import variation
from eafo.theory.correction import Correction
from eafo.theory.quadrature import numeric

__all__ = ["calculus", "direction", "findings", "result", "setting"]


def _interval(found: Correction) -> str:
    lower, upper = (
        rendering.text(e).replace("oo", "∞").replace("-", "−") for e in (found.lower, found.upper)
    )
    return f"({lower}, {upper})"


def setting(base: Activation, law: Law, found: Correction) -> tuple[Step, ...]:
    """What is given: the base on D, and the law."""
    f, p = sympy.Function("f")(VARIABLE), sympy.Function("p")(VARIABLE)
    mass = found.branch.mass
    points = np.asarray(law.frozen().ppf(np.linspace(0.001, 0.999, 999)))
    error = float(np.max(np.abs(numeric(law.density)(points) - law.frozen().pdf(points))))
    return (
        Step(
            "Base activation",
            sympy.Eq(f, base.concrete, evaluate=False),
            f"{base.name}, taken on D = {_interval(found)}, where it increases and has an inverse",
            "f′ ≥ 0 on a grid of each branch, at the law's scale and at 1; the seams are continuous",
        ),
        Step(
            "Input law",
            sympy.Eq(p, law.density, evaluate=False),
            f"the pre-activation has the law {law}",
            f"P(X ∈ D) = {mass:.12g} by quadrature; p equals SciPy's density to {error:.0e} on 999 quantiles",
        ),
    )


def calculus(found: Correction, y: sympy.Expr | None) -> tuple[Step, ...]:
    """The functional and what follows from it for every law and every inverse."""
    general = variation.general()
    a, b = sympy.symbols("a b", real=True)
    functional = sympy.Eq(
        sympy.Symbol("H"), sympy.Integral(general.lagrangian, (variation.Z, a, b)), evaluate=False
    )
    el, c = sympy.Symbol("EL"), sympy.Symbol("C")
    return (
        Step(
            "Entropy functional",
            functional,
            "the output z = f(x) has the density p(y) y′ with y = f⁻¹, and its entropy is a functional of y",
            checks.both_entropies(found, y),
        ),
        Step(
            "Euler–Lagrange expression",
            sympy.Eq(el, general.euler_lagrange, evaluate=False),
            "∂G/∂y − d/dz ∂G/∂y′, differentiated for a general density and a general inverse (eq. 2)",
            f"SymPy's own Euler equations agree to {variation.against_euler_equations():.0e} on a trial density and inverse",
        ),
        Step(
            "First integral",
            sympy.Eq(general.first_integral, c, evaluate=False),
            "G does not hold z, so G − y′ ∂G/∂y′ is constant on an extremal: a uniform output (Prop. 1, eq. 3)",
            f"d/dz (G − y′ ∂G/∂y′) − y′ EL simplifies to {variation.conserved()}",
        ),
        Step(
            "Legendre condition",
            sympy.Eq(
                sympy.Derivative(sympy.Function("G")(variation.U, variation.V), (variation.V, 2)),
                general.legendre,
                evaluate=False,
            ),
            "∂²G/∂y′² is negative, so the extremal is a maximum of the entropy: the worst activation",
            f"negative for p, y′ > 0, by SymPy's assumptions: {general.legendre.is_negative}",
        ),
    )


def direction(found: Correction, y: sympy.Expr | None) -> tuple[Step, ...]:
    """Steepest descent, through the inverse y where it has a closed form, and its ends or its projection."""
    c = sympy.Function("c")(VARIABLE)
    score_form = Step(
        "Steepest descent, in x",
        sympy.Eq(c, found.direction, evaluate=False),
        "c(x) = η(f(x)) f′(x) = p (f″/f′ − p′/p), the score form, which needs no inverse",
        checks.central_difference(found),
    )
    through_inverse = _through_inverse(found, y)
    if not found.projected:
        ends = "c vanishes at the ends of D, so no boundary term is left"
        value = checks.largest_at_ends(found)
        seam = Step(
            "Ends",
            sympy.Eq(c.subs(VARIABLE, checks.seam(found)), 0, evaluate=False),
            ends,
            f"|c| ≤ {value:.1e} there",
        )
        return (*through_inverse, score_form, seam)
    residual = (
        "the residual is no finite number"
        if found.residual is None
        else f"residual {found.residual:.3f} of ‖c‖"
    )
    projection = Step(
        "Projection",
        sympy.Eq(c, found.constant * found.shape, evaluate=False),
        f"the closed form cannot be used: {found.projected}. Steepest descent in the span of the odd Hermite functions "
        f"ψ₁ … ψ₇, which vanish at 0, in the same metric",
        f"{residual}; {checks.central_difference(found)}",
    )
    return (*through_inverse, score_form, projection)


def _through_inverse(found: Correction, y: sympy.Expr | None) -> tuple[Step, ...]:
    """The paper's own way, where the branch has an inverse in closed form."""
    branch, middle = found.branch, checks.middle(found)
    if y is None or branch.density.has(sympy.Piecewise):
        return ()
    z = variation.Z
    eta = within(SECONDS, lambda: -variation.along(branch.density, y), None)
    if eta is None:
        return ()
    x = np.array([middle * t for t in (0.5, 0.75, 1.0, 1.25, 1.5)])
    slope = numeric(derivative(branch.function))(x)
    outputs = numeric(branch.function)(x)
    there = numeric(eta.subs(z, VARIABLE))(outputs) * slope
    error = float(np.max(np.abs(there - numeric(found.direction)(x))))
    returned = float(np.max(np.abs(numeric(y.subs(z, VARIABLE))(outputs) - x)))
    return (
        Step(
            "Inverse",
            sympy.Eq(sympy.Symbol("y"), y, evaluate=False),
            "y = f⁻¹ on D, solved by SymPy",
            f"y(f(x)) = x to {returned:.0e} at five points",
        ),
        Step(
            "Steepest descent",
            sympy.Eq(sympy.Function("eta")(z), eta, evaluate=False),
            "η = −EL[y], so that dH/dε = −∫ EL² dz ≤ 0 along y + ε η (eqs. 6, 7)",
            f"η(f(x)) f′(x) equals the score form to {error:.0e} at five points",
        ),
    )


def result(activation: Activation, found: Correction, slope: float) -> tuple[Step, ...]:
    """The activation, and the sign of its ε."""
    z, epsilon = variation.Z, sympy.Symbol("epsilon", real=True)
    f, g = sympy.Function("f")(VARIABLE), sympy.Function("g")(z)
    steps: list[Step] = []
    if found.branch.function == VARIABLE:
        perturbed = z + epsilon * found.shape.subs(VARIABLE, z)
        steps = [
            Step(
                "Perturbed inverse",
                sympy.Eq(g, perturbed, evaluate=False),
                "g = y + ε η, the constant of η taken into ε (eq. 8)",
                "follows from the two steps before",
            ),
            Step(
                "Its inverse, to first order",
                sympy.Eq(f, VARIABLE - epsilon * found.shape, evaluate=False),
                "f(x) ≈ x − ε c(x) (eq. 9)",
                checks.second_order(found),
            ),
        ]
    exact = checks.closed_slope(found)
    shown = sympy.Float(slope, 9) if exact is None else exact
    rate = sympy.Derivative(sympy.Function("H")(epsilon), epsilon)
    return (
        *steps,
        Step(
            "Activation",
            sympy.Eq(f, activation.expression, evaluate=False),
            "the correction added to the base, the minus sign absorbed into the learnable ε (eq. 10); beyond D it keeps "
            "its form",
            f"starts at ε = {START}",
        ),
        Step(
            "Sign",
            sympy.Eq(rate, shown, evaluate=False),
            "the rate of change of the entropy at ε = 0 along the activation as written: it falls for ε < 0",
            f"E[c′(X)/f′(X) | D] = {slope:.12g} by quadrature"
            + ("" if exact is None else f"; SymPy integrates it to {exact} = {float(exact):.12g}"),
        ),
    )


def findings(found: Correction, slope: float, entropies: tuple[EntropyAt, ...]) -> tuple[str, ...]:
    """What a reader should know before using the result: signs, ranges, and what was put in place of η."""
    low, high = corrections.monotone_range(found)
    at = {e.epsilon: e.entropy for e in entropies}
    values = "; ".join(
        f"H({e:+g}) = {h:.9f}" if e else f"H(0) = {h:.9f}" for e, h in at.items() if h is not None
    )
    findings = [
        f"The sign of ε. With the activation as written dH/dε = {slope:.6f} > 0 at ε = 0: the entropy of the branch falls for "
        f"ε < 0 and rises at the usual start, ε = +{START}. The method asks for less entropy; the sign it gives (eq. 9) was "
        f"absorbed into the learnable ε (eq. 10), so training decides. On D = {_interval(found)}, in nats: {values}.",
        f"Monotone. The branch stays increasing for {low:.9g} ≤ ε ≤ {high:.9g}.",
    ]
    if found.flat:
        findings.append(
            "Beyond D the base is flat, and the correction makes the whole function non-monotone for every ε ≠ 0; the "
            "entropies above are those of the branch alone."
        )
    if found.projected:
        findings.append(
            f"Projected. {found.projected[0].upper()}{found.projected[1:]}, so a finite family stands in for η."
        )
    return tuple(findings)
