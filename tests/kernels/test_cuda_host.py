"""The CUDA source on the host: every launch of the runner, with its geometry, tails, slots, tickets and sums, through a shim."""

from __future__ import annotations

import math

import halves
import pytest
import torch
from cuda_host import HostRunner, on_host

from eafo.catalog import get, names
from eafo.kernels import build, compile_kernel, computation
from eafo.kernels.backends import cuda
from eafo.kernels.coding import slope_code
from eafo.kernels.launch import are_plain
from eafo.kernels.launch import cuda as launching
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.launch.layout import are_served
from eafo.kernels.lower import Scalar

pytestmark = [
    pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine"),
    pytest.mark.skipif(
        not build._processor().count("f16c"), reason="the shim takes half precisions from F16C"
    ),
]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-10}
EXACT = ["crrelu", "gelu", "silu", "mish", "elu", "srelu"]


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch):
    """So that threads take several turns."""
    monkeypatch.setattr(launching, "_resident", lambda *_: 6)


@pytest.fixture(scope="module", params=[*((n, False) for n in names()), *((n, True) for n in EXACT)], ids=str)
def both(request):
    """A runner on the host and the same function in plain operations of float64, with every parameter learnable."""
    name, exact = request.param
    act = get(name)
    scalar = Scalar.of(act.with_learnable(*act.defaults))
    return HostRunner(scalar, exact), AtenRunner(scalar), tuple(act.defaults.values())


def _normal(*shape, seed=0):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _assert_close(found, expected, dtype, terms=1):
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape
        scale = max(1.0, b.abs().max().item() if b.numel() else 0.0) * (1 if i < 1 else terms**0.5)
        assert not a.isnan().any()
        error = (a.double() - b).abs().max().item() if b.numel() else 0.0
        assert error <= TOLERANCE[dtype] * scale, (i, error)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients_with_heads_and_tails(both, dtype):
    runner, exact, values = both
    # More than two blocks take in one turn; one element; parts of packs, of warps and of blocks; not aligned, alike and not.
    for n, skipped, other in ((30_011, 0, 0), (1, 0, 0), (7, 0, 0), (257, 1, 1), (4099, 3, 3), (4099, 1, 2)):
        x, grad = _normal(n + skipped).to(dtype)[skipped:], _normal(n + other, seed=1).to(dtype)[other:]
        wide = x.double(), grad.double()
        _assert_close([runner.forward(x, values)], [exact.forward(wide[0], values)], dtype)
        found = runner.backward(x, values, grad)
        _assert_close(found, exact.backward(wide[0], values, wide[1]), dtype, n)
        again = runner.backward(x, values, grad)
        assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precisions_are_within_a_unit_at_every_input(both, dtype):
    runner, exact, values = both
    x = halves.every(dtype)
    ones, values = torch.ones_like(x), tuple(float(torch.tensor(v)) for v in values)
    halves.assert_within_a_unit(x, runner.forward(x, values), exact.forward(x.double(), values))
    slope = exact.backward(x.double(), values, ones.double())[0]
    halves.assert_within_a_unit(x, runner.backward(x, values, ones)[0], slope)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["crrelu", "gelu", "silu", "prelu"])
def test_the_gated_form(name, dtype):
    act = get(name)
    scalar, values = Scalar.of(act), tuple(act.defaults.values())
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    for n, skipped in ((20_011, 0), (5, 0), (4099, 1)):
        x, gate, grad = (_normal(n + skipped, seed=s).to(dtype)[skipped:] for s in range(3))
        wide = x.double(), gate.double(), grad.double()
        _assert_close([runner.gated(x, gate, values)], [exact.forward(wide[0], values) * wide[1]], dtype)
        found = runner.gated_backward(x, gate, values, grad)
        dx, *sums = exact.backward(wide[0], values, wide[1] * wide[2])
        dgate = wide[2] * exact.forward(wide[0], values)
        _assert_close(found[:1], [dx], dtype)
        _assert_close(found[1:2], [dgate], dtype)
        assert len(found) == 2 + len(scalar.learnable)
        _assert_close((dx, *found[2:]), (dx, *sums), dtype, 9 * n)


#: The shape of x, that of a parameter, and how x lies in memory.
CHANNELS = {
    "a pack a row": ((50, 8), (8,), None),
    "whole packs": ((333, 48), (48,), None),
    "parts of packs": ((111, 33), (33,), None),
    "one row": ((1, 40), (40,), None),
    "several groups": ((7, 2400), (2400,), None),
    "several groups of single channels": ((3, 1025), (1025,), None),
    "nchw": ((3, 8, 5, 7), (8, 1, 1), None),
    "large planes": ((1, 3, 90, 150), (3, 1, 1), None),
    "channels last": ((3, 8, 5, 7), (8, 1, 1), torch.channels_last),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["crrelu", "xielu"])
def test_a_value_a_channel(name, dtype):
    act = get(name)
    scalar = Scalar.of(act)
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    for shape, channel, order in CHANNELS.values():
        x, grad = (_normal(*shape, seed=s).to(dtype) for s in range(2))
        if order:
            x, grad = (t.to(memory_format=order) for t in (x, grad))
        count, real = math.prod(channel), torch.promote_types(dtype, torch.float32)
        values = tuple(
            v + 0.1 * torch.arange(count, dtype=torch.float64).to(real).reshape(channel) / count
            if p.learnable
            else v
            for p, v in zip(act.parameters, act.defaults.values(), strict=True)
        )
        assert HostRunner.serves(x, values) is False
        wide = tuple(v.double() if isinstance(v, torch.Tensor) else v for v in values)
        _assert_close([runner.forward(x, values)], [exact.forward(x.double(), wide)], dtype)
        found = runner.backward(x, values, grad)
        assert found[0].stride() == x.stride()
        expected = exact.backward(x.double(), wide, grad.double())
        _assert_close(found, expected, dtype, x.numel() // count)
        assert all(torch.equal(a, b) for a, b in zip(found, runner.backward(x, values, grad), strict=True))


@pytest.mark.parametrize("given", [*DTYPES, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (24,)], ids=["one", "a channel"])
def test_parameters_are_read_and_their_gradients_written_in_their_own_type(shape, given):
    scalar = Scalar.of(get("crrelu"))
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    x, grad = _normal(50, 24), _normal(50, 24, seed=1)
    # Neither dense nor of the opposite sign in memory.
    epsilon = torch.arange(1, 49)[::2].to(given) if shape else torch.tensor(2).to(given)
    if given.is_floating_point:
        epsilon = torch._neg_view(-epsilon / 16)
    for dtype in DTYPES:
        wide = x.to(dtype).double(), grad.to(dtype).double()
        found = runner.backward(x.to(dtype), (epsilon,), grad.to(dtype))
        expected = exact.backward(wide[0], (epsilon.double(),), wide[1])
        assert found[1].dtype == given
        _assert_close(found[:1], expected[:1], dtype)
        if given.is_floating_point:
            close = max(TOLERANCE[given], TOLERANCE[torch.float32])
            torch.testing.assert_close(found[1].double(), expected[1], rtol=close, atol=100 * close)
        y = runner.forward(x.to(dtype), (epsilon,))
        _assert_close([y], [exact.forward(wide[0], (epsilon.double(),))], dtype)


def test_one_value_and_a_value_a_channel_beside_each_other():
    act = get("xielu")
    scalar, values = Scalar.of(act), tuple(act.defaults.values())
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    x, grad = _normal(50, 24), _normal(50, 24, seed=1)
    kinds = (torch.tensor(values[0]), torch.full((24,), values[1], dtype=torch.float64), *values[2:])
    found, expected = (r.backward(x, kinds, grad) for r in (runner, exact))
    assert [s.shape for s in found] == [x.shape, (), (24,)]
    _assert_close(found, expected, torch.float32, 50)


@pytest.mark.parametrize("backend", [HostRunner, CppRunner, AtenRunner])
def test_the_code_of_no_number_is_the_last_one(backend):
    scalar = Scalar.of(get("gelu"))
    levels = torch.tensor(slope_code(scalar, (), "normal").levels, dtype=torch.float64)
    runner, x = backend(scalar), torch.tensor([math.nan, 0.0])
    _, packed = runner.coded(x, (), levels)
    assert runner.coded_backward(packed, torch.ones(2), levels)[0] == levels[-1].float()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_a_code_of_four_bits(name, dtype):
    scalar = Scalar.of(get(name))
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    levels = torch.tensor(slope_code(scalar, (), "normal").levels, dtype=torch.float64)
    for n in (20_011, 1, 2, 9, 4096):
        x, grad = (_normal(n, seed=s).to(dtype) for s in range(2))
        y, packed = runner.coded(x, (), levels)
        _assert_close([y], [exact.forward(x.double(), ())], dtype)
        assert packed.numel() == (n + 1) // 2
        slope = exact.backward(x.double(), (), torch.ones(n, dtype=torch.float64))[0]
        found = runner.coded_backward(packed, torch.ones_like(x), levels)
        # The nearest level, but where rounding decides between two.
        nearest = (slope[:, None] - levels).abs().min(1).values
        assert ((found.double() - slope).abs() <= nearest + TOLERANCE[dtype] * 2).all()
        dx = runner.coded_backward(packed, grad, levels).double()
        torch.testing.assert_close(
            dx, found.double() * grad.double(), rtol=2 * TOLERANCE[dtype], atol=2.0**-24
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["identity", "gelu", "crrelu"])
def test_eight_bits(name, dtype):
    act = get(name)
    scalar, values = Scalar.of(act), tuple(act.defaults.values())
    runner, exact = HostRunner(scalar), AtenRunner(scalar)
    for n, skipped in ((20_011, 0), (3, 0), (4099, 1)):
        x = (100 * _normal(n + skipped)).to(dtype)[skipped:]
        x[: n // 2] /= 2000
        found = runner.float8(x, values, 1.5)
        assert found.dtype == torch.float8_e4m3fn
        right = (exact.forward(x.double(), values) * 1.5).clamp(-448, 448)
        # Half a step of the type, and what the kernel itself errs by.
        step = torch.exp2(torch.floor(torch.log2(right.abs().clamp(min=2.0**-6))) - 3)
        assert ((found.double() - right).abs() <= step * (0.5 + 2**-8)).all()
        assert torch.equal(
            found.view(torch.uint8), runner.float8(x, values, torch.tensor(1.5)).view(torch.uint8)
        )
    assert runner.float8(torch.empty(0, 3, dtype=dtype), values, 1.0).shape == (0, 3)


def test_eight_bits_are_those_of_torch_at_every_bfloat16():
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    x = bits.view(torch.bfloat16).float()
    found = HostRunner(Scalar.of(get("identity"))).float8(x, (), 1.0)
    expected = x.clamp(-448, 448).to(torch.float8_e4m3fn)
    assert torch.equal(found.float().isnan(), expected.float().isnan())
    same = found.view(torch.uint8) == expected.view(torch.uint8)
    assert (same | expected.float().isnan()).all()


def test_infinities_and_nan():
    for name in names():
        act = get(name)
        scalar, values = Scalar.of(act), tuple(act.defaults.values())
        x = torch.tensor([math.inf, -math.inf, math.nan] + [0.0] * 5)
        found, right = (r(scalar).forward(x, values) for r in (HostRunner, CppRunner))
        assert found[2].isnan()
        assert torch.equal(found[:2].isnan(), right[:2].isnan())
        known = ~right[:2].isnan()
        torch.testing.assert_close(found[:2][known], right[:2][known])


def test_bfloat16_is_rounded_to_the_nearest_even():
    import ctypes

    source = (
        on_host(cuda.source(Scalar.of(get("identity"))))
        + """
extern "C" void round_all(const float* xs, unsigned short* ys, long long n) {
    for (long long i = 0; i < n; ++i) { bfloat16_t b; store(b, xs[i]); ys[i] = b.bits; }
}
"""
    )
    bits = torch.randint(-(2**31), 2**31, (20_000,), generator=torch.Generator().manual_seed(0))
    x = torch.cat([bits.to(torch.int32), (bits & ~0xFFFF | 0x8000).to(torch.int32)]).view(torch.float32)
    found = torch.empty(len(x), dtype=torch.bfloat16)
    build.load_cpp(source).round_all(
        ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(found.data_ptr()), ctypes.c_longlong(len(x))
    )
    torch.testing.assert_close(found, x.to(torch.bfloat16), rtol=0, atol=0, equal_nan=True)


class _Served(HostRunner):
    """One that takes tensors of the CPU for those of a GPU."""

    @staticmethod
    def serves(x, values, *others):
        return x.is_floating_point() and are_served(x, values) and are_plain(x, *values, *others)


@pytest.fixture
def through_cuda(monkeypatch, no_kernels_kept):
    """Compile a kernel whose calls run the CUDA source."""
    monkeypatch.setattr(computation, "CudaRunner", _Served)

    def compile_for(name, **options):
        kernel = compile_kernel(name, "cuda", **options)
        assert kernel.served_by(torch.ones(2)) == "cuda"
        return kernel

    return compile_for


@pytest.mark.parametrize("precision", ["fast", "exact"])
def test_autograd_sees_every_form(through_cuda, precision):
    x, gate, weight = (_normal(70, 24, seed=s).float() for s in range(3))
    bias, epsilon = _normal(24, seed=3).float(), torch.full((24,), 0.2)
    kernels = through_cuda("crrelu", precision=precision), compile_kernel("crrelu", "aten")
    forms = (
        (lambda k, x, e: k(x, epsilon=e), (x, torch.tensor(0.3))),
        (lambda k, x, e: k(x, epsilon=e), (x, epsilon)),
        (lambda k, x, b: k.gated(x, b), (x, gate)),
        (lambda k, x, b: k.biased(x, b), (x, bias)),
        (lambda k, x, e: k(x, epsilon=e), (x.view(7, 10, 24).transpose(1, 2), epsilon[:, None])),
    )
    for form, given in forms:
        results = []
        for kernel in kernels:
            leaves = [t.detach().clone().requires_grad_() for t in given]
            y = form(kernel, *leaves)
            results.append((y, *torch.autograd.grad(y, leaves, weight.view(y.shape))))
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-4)
        with torch.no_grad():
            torch.testing.assert_close(form(kernels[0], *given), results[1][0], rtol=2e-5, atol=2e-5)


def test_autograd_sees_the_code_and_eight_bits(through_cuda):
    x = _normal(1001).float()
    results = []
    for kernel in (through_cuda("gelu", save="code"), compile_kernel("gelu", "aten", save="code")):
        leaf = x.clone().requires_grad_()
        y = kernel(leaf)
        results.append((y, *torch.autograd.grad(y.sum(), leaf), kernel.float8(x, 2.0).float()))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1])
    # Where rounding to eight bits decides between two.
    assert (results[0][2] != results[1][2]).float().mean() < 0.002


def test_second_derivatives_go_through_plain_operations(through_cuda):
    x = _normal(9).requires_grad_()
    kernel = through_cuda("silu")
    assert torch.autograd.gradcheck(kernel, (x,))
    assert torch.autograd.gradgradcheck(kernel, (x,))
