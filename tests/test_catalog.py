"""The catalog and `get`."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sympy

import eafo
from eafo.errors import InputError

X = np.linspace(-6, 6, 241)
sigmoid = scipy.special.expit

#: Independent formulas in NumPy, one for each name.
PEERS = {
    "arctan": np.arctan,
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "crrelu": lambda x: np.maximum(0, x) + 0.01 * x * np.exp(-(x**2) / 2),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "erf": scipy.special.erf,
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hardsigmoid": lambda x: np.clip((x + 3) / 6, 0, 1),
    "hardswish": lambda x: x * np.clip((x + 3) / 6, 0, 1),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "identity": lambda x: x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky_relu_squared": lambda x: np.where(x > 0, x, 0.5 * x) ** 2,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu_squared": lambda x: np.maximum(x, 0) ** 2,
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    ),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "sin": np.sin,
    "sinerelu": lambda x: np.where(x > 0, x, 0.0025 * (np.sin(x) - np.cos(x))),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "srelu": lambda x: np.where(x <= -2.21, 0, np.where(x < 2.21, x * (np.sin(np.pi * x / 4.42) + 1) / 2, x)),
    "swish": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "xielu": lambda x: np.where(
        x > 0, 0.8 * x**2 + 0.5 * x, 0.8 * (np.expm1(np.minimum(x, 0)) - x) + 0.5 * x
    ),
}


def test_every_name_has_a_peer() -> None:
    assert set(PEERS) == set(eafo.names())


@pytest.mark.parametrize("name", eafo.names())
def test_values(name: str) -> None:
    np.testing.assert_allclose(eafo.get(name)(X), PEERS[name](X), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", eafo.names())
def test_every_entry_names_its_source(name: str) -> None:
    source = eafo.get(name).provenance
    assert len(source.source) > 10 or name == "identity"
    assert source.url == "" or source.url.startswith(("https://", "http://"))


def test_learnable_parameters() -> None:
    learned = {n: [p.name for p in eafo.get(n).learnable] for n in eafo.names()}
    assert {n: v for n, v in learned.items() if v} == {
        "crrelu": ["epsilon"],
        "prelu": ["alpha"],
        "swish": ["beta"],
        "xielu": ["alpha_p", "alpha_n"],
    }


def test_get_reads_every_form() -> None:
    u, beta = sympy.symbols("u beta")
    assert eafo.get("srelu(t=1.5)").defaults == {"t": 1.5}
    assert eafo.get("srelu", t=1.5) == eafo.get("srelu(t=1.5)")
    assert eafo.get(eafo.get("relu")) is eafo.get("relu")
    by_text = eafo.get("x*sigmoid(beta*x); beta=2")
    by_expression = eafo.get(u / (1 + sympy.exp(-beta * u)), beta=2.0)
    assert by_text.expression == by_expression.expression
    assert by_text.parameters == by_expression.parameters
    assert [p.learnable for p in by_text.parameters] == [True]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nosuch", "catalog name or a formula, but got 'nosuch'; see `eafo list`"),
        ("rleu", "did you mean 'relu'"),
        ("srelu(u=1)", "parameters of srelu are: t"),
        ("srelu(t=0)", r"t must lie in \(0, inf\), but got 0"),
        ("relu(t=1)", "parameters of relu are: none"),
        (3, "must be a name, formula text"),
        (sympy.Symbol("a") * sympy.Symbol("b"), "one variable"),
        (sympy.Symbol("x") * sympy.Symbol("b"), "given a default"),
    ],
)
def test_bad_input(argument: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        eafo.get(argument)  # type: ignore[arg-type]
