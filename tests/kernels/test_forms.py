"""Parameters by channel, the gated form f(x) b and the bias form f(x + b): one pass, and what plain operations give."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn import functional

from eafo.activation import VARIABLE as X
from eafo.activation import Activation, Parameter
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel
from eafo.kernels.launch.cpp import CppRunner
from eafo.nn import Module

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}

#: How x lies in memory, and the shape of a parameter beside it.
LAYOUTS = {
    "last": (lambda x: x(33, 24), (24,)),
    "last of three": (lambda x: x(5, 7, 24), (24,)),
    "nchw": (lambda x: x(3, 8, 5, 7), (8, 1, 1)),
    "large planes": (lambda x: x(1, 3, 150, 151), (3, 1, 1)),
    "channels last": (lambda x: x(3, 8, 5, 7).to(memory_format=torch.channels_last), (8, 1, 1)),
    "transposed": (lambda x: x(24, 33).t(), (24,)),
    "strided": (lambda x: x(33, 48)[:, ::2], (24,)),
    "first": (lambda x: x(24, 33), (24, 1)),
    "whole shape": (lambda x: x(3, 8, 5), (1, 8, 1)),
}


def _normal(dtype):
    generator = torch.Generator().manual_seed(5)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def _gradients(y, leaves):
    weight = torch.linspace(0.5, 1.5, y.numel(), dtype=torch.float64).view(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, leaves, weight)]


def _assert_close(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        scale = b.double().abs().max().item()
        torch.testing.assert_close(
            a.double(), b.double(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale
        )


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_value_a_channel_is_one_pass(layout, dtype):
    make, shape = LAYOUTS[layout]
    x = make(_normal(dtype))
    epsilon = (_normal(torch.float64)(*shape) / 3).to(dtype)
    assert CppRunner.serves(x, (epsilon,))
    results = []
    for backend in ("cpp", "aten"):
        leaf, learned = x.detach().requires_grad_(), epsilon.clone().requires_grad_()
        results.append(_gradients(compile_kernel("crrelu", backend)(leaf, epsilon=learned), [leaf, learned]))
    _assert_close(*results, dtype)
    dense = torch.empty_like(x).stride()
    assert [t.stride() for t in results[0][:2]] == [dense, dense]


@needs_compiler
def test_several_parameters_some_by_channel():
    act = Activation("several", X * Parameter("a", 1).symbol + Parameter("b", 2).symbol * X**2 / Parameter("c", 3).symbol,
                     (Parameter("a", 1.0), Parameter("b", 2.0), Parameter("c", 3.0)))  # fmt: skip
    x = _normal(torch.float64)(4, 6, 5)
    results = []
    for backend in ("cpp", "aten"):
        a, b, c = (
            torch.linspace(1, 2, 6)[:, None].double(),
            torch.tensor(0.7).double(),
            torch.tensor([[1.5]]).double(),
        )
        leaves = [x.clone().requires_grad_(), *(v.requires_grad_() for v in (a, b, c))]
        y = compile_kernel(act.with_learnable("a", "b", "c"), backend)(
            leaves[0], a=leaves[1], b=leaves[2], c=leaves[3]
        )
        results.append(_gradients(y, leaves))
    _assert_close(*results, torch.float64)


@pytest.mark.parametrize(
    ("shape", "values"),
    [((3, 4), [(3, 4)]), ((3, 4), [(4,), (3, 1)]), ((3, 4), [(1, 3, 4)]), ((4,), [(3, 1)]), ((0, 4), [(4,)])],
)
def test_what_differs_along_more_than_one_dimension_is_left_to_torch(shape, values):
    assert not CppRunner.serves(torch.ones(shape), tuple(torch.ones(v) for v in values))


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["last", "nchw", "large planes", "channels last"])
def test_sums_by_channel_have_the_same_bits_whatever_the_threads(layout, dtype):
    make, shape = LAYOUTS[layout]
    x = make(lambda *size: _normal(dtype)(20 * size[0], *size[1:]))
    kernel, before, found = compile_kernel("crrelu", "cpp"), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            leaf, epsilon = (
                x.detach().requires_grad_(),
                torch.full(shape, 0.1, dtype=dtype, requires_grad=True),
            )
            found.append(_gradients(kernel(leaf, epsilon=epsilon), [leaf, epsilon]))
    finally:
        torch.set_num_threads(before)
    for results in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results, found[0], strict=True))


@needs_compiler
@pytest.mark.parametrize("shape", [(3,), (2, 1)], ids=["last", "nchw"])
def test_gradcheck_and_gradgradcheck_by_channel(shape):
    x = _normal(torch.float64)(4, 2, 3).requires_grad_()
    epsilon = torch.full(shape, 0.3, dtype=torch.float64, requires_grad=True)
    kernel = compile_kernel("crrelu", "cpp")
    assert torch.autograd.gradcheck(lambda x, e: kernel(x, epsilon=e), (x, epsilon))
    assert torch.autograd.gradgradcheck(lambda x, e: kernel(x, epsilon=e), (x, epsilon))


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", names())
def test_the_gated_form_is_the_product(name, dtype):
    x, gate = _normal(dtype)(7, 1031) * 3, _normal(dtype)(1031, 7).t()
    leaves = [x.requires_grad_(), gate.requires_grad_()]
    found = _gradients(compile_kernel(name, "cpp").gated(*leaves), leaves)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = _gradients(compile_kernel(name, "aten")(wide[0]) * wide[1], wide)
    # The gradient of the gate is laid out as x is; autograd does not mind.
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(
            a.double(), b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * b.abs().max().item()
        )


@needs_compiler
def test_the_gated_form_keeps_two_tensors_and_learns():
    x, gate = (torch.randn(64, 48, requires_grad=True) for _ in range(2))
    epsilon, kept = torch.tensor(0.2, requires_grad=True), []
    kernel = compile_kernel("crrelu", "cpp")
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = kernel.gated(x, gate, epsilon=epsilon)
    assert sorted(t.numel() for t in kept) == [1, 64 * 48, 64 * 48]
    found = torch.autograd.grad(y.sum(), [x, gate, epsilon])
    expected = torch.autograd.grad(
        (compile_kernel("crrelu", "aten")(x, epsilon=epsilon) * gate).sum(), [x, gate, epsilon]
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=1e-5)


@needs_compiler
def test_gradcheck_and_gradgradcheck_of_the_gated_and_the_bias_form():
    x, gate = (_normal(torch.float64)(5, 4).requires_grad_() for _ in range(2))
    bias, epsilon = (
        _normal(torch.float64)(4).requires_grad_(),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
    )
    kernel = compile_kernel("crrelu", "cpp")
    for function, others in (
        (lambda x, g, e: kernel.gated(x, g, epsilon=e), (gate, epsilon)),
        (lambda x, b, e: kernel.biased(x, b, epsilon=e), (bias, epsilon)),
    ):
        assert torch.autograd.gradcheck(function, (x, *others))
        assert torch.autograd.gradgradcheck(function, (x, *others))


@pytest.mark.parametrize("backend", ["aten", pytest.param("cpp", marks=needs_compiler)])
def test_a_gate_that_only_broadcasts_or_is_of_another_type(backend):
    kernel, x = compile_kernel("silu", backend), torch.randn(6, 5)
    for gate in (torch.randn(5), torch.randn(6, 5).double(), torch.randn(6, 5).bfloat16()):
        expected = functional.silu(x) * gate
        found = kernel.gated(x, gate)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", ["aten", pytest.param("cpp", marks=needs_compiler)])
@pytest.mark.parametrize("shape", [(24,), (6, 1), ()], ids=str)
def test_the_bias_form_is_the_function_of_the_sum(shape, backend):
    x, bias = torch.randn(5, 6, 24, requires_grad=True), torch.randn(shape, requires_grad=True)
    found = _gradients(compile_kernel("gelu", backend).biased(x, bias), [x, bias])
    _assert_close(found, _gradients(functional.gelu(x + bias), [x, bias]), torch.float32)


@needs_compiler
def test_a_half_bias_is_added_in_float32():
    x, bias = torch.full((1, 3), 256.0).bfloat16(), torch.full((3,), 0.75).bfloat16()
    assert torch.equal(
        compile_kernel("identity", "cpp").biased(x, bias), (x.float() + bias.float()).bfloat16()
    )
    assert compile_kernel("x - 256", "cpp").biased(x, bias).tolist() == [[0.75] * 3]


# torch's own tracer instantiates the Function, and warns of it.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_torch_func_and_compile_see_both_forms():
    kernel, x, gate, bias = compile_kernel("silu"), *(torch.randn(4, 3) for _ in range(3))

    def run(x, gate, bias):
        return kernel.gated(x, gate) + kernel.biased(x, bias)

    expected = functional.silu(x) * gate + functional.silu(x + bias)
    torch.testing.assert_close(torch.func.vmap(run)(x, gate, bias), expected)
    torch.testing.assert_close(
        torch.compile(run, fullgraph=True, backend="aot_eager")(x, gate, bias), expected
    )
    slope = torch.func.grad(lambda g: run(x, g, bias).sum())(gate)
    torch.testing.assert_close(slope, functional.silu(x))
    moved, tangent = torch.func.jvp(lambda x: run(x, gate, bias), (x,), (torch.ones_like(x),))
    torch.testing.assert_close(moved, expected)
    leaf = x.clone().requires_grad_()
    (reverse,) = torch.autograd.grad(run(leaf, gate, bias).sum(), leaf)
    torch.testing.assert_close(tangent, reverse)


def test_a_module_takes_a_gate_and_a_bias():
    layer, x, gate, bias = (
        Module("crrelu", channels=3),
        *(torch.randn(2, 3, 5) for _ in range(2)),
        torch.randn(3, 1),
    )
    plain = layer(x + bias)
    torch.testing.assert_close(layer(x, bias=bias), plain)
    torch.testing.assert_close(layer(x + bias, gate=gate), plain * gate)
    torch.testing.assert_close(layer(x, bias=bias, gate=gate), plain * gate)
    again = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
    torch.testing.assert_close(again(x, bias=bias, gate=gate), plain * gate)


def test_a_bias_that_does_not_broadcast_and_a_gate_in_place_are_refused():
    with pytest.raises(InputError, match="the bias must broadcast against x"):
        compile_kernel("relu").biased(torch.ones(2, 3), torch.ones(2))
    with pytest.raises(InputError, match="the bias must broadcast against x"):
        compile_kernel("relu").biased(torch.ones(3), torch.ones(2, 3))
    with pytest.raises(InputError, match="a layer that writes over x takes no gate"):
        Module("relu", inplace=True)(torch.ones(2), gate=torch.ones(2))
    with pytest.raises(InputError, match="floating-point"):
        compile_kernel("relu").gated(torch.ones(2, dtype=torch.int64), torch.ones(2))


@needs_compiler
def test_a_user_may_have_a_parameter_called_bias():
    act = get("bias*x*sigmoid(x); bias=1")
    x, shift = torch.randn(4, 3), torch.randn(3)
    found = compile_kernel(act, "cpp").biased(x, shift, bias=2.0)
    torch.testing.assert_close(found, 2 * functional.silu(x + shift))


@pytest.mark.parametrize("backend", ["aten", pytest.param("cpp", marks=needs_compiler)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eight_bits_are_rounded_once_and_saturate(dtype, backend):
    x = (100 * _normal(dtype)(1001)).requires_grad_()
    kernel = compile_kernel("gelu", backend)
    found = kernel.float8(x, torch.tensor([0.5]))
    assert (found.dtype, found.requires_grad) == (torch.float8_e4m3fn, False)
    right = (kernel(x.detach().double()) * 0.5).clamp(-448, 448)
    step = torch.exp2(torch.floor(torch.log2(right.abs().clamp(min=2.0**-6))) - 3)
    assert ((found.double() - right).abs() <= step * (0.5 + 2**-12)).all()
    x = torch.tensor([6e4, float("inf"), float("nan")], dtype=dtype)
    huge = compile_kernel("relu", backend).float8(x).float()
    assert huge[:2].tolist() == [448, 448]
    assert huge[2].isnan()


def test_a_scale_of_several_numbers_is_refused():
    message = r"the scale of a float8 result must be one number, but got 'shape \(2,\)'; reduce it, as by max"
    with pytest.raises(InputError, match=message):
        compile_kernel("gelu").float8(torch.ones(2), torch.ones(2))
