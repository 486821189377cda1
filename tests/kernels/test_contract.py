"""The contract of every backend: right values, right gradients, everywhere, the same bits every time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.special
import sympy
import torch
from torch.nn import functional

from eafo import reference
from eafo.activation import VARIABLE as X
from eafo.activation import Activation, Parameter
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel, verify
from eafo.kernels.backends import cpp
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Operation, Precision
from eafo.kernels.stabilise import stabilise
from eafo.kernels.verification import largest_term

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
BACKENDS = ["aten", pytest.param("cpp", marks=needs_compiler)]
DTYPES = [torch.float32, torch.float64]

PEERS = {
    "arctan": torch.atan,
    "celu": functional.celu,
    "elu": functional.elu,
    "erf": torch.erf,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "hardtanh": functional.hardtanh,
    "identity": lambda x: x * 1,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.01),
    "leaky_relu_squared": lambda x: functional.leaky_relu(x, 0.5) ** 2,
    "mish": functional.mish,
    "prelu": lambda x: functional.prelu(x, x.new_tensor(0.25)),
    "relu": functional.relu,
    "relu_squared": lambda x: functional.relu(x) ** 2,
    "selu": functional.selu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "sin": torch.sin,
    "softplus": lambda x: functional.softplus(x, threshold=40),
    "softsign": functional.softsign,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
SEAMS = {"hardtanh": (-1, 1), "hardsigmoid": (-3, 3), "hardswish": (-3, 3), "srelu": (-2.21, 2.21)}


def _points(name, count, dtype=torch.float64, width=4.0, seed=0):
    """Random points that keep their distance from the seams."""
    x = (
        torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    ) * width
    for seam in SEAMS.get(name, (0.0,)):
        x = torch.where((x - seam).abs() < 0.02, torch.full_like(x, seam + 0.05), x)
    return x.to(dtype)


def _fully_learnable(name):
    act = get(name)
    return act.with_learnable(*act.defaults)


# -- against mpmath --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["crrelu", "srelu", "sinerelu"])
def test_the_three_agree_with_mpmath_on_ten_thousand_points(name, backend):
    found = verify(_fully_learnable(name), backend, points=10_000)
    assert found.ok, found
    assert (found.points, found.backend) == (10_000, backend)
    assert len(found.parameter_errors) == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(set(names()) - {"crrelu", "srelu", "sinerelu"}))
def test_the_catalog_agrees_with_mpmath(name, backend):
    found = verify(_fully_learnable(name), backend, points=202)
    assert found.ok, found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", names())
def test_float32_is_within_a_few_units_of_the_exact_value(name, backend):
    act = get(name)
    x = np.linspace(-8, 8, 161).astype(np.float32)
    # The kernel computes with parameters rounded to float32, so the oracle is given those.
    rounded = act.with_parameters(**{k: float(np.float32(v)) for k, v in act.defaults.items()})
    exact = reference.oracle(rounded, x.astype(np.float64)).value
    found = compile_kernel(rounded, backend)(torch.from_numpy(x)).numpy()
    terms = reference.evaluate(
        largest_term(stabilise(act.expression)), x.astype(np.float64), rounded.defaults
    ).high
    # x·exp(−x²/2) and the tanh form carry the rounding of their argument, which is up to 64 where |x| is 8.
    assert reference.ulp_error(found, exact, np.float32, scale=terms).max() <= 64


# -- against torch ---------------------------------------------------------------------------------------------


def test_every_activation_that_torch_has_is_compared():
    assert set(names()) - PEERS.keys() == {"crrelu", "sinerelu", "srelu", "xielu"}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(PEERS))
def test_values_and_gradients_are_those_of_torch(name, backend, dtype):
    extremes = torch.tensor([0.0, -0.0, 1e4, -1e4, 1e-30, -1e-30, 30.0, -30.0], dtype=dtype)
    x = torch.cat([_points(name, 1001, dtype, 12.0), extremes])
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    y, expected = compile_kernel(name, backend)(ours), PEERS[name](theirs)
    # torch's GELU and Mish cancel in the left tail, so their error there is absolute.
    tolerance = {"rtol": 8e-6, "atol": 4e-6} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 5e-14}
    torch.testing.assert_close(y, expected, **tolerance)
    smooth = theirs.detach() != 0
    slope, expected = (torch.autograd.grad(v.sum(), leaf)[0] for v, leaf in ((y, ours), (expected, theirs)))
    if name == "hardsigmoid":
        tolerance["rtol"] = 1e-7  # torch's slope is 1/6 in float32, whatever the type
    torch.testing.assert_close(slope[smooth], expected[smooth], **tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(PEERS))
def test_infinities_are_those_of_torch_where_it_has_a_value(name, backend, dtype):
    x = torch.tensor([math.inf, -math.inf], dtype=dtype)
    expected = PEERS[name](x)
    found = compile_kernel(name, backend)(x)
    assert torch.equal(found[~expected.isnan()], expected[~expected.isnan()])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", names())
def test_nan_in_is_nan_out(name, backend, dtype):
    x = torch.tensor([math.nan, 1.0, -math.nan], dtype=dtype)
    found = compile_kernel(name, backend)(x)
    assert found.isnan().tolist() == [True, False, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_relu_passes_no_gradient_at_zero(backend):
    x = torch.zeros(3, requires_grad=True)
    (slope,) = torch.autograd.grad(compile_kernel("relu", backend)(x).sum(), x)
    assert slope.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_arguments_give_no_nan(backend, dtype):
    x = torch.tensor([1e30, -1e30, 1e19, -1e19], dtype=dtype, requires_grad=True)
    y = compile_kernel("crrelu", backend)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y.detach(), x.detach().clamp(min=0))
    assert slope.tolist() == [1, 0, 1, 0]


# -- gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", names())
def test_gradcheck_of_x_and_every_parameter(name, backend):
    act = _fully_learnable(name)
    kernel = compile_kernel(act, backend)
    x = _points(name, 12).requires_grad_()
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in act.defaults.values()]
    assert torch.autograd.gradcheck(
        lambda x, *p: kernel(x, **dict(zip(act.defaults, p, strict=True))), (x, *parameters)
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", names())
def test_gradgradcheck_of_x_and_every_parameter(name, backend):
    act = _fully_learnable(name)
    kernel = compile_kernel(act, backend)
    x = _points(name, 5).requires_grad_()
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in act.defaults.values()]
    assert torch.autograd.gradgradcheck(
        lambda x, *p: kernel(x, **dict(zip(act.defaults, p, strict=True))), (x, *parameters)
    )


def test_second_derivatives_are_right_at_zero():
    # Autograd through |x| would give 0 here; the second derivative of a sigmoid's gate is 1/2.
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(compile_kernel("silu")(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert (first.item(), second.item()) == (0.5, 0.5)


def test_third_derivatives():
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y = compile_kernel("crrelu")(x)
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(0.01 * (-3 + 6 * 0.49 - 0.49**2) * math.exp(-0.245), rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_x_and_the_parameters_are_saved(backend):
    saved = []
    epsilon = torch.tensor(0.01, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        compile_kernel("crrelu", backend)(torch.ones(7, requires_grad=True), epsilon=epsilon)
    assert [tuple(t.shape) for t in saved] == [(7,), ()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_frozen_parameters_and_inputs_get_no_gradient(backend):
    kernel = compile_kernel("crrelu", backend)
    x, epsilon = torch.ones(4), torch.tensor(0.5, requires_grad=True)
    kernel(x, epsilon=epsilon).sum().backward()
    assert x.grad is None
    assert epsilon.grad.item() == pytest.approx(4 * math.exp(-0.5), rel=1e-6)
    y = kernel(x.clone().requires_grad_(), epsilon=torch.tensor(0.5))
    y.sum().backward()
    assert not kernel(x).requires_grad


# -- torch's other ways in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_torch_func_sees_gradients(backend):
    kernel = compile_kernel("swish", backend)
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    beta = torch.tensor(1.5, dtype=torch.float64)
    slopes = torch.func.vmap(torch.func.grad(lambda v, b: kernel(v, beta=b)), in_dims=(0, None))(x, beta)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(kernel(leaf, beta=beta).sum(), leaf)
    torch.testing.assert_close(slopes, expected, rtol=1e-14, atol=0)


# torch's own tracer instantiates the Function, and warns of it.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_torch_compile_sees_plain_operations():
    torch._dynamo.reset()
    kernel = compile_kernel("crrelu")
    compiled = torch.compile(lambda v, e: kernel(v, epsilon=e), backend="aot_eager", fullgraph=True)
    x = torch.linspace(-3, 3, 20, requires_grad=True)
    epsilon = torch.tensor(0.3, requires_grad=True)
    y = compiled(x, epsilon)
    found = torch.autograd.grad(y.sum(), [x, epsilon])
    plain = kernel(x, epsilon=epsilon)
    expected = torch.autograd.grad(plain.sum(), [x, epsilon])
    torch.testing.assert_close(y, plain)
    torch.testing.assert_close(found, expected)


# -- layouts and types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(6, 8, dtype=torch.float64)[::2, 1::3],
        lambda: torch.randn(4, 5, dtype=torch.float64).t(),
        lambda: torch.randn(5, 1, dtype=torch.float64).expand(5, 4),
        lambda: torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=torch.channels_last),
        lambda: torch.empty(0, 3, dtype=torch.float64),
        lambda: torch.tensor(0.3, dtype=torch.float64),
        lambda: torch.randn(40_001, dtype=torch.float64)[1:],
    ],
    ids=["strided", "transposed", "expanded", "channels_last", "empty", "scalar", "offset"],
)
def test_layouts(make, backend):
    torch.manual_seed(1)
    x = make()
    kernel = compile_kernel("crrelu", backend)
    leaf = x.detach().requires_grad_()
    epsilon = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    y = kernel(leaf, epsilon=epsilon)
    weight = torch.randn_like(y)
    slope, by_epsilon = torch.autograd.grad((y * weight).sum(), [leaf, epsilon])
    bell = torch.exp(-(x**2) / 2)
    torch.testing.assert_close(y, x.clamp(min=0) + 0.2 * x * bell)
    torch.testing.assert_close(slope, weight * ((x > 0) + 0.2 * (1 - x**2) * bell))
    torch.testing.assert_close(by_epsilon, (weight * x * bell).sum())
    assert y.shape == x.shape


def test_channels_last_stays_so():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert compile_kernel("crrelu")(x).is_contiguous(memory_format=torch.channels_last)


def _same(found, expected):
    """Equal bit for bit, but that one NaN is as good as another."""
    return torch.equal(found.isnan(), expected.isnan()) and torch.equal(
        found[~found.isnan()].view(torch.int16), expected[~expected.isnan()].view(torch.int16)
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", names())
def test_half_precisions_are_float32_rounded_once_at_every_input(name, dtype, backend):
    if backend == "cpp" and "compensated" in cpp.source(Scalar.of(get(name))):
        pytest.skip("float32 is computed with more care here: test_precision measures both")
    x = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    kernel, grad = compile_kernel(name, backend), torch.full_like(x, 0.3)
    found, expected = x.clone().requires_grad_(), x.float().requires_grad_()
    y, exact = kernel(found), kernel(expected)
    assert _same(y.detach(), exact.detach().to(dtype))
    (slope,) = torch.autograd.grad(y, found, grad)
    (exact_slope,) = torch.autograd.grad(exact, expected, grad.float())
    assert _same(slope, exact_slope.to(dtype))


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precisions_sum_parameter_gradients_as_float32_does(dtype):
    x = torch.randn(40_001, generator=torch.Generator().manual_seed(3)).to(dtype)
    kernel, found = compile_kernel("crrelu", "cpp"), []
    for points in (x, x.float()):
        epsilon = torch.tensor(0.01, requires_grad=True)
        y = kernel(points, epsilon=epsilon)
        found.append(torch.autograd.grad(y, epsilon, torch.full_like(y, 0.5))[0].item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[1] != 0


def test_a_parameter_of_another_type_gets_its_gradient_in_that_type():
    epsilon = torch.tensor(0.1, requires_grad=True)
    compile_kernel("crrelu")(torch.ones(3, dtype=torch.float64), epsilon=epsilon).sum().backward()
    assert epsilon.grad.dtype == torch.float32


def test_a_value_a_channel():
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    epsilon = torch.rand(1, 3, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, e: compile_kernel("crrelu")(x, epsilon=e), (x, epsilon))


# -- the same bits -----------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1000, cpp.CHUNK, 100_003, cpp.CHUNK * (cpp.CHUNKS_ON_STACK + 1) + 7])
def test_parameter_gradients_have_the_same_bits_whatever_the_threads(count, dtype):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(count, generator=generator, dtype=dtype)
    weight = torch.randn(count, generator=generator, dtype=dtype)
    kernel, found = compile_kernel("crrelu", "cpp"), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 2, 1):
            torch.set_num_threads(threads)
            epsilon = torch.tensor(0.01, dtype=dtype, requires_grad=True)
            leaf = x.clone().requires_grad_()
            found.append(torch.autograd.grad(kernel(leaf, epsilon=epsilon), [leaf, epsilon], weight))
    finally:
        torch.set_num_threads(before)
    for slope, by_epsilon in found[1:]:
        assert torch.equal(slope, found[0][0])
        assert torch.equal(by_epsilon, found[0][1])
    exact = math.fsum((weight.double() * x.double() * torch.exp(-(x.double() ** 2) / 2)).tolist())
    assert found[0][1].item() == pytest.approx(exact, rel=1e-5 if dtype == torch.float32 else 1e-12, abs=1e-4)


# -- every operation ---------------------------------------------------------------------------------------------

U = X / 3 + sympy.Rational(1, 7)
BATTERY = {
    "abs": (sympy.Abs(U), np.abs),
    "sign": (sympy.sign(U), np.sign),
    "sqrt": (sympy.sqrt(U + 20), lambda u: np.sqrt(u + 20)),
    "exp": (sympy.exp(U), np.exp),
    "expm1": (sympy.exp(U) - 1, np.expm1),
    "log": (sympy.log(U + 20), lambda u: np.log(u + 20)),
    "log1p": (sympy.log(1 + U**2), lambda u: np.log1p(u**2)),
    "sin": (sympy.sin(U), np.sin),
    "sin_near": (
        sympy.Piecewise((sympy.sin(U), sympy.And(X > -3, X < 3)), (0, True)),
        lambda u: np.where((u > -1 + 1 / 7) & (u < 1 + 1 / 7), np.sin(u), 0),
    ),
    "cos": (sympy.cos(U), np.cos),
    "tan": (sympy.tan(U / 9), lambda u: np.tan(u / 9)),
    "atan": (sympy.atan(U), np.arctan),
    "sinh": (sympy.sinh(U), np.sinh),
    "cosh": (sympy.cosh(U), np.cosh),
    "tanh": (sympy.tanh(U), np.tanh),
    "asinh": (sympy.asinh(U), np.arcsinh),
    "erf": (sympy.erf(U), scipy.special.erf),
    "erfc": (1 - sympy.erf(U), scipy.special.erfc),
    "sigmoid": (1 / (1 + sympy.exp(-U)), scipy.special.expit),
    "pair of sigmoids": (
        1 / (1 + sympy.exp(-U)) + 1 / (1 + sympy.exp(U)) ** 2,
        lambda u: scipy.special.expit(u) + scipy.special.expit(-u) ** 2,
    ),
    "softplus": (sympy.log(1 + sympy.exp(U)), lambda u: np.logaddexp(0, u)),
    "pow": ((U**2 + 1) ** sympy.Rational(1, 3), lambda u: (u**2 + 1) ** (1 / 3)),
    "div": (U / (1 + U**2), lambda u: u / (1 + u**2)),
    "max": (sympy.Max(U, U**2), lambda u: np.maximum(u, u**2)),
    "min": (sympy.Min(U, U**2, 1), lambda u: np.minimum(np.minimum(u, u**2), 1)),
    "select": (
        sympy.Piecewise((U, sympy.And(X > -2, sympy.Or(X < 1, X >= 5))), (2, sympy.Ne(X, 5)), (3, True)),
        lambda u: np.where((u > -2 / 3 + 1 / 7) & ((u < 1 / 3 + 1 / 7) | (u >= 5 / 3 + 1 / 7)), u, 2),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(BATTERY))
def test_every_operation_of_every_backend(name, backend, dtype):
    expression, peer = BATTERY[name]
    x = np.linspace(-15.01, 15.01, 97)
    found = compile_kernel(Activation(name, expression), backend)(torch.from_numpy(x).to(dtype))
    expected = peer(x / 3 + 1 / 7)
    tolerance = {"rtol": 3e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-15}
    np.testing.assert_allclose(found.numpy(), expected, **tolerance)


def test_the_battery_holds_every_operation():
    used = set()
    for expression, _ in BATTERY.values():
        for program in map(Scalar.of(Activation("f", expression)).forward, Precision):
            used |= {step.operation for step in program.instructions}
    for name, mode in itertools.product(("crrelu", "gelu_tanh"), Mode):
        used |= {
            step.operation for step in Scalar.of(get(name)).backward(Precision.FLOAT32, mode).instructions
        }
    assert {Operation.GATE, Operation.COGATE, Operation.EXP_HEAD, Operation.EXP_TAIL} <= used
    assert set(Operation) - used <= {Operation.EQUAL, Operation.SUB}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("formula", ["min(x, 1e300)", "max(x, -1e300)"])
def test_a_constant_beyond_float32_is_infinite_there(formula, backend, dtype):
    x = torch.tensor([-3.0, 0.0, 4.0], dtype=dtype)
    assert torch.equal(compile_kernel(formula, backend)(x), x)


# -- bad input ---------------------------------------------------------------------------------------------------


def test_bad_input_is_refused_in_one_line():
    kernel = compile_kernel("srelu")
    with pytest.raises(InputError, match="the backends are: auto, aten, cpp, cuda, triton, but got 'metal'"):
        compile_kernel("relu", "metal")
    with pytest.raises(InputError, match="x must be a floating-point tensor"):
        kernel(torch.ones(3, dtype=torch.int64))
    with pytest.raises(InputError, match="the parameters of srelu are: t, but got 's'"):
        kernel(torch.ones(3), s=1.0)
    with pytest.raises(InputError, match="only a learnable parameter has a gradient, but got 't'"):
        kernel(torch.ones(3), t=torch.tensor(2.0, requires_grad=True))
    with pytest.raises(InputError, match="the number of points must be at least 2, but got 1"):
        verify("relu", points=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_never_verified_without_a_device():
    with pytest.raises(InputError, match="the cuda backend is verified on a CUDA device, but got 'none'"):
        verify("relu", "cuda")


@needs_compiler
def test_auto_takes_the_fastest_that_serves():
    kernel = compile_kernel("crrelu")
    assert kernel.served_by(torch.ones(2)) == "cpp"
    assert kernel.served_by(torch.ones(2, dtype=torch.bfloat16)) == "cpp"
    assert kernel.served_by(torch.ones(2, device="meta")) == "aten"


def test_a_name_that_a_language_would_run_is_no_danger():
    act = Activation("exit", sympy.Symbol("system") * X, (Parameter("system", 2.0, learnable=True),))
    assert compile_kernel(act)(torch.ones(2)).tolist() == [2, 2]
