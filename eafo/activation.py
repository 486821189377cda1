"""Activation: the one thing that every room of eafo hands to the next."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import sympy

from eafo import formula, rendering
from eafo.branching import Piece, derivative, pieces
from eafo.errors import InputError
from eafo.formula import VARIABLE

__all__ = ["TAIL", "VARIABLE", "Activation", "Domain", "Parameter", "Provenance", "open_tails"]

FloatArray = npt.NDArray[np.float64]
_FORMAT = "eafo-activation-1"


@dataclass(frozen=True)
class Domain:
    """An open interval of admissible parameter values; ±inf where it has no end.

    >>> Domain(0.0) .contains(0.0), Domain().contains(-3.0)
    (False, True)
    """

    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise InputError(
                "a domain's lower end must lie below its upper end", f"({self.lower}, {self.upper})"
            )

    def contains(self, value: float) -> bool:
        """Whether a finite value lies strictly inside."""
        return math.isfinite(value) and self.lower < value < self.upper

    def __str__(self) -> str:
        return f"({self.lower:g}, {self.upper:g})"


@dataclass(frozen=True)
class Parameter:
    """A named parameter of an activation.

    Args:
        name: at most 32 letters, digits and underscores.
        default: its value at the start of training, inside `domain`.
        domain: the values it may take.
        learnable: whether training moves it.
    """

    name: str
    default: float
    domain: Domain = Domain()
    learnable: bool = False

    def __post_init__(self) -> None:
        formula.check_name(self.name)
        if isinstance(self.default, bool) or not isinstance(
            self.default, (int, float, np.integer, np.floating)
        ):
            raise InputError(f"the default of {self.name} must be a number", self.default)
        object.__setattr__(self, "default", float(self.default))
        if not self.domain.contains(self.default):
            raise InputError(f"{self.name} must lie in {self.domain}", self.default)

    @property
    def symbol(self) -> sympy.Symbol:
        """The parameter as a SymPy symbol; positive where its domain is."""
        return sympy.Symbol(self.name, **({"positive": True} if self.domain.lower >= 0 else {"real": True}))


@dataclass(frozen=True)
class Provenance:
    """Where an activation comes from: its source, and what was done to get it."""

    source: str = ""
    url: str = ""
    steps: tuple[str, ...] = ()


#: NumPy's own maximum and minimum, which hand a NaN on; SymPy would print a reduction over one array.
_MAXIMUM, _MINIMUM = sympy.Function("maximum_of"), sympy.Function("minimum_of")
#: Logarithms of tails that underflow: of a normal law, log(erfc(u)/2), and of a Gumbel law, log(1 − exp(−exp(u))).
_LOG_HALF_ERFC, _LOG_GUMBEL = sympy.Function("log_half_erfc"), sympy.Function("log_gumbel")
#: erfc, under a name that SymPy does not rewrite.
TAIL = sympy.Function("erfc_tail", real=True)
#: log(1 + exp(u)), log(1 + u) and exp(u) − 1, which keep the digits of what is small beside 1.
_SOFTPLUS, _LOG1P, _EXPM1 = (
    sympy.Function(name, real=True) for name in ("log1pexp_of", "log1p_of", "expm1_of")
)


def _log_half_erfc(u: Any) -> Any:
    from scipy.special import log_ndtr  # noqa: PLC0415 - needed by few functions

    return log_ndtr(-math.sqrt(2) * u)


def _erfc(u: Any) -> Any:
    from scipy.special import erfc  # noqa: PLC0415 - needed by few functions

    return erfc(u)


def _log_gumbel(u: Any) -> Any:
    t = np.exp(u)
    near = np.where(t < 0.5, np.log(-np.expm1(-t)), np.log1p(-np.exp(-t)))
    return np.where(u < -8, u - t / 2 + t * t / 24, near)


def _log_of_tails(argument: sympy.Expr) -> sympy.Expr:
    """The logarithm, by the function that knows its tail where there is one."""
    constant, other = argument.as_coeff_Add()
    if argument.is_Add and len(argument.args) == 2 and constant.is_positive:
        factor, function = (-other / constant).as_coeff_Mul()
        if isinstance(function, sympy.erf) and abs(factor) == 1:
            return sympy.log(2 * constant) + _LOG_HALF_ERFC(factor * function.args[0])
        if isinstance(function, sympy.exp) and factor == constant == 1:
            scale, inner = (-function.args[0]).as_coeff_Mul()
            parts = [f for f in sympy.Mul.make_args(inner) if isinstance(f, sympy.exp)]
            rest = scale * sympy.Mul(*(f for f in sympy.Mul.make_args(inner) if f not in parts))
            if parts and rest.is_positive:
                return _LOG_GUMBEL(sympy.Add(*(f.args[0] for f in parts)) + sympy.log(rest))
    if argument.is_Add and constant == 1:
        return _SOFTPLUS(other.args[0]) if isinstance(other, sympy.exp) else _LOG1P(other)
    return sympy.log(argument)


def _exponential_less_one(total: sympy.Expr) -> sympy.Expr:
    """A sum, with c exp(u) − c as one term."""
    for term in total.args:
        for factor in (f for f in sympy.Mul.make_args(term) if isinstance(f, sympy.exp)):
            coefficient = term / factor
            if -coefficient in total.args:
                return total - term + coefficient + coefficient * _EXPM1(factor.args[0])
    return total


def _tail(bounded: sympy.Expr, sign: int) -> sympy.Expr:
    """1 − sign·erf(u), or 1 − sign·tanh(u), without the difference."""
    u = sign * bounded.args[0]
    return TAIL(u) if isinstance(bounded, sympy.erf) else 2 / (1 + sympy.exp(2 * u))


def _sech_squared(total: sympy.Expr) -> sympy.Expr:
    """Write c − c tanh² u as c/cosh² u."""
    if len(total.args) == 2:
        for square, other in (total.args, total.args[::-1]):
            factor, power = square.as_independent(sympy.tanh)
            if factor == -other and power.is_Pow and power.exp == 2 and isinstance(power.base, sympy.tanh):
                return other / sympy.cosh(power.base.args[0]) ** 2
    return total


def open_tails(expression: sympy.Expr) -> sympy.Expr:
    """Write c ± c·erf(u), c ± c·tanh(u) and c − c·tanh²(u) as tails: hundreds of digits would be needed to see them as differences.

    SymPy's own erfc cannot stand for it, since it rewrites erfc(−u) as 2 − erfc(u).
    """

    def absorb(total: Any) -> Any:
        total = _sech_squared(total)
        for term in total.args if total.is_Add else ():
            for factor in (f for f in sympy.Mul.make_args(term) if isinstance(f, (sympy.erf, sympy.tanh))):
                coefficient = term / factor
                for sign in (1, -1):
                    if sign * coefficient in total.args:
                        rest = total - term - sign * coefficient
                        return absorb(rest + sign * coefficient * _tail(factor, -sign))
        return total

    opened = expression.replace(sympy.erfc, lambda u: 1 - sympy.erf(u))
    return opened.replace(lambda e: isinstance(e, sympy.Add), absorb)


_NUMPY = {
    "log_half_erfc": _log_half_erfc,
    "log_gumbel": _log_gumbel,
    TAIL.__name__: _erfc,
    _SOFTPLUS.__name__: lambda u: np.logaddexp(0.0, u),
    _LOG1P.__name__: np.log1p,
    _EXPM1.__name__: np.expm1,
    "maximum_of": lambda *values: functools.reduce(np.maximum, values),
    "minimum_of": lambda *values: functools.reduce(np.minimum, values),
}


def _evaluator(expression: sympy.Expr, names: tuple[str, ...]) -> Callable[..., Any]:
    """A NumPy function of x and the parameters; generated symbol names, so that no user text reaches the printer."""
    safe = [sympy.Symbol(f"v{i}", real=True) for i in range(len(names) + 1)]
    by_name = {"x": safe[0], **dict(zip(names, safe[1:], strict=True))}
    renamed = expression.xreplace({s: by_name[s.name] for s in expression.free_symbols})
    renamed = renamed.replace(sympy.Max, _MAXIMUM).replace(sympy.Min, _MINIMUM)
    renamed = open_tails(renamed.replace(sympy.log, _log_of_tails))
    renamed = renamed.replace(lambda e: isinstance(e, sympy.Add), _exponential_less_one)
    return sympy.lambdify(safe, renamed, modules=[_NUMPY, "scipy", "numpy"], cse=True)


@dataclass(frozen=True)
class Activation:
    """A scalar activation function: an expression in ``x`` with named parameters. Frozen and hashable.

    Args:
        name: how it is called; free text of one line, at most 80 characters.
        expression: a SymPy expression of `variable` and the parameters' symbols.
        parameters: one `Parameter` for each other free symbol, in the order shown to users.
        provenance: where it comes from.
        variable: the variable, real; any symbol is accepted and replaced by ``x``.

    Raises:
        InputError: an undeclared or doubled name, a function that is not on the whitelist, a default outside its domain.

    >>> x = sympy.Symbol("x")
    >>> f = Activation("leaky", sympy.Max(x, sympy.Symbol("a") * x), (Parameter("a", 0.1),))
    >>> f([-2.0, 3.0])
    array([-0.2,  3. ])
    """

    name: str
    expression: sympy.Expr
    parameters: tuple[Parameter, ...] = ()
    provenance: Provenance = field(default_factory=Provenance, compare=False)
    variable: sympy.Symbol = VARIABLE

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 80 or not self.name.isprintable():
            raise InputError(
                "an activation's name must be one printable line of 1 to 80 characters", self.name
            )
        object.__setattr__(self, "parameters", tuple(self.parameters))
        symbols = {p.name: p.symbol for p in self.parameters}
        if len(symbols) != len(self.parameters):
            raise InputError("the parameters' names must differ", [p.name for p in self.parameters])
        canonical = {self.variable.name: VARIABLE, **symbols}
        free = {s.name for s in self.expression.free_symbols}
        if unknown := sorted(free - canonical.keys()):
            raise InputError(
                "every symbol but the variable must be declared as a parameter",
                unknown[0],
                f"give it a default, for example {unknown[0]}=1.0",
            )
        renamed = self.expression.xreplace({s: canonical[s.name] for s in self.expression.free_symbols})
        formula.validate(renamed)
        object.__setattr__(self, "expression", renamed)
        object.__setattr__(self, "variable", VARIABLE)

    # -- values ------------------------------------------------------------------------------------------------

    @property
    def defaults(self) -> dict[str, float]:
        """The parameters' default values by name."""
        return {p.name: p.default for p in self.parameters}

    @property
    def learnable(self) -> tuple[Parameter, ...]:
        """The parameters that training moves."""
        return tuple(p for p in self.parameters if p.learnable)

    @property
    def concrete(self) -> sympy.Expr:
        """The expression with each parameter at its default, as an exact rational."""
        return self.expression.xreplace({p.symbol: _exact(p.default) for p in self.parameters})

    def __call__(self, x: npt.ArrayLike, **parameters: float) -> FloatArray:
        """Evaluate in double precision, elementwise.

        Args:
            x: numbers of any shape, not complex.
            parameters: values that replace defaults.

        Returns:
            An array of the shape of `x`. Where the plain formula overflows although x is finite, the value is
            computed anew with 60 digits. Tails that are differences, as those of 1 + erf(u), 1 ± tanh(u), log(1 + u)
            and exp(u) − 1, keep their digits: the catalog is right to 10⁻¹², relative, for |x| up to 700. Other
            differences lose what they cancel.
        """
        values = np.asarray(x)
        if values.dtype.kind not in "biuf":
            raise InputError("x must be real numbers", values.dtype)
        values = values.astype(np.float64)
        filled = self.with_parameters(**parameters).defaults if parameters else self.defaults
        result = np.array(np.broadcast_to(self._evaluate(values, filled), values.shape), np.float64)
        bad = ~np.isfinite(result) & np.isfinite(values)
        if bad.any():
            result[bad] = [self._precise(float(v), filled) for v in values[bad]]
        return result

    def _evaluate(self, values: FloatArray, parameters: Mapping[str, float]) -> Any:
        names = tuple(p.name for p in self.parameters)
        with np.errstate(all="ignore"):
            # Python's own numbers raise where NumPy's give an infinity or NaN.
            return _cached_evaluator(self.expression, names)(
                values, *(np.float64(parameters[n]) for n in names)
            )

    def _precise(self, x: float, parameters: Mapping[str, float]) -> float:
        values = {VARIABLE: _exact(x), **{p.symbol: _exact(parameters[p.name]) for p in self.parameters}}
        try:
            # SymPy compares no complex or infinite numbers, as max and min would.
            number = self.expression.subs(values)
            with mpmath.workdps(60):
                return float(mpmath.mpf(number.evalf(60)))
        except (TypeError, ValueError, OverflowError):
            return math.nan

    # -- variations --------------------------------------------------------------------------------------------

    def with_parameters(self, **values: float) -> Activation:
        """The same function with other defaults.

        Raises:
            InputError: an unknown name, or a value outside the parameter's domain.
        """
        if unknown := sorted(values.keys() - self.defaults.keys()):
            known = ", ".join(self.defaults) or "none"
            raise InputError(f"the parameters of {self.name} are: {known}", unknown[0])
        changed = tuple(replace(p, default=values.get(p.name, p.default)) for p in self.parameters)
        return replace(self, parameters=changed)

    def with_learnable(self, *names: str) -> Activation:
        """The same function with exactly these parameters learnable."""
        if unknown := sorted(set(names) - self.defaults.keys()):
            known = ", ".join(self.defaults) or "none"
            raise InputError(f"the parameters of {self.name} are: {known}", unknown[0])
        return replace(self, parameters=tuple(replace(p, learnable=p.name in names) for p in self.parameters))

    def diff(self, order: int = 1) -> Activation:
        """The derivative by x, as an Activation; at a seam it takes PyTorch's convention (relu′(0) = 0).

        >>> Activation("square", VARIABLE**2).diff().expression
        2*x
        """
        if order < 1:
            raise InputError("the order of a derivative must be at least 1", order)
        expression = self.expression
        for _ in range(order):
            expression = derivative(expression)
        kept = tuple(p for p in self.parameters if p.symbol in expression.free_symbols)
        return Activation(
            (self.name[: max(1, 80 - order)] + "′" * order)[:80],
            expression,
            kept,
            Provenance(steps=(f"d{order}/dx{order}",)),
        )

    def pieces(self) -> tuple[Piece, ...]:
        """The branches from left to right, seams symbolic; their order is taken at the default parameters.

        Raises:
            InputError: the seams cannot be found, or are infinitely many.

        >>> Activation("relu", sympy.Max(0, VARIABLE)).pieces()
        (Piece(expression=0, lower=-oo, upper=0), Piece(expression=x, lower=0, upper=oo))
        """
        at_default = {p.symbol: _exact(p.default) for p in self.parameters}
        return pieces(self.expression, at_default)

    # -- forms -------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return formula.to_text(self.expression)

    def latex(self) -> str:
        r"""LaTeX of the expression.

        >>> Activation("relu", sympy.Max(0, VARIABLE)).latex()
        '\\max\\left(0, x\\right)'
        """
        return rendering.latex(self.expression)

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {sympy.latex(sympy.Symbol(self.name))}(x) = {self.latex()}$"

    def to_json(self) -> str:
        """One JSON object; `from_json` reads it back to an equal Activation."""
        parameters = [
            {
                "name": p.name,
                "default": p.default,
                "lower": p.domain.lower if math.isfinite(p.domain.lower) else None,
                "upper": p.domain.upper if math.isfinite(p.domain.upper) else None,
                "learnable": p.learnable,
            }
            for p in self.parameters
        ]
        made = self.provenance
        return json.dumps(
            {
                "format": _FORMAT,
                "name": self.name,
                "formula": formula.to_text(self.expression),
                "parameters": parameters,
                "provenance": {"source": made.source, "url": made.url, "steps": list(made.steps)},
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Activation:
        """Read what `to_json` wrote; the formula passes the whitelist again.

        Raises:
            InputError: the text is no such JSON.
        """
        try:
            data = json.loads(text)
            if data["format"] != _FORMAT:
                raise InputError(f"the format of an activation's JSON must be {_FORMAT}", data["format"])
            parameters = tuple(_parameter(entry) for entry in data["parameters"])
            symbols = {"x": VARIABLE, **{p.name: p.symbol for p in parameters}}
            made = data["provenance"]
            provenance = Provenance(str(made["source"]), str(made["url"]), tuple(map(str, made["steps"])))
            return cls(data["name"], formula.parse(data["formula"], symbols), parameters, provenance)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise InputError("an activation's JSON must be what to_json wrote", text) from error


@functools.lru_cache(maxsize=512)
def _cached_evaluator(expression: sympy.Expr, names: tuple[str, ...]) -> Callable[..., Any]:
    return _evaluator(expression, names)


def _exact(value: float) -> sympy.Rational:
    """The decimal that a double shows, exactly: 0.01 is 1/100."""
    return sympy.Rational(repr(float(value)))


def _parameter(entry: Mapping[str, Any]) -> Parameter:
    lower = -math.inf if entry["lower"] is None else float(entry["lower"])
    upper = math.inf if entry["upper"] is None else float(entry["upper"])
    return Parameter(entry["name"], entry["default"], Domain(lower, upper), bool(entry["learnable"]))
