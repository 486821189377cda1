"""The CUDA backend: compiled by NVRTC where it is installed, run on the host through a shim, and on a GPU where there is one."""

from __future__ import annotations

import ctypes
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eafo import reference
from eafo.catalog import get, names
from eafo.errors import BuildError, InputError, MissingDependencyError
from eafo.kernels import build, compile_kernel, emit, nvrtc
from eafo.kernels.launch.cuda import CudaRunner

SHIM = Path(__file__).with_name("shim_cuda.h").read_text()
needs_nvrtc = pytest.mark.skipif(not nvrtc.available(), reason="eafo[cuda] is not installed")
needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@needs_nvrtc
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
@pytest.mark.parametrize("name", ["crrelu", "srelu", "sinerelu"])
def test_nvrtc_compiles_the_three(name, architecture):
    cubin = nvrtc.compile_cubin(emit(name, "cuda"), architecture)
    assert cubin.startswith(b"\x7fELF")
    for type_name in ("float32", "float64", "float16", "bfloat16"):
        assert f"eafo_forward_{type_name}".encode() in cubin
        assert f"eafo_backward_{type_name}".encode() in cubin


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_nvrtc_compiles_the_catalog(name):
    assert nvrtc.compile_cubin(emit(name, "cuda"), "sm_90").startswith(b"\x7fELF")


@needs_nvrtc
def test_a_cubin_is_compiled_once(monkeypatch):
    first = nvrtc.compile_cubin(emit("relu", "cuda"), "sm_90")
    monkeypatch.setattr(nvrtc.require(), "Program", lambda *_, **__: pytest.fail("compiled again"))
    assert nvrtc.compile_cubin(emit("relu", "cuda"), "sm_90") == first


@needs_nvrtc
def test_what_nvrtc_refuses_is_an_error_of_one_line():
    with pytest.raises(BuildError, match=r"NVRTC must compile the kernel, but got '.*error: "):
        nvrtc.compile_cubin("garbage;", "sm_90")
    with pytest.raises(InputError, match=r"an architecture must look like sm_90, but got '90'"):
        nvrtc.compile_cubin("", "90")


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "eafo\[cuda\]"'):
        nvrtc.compile_cubin(emit("relu", "cuda"), "sm_90")
    assert not nvrtc.available()


def test_cuda_by_name_serves_tensors_of_the_cpu_through_torch():
    x = torch.linspace(-2, 2, 5)
    assert torch.equal(compile_kernel("crrelu", "cuda")(x), compile_kernel("crrelu", "aten")(x))
    assert not CudaRunner.serves(x, ())


class _Host:
    """The CUDA source, run on the host: one thread a block, the blocks one after the other."""

    def __init__(self, name):
        source = SHIM + emit(name, "cuda")
        source += "\n#undef asm\n"
        for suffix, real in (("float32", "float"), ("float64", "double")):
            pointers = [f"const {real}* p{i}" for i in range(len(get(name).parameters))]
            passed = "".join(f", p{i}" for i in range(len(pointers)))
            given = "".join(f", {p}" for p in pointers)
            source += f"""
extern "C" void run_forward_{suffix}(unsigned blocks, const {real}* xs, {real}* ys, long long n{given}) {{
    blockDim.x = 1; gridDim.x = blocks; threadIdx.x = 0;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) eafo_forward_{suffix}(xs, ys, n{passed});
}}
extern "C" void run_backward_{suffix}(unsigned blocks, const {real}* xs, const {real}* gs, {real}* ds, {real}* totals, {real}* slots, unsigned* ticket, long long n{given}) {{
    blockDim.x = 1; gridDim.x = blocks; threadIdx.x = 0;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) eafo_backward_{suffix}(xs, gs, ds, totals, slots, ticket, n{passed});
}}
"""
        self.library = build.load_cpp(source)

    def __call__(self, function, blocks, *arguments):
        call = getattr(self.library, function)
        call.argtypes = [
            ctypes.c_uint,
            *(ctypes.c_longlong if isinstance(a, int) else ctypes.c_void_p for a in arguments),
        ]
        call(blocks, *(a if isinstance(a, int) else a.ctypes.data for a in arguments))


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["crrelu", "srelu", "sinerelu", "mish", "gelu", "xielu"])
def test_the_cuda_source_computes_the_right_numbers(name, dtype):
    host, act = _Host(name), get(name)
    act = act.with_parameters(**{k: float(dtype(v)) for k, v in act.defaults.items()})
    suffix, parameters = np.dtype(dtype).name, [np.array([v], dtype) for v in act.defaults.values()]
    x = np.linspace(-6, 6, 203).astype(dtype)
    weight = np.cos(np.arange(203)).astype(dtype)
    exact = reference.oracle(act, x.astype(np.float64))
    y, ds = np.full_like(x, np.nan), np.full_like(x, np.nan)
    host(f"run_forward_{suffix}", 7, x, y, len(x), *parameters)
    tolerance = {"rtol": 2e-5, "atol": 3e-6} if dtype is np.float32 else {"rtol": 1e-13, "atol": 1e-14}
    np.testing.assert_allclose(y, exact.value.high, **tolerance)
    learnable = [p.name for p in act.learnable]
    totals, ticket = np.full(max(1, len(learnable)), np.nan, dtype), np.zeros(1, np.uint32)
    slots = np.full(7 * max(1, len(learnable)), np.nan, dtype)
    for _ in range(2):
        host(f"run_backward_{suffix}", 7, x, weight, ds, totals, slots, ticket, len(x), *parameters)
        np.testing.assert_allclose(ds, weight * exact.slope.high, **tolerance)
        for name_, total in zip(learnable, totals, strict=False):
            right = math.fsum(weight.astype(np.float64) * exact.by_parameter[name_].high)
            assert total == pytest.approx(right, rel=1e-4 if dtype is np.float32 else 1e-12, abs=1e-4)
    assert ticket[0] == 0


@needs_compiler
def test_bfloat16_is_rounded_to_the_nearest_even():
    source = (
        SHIM
        + emit("identity", "cuda")
        + """
#undef asm
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


@needs_nvrtc
@pytest.mark.parametrize("formula", ["min(x, 1e300)", "max(x, -1e300)"])
def test_a_constant_beyond_float32_compiles(formula):
    assert nvrtc.compile_cubin(emit(formula, "cuda"), "sm_90").startswith(b"\x7fELF")


@needs_compiler
def test_an_unaligned_pointer_is_served_too():
    host = _Host("crrelu")
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    y = np.empty(49, np.float32)
    host("run_forward_float32", 3, x[1:], y, 49, np.array([0.01], np.float32))
    np.testing.assert_allclose(y, get("crrelu")(x[1:]), rtol=1e-6)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", names())
def test_on_a_gpu_the_kernel_agrees_with_plain_operations(name, dtype):
    act = get(name)
    x = torch.linspace(-6, 6, 100_003, device="cuda").to(dtype)
    weight = torch.randn(x.shape, device="cuda", generator=torch.Generator("cuda").manual_seed(0)).to(dtype)
    results = []
    for backend in ("cuda", "aten"):
        kernel = compile_kernel(act, backend)
        leaf = x.clone().requires_grad_()
        parameters = {
            p.name: torch.tensor(p.default, device="cuda", requires_grad=True) for p in act.learnable
        }
        y = kernel(leaf, **parameters)
        results.append([y, *torch.autograd.grad(y, [leaf, *parameters.values()], weight)])
    for found, expected in zip(*results, strict=True):
        # Sums of 100,003 float32 terms are compared, so the tolerance is that of the sum; half precisions round once.
        close = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(found.dtype, 1e-4)
        torch.testing.assert_close(found, expected, rtol=close, atol=close)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_parameter_gradients_have_the_same_bits_every_time():
    x = torch.randn(1_000_003, device="cuda")
    found = set()
    for _ in range(5):
        epsilon = torch.tensor(0.01, device="cuda", requires_grad=True)
        compile_kernel("crrelu", "cuda")(x, epsilon=epsilon).sum().backward()
        found.add(epsilon.grad.item())
    assert len(found) == 1
