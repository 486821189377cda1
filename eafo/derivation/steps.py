"""The steps of a derivation in order, and what a reader should know before using the result."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import sympy

from eafo.activation import VARIABLE, Activation
from eafo.derivation import checks
from eafo.derivation.checks import SECONDS
from eafo.derivation.record import EntropyAt, Route, Step
from eafo.laws import Law
from eafo.limits import within
from eafo.theory import correction as corrections
from eafo.theory import variation
from eafo.theory.correction import START, Correction
from eafo.theory.projection import Projection

__all__ = ["calculus", "directions", "findings", "result", "setting"]

_METRICS = {"output": "L²(dz)", "input": "L²(dx)", "probability": "L²(p)"}


def _checked(
    name: str, formula: sympy.Basic, justification: str, check: Callable[[], str], route: Route = "symbolic"
) -> Step:
    """A step that has just passed its check."""
    return Step(name, formula, justification, check(), check, route)


def _interval(found: Correction) -> str:
    ends = (f"{e:g}".replace("inf", "∞").replace("-", "−") for e in (found.lower, found.upper))
    return f"({', '.join(ends)})"


def _shape_of_base(found: Correction) -> str:
    if found.increasing:
        return "where it increases and has an inverse"
    turns = sum(a.rising != b.rising for a, b in itertools.pairwise(found.output.sheets))
    pieces = _counted(len(found.output.sheets), "monotone piece")
    return f"where it is not flat: {pieces}, {_counted(turns, 'turn')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sheets(found: Correction) -> str:
    output = found.output
    atoms = sum(a.probability for a in output.atoms)
    pieces = _counted(len(output.sheets), "monotone piece")
    text = f"{pieces} by the sign of f′ on the law's quantiles, refined to rounding"
    return text + (f"; {len(output.atoms)} flat, of probability {atoms:.6g}" if atoms else "")


def setting(base: Activation, law: Law, found: Correction) -> tuple[Step, ...]:
    """What is given: the base on D, and the law."""
    f, p = sympy.Function("f")(VARIABLE), sympy.Function("p")(VARIABLE)
    density = p if law.density is None else law.density
    return (
        _checked(
            "Base activation",
            sympy.Eq(f, base.concrete, evaluate=False),
            f"{base.name}, taken on D = {_interval(found)}, {_shape_of_base(found)}",
            partial(_sheets, found),
        ),
        _checked(
            "Input law",
            sympy.Eq(p, density, evaluate=False),
            f"the pre-activation has the law {law}",
            partial(checks.density_of_law, law, found.output.mass),
            "symbolic" if law.density is not None else "numeric",
        ),
    )


def calculus(found: Correction) -> tuple[Step, ...]:
    """The functional and what follows from it for every law and every inverse."""
    general = variation.general()
    a, b = sympy.symbols("a b", real=True)
    functional = sympy.Eq(
        sympy.Symbol("H"), sympy.Integral(general.lagrangian, (variation.Z, a, b)), evaluate=False
    )
    el, c = sympy.Symbol("EL"), sympy.Symbol("C")
    g = sympy.Function("G")(variation.U, variation.V)
    return (
        _checked(
            "Entropy functional",
            functional,
            "the output z = f(x) has the density p(y) y′ with y = f⁻¹, and its entropy is a functional of y"
            + ("" if found.increasing else "; where f has several inverses their densities add"),
            partial(checks.both_entropies, found),
        ),
        _checked(
            "Euler–Lagrange expression",
            sympy.Eq(el, general.euler_lagrange, evaluate=False),
            "∂G/∂y − d/dz ∂G/∂y′, differentiated for a general density and a general inverse (eq. 2)",
            _against_euler,
        ),
        _checked(
            "First integral",
            sympy.Eq(general.first_integral, c, evaluate=False),
            "G does not hold z, so G − y′ ∂G/∂y′ is constant on an extremal: a uniform output (Prop. 1, eq. 3)",
            _conserved,
        ),
        _checked(
            "Legendre condition",
            sympy.Eq(sympy.Derivative(g, (variation.V, 2)), general.legendre, evaluate=False),
            "∂²G/∂y′² is negative, so the extremal is a maximum of the entropy: the worst activation",
            _legendre,
        ),
    )


def _against_euler() -> str:
    return f"SymPy's own Euler equations agree to {variation.against_euler_equations():.0e} on a trial density and inverse"


def _conserved() -> str:
    return f"d/dz (G − y′ ∂G/∂y′) − y′ EL simplifies to {variation.conserved()}"


def _legendre() -> str:
    return f"negative for p, y′ > 0, by SymPy's assumptions: {variation.general().legendre.is_negative}"


def directions(found: Correction, y: sympy.Expr | None) -> tuple[Step, ...]:
    """Steepest descent, through the inverse y where it has a closed form, and its ends or its projection."""
    c = sympy.Function("c")(VARIABLE)
    told = list(_through_inverse(found, y))
    if found.closed is not None and not found.closed.worst:
        told.append(
            _checked(
                "Steepest descent, in x",
                sympy.Eq(c, found.closed.direction, evaluate=False),
                "c(x) = η(f(x)) f′(x) = p (f″/f′ − p′/p), the score form, which needs no inverse"
                + ("" if y is not None else f": SymPy finds none in closed form within {SECONDS:g} s")
                + (f", in {_METRICS[found.metric]}" if found.metric != "output" else "")
                + (
                    "; relative to a normal law of the output's mean and variance"
                    if found.measure.scale_free
                    else ""
                ),
                partial(checks.score_form_of, found, found.closed),
            )
        )
    if not found.projection:
        told.append(
            _checked(
                "Ends",
                sympy.Eq(c.subs(VARIABLE, _seam(found)), 0, evaluate=False),
                "c vanishes at a finite end of D, and q c at an infinite one, so no boundary term is left",
                partial(_ends_and_descent, found),
            )
        )
        return tuple(told)
    told.append(
        _checked(
            "Projection",
            sympy.Eq(c, found.shape, evaluate=False),
            _projection(found, found.projection),
            partial(checks.central_difference, found),
            "numeric",
        )
    )
    return tuple(told)


def _seam(found: Correction) -> sympy.Expr:
    ends = [e for e in (found.lower, found.upper) if math.isfinite(e)]
    return sympy.nsimplify(ends[0]) if ends else sympy.oo


def _ends_and_descent(found: Correction) -> str:
    return f"{checks.largest_at_ends(found)}; {checks.central_difference(found)}"


def _projection(found: Correction, made: Projection) -> str:
    functions = "the odd Hermite functions ψ₁ … ψ₁₅" + (
        "" if made.scale == 1 else f" of scale {made.scale:g}"
    )
    span = f"f′ times {functions}" if made.carried else functions
    text = f"the closed form cannot be used: {found.why}. "
    if made.second_order:
        return (
            f"{text}The first variation vanishes along every direction that keeps the ends; the entropy is at a maximum and "
            f"falls to second order. The plainest member of the span of {span} that keeps the ends"
        )
    text += f"Steepest descent of {found.measure} in the span of {span}, which vanish at 0, in {_METRICS[made.metric]}"
    if made.differenced:
        text += ", from differences of the entropy"
    if found.residual is not None:
        text += f"; residual {found.residual:.3f} of ‖c‖"
    return text


def _through_inverse(found: Correction, y: sympy.Expr | None) -> tuple[Step, ...]:
    """The paper's own way, where the branch has an inverse in closed form."""
    closed = found.closed
    if y is None or closed is None or closed.density.has(sympy.Piecewise) or found.measure.scale_free:
        return ()
    if found.metric != "output" or closed.worst:
        return ()
    eta = within(SECONDS, lambda: -variation.along(closed.density, y), None)
    if eta is None:
        return ()
    z = variation.Z
    return (
        _checked(
            "Inverse",
            sympy.Eq(sympy.Symbol("y"), y, evaluate=False),
            "y = f⁻¹ on D, solved by SymPy",
            partial(checks.inverse_returns, found, y),
        ),
        _checked(
            "Steepest descent",
            sympy.Eq(sympy.Function("eta")(z), eta, evaluate=False),
            "η = −EL[y], so that dH/dε = −∫ EL² dz ≤ 0 along y + ε η (eqs. 6, 7)",
            partial(checks.through_inverse, found, closed, eta),
        ),
    )


def result(activation: Activation, found: Correction, slope: float) -> tuple[Step, ...]:
    """The activation, and the sign of its ε."""
    z, epsilon = variation.Z, sympy.Symbol("epsilon", real=True)
    f, g = sympy.Function("f")(VARIABLE), sympy.Function("g")(z)
    steps: list[Step] = []
    if found.closed is not None and found.closed.function == VARIABLE and not found.projection:
        perturbed = z + epsilon * found.shape.subs(VARIABLE, z)
        steps = [
            Step(
                "Perturbed inverse",
                sympy.Eq(g, perturbed, evaluate=False),
                "g = y + ε η, the constant of η taken into ε (eq. 8)",
                "follows from the two steps before",
            ),
            _checked(
                "Its inverse, to first order",
                sympy.Eq(f, VARIABLE - epsilon * found.shape, evaluate=False),
                "f(x) ≈ x − ε c(x) (eq. 9)",
                partial(checks.second_order, found),
            ),
        ]
    steps.append(
        Step(
            "Activation",
            sympy.Eq(f, activation.expression, evaluate=False),
            "the correction added to the base, the minus sign absorbed into the learnable ε (eq. 10); beyond D it keeps its "
            "form",
            f"starts at ε = {START}",
        )
    )
    return (*steps, *_sign(found, slope))


def _sign(found: Correction, slope: float) -> tuple[Step, ...]:
    if found.projection is not None and (found.projection.second_order or found.projection.differenced):
        return ()
    epsilon = sympy.Symbol("epsilon", real=True)
    exact = checks.closed_slope(found)
    shown = sympy.Float(slope, 9) if exact is None else exact
    rate = sympy.Derivative(sympy.Function("H")(epsilon), epsilon)
    return (
        _checked(
            "Sign",
            sympy.Eq(rate, shown, evaluate=False),
            "the rate of change of the entropy at ε = 0 along the activation as written: it falls for ε < 0",
            partial(_rate, found, exact),
        ),
    )


def _rate(found: Correction, exact: sympy.Expr | None) -> str:
    slope = corrections.descent_slope(found)
    text = f"E[c′(X)/f′(X) | D] = {slope:.12g} by quadrature"
    return text if exact is None else f"{text}; SymPy integrates it to {exact} = {float(exact):.12g}"


def findings(found: Correction, slope: float, entropies: tuple[EntropyAt, ...]) -> tuple[str, ...]:
    """What a reader should know before using the result: signs, ranges, and what was put in place of η."""
    name, at = "H", {e.epsilon: e.entropy for e in entropies}
    if found.measure.scale_free:
        name, at = "J", {e.epsilon: e.shape for e in entropies}
    values = "; ".join(
        f"{name}({e:+g}) = {h:.9f}" if e else f"{name}(0) = {h:.9f}" for e, h in at.items() if h is not None
    )
    if found.measure.scale_free:
        values += f", J = {found.measure}"
    projection = found.projection
    if projection is not None and projection.second_order:
        told = [
            f"At a maximum already. No step that keeps the ends lowers {found.measure} to first order; this one lowers it to "
            f"second order, for either sign of ε. In nats: {values}."
        ]
    else:
        rate = f"d/dε of {found.measure} is {slope:.6f} > 0 at ε = 0"
        if projection is not None and projection.differenced:
            rate = f"{found.measure} falls by {slope * START:.6f} over a step of ε = −{START}"
        up, now = at.get(START), at.get(0.0)
        rises = (
            f" and rises at the usual start, ε = +{START}"
            if up is not None and now is not None and up > now
            else ""
        )
        told = [
            f"The sign of ε. With the activation as written {rate}: the entropy falls for ε < 0{rises}. The method asks for less "
            "entropy; the sign it gives (eq. 9) was absorbed into the learnable ε (eq. 10), so training decides. On D = "
            f"{_interval(found)}, in nats: {values}."
        ]
    limits = corrections.monotone_range(found)
    if limits is not None:
        told.append(f"Monotone. The branch stays increasing for {limits[0]:.9g} ≤ ε ≤ {limits[1]:.9g}.")
    told += [
        _jump(a.upper, b.below - a.above) for a, b in itertools.pairwise(found.output.sheets) if _jumps(a, b)
    ]
    if found.flat:
        # f′ ψ vanishes where f is flat.
        kept = projection is not None and projection.carried
        beyond = (
            "the correction, which holds f′ as a factor, leaves it flat there"
            if kept
            else "the correction makes the whole function non-monotone for every ε ≠ 0"
        )
        between = any(p.flat and found.lower < p.lower and p.upper < found.upper for p in found.output.parts)
        told.append(
            f"{'Inside' if between else 'Beyond'} D the base is flat, and {beyond}; the entropies above are those of the "
            "output given that it is no atom."
        )
    if found.measure.resolution is not None:
        told.append(
            f"At a resolution. The differential entropy of the output is −∞; lowered is {found.measure}, the entropy of the "
            "output read in steps of δ."
        )
    if found.why:
        # The reason may begin with a symbol, which has no capital.
        told.append(f"Projected: {found.why}; a finite family stands in for η.")
    return tuple(told)


def _jumps(left: object, right: object) -> bool:
    return left.upper == right.lower and abs(right.below - left.above) > 1e-9  # type: ignore[attr-defined]


def _jump(at: float, size: float) -> str:
    return f"Not continuous. The base jumps by {size:.4g} at x = {at:g}; each side is moved on its own."
