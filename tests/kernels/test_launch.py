"""Tensors that are not plain memory: views with the negative bit, torch's transforms, modes and constants."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from eafo.errors import BuildError, InputError, MissingDependencyError
from eafo.kernels import build, compile_kernel, computation
from eafo.kernels.launch import Constants
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.launch.cuda import CudaRunner
from eafo.nn import Module

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
BACKENDS = ["aten", pytest.param("cpp", marks=needs_compiler)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "make", [lambda: torch._neg_view(torch.randn(7)), lambda: torch.randn(7, dtype=torch.cfloat).conj().imag]
)
def test_the_negative_bit_is_resolved_in_x_and_in_its_gradient(make, backend):
    kernel, x, weight = compile_kernel("crrelu", backend), make(), make()
    assert x.is_neg()
    results = []
    for point, grad in ((x, weight), (x.resolve_neg(), weight.resolve_neg())):
        leaf = point.detach().requires_grad_()
        y = kernel(leaf)
        results.append((y.detach(), *torch.autograd.grad(y, leaf, grad)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(), (6,)], ids=["one", "a channel"])
def test_the_negative_bit_is_resolved_in_a_parameter(shape, backend):
    x, epsilon = torch.linspace(-2, 2, 18).reshape(3, 6), torch._neg_view(torch.full(shape, -0.5))
    kernel = compile_kernel("crrelu", backend)
    assert torch.equal(kernel(x, epsilon=epsilon), kernel(x, epsilon=epsilon.resolve_neg()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_that_are_sparse_and_tensors_without_memory(backend):
    kernel, x = compile_kernel("silu", backend), torch.linspace(-2, 2, 5, requires_grad=True)
    torch.gather(kernel(x), 0, torch.tensor([1, 2]), sparse_grad=True).sum().backward()
    (expected,) = torch.autograd.grad(kernel(x)[1:3].sum(), x)
    torch.testing.assert_close(x.grad.to_dense(), expected)
    assert torch.equal(kernel(torch._efficientzerotensor(3)), torch.zeros(3))


@pytest.mark.parametrize(
    "grad", [torch.ones(1), torch.ones(5, dtype=torch.float64), torch.ones(5, device="meta")], ids=str
)
def test_a_gradient_of_another_shape_type_or_device_is_refused(grad):
    kernel = compile_kernel("relu")
    with pytest.raises(InputError, match=r"a gradient must be of the shape, type and device of x, but got '"):
        kernel.gradients(torch.ones(5), (), grad)


@pytest.mark.parametrize("parameters", [{}, {"epsilon": 0.5}], ids=str)
def test_a_fake_tensor_is_never_read(parameters):
    with FakeTensorMode():
        y = compile_kernel("crrelu")(torch.randn(3), **parameters)
    assert isinstance(y, FakeTensor)
    assert y.shape == (3,)


def test_a_subclass_keeps_its_type():
    class Named(torch.Tensor):
        pass

    x = torch.randn(3)
    found = compile_kernel("silu")(x.as_subclass(Named))
    assert type(found) is Named
    torch.testing.assert_close(found.as_subclass(torch.Tensor), compile_kernel("silu")(x))


def _vmapped(layer, x):
    torch.func.vmap(layer)(x)


def _faked(layer, x):
    with FakeTensorMode():
        layer(torch.randn(3))


def _differentiated(layer, x):
    torch.func.vmap(torch.func.grad(layer))(x)


@pytest.mark.usefixtures("no_kernels_kept")
@pytest.mark.parametrize("first", [_vmapped, _faked, _differentiated])
def test_what_came_before_leaves_no_trace_in_the_constants(first):
    layer, x = Module("elu", backend="aten"), torch.linspace(-2, 2, 5)
    first(layer, x)
    torch.testing.assert_close(layer(x), torch.nn.functional.elu(x))
    torch.testing.assert_close(torch.func.vmap(layer)(x), torch.nn.functional.elu(x))


def test_constants_of_both_signs_of_zero_are_two():
    constants = Constants()
    found = [constants.get(v, torch.float32, torch.device("cpu")) for v in (0.0, -0.0, 0.0)]
    assert [torch.signbit(v).item() for v in found] == [False, True, False]
    assert found[0] is found[2]


@needs_compiler
@pytest.mark.parametrize("count", [10, 2_000_000])
def test_the_default_device_is_not_asked(count):
    x, epsilon = torch.ones(count), torch.tensor(0.5, requires_grad=True)
    y = compile_kernel("crrelu", "cpp")(x, epsilon=epsilon)
    with torch.device("meta"):
        (slope,) = torch.autograd.grad(y, epsilon, torch.ones(count, device="cpu"))
    assert slope.item() == pytest.approx(count * 0.6065307, rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_batched_gradients(backend):
    x = torch.linspace(-2, 2, 5, requires_grad=True)
    y = compile_kernel("silu", backend)(x)
    (jacobian,) = torch.autograd.grad(y, x, torch.eye(5), is_grads_batched=True, retain_graph=True)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(jacobian, slope.diag())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_over_half_precisions_are_float32_when_differentiated_again(dtype):
    x = torch.full((5000,), 1.0, dtype=dtype, requires_grad=True)
    epsilon = torch.tensor(0.01, requires_grad=True)
    y = compile_kernel("crrelu", "aten")(x, epsilon=epsilon).sum()
    slope, total = torch.autograd.grad(y, [x, epsilon], create_graph=True)
    assert total.item() == pytest.approx(5000 * 0.6065307, rel=1e-5)
    assert slope.dtype == dtype


@pytest.mark.usefixtures("no_kernels_kept")
@pytest.mark.parametrize(
    "error",
    [
        BuildError("NVRTC must compile the kernel", "sm_20"),
        MissingDependencyError("CUDA kernels for sm_20 need NVRTC", remedy="install it"),
    ],
    ids=["refused", "missing"],
)
def test_a_gpu_that_the_compiler_refuses_is_served_by_plain_operations(monkeypatch, error):
    def refuse(runner, device):
        raise error

    monkeypatch.setattr(CudaRunner, "__init__", lambda runner, scalar, exact: None)
    monkeypatch.setattr(CppRunner, "serves", lambda *_: False)
    monkeypatch.setattr(CudaRunner, "serves", lambda *_: True)
    monkeypatch.setattr(CudaRunner, "load", refuse)
    warned = []
    monkeypatch.setattr(computation, "warn_once", warned.append)
    kernel, x = compile_kernel("silu"), torch.ones(3, dtype=torch.float16)
    assert [kernel.served_by(x) for _ in range(2)] == ["aten", "aten"]
    assert len(warned) == 1
    assert "sm_20" in warned[0]
    with pytest.raises(type(error), match="sm_20"):
        compile_kernel("silu", "cuda")(x)


# torch loads its decompositions for forward mode by its own deprecated scripting.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("backend", BACKENDS)
def test_forward_mode_agrees_with_reverse_mode(backend):
    kernel = compile_kernel("crrelu", backend)
    x = torch.linspace(-2, 2, 6, dtype=torch.float64)
    epsilon = torch.tensor(0.3, dtype=torch.float64)
    for argument in (0, 1):
        found, expected = (
            jacobian(lambda v, e: kernel(v, epsilon=e), argnums=argument)(x, epsilon)
            for jacobian in (torch.func.jacfwd, torch.func.jacrev)
        )
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    hessian = torch.func.hessian(lambda v: kernel(v).sum())(x)
    second = torch.func.vmap(torch.func.grad(torch.func.grad(kernel)))(x)
    torch.testing.assert_close(hessian, second.diag(), rtol=1e-13, atol=0)


# torch loads its decompositions for forward mode by its own deprecated scripting.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_dual_numbers(backend, dtype):
    x, tangent = torch.linspace(-2, 2, 6, dtype=dtype), torch.arange(6, dtype=dtype)
    kernel = compile_kernel("silu", backend)
    with torch.autograd.forward_ad.dual_level():
        y = kernel(torch.autograd.forward_ad.make_dual(x, tangent))
        found = torch.autograd.forward_ad.unpack_dual(y).tangent
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(kernel(leaf).sum(), leaf)
    torch.testing.assert_close(found, slope * tangent)
