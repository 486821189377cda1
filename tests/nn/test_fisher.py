"""The Kronecker factors of the Fisher information against that of every example's own gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eafo.errors import InputError
from eafo.nn.fisher import Factors, kronecker


def by_examples(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """1/N Σ ∇ℓ ∇ℓᵀ by a gradient of each example's loss ½|layer(x) − y|²."""
    rows = []
    for one, target in zip(x, y, strict=True):
        loss = 0.5 * (layer(one[None]) - target[None]).square().sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(layer.parameters()))]))
    gradients = torch.stack(rows).double()
    return (gradients.T @ gradients / len(x)).numpy()


def found(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Factors:
    (factors,) = kronecker(layer, lambda: 0.5 * (layer(x) - y).square().flatten(1).sum(1).mean(), len(x))
    return factors


def assert_same(eigenvalues: np.ndarray, fisher: np.ndarray) -> None:
    expected = np.linalg.eigvalsh(fisher)
    ours = np.zeros(expected.size)
    ours[ours.size - eigenvalues.size :] = np.sort(eigenvalues)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * expected[-1])


@pytest.mark.parametrize("bias", [True, False])
def test_where_inputs_and_gradients_are_independent_the_spectrum_is_exact(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 3, bias=bias)
    inputs, errors = torch.randn(5, 4), torch.randn(6, 3)
    # Every input with every error: the law of both is the product of their own.
    x = inputs.repeat_interleave(len(errors), 0)
    y = layer(x).detach() - errors.repeat(len(inputs), 1)
    factors = found(layer, x, y)
    fisher = by_examples(layer, x, y)
    assert factors.weights == len(fisher) == 3 * (4 + bias)
    assert_same(factors.eigenvalues, fisher)
    assert len(factors.eigenvalues) == len(fisher)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(5, 3), (5,)), (nn.Conv1d(2, 3, 4), (2, 4)), (nn.Conv2d(2, 3, 2), (2, 2, 2))],
)
def test_one_example_at_one_place_is_exact(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.randn(1, *shape)
    y = torch.randn_like(layer(x))
    factors = found(layer, x, y)
    assert len(factors.eigenvalues) == 1
    assert_same(factors.eigenvalues, by_examples(layer, x, y))
    # Of one example, the gradient's square is the only eigenvalue.
    assert factors.gradient**2 == pytest.approx(factors.eigenvalues[0], rel=1e-5)


def test_inputs_of_one_length_have_the_exact_trace() -> None:
    torch.manual_seed(2)
    layer = nn.Linear(6, 4, bias=False)
    x = nn.functional.normalize(torch.randn(9, 6))
    y = torch.randn(9, 4)
    assert found(layer, x, y).eigenvalues.sum() == pytest.approx(np.trace(by_examples(layer, x, y)), rel=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 11)),
        (nn.Conv1d(2, 3, 3, dilation=2, bias=False), (2, 11)),
        (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 6, 5)),
        (nn.Linear(4, 3), (7, 4)),
    ],
)
def test_the_patches_are_those_of_the_gradient(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Σ g aᵀ over examples and places is the gradient by the weights."""
    from eafo.nn import fisher

    torch.manual_seed(3)
    x = torch.randn(5, *shape)
    outputs = layer(x)
    back = torch.randn_like(outputs)
    (gradient,) = torch.autograd.grad((outputs * back).sum(), [layer.weight])
    rows, sides = fisher._rows(layer, x, 5), fisher._sides(layer, back, 5)
    torch.testing.assert_close(torch.einsum("nto,ntd->od", sides, rows), gradient.flatten(1))


def test_a_layer_used_twice_has_twice_the_places() -> None:
    layer = nn.Linear(2, 2)
    x = torch.tensor([[1.0, 2.0]])
    (once,) = kronecker(layer, lambda: layer(x).sum(), 1)
    (twice,) = kronecker(layer, lambda: layer(x).sum() + layer(x).sum(), 1)
    assert twice.eigenvalues.tolist() == pytest.approx((2 * once.eigenvalues).tolist())
    assert twice.gradient == pytest.approx(2 * once.gradient)


def test_what_has_no_factors_is_left_out() -> None:
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2), nn.ReLU(), nn.Conv1d(4, 1, 3, padding="same"), nn.Flatten()
    )
    assert kronecker(model, lambda: model(torch.ones(2, 2, 8)).mean(), 2) == ()


def test_inputs_that_are_not_finite_are_refused() -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(InputError, match="a layer's inputs and gradients must be finite"):
        kronecker(layer, lambda: layer(torch.tensor([[1.0, torch.inf]])).sum(), 1)
