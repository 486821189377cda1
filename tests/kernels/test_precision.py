"""How exact float32 kernels are, over numbers of all magnitudes: what `compile_kernel` promises of each precision."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import sympy
import torch

from eafo import reference
from eafo.activation import VARIABLE as X
from eafo.branching import derivative
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel
from eafo.kernels.backends import cpp
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.lower import Scalar
from eafo.kernels.program import Mode, Precision
from eafo.kernels.stabilise import finish, stabilise
from eafo.kernels.verification import largest_term
from eafo.nn import Module

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")

#: The sums in its slope nest; this is their largest term by hand.
GELU_TANH_SLOPE = sympy.Max(1, sympy.Abs(X)) / (1 + sympy.exp(-2 * sympy.sqrt(2 / sympy.pi) * X))


@functools.cache
def _every_magnitude(step):
    """Every so many-th of the 2³² bit patterns, the finite ones."""
    x = torch.from_numpy(np.arange(0, 2**32, step, dtype=np.int64).astype(np.uint32).view(np.float32))
    return x[x.isfinite()]


def _values_and_slopes(name, x, precision, backend="cpp"):
    act = get(name)
    parameters = {n: float(np.float32(v)) for n, v in act.defaults.items()}
    x = x.clone().requires_grad_()
    y = compile_kernel(act, backend, precision)(x, **parameters)
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), slope


def _units(exact, scale=None):
    """The unit in the last place of float32 at a float64 value, or at the scale where that is larger."""
    size = exact.abs() if scale is None else torch.maximum(exact.abs(), scale.nan_to_num(0, 0, 0))
    return torch.from_numpy(np.spacing(size.clamp(max=3e38).float().numpy())).double()


@needs_compiler
@pytest.mark.parametrize("backend", ["cpp", "aten"])
@pytest.mark.parametrize("name", names())
def test_exact_float32_is_float64_rounded_once(name, backend):
    x = _every_magnitude(65_537 if backend == "aten" else 16_411)
    found = _values_and_slopes(name, x, "exact", backend)
    for single, double in zip(found, _values_and_slopes(name, x.double(), "fast", backend), strict=True):
        assert torch.equal(single.isnan(), double.isnan())
        both = single.isfinite() & double.float().isfinite()
        assert torch.equal(both, double.float().isfinite())
        error = (single.double() - double).abs() / _units(double)
        assert error[both].max() <= 0.5


@needs_compiler
@pytest.mark.parametrize("name", names())
def test_exact_float32_is_within_a_unit_of_the_oracle(name):
    act = get(name)
    magnitudes = np.geomspace(1e-40, 1e12, 120).astype(np.float32)
    x = torch.from_numpy(np.concatenate([-magnitudes, magnitudes]))
    defaults = {n: float(np.float32(v)) for n, v in act.defaults.items()}
    for found, expression in zip(
        _values_and_slopes(name, x, "exact"), (act.expression, derivative(act.expression)), strict=True
    ):
        exact = reference.evaluate(expression, x.double().numpy(), defaults).high
        error = np.abs(found.double().numpy() - exact) / np.spacing(np.abs(exact.astype(np.float32))).astype(
            float
        )
        assert error.max() <= 1


@needs_compiler
@pytest.mark.parametrize("name", names())
def test_fast_float32_is_within_eight_units(name):
    x = _every_magnitude(16_411)
    if name == "sinerelu":
        # Further out its roots are where two sines cancel.
        x = x[x > -256]
    act = get(name)
    stable = stabilise(act.expression)
    values = tuple(float(np.float32(v)) for v in act.defaults.values())
    symbols = tuple(p.symbol for p in act.parameters)
    single, double = _values_and_slopes(name, x, "fast"), _values_and_slopes(name, x.double(), "fast")
    for found, exact, expression in zip(single, double, (stable, derivative(stable)), strict=True):
        by_hand = name == "gelu_tanh" and expression != stable
        terms = GELU_TANH_SLOPE if by_hand else largest_term(finish(expression))
        scale = AtenRunner(Scalar(terms, symbols)).forward(x.double(), values)
        # Where a square overflows in float32 alone, so does what is made of it.
        both = found.isfinite() & exact.float().isfinite()
        error = (found.double() - exact).abs()
        large = both & (exact.abs() > 2.0**-110)
        assert (error / _units(exact, scale))[large].max() <= 8
        # Here 1 + x² overflows before its inverse is 0.
        assert error[both & ~large].sum() == 0 or error[both & ~large].max() <= 2.0**-126
        assert (both == exact.float().isfinite())[x.abs() < 1e12].all()


@needs_compiler
@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", names())
def test_half_precisions_are_within_a_unit_at_every_input(name, dtype, precision):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    x = x[x.isfinite()]
    act = get(name)
    leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
    parameters = {n: float(np.float32(v)) for n, v in act.defaults.items()}
    for points, kernel in ((leaf, compile_kernel(act, "cpp", precision)), (wide, compile_kernel(act, "cpp"))):
        y = kernel(points, **parameters)
        points.values = [y.detach(), *torch.autograd.grad(y, points, torch.ones_like(y))]
    for found, exact in zip(leaf.values, wide.values, strict=True):
        rounded = exact.to(dtype)
        both = found.isfinite() & rounded.isfinite()
        normal = both & (exact.abs() >= 2.0**-126)
        steps = (_place(found) - _place(rounded)).abs()
        assert steps[normal].max() <= 1
        assert (found.double() - exact)[both & ~normal].abs().sum() <= 2.0**-110
        assert (both == rounded.isfinite())[x.double().abs() < 1e12].all()


def _place(x):
    """The number of a 16-bit value in the order of all; both zeros are 0."""
    bits = x.view(torch.int16).int()
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)


@needs_compiler
def test_a_typed_formula_is_exact_too():
    formula = "x**3*exp(-x**2/3)*erf(x)"
    x = torch.linspace(-9, 9, 4001)
    exact = compile_kernel(formula, "cpp")(x.double())
    assert torch.equal(compile_kernel(formula, "cpp", "exact")(x), exact.float())
    assert not torch.equal(compile_kernel(formula, "cpp", "fast")(x), exact.float())


def test_the_argument_of_an_exponential_is_kept_in_two_parts():
    scalar = Scalar.of(get("crrelu"))
    plain, fused, kept = (str(scalar.forward(Precision.FLOAT32, mode)) for mode in Mode)
    assert "product_error" not in plain
    assert "product_error" not in fused
    assert "product_error v0, v0" in kept
    assert kept.count("exp_head") == 1
    assert "product_error" not in str(scalar.forward(Precision.FLOAT64, Mode.COMPENSATED))


def test_what_needs_no_second_part_is_compiled_once():
    assert "compensated" not in cpp.source(Scalar.of(get("silu")))
    assert "compensated" in cpp.source(Scalar.of(get("crrelu")))
    assert "float32_compensated" not in cpp.source(Scalar.of(get("crrelu")), exact=True)


def test_a_module_shows_its_precision_and_others_are_refused():
    assert "precision='exact'" in repr(Module("gelu", precision="exact"))
    assert "precision" not in repr(Module("gelu"))
    with pytest.raises(InputError, match="the precisions are: fast, exact, but got 'double'"):
        compile_kernel("gelu", precision="double")
