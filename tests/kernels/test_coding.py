"""f′ in four bits: the best levels for a law, what is kept, what is refused."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch

from eafo import laws
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel
from eafo.kernels.coding import _means_of_groups
from eafo.nn import Module

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
BACKENDS = ["aten", pytest.param("cpp", marks=needs_compiler)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
FIXED = [name for name in names() if not get(name).learnable]


def _slopes(name, x):
    x = x.clone().requires_grad_()
    y = compile_kernel(name, "aten")(x)
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


def test_runs_are_cut_where_the_squared_error_is_least(monkeypatch):
    monkeypatch.setattr("eafo.kernels.coding.LEVELS", 3)
    numbers = np.sort(np.random.default_rng(1).normal(size=11))

    def error(edges):
        return sum(((numbers[a:b] - numbers[a:b].mean()) ** 2).sum() for a, b in itertools.pairwise(edges))

    best = min(((0, *inner, 11) for inner in itertools.combinations(range(1, 11), 2)), key=error)
    means = [numbers[a:b].mean() for a, b in itertools.pairwise(best)]
    assert _means_of_groups(numbers) == pytest.approx(means)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "tanh", "sin"])
def test_the_stated_error_is_that_of_fresh_samples(name):
    code = compile_kernel(name, "aten", save="code").code
    x = torch.randn(400_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    slopes = _slopes(name, x)
    levels = torch.tensor(code.levels, dtype=torch.float64)
    kept = levels[(slopes[:, None] - levels).abs().argmin(dim=1)]
    error = ((slopes - kept) ** 2).mean().sqrt() / (slopes**2).mean().sqrt()
    assert error.item() == pytest.approx(code.error, rel=0.02)
    assert (kept - slopes).mean().abs() < 1e-3
    # Sixteen even steps, the obvious choice, lose more.
    low, high = slopes.min(), slopes.max()
    even = low + ((slopes - low) / (high - low) * 15).round() * (high - low) / 15
    assert error < ((slopes - even) ** 2).mean().sqrt() / (slopes**2).mean().sqrt()


def test_few_slopes_lose_nothing_and_another_law_has_other_levels():
    assert compile_kernel("relu", save="code").code.error == 0
    normal, narrow = (compile_kernel("gelu", save="code", law=law).code for law in ("normal", "uniform"))
    assert normal.levels != narrow.levels
    assert laws.get("uniform").__str__() == narrow.law


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FIXED)
def test_the_gradient_is_the_nearest_level(name, backend, dtype):
    kernel = compile_kernel(name, backend, save="code")
    levels = torch.tensor(kernel.code.levels, dtype=torch.float64)
    for count in (1, 2, 5, 1024, 1025, 3071):
        x = (
            (torch.randn(count, generator=torch.Generator().manual_seed(count)) * 3)
            .to(dtype)
            .requires_grad_()
        )
        y = kernel(x)
        torch.testing.assert_close(y, compile_kernel(name, backend)(x))
        (found,) = torch.autograd.grad(y, x, torch.full_like(y, 2.0))
        slopes = _slopes(name, x.detach().double())
        distance = (slopes[:, None] - levels).abs()
        chosen = (found.double()[:, None] / 2 - levels).abs().argmin(dim=1, keepdim=True)
        # A slope in the middle of two levels may take either.
        assert (distance.gather(1, chosen)[:, 0] - distance.min(dim=1).values).max() < 1e-5
        assert torch.equal(found, (2 * levels[chosen[:, 0]]).to(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0,), (), (3, 5), (2, 3, 4, 5)], ids=str)
def test_a_quarter_of_bfloat16_is_kept_and_layouts_do_not_matter(shape, backend):
    x = torch.randn(shape).bfloat16()
    kernel, kept = compile_kernel("silu", backend, save="code"), []
    views = (
        [x, x.t()]
        if x.ndim == 2
        else [x] + ([x.to(memory_format=torch.channels_last)] if x.ndim == 4 else [])
    )
    for view in views:
        leaf = view.detach().requires_grad_()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            y = kernel(leaf)
        assert sum(t.numel() * t.element_size() for t in kept) == -(-leaf.numel() // 2)
        (found,) = torch.autograd.grad(y, leaf, torch.ones(y.shape, dtype=y.dtype))
        flat = view.reshape(-1).detach().requires_grad_()
        (expected,) = torch.autograd.grad(kernel(flat).sum(), flat)
        assert torch.equal(found, expected.view(view.shape))


@needs_compiler
def test_the_same_bits_whatever_the_threads():
    x, kernel, before, found = (
        torch.randn(100_001),
        compile_kernel("gelu", "cpp", save="code"),
        torch.get_num_threads(),
        [],
    )
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            leaf = x.clone().requires_grad_()
            found += [torch.autograd.grad(kernel(leaf).sum(), leaf)[0]]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_what_needs_x_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"for activations without learnable parameters, but got 'epsilon'"):
        compile_kernel("crrelu", save="code")
    with pytest.raises(InputError, match="what is saved for backward is: x, code"):
        compile_kernel("gelu", save="nothing")
    with pytest.raises(InputError, match="a layer that writes over x keeps a copy of it"):
        Module("gelu", inplace=True, save="code")
    x = torch.randn(4, requires_grad=True)
    with pytest.raises(InputError, match="four bits of f′, which have no derivative"):
        torch.autograd.grad(compile_kernel("gelu", save="code")(x).sum(), x, create_graph=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_transforms_keep_x_and_inference_keeps_nothing():
    kernel, x = compile_kernel("gelu", save="code"), torch.randn(5)
    slope = torch.func.vmap(torch.func.grad(kernel))(x)
    torch.testing.assert_close(slope, _slopes("gelu", x))
    assert not kernel(x).requires_grad


def test_a_module_shows_its_code_and_is_pickled_with_it():
    layer = Module("gelu", save="code", law="logistic")
    assert "save='code' for logistic" in repr(layer)
    again, x = pickle.loads(pickle.dumps(layer)), torch.randn(20, requires_grad=True)
    for a, b in itertools.pairwise([torch.autograd.grad(m(x).sum(), x)[0] for m in (layer, again)]):
        assert torch.equal(a, b)
    assert again.kernel.code == layer.kernel.code


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_of_gradients_and_other_values_of_parameters(backend):
    kernel, x = compile_kernel("gelu", backend, save="code"), torch.randn(40, 30).t().requires_grad_()
    y = kernel(x)
    (slopes,) = torch.autograd.grad(y, x, torch.ones_like(y), retain_graph=True)
    weights = torch.randn(3, 30, 40)
    (found,) = torch.autograd.grad(y, x, weights, is_grads_batched=True)
    torch.testing.assert_close(found, weights * slopes)
    swish = compile_kernel(get("swish").with_learnable(), backend, save="code")
    for beta in (torch.tensor(1.0), torch.linspace(0.5, 2, 40)):
        (found,) = torch.autograd.grad(swish(x, beta=beta).sum(), x)
        (expected,) = torch.autograd.grad((x * torch.sigmoid(beta * x)).sum(), x)
        assert (found - expected).abs().max() < (0.3 if beta.ndim == 0 else 1e-5)
