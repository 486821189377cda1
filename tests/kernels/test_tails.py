"""Logarithms of tails: values and slopes where the tail itself has underflowed, against SciPy and asymptotics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import torch

from eafo import kernels
from eafo.catalog import get

NORMAL = "-log(erfc(x/sqrt(2))/2)"
HALF_NORMAL = "where(x > 0, -log(erfc(x/sqrt(2))), 0)"
GUMBEL = "-log(1 - exp(-exp(-x)))"


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize("formula", [NORMAL, HALF_NORMAL, GUMBEL, "-log(1 - exp(-2*exp(1 - x/3)))"])
def test_a_kernel_agrees_with_the_oracle(formula, backend):
    assert kernels.verify(formula, backend=backend, points=201).ok


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_normal_tail_far_out(dtype, backend):
    x = torch.tensor([-1e6, -40.0, -9.0, 0.0, 9.0, 30.0, 200.0, 1e6, 1e15], dtype=dtype, requires_grad=True)
    y = kernels.compile_kernel(get(NORMAL), backend)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    at = x.detach().double().numpy()
    logarithm = scipy.special.log_ndtr(-at)
    tolerance = 4e-6 if dtype == torch.float32 else 1e-13
    tiny = float(torch.finfo(dtype).tiny)
    np.testing.assert_allclose(y.detach(), -logarithm, rtol=tolerance, atol=tiny)
    inner, outer = np.abs(at) < 10, at > 100
    hazard = np.exp(-(at[inner] ** 2) / 2 - logarithm[inner]) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(slope[inner], hazard, rtol=10 * tolerance, atol=tiny)
    # The inverse of Mills's ratio, its asymptotic series.
    series = at[outer] + 1 / at[outer] - 2 / at[outer] ** 3 + 10 / at[outer] ** 5
    np.testing.assert_allclose(slope[outer], series, rtol=tolerance)


@pytest.mark.parametrize("backend", ["aten", "cpp"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_gumbel_tail_is_finite_over_the_whole_range(dtype, backend):
    largest = torch.finfo(dtype).max
    sizes = 10.0 ** np.linspace(-30, math.log10(largest) - 1e-9, 500)
    x = torch.tensor(np.concatenate([-sizes[::-1], [0.0], sizes])).clamp(-largest, largest)
    x = x.to(dtype).requires_grad_()
    y = kernels.compile_kernel(get(GUMBEL), backend)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.isfinite(y).all()
    assert torch.isfinite(slope).all()
    assert (slope >= 0).all()
    assert (slope <= 1).all()
    far = x.detach() > 100
    assert torch.equal(y.detach()[far], x.detach()[far])


def test_numpy_values_keep_their_digits_too():
    x = np.array([-30.0, -5.0, 0.0, 7.0, 8.0, 20.0, 40.0, 800.0])
    np.testing.assert_allclose(get(NORMAL)(x), -scipy.special.log_ndtr(-x), rtol=1e-12)
    gumbel = np.where(x > 30, x, -np.log(-np.expm1(-np.exp(-np.minimum(x, 30)))))
    np.testing.assert_allclose(get(GUMBEL)(x), gumbel, rtol=1e-12, atol=1e-30)


def test_a_second_derivative_has_the_right_value():
    x = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    for formula in (NORMAL, GUMBEL):
        f = kernels.compile_kernel(get(formula), "aten")
        (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x)
        exact = get(formula).diff(2)(x.detach().numpy())
        np.testing.assert_allclose(curvature, exact, rtol=1e-12)
