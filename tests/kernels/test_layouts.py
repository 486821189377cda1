"""Every activation of the catalog by every backend, precision, type and layout: values, gradients, and writing over x."""

from __future__ import annotations

import pytest
import torch

from eafo.catalog import get, names
from eafo.kernels import build, compile_kernel

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
BACKENDS = [("aten", "fast"), ("aten", "exact"), *[("cpp", p) for p in ("fast", "exact")]]
#: Of the largest magnitude among what is compared; a sum is compared beside the sum of its terms' magnitudes.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}

#: The shape of what lies in memory, and the view of it that is x.
LAYOUTS = {
    "contiguous": ((7, 33), lambda t: t),
    "strided": ((12, 30), lambda t: t[::2, 1::3]),
    "transposed": ((9, 17), lambda t: t.t()),
    "permuted": ((3, 5, 7), lambda t: t.permute(2, 0, 1)),
    "expanded": ((5, 1), lambda t: t.expand(5, 21)),
    "overlapping": ((40,), lambda t: t.unfold(0, 6, 2)),
    "channels last": ((2, 3, 5, 7), lambda t: t.to(memory_format=torch.channels_last)),
    "channels last, 3d": ((2, 3, 2, 3, 5), lambda t: t.to(memory_format=torch.channels_last_3d)),
    "empty": ((0, 3), lambda t: t),
    "zero-dimensional": ((), lambda t: t),
    "unaligned": ((100,), lambda t: t[1:]),
    "negative": ((50,), torch._neg_view),
}
WRITABLE = LAYOUTS.keys() - {"expanded", "overlapping", "negative"}


@pytest.fixture(scope="module", params=names())
def fully_learnable(request):
    act = get(request.param)
    return act.with_learnable(*act.defaults)


def _made(layout, dtype):
    shape, view = LAYOUTS[layout]
    generator = torch.Generator().manual_seed(4)
    return view((3 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype))


def _results(kernel, x, values, weight):
    leaf = x.detach().requires_grad_()
    learned = [v.detach().requires_grad_() for v in values]
    y = kernel.apply(leaf, tuple(learned))
    return y.detach(), *torch.autograd.grad(y, [leaf, *learned], weight)


@needs_compiler
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("backend", "precision"), BACKENDS)
def test_values_and_gradients_in_every_layout(fully_learnable, backend, precision, dtype):
    kernel, exact = (
        compile_kernel(fully_learnable, backend, precision),
        compile_kernel(fully_learnable, "aten"),
    )
    values = [torch.tensor(v, dtype=dtype) for v in fully_learnable.defaults.values()]
    for layout in LAYOUTS:
        x = _made(layout, dtype)
        # Laid out unlike x, as what comes from a broadcast is.
        weight = torch.tensor(0.75, dtype=dtype).expand(x.shape)
        wide = x.double().contiguous()
        found = _results(kernel, x, values, weight)
        expected = _results(exact, wide, [v.double() for v in values], weight.double())
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert (a.shape, a.dtype) == (b.shape, dtype), layout
            scale = max(b.abs().max().item() if b.numel() else 0.0, 1.0)
            if i > 1:
                scale *= max(x.numel(), 1) ** 0.5
            error = (a.double() - b).abs().max().item() if b.numel() else 0.0
            assert error <= TOLERANCE[dtype] * scale, (layout, i, error)


@needs_compiler
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("backend", "precision"), BACKENDS)
def test_writing_over_x_in_every_layout_that_can_be_written(fully_learnable, backend, precision, dtype):
    kernel = compile_kernel(fully_learnable, backend, precision)
    values = tuple(fully_learnable.defaults.values())
    for layout in WRITABLE:
        x, before = _made(layout, dtype), _made(layout, dtype)
        expected = kernel.apply(before, values)
        assert kernel.apply_(x, values) is x
        assert x.stride() == before.stride()
        torch.testing.assert_close(
            x, expected, rtol=0, atol=0 if backend == "aten" else TOLERANCE[dtype] * 10, msg=layout
        )
