"""The known activations, by name, each with its source; and `get`, which reads any text form of an activation."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TypeAlias

import sympy

from eafo import formula
from eafo.activation import VARIABLE, Activation, Domain, Parameter, Provenance
from eafo.errors import InputError

__all__ = ["ActivationLike", "get", "names"]

#: What every function of eafo accepts as an activation: a name, formula text, an expression or an `Activation`.
ActivationLike: TypeAlias = str | sympy.Expr | Activation

_POSITIVE = Domain(0.0)


@dataclass(frozen=True)
class _Entry:
    formula: str
    source: str
    url: str
    parameters: tuple[Parameter, ...] = ()


def _fixed(name: str, default: float, domain: Domain = _POSITIVE) -> Parameter:
    return Parameter(name, default, domain)


def _learned(name: str, default: float, domain: Domain = Domain()) -> Parameter:  # noqa: B008 - frozen
    return Parameter(name, default, domain, learnable=True)


_RUMELHART = (
    "Rumelhart, Hinton, Williams, Learning representations by back-propagating errors, Nature 323, 1986"
)
_SELU_SCALE = "1.0507009873554804934193349852946"
_SELU_ALPHA = "1.6732632423543772848170429916717"

_CATALOG: dict[str, _Entry] = {
    "arctan": _Entry("arctan(x)", "the inverse tangent; with 2/π the worst case of a Cauchy law", ""),
    "celu": _Entry(
        "where(x > 0, x, alpha*(exp(x/alpha) - 1))",
        "Barron, Continuously differentiable exponential linear units, 2017",
        "https://arxiv.org/abs/1704.07483",
        (_fixed("alpha", 1.0),),
    ),
    "crrelu": _Entry(
        "max(0, x) + epsilon*x*exp(-x**2/2)",
        "Sun et al., A method on searching better activation functions, 2024, eq. 10",
        "https://arxiv.org/abs/2405.12954",
        (_learned("epsilon", 0.01),),
    ),
    "elu": _Entry(
        "where(x > 0, x, alpha*(exp(x) - 1))",
        "Clevert, Unterthiner, Hochreiter, Fast and accurate deep network learning by exponential linear units, 2016",
        "https://arxiv.org/abs/1511.07289",
        (_fixed("alpha", 1.0),),
    ),
    "erf": _Entry(
        "erf(x)",
        "Williams, Computing with infinite networks, 1996",
        "https://papers.nips.cc/paper/1197-computing-with-infinite-networks",
    ),
    "gelu": _Entry(
        "x*(1 + erf(x/sqrt(2)))/2",
        "Hendrycks, Gimpel, Gaussian error linear units, 2016",
        "https://arxiv.org/abs/1606.08415",
    ),
    "gelu_tanh": _Entry(
        "x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))/2",
        "Hendrycks, Gimpel, Gaussian error linear units, 2016, tanh form",
        "https://arxiv.org/abs/1606.08415",
    ),
    "hardsigmoid": _Entry(
        "min(1, max(0, x/6 + 1/2))",
        "Howard et al., Searching for MobileNetV3, 2019",
        "https://arxiv.org/abs/1905.02244",
    ),
    "hardswish": _Entry(
        "x*min(1, max(0, x/6 + 1/2))",
        "Howard et al., Searching for MobileNetV3, 2019",
        "https://arxiv.org/abs/1905.02244",
    ),
    "hardtanh": _Entry(
        "min(1, max(-1, x))", "Collobert, Large scale machine learning, doctoral thesis, Paris VI, 2004", ""
    ),
    "identity": _Entry("x", "the identity", ""),
    "leaky_relu": _Entry(
        "where(x > 0, x, alpha*x)",
        "Maas, Hannun, Ng, Rectifier nonlinearities improve neural network acoustic models, 2013",
        "https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf",
        (_fixed("alpha", 0.01),),
    ),
    "leaky_relu_squared": _Entry(
        "where(x > 0, x, alpha*x)**2",
        "the square of LeakyReLU with slope 1/2, after ReLU² (So et al., 2021)",
        "https://arxiv.org/abs/2109.08668",
        (_fixed("alpha", 0.5),),
    ),
    "mish": _Entry(
        "x*tanh(log(1 + exp(x)))",
        "Misra, Mish: a self regularized non-monotonic activation function, 2019",
        "https://arxiv.org/abs/1908.08681",
    ),
    "prelu": _Entry(
        "where(x > 0, x, alpha*x)",
        "He et al., Delving deep into rectifiers, 2015",
        "https://arxiv.org/abs/1502.01852",
        (_learned("alpha", 0.25),),
    ),
    "relu": _Entry(
        "max(0, x)",
        "Nair, Hinton, Rectified linear units improve restricted Boltzmann machines, 2010",
        "https://www.cs.toronto.edu/~hinton/absps/reluICML.pdf",
    ),
    "relu_squared": _Entry(
        "max(0, x)**2",
        "So et al., Primer: searching for efficient transformers for language modeling, 2021",
        "https://arxiv.org/abs/2109.08668",
    ),
    "selu": _Entry(
        f"{_SELU_SCALE}*where(x > 0, x, {_SELU_ALPHA}*(exp(x) - 1))",
        "Klambauer et al., Self-normalizing neural networks, 2017",
        "https://arxiv.org/abs/1706.02515",
    ),
    "sigmoid": _Entry("1/(1 + exp(-x))", _RUMELHART, "https://doi.org/10.1038/323533a0"),
    "silu": _Entry(
        "x/(1 + exp(-x))",
        "Elfwing, Uchibe, Doya, Sigmoid-weighted linear units, 2017",
        "https://arxiv.org/abs/1702.03118",
    ),
    "sin": _Entry(
        "sin(x)",
        "Sitzmann et al., Implicit neural representations with periodic activation functions, 2020",
        "https://arxiv.org/abs/2006.09661",
    ),
    "sinerelu": _Entry(
        "where(x > 0, x, epsilon*(sin(x) - cos(x)))",
        "Rodrigues, SineReLU: an alternative to the ReLU activation function, 2018 (0.0025 for convolutions, "
        "0.025 for dense layers)",
        "https://github.com/keras-team/keras-contrib",
        (_fixed("epsilon", 0.0025),),
    ),
    "softplus": _Entry(
        "log(1 + exp(x))",
        "Dugas et al., Incorporating second-order functional knowledge for better option pricing, 2000",
        "https://papers.nips.cc/paper/1920-incorporating-second-order-functional-knowledge-for-better-option-pricing",
    ),
    "softsign": _Entry(
        "x/(1 + abs(x))",
        "Bergstra et al., Quadratic polynomials learn better image features, 2009",
        "",
    ),
    "srelu": _Entry(
        "where(x <= -t, 0, where(x < t, x*(sin(pi*x/(2*t)) + 1)/2, x))",
        "Long, SReLU: sinusoidal rectified linear unit, 2024",
        "https://github.com/LaurenceLong/SReLU",
        (_fixed("t", 2.21),),
    ),
    "swish": _Entry(
        "x/(1 + exp(-beta*x))",
        "Ramachandran, Zoph, Le, Searching for activation functions, 2017",
        "https://arxiv.org/abs/1710.05941",
        (_learned("beta", 1.0),),
    ),
    "tanh": _Entry(
        "tanh(x)",
        "LeCun et al., Efficient backprop, 1998",
        "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf",
    ),
    "xielu": _Entry(
        "where(x > 0, alpha_p*x**2 + beta*x, alpha_n*(exp(x) - 1 - x) + beta*x)",
        "Huang, Schlag, Deriving activation functions using integration, 2024",
        "https://arxiv.org/abs/2411.13010",
        (_learned("alpha_p", 0.8, _POSITIVE), _learned("alpha_n", 0.8, _POSITIVE), _fixed("beta", 0.5)),
    ),
}


def names() -> tuple[str, ...]:
    """The names of all catalog activations, sorted.

    >>> "crrelu" in names()
    True
    """
    return tuple(sorted(_CATALOG))


@functools.cache
def _entry(name: str) -> Activation:
    entry = _CATALOG[name]
    symbols = {"x": VARIABLE, **{p.name: p.symbol for p in entry.parameters}}
    expression = formula.parse(entry.formula, symbols)
    return Activation(name, expression, entry.parameters, Provenance(entry.source, entry.url))


def get(activation: ActivationLike, **parameters: float) -> Activation:
    """Any text form of an activation, or a SymPy expression, as an `Activation`.

    Args:
        activation: a catalog name, ``"crrelu"``; a name with parameters, ``"srelu(t=1.5)"``; formula text,
            ``"x*sigmoid(beta*x); beta=1"``; a SymPy expression of one variable; or an `Activation`, returned as it is.
        parameters: values that replace defaults. For an expression they declare its parameters (learnable).

    Raises:
        InputError: no such name, no such parameter, no well-formed formula.

    >>> get("relu").expression, str(get("srelu(t=1.5)").defaults["t"])
    (Max(0, x), '1.5')
    >>> get("nosuch")
    Traceback (most recent call last):
        ...
    eafo.errors.InputError: an activation must be a catalog name or a formula, but got 'nosuch'; see `eafo list`
    """
    if isinstance(activation, str):
        found = _from_text(activation)
    elif isinstance(activation, sympy.Expr):
        found = _from_expression(activation, parameters)
    elif isinstance(activation, Activation):
        found = activation
    else:
        raise InputError(
            "an activation must be a name, formula text, a SymPy expression or an Activation", activation
        )
    return found.with_parameters(**parameters) if parameters else found


def _from_text(text: str) -> Activation:
    call = formula.parse_call(text)
    if call is not None and call[0] in _CATALOG and not call[1]:
        entry = _entry(call[0])
        return entry.with_parameters(**call[2]) if call[2] else entry
    if call is not None and not call[1] and call[0] not in ("x", "pi", "e"):
        close = _closest(call[0])
        hint = f"did you mean '{close}'? see `eafo list`" if close else "see `eafo list`"
        raise InputError("an activation must be a catalog name or a formula", text, hint)
    expression, defaults = formula.parse_with_defaults(text)
    parameters = tuple(Parameter(name, value, learnable=True) for name, value in defaults.items())
    shown = " ".join(text.split())
    return Activation(shown if len(shown) <= 80 else shown[:79] + "…", expression, parameters)


def _closest(name: str) -> str | None:
    import difflib  # noqa: PLC0415 - only for a message

    return next(iter(difflib.get_close_matches(name.lower(), _CATALOG, 1, 0.75)), None)


def _from_expression(expression: sympy.Expr, defaults: dict[str, float]) -> Activation:
    free = {s.name: s for s in expression.free_symbols if s.name not in defaults}
    if len(free) > 1 and "x" in free:
        raise InputError(
            "every symbol but x must be given a default",
            ", ".join(sorted(free.keys() - {"x"})),
            "for example eafo.get(expression, beta=1.0)",
        )
    if len(free) > 1:
        raise InputError(
            "an activation must have one variable", ", ".join(sorted(free)), "name the variable x"
        )
    variable = next(iter(free.values()), VARIABLE)
    parameters = tuple(Parameter(n, v, learnable=True) for n, v in defaults.items())
    made = Activation(str(expression)[:80], expression, parameters, variable=variable)
    return replace(made, name=formula.to_text(made.expression)[:80])
