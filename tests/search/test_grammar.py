"""Formulas that a search composes, and what leaves them out before they are trained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from eafo.activation import Activation
from eafo.catalog import get
from eafo.errors import EafoError, InputError
from eafo.kernels import compile_kernel
from eafo.search.filters import Filters, cost, fingerprint
from eafo.search.grammar import BINARY, UNARY, Grammar

NUMPY = {
    "identity": lambda u: u,
    "negative": lambda u: -u,
    "half": lambda u: u / 2,
    "double": lambda u: 2 * u,
    "abs": np.abs,
    "square": np.square,
    "relu": lambda u: np.maximum(u, 0),
    "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "tanh": np.tanh,
    "softplus": lambda u: np.logaddexp(0, u),
    "sin": np.sin,
    "cos": np.cos,
    "gauss": lambda u: np.exp(-(u**2)),
    "decay": lambda u: np.exp(-np.abs(u)),
    "erf": lambda u: torch.erf(torch.from_numpy(u)).numpy(),
    "arctan": np.arctan,
    "asinh": np.arcsinh,
    "bell": lambda u: 1 / (1 + u**2),
    "one": np.ones_like,
}
OF_TWO = {
    "sum": np.add,
    "difference": np.subtract,
    "product": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "first": lambda a, _: a,
}


def test_every_operator_is_what_its_name_says() -> None:
    assert set(NUMPY) == set(UNARY)
    assert set(OF_TWO) == set(BINARY)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_formula_is_its_choices(depth) -> None:
    grammar, chance, x = Grammar(depth), np.random.default_rng(depth), np.linspace(-2, 2, 41) + 1e-3
    made = 0
    while made < 12:
        chosen = {name: str(chance.choice(options)) for name, options in grammar.choices.items()}
        value, names = x, list(chosen.values())
        for first, binary, second in zip(names[::3], names[1::3], names[2::3], strict=True):
            value = OF_TWO[binary](NUMPY[first](value), NUMPY[second](x))
        text = grammar.text(chosen.__getitem__)
        try:
            found = get(text)
        except InputError as error:
            assert "nested" in str(error)  # noqa: PT017 - what is too deep is refused, and a search leaves it out
            continue
        made += 1
        assert np.allclose(np.broadcast_to(found(x), x.shape), value, rtol=1e-9, atol=1e-9), text


def test_a_maximum_of_numbers_that_kernels_compute_is_compiled() -> None:
    x = torch.linspace(-2, 2, 9)
    found = compile_kernel("max(tanh(min(1, exp(-abs(x)))), erf(x))", "aten")(x)
    right = torch.maximum(torch.tanh(torch.exp(-x.abs()).clamp(max=1)), torch.erf(x))
    assert torch.allclose(found, right, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"depth": 0}, "the depth of a grammar must be a whole number from 1 to 3, but got 0"),
        ({"unary": ()}, "the unary operators of a grammar must be given once each, one at least"),
        ({"binary": ("sum", "sum")}, "the binary operators of a grammar must be given once each"),
        (
            {"unary": ("tan",)},
            "the unary operators of a grammar are: identity, .* but got 'tan'; did you mean 'tanh'?",
        ),
    ],
)
def test_wrong_grammars_are_refused(given, message) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        Grammar(**given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gelu", ""),
        ("relu_squared", ""),
        ("exp(x)", "not finite in bfloat16 at x = 89"),
        ("log(x)", "not finite in bfloat16 at x = 0"),
        ("x**4", "its gradient reaches"),
        ("x - x + 2", "it is constant"),
        ("sinh(cosh(sin(tanh(arctan(x)))))*erf(x)*tan(tanh(x))*sin(x)*cos(x)*exp(-x**2)", "its kernel costs"),
    ],
)
def test_what_cannot_be_trained_is_left_out(text, reason) -> None:
    found = Filters().refusal(get(text))
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_every_bound_is_one() -> None:
    assert Filters(inputs=50).refusal(get("exp(x)")) == "its gradient reaches 5.2e+21"
    assert Filters(inputs=50, gradient=1e30).refusal(get("exp(x)")) == ""
    assert Filters(cost=0.01).refusal(get("relu")).startswith("its kernel costs")
    assert cost(get("relu")) < cost(get("silu")) < cost(get("srelu"))
    for name, value in itertools.product(("inputs", "gradient", "cost"), (0, -1.0, float("inf"), True, "a")):
        with pytest.raises(InputError, match=rf"{name} of \[space.filters\] must be a positive number"):
            Filters(**{name: value})


def test_one_function_has_one_fingerprint() -> None:
    same = ["max(x, 0)", "(x + abs(x))/2", "x - min(x, 0)", "relu"]
    assert len({fingerprint(get(t)) for t in same}) == 1
    others = ["x*sigmoid(x)", "x*erf(x)", "max(x, 0)**2", "max(x, 0.001)", "x", "tanh(x)"]
    assert len({fingerprint(get(t)) for t in [*others, *same]}) == len(others) + 1


def test_any_formula_is_compiled_or_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, grammar, filters = np.random.default_rng(3), Grammar(depth=2), Filters()
    x = torch.linspace(-2, 2, 40, dtype=torch.float64)
    compiled = 0
    for _ in range(150):
        choices = {name: options[rng.integers(len(options))] for name, options in grammar.choices.items()}
        try:
            found = get(str(get(grammar.text(choices.__getitem__))))
            y = compile_kernel(found, "aten")(x).numpy()
        except EafoError:
            continue
        compiled += 1
        expected = found(x.numpy())
        near = np.isfinite(expected) & (np.abs(expected) < 1e6)
        assert y[near] == pytest.approx(expected[near], rel=1e-9, abs=1e-12)
    assert compiled > 120

    def tripped(self: Filters, activation: Activation) -> str:
        raise RecursionError("too deep")

    monkeypatch.setattr(Filters, "_looked_at", tripped)
    assert filters.refusal(get("cos(x)*erf(x)")) == "it cannot be compiled (RecursionError: too deep)"
