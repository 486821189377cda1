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


def _crrelu(x, epsilon=0.01):
    return x.clamp(min=0) + epsilon * x * torch.exp(-(x**2) / 2)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(6, 8, device="cuda")[::2, 1::3],
        lambda: torch.randn(4, 5, device="cuda").t(),
        lambda: torch.randn(2, 3, 4, 5, device="cuda").to(memory_format=torch.channels_last),
        lambda: torch.empty(0, 3, device="cuda"),
        lambda: torch.tensor(0.3, device="cuda"),
        lambda: torch.randn(40_001, device="cuda")[1:],
    ],
    ids=["strided", "transposed", "channels_last", "empty", "scalar", "offset"],
)
def test_on_a_gpu_layouts(make):
    x = make()
    leaf, epsilon = x.detach().requires_grad_(), torch.tensor(0.2, device="cuda", requires_grad=True)
    expected_leaf, expected_epsilon = x.detach().requires_grad_(), epsilon.detach().requires_grad_()
    kernel = compile_kernel("crrelu", "cuda")
    assert kernel.served_by(leaf) == "cuda"
    y, expected = kernel(leaf, epsilon=epsilon), _crrelu(expected_leaf, expected_epsilon)
    weight = torch.randn_like(y)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(
        torch.autograd.grad(y, [leaf, epsilon], weight),
        torch.autograd.grad(expected, [expected_leaf, expected_epsilon], weight),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_a_launch_is_ordered_on_the_current_stream():
    kernel, stream = compile_kernel("crrelu", "cuda"), torch.cuda.Stream()
    x = torch.zeros(2**24, device="cuda")
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(20):
            x = x + 1
        y = kernel(x)
    stream.synchronize()
    torch.testing.assert_close(y, _crrelu(torch.full_like(y, 20.0)))


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_a_graph_captures_forward_and_backward():
    kernel = compile_kernel("crrelu", "cuda")
    x = torch.randn(100_003, device="cuda", requires_grad=True)
    epsilon = torch.tensor(0.1, device="cuda", requires_grad=True)

    def step():
        return torch.autograd.grad(kernel(x, epsilon=epsilon).sum(), [x, epsilon])

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for seed in range(3):
        with torch.no_grad():
            x.normal_(generator=torch.Generator("cuda").manual_seed(seed))
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(captured, step(), strict=True))


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_a_parameter_of_another_type_and_place():
    x = torch.randn(1000, device="cuda", dtype=torch.bfloat16)
    epsilon = torch.tensor(0.2, requires_grad=True)
    y = compile_kernel("crrelu", "cuda")(x, epsilon=epsilon)
    y.float().sum().backward()
    torch.testing.assert_close(y, _crrelu(x.float(), 0.2).bfloat16())
    assert (epsilon.grad.device.type, epsilon.grad.dtype) == ("cpu", torch.float32)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_more_elements_than_32_bits_count():
    count = 2**31 + 7
    if torch.cuda.mem_get_info()[0] < 5 * 2 * count:
        pytest.skip("too little memory on this GPU")
    x = torch.zeros(count, device="cuda", dtype=torch.bfloat16)
    x[-1], x[2**31] = 2.0, -1.0
    epsilon = torch.tensor(0.5, device="cuda", requires_grad=True)
    y = compile_kernel("crrelu", "cuda")(x, epsilon=epsilon)
    expected = _crrelu(torch.tensor([2.0, -1.0], device="cuda"), 0.5).bfloat16()
    assert torch.equal(torch.stack([y[-1], y[2**31]]).detach(), expected)
    assert int(torch.count_nonzero(y.detach())) == 2
    y.backward(torch.ones_like(y))
    bell = [2 * np.exp(-2.0), -np.exp(-0.5)]
    assert epsilon.grad.item() == pytest.approx(sum(bell), rel=1e-5)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("name", ["crrelu", "gelu", "srelu"])
def test_on_a_gpu_gradcheck(name):
    x = torch.tensor([-2.5, -0.7, 0.4, 1.3, 3.1], device="cuda", dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(compile_kernel(name, "cuda"), (x,))
