"""The Triton backend: compiled for two makers' GPUs without one, run by Triton's interpreter, and on a GPU where there is one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from eafo.catalog import get, names
from eafo.errors import MissingDependencyError
from eafo.kernels import compile_kernel, emit
from eafo.kernels.backends import triton as backend
from eafo.kernels.launch import triton as launching
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.launch.cuda import CudaRunner
from eafo.kernels.lower import Scalar

needs_triton = pytest.mark.skipif(not launching.available(), reason="eafo[triton] is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def _compiled(name, function, pointer, target):
    """What Triton makes of a kernel whose tensors hold a type, for a GPU that need not be there."""
    import triton
    from triton.compiler import ASTSource

    kernel = getattr(launching.load_module(backend.source(Scalar.of(get(name)))), function)
    real = "*fp64" if function.endswith("64") else "*fp32"
    kinds = {"n": "i64", "slots_ptr": "*fp64", "BLOCK": "constexpr"}
    signature = {a: kinds.get(a, real if a[0] == "p" else pointer) for a in kernel.arg_names}
    constants = {(kernel.arg_names.index("BLOCK"),): backend.BLOCK}
    source, options = ASTSource(kernel, signature, constants), {"enable_fp_fusion": True}
    return triton.compile(source, target=target, options=options).asm


@needs_triton
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["crrelu", "gelu", "tanh", "xielu"])
def test_it_compiles_for_nvidia_and_amd(name):
    from triton.backends.compiler import GPUTarget

    for target, result in (
        (GPUTarget("cuda", 80, 32), "cubin"),
        (GPUTarget("cuda", 90, 32), "cubin"),
        (GPUTarget("hip", "gfx942", 64), "hsaco"),
    ):
        for function, pointer in (
            ("forward_float32", "*bf16"),
            ("backward_float32", "*fp32"),
            ("backward_float64", "*fp64"),
        ):
            assert _compiled(name, function, pointer, target)[result].startswith(b"\x7fELF")


@needs_triton
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", names())
def test_the_catalog_compiles(name):
    from triton.backends.compiler import GPUTarget

    for target, result in (
        (GPUTarget("cuda", 80, 32), "cubin"),
        (GPUTarget("cuda", 90, 32), "cubin"),
        (GPUTarget("hip", "gfx942", 64), "hsaco"),
    ):
        for precision, pointer in (("float32", "*fp16"), ("float64", "*fp64")):
            for direction in ("forward", "backward"):
                asm = _compiled(name, f"{direction}_{precision}", pointer, target)
                assert asm[result].startswith(b"\x7fELF")


_INTERPRETED = """
import json, sys, torch
from eafo.catalog import get, names
from eafo.kernels.backends import triton as backend
from eafo.kernels.launch import triton as launching
from eafo.kernels.launch.aten import AtenRunner
from eafo.kernels.lower import Scalar

# What libdevice computes on a GPU, and Triton itself in its interpreter.
PLAIN = {"exp": "tl.exp", "log": "tl.log", "sin": "tl.sin", "cos": "tl.cos", "erf": "tl.erf", "sqrt": "tl.sqrt"}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-9}
found, left = {}, []
for name in names():
    act = get(name)
    scalar = Scalar.of(act.with_learnable(*act.defaults))
    source = backend.source(scalar)
    for function, plain in PLAIN.items():
        source = source.replace(f"libdevice.{function}(", f"{plain}(")
    head, *bodies = source.split("# y = f(x)")
    if any("libdevice." in b or "eafo_softplus" in b for b in bodies):
        left.append(name)
        continue
    module, exact = launching.load_module(source), AtenRunner(scalar)
    worst = 0.0
    for dtype, tolerance in TOLERANCE.items():
        real = torch.float64 if dtype == torch.float64 else torch.float32
        suffix = "float64" if dtype == torch.float64 else "float32"
        for n in (1, 7, 1024, 4099):
            generator = torch.Generator().manual_seed(n)
            x, g = (3 * torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
            x, g = x.to(dtype), g.to(dtype)
            values = tuple(act.defaults.values())
            given = [torch.tensor(v, dtype=real) for v in values]
            y, dx = torch.full_like(x, float("nan")), torch.full_like(x, float("nan"))
            programs = -(-n // backend.BLOCK)
            slots = torch.full((len(values), programs), float("nan"), dtype=torch.float64)
            grid = (programs,)
            getattr(module, f"forward_{suffix}")[grid](x, y, n, *given, BLOCK=backend.BLOCK)
            getattr(module, f"backward_{suffix}")[grid](x, g, dx, slots, n, *given, BLOCK=backend.BLOCK)
            rounded = tuple(v.double() for v in given)
            right = exact.forward(x.double(), rounded), *exact.backward(x.double(), rounded, g.double())
            for i, (a, b) in enumerate(zip((y, dx, *slots.sum(1)), right, strict=True)):
                scale = max(1.0, b.abs().max().item()) * (n**0.5 if i > 1 else 1)
                error = (a.double() - b).abs().max().item() / scale / tolerance
                worst = max(worst, error if error == error else float("inf"))
    found[name] = worst
print(json.dumps({"found": found, "left": left}))
"""


@needs_triton
def test_the_interpreter_computes_the_right_numbers(kernel_cache):
    environment = os.environ | {"TRITON_INTERPRET": "1", "EAFO_CACHE": str(kernel_cache)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _INTERPRETED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    # These call functions that libdevice alone has: expm1, log1p, erfc, erfcx, tanh or atan.
    assert set(result["left"]) == {"arctan", "celu", "elu", "gelu", "selu", "softplus", "tanh", "xielu"}
    assert set(result["found"]) == set(names()) - set(result["left"])
    assert {n: worst for n, worst in result["found"].items() if not worst <= 1} == {}


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_operators_tell_shapes_without_a_gpu(dtype):
    runner = launching.TritonRunner(Scalar.of(get("crrelu")))
    with FakeTensorMode():
        x = torch.empty(30, 70, device="cuda", dtype=dtype)
        y = runner.forward(x.t(), (0.1,))
        dx, total = runner.backward(x, (torch.tensor(0.1, device="cuda"),), x)
    assert (y.shape, y.dtype, y.device.type) == ((70, 30), dtype, "cuda")
    assert (dx.shape, total.shape, total.dtype) == ((30, 70), (), torch.float32)


def test_the_emitted_module_is_named_and_holds_both_precisions():
    text = emit("crrelu", "triton")
    assert text.startswith("# crrelu: ")
    for precision in ("float32", "float64"):
        for direction in ("forward", "backward"):
            assert f"def {direction}_{precision}(" in text
    assert "# y = f(x), for half precisions." in emit("crrelu", "triton", "exact")


@needs_triton
def test_a_module_is_read_from_the_cache_and_mended(kernel_cache):
    source = backend.source(Scalar.of(get("relu")))
    module = launching.load_module(source)
    path = kernel_cache / f"{module.__name__}.py"
    assert path.read_text(encoding="utf-8") == source
    path.write_text("damaged", encoding="utf-8")
    assert hasattr(launching.load_module(source), "forward_float32")
    assert path.read_text(encoding="utf-8") == source


@pytest.mark.usefixtures("no_kernels_kept")
def test_without_triton_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(launching.TritonRunner, "serves", lambda *_: True)
    with pytest.raises(
        MissingDependencyError, match=r'the triton backend needs Triton; pip install "eafo\[triton\]"'
    ):
        compile_kernel("silu", "triton")(torch.ones(2))
    # Where it was not asked for, plain operations do.
    monkeypatch.setattr(CudaRunner, "serves", lambda *_: False)
    monkeypatch.setattr(CppRunner, "serves", lambda *_: False)
    assert compile_kernel("silu").served_by(torch.ones(2)) == "aten"


def test_tensors_of_the_cpu_are_served_by_plain_operations():
    x = torch.linspace(-2, 2, 5)
    assert torch.equal(compile_kernel("crrelu", "triton")(x), compile_kernel("crrelu", "aten")(x))


@pytest.mark.gpu
@needs_gpu
@needs_triton
@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", names())
def test_on_a_gpu_it_agrees_with_plain_operations(name, dtype, precision):
    act = get(name)
    x = torch.linspace(-6, 6, 100_003, device="cuda").to(dtype)
    weight = torch.randn(x.shape, device="cuda", generator=torch.Generator("cuda").manual_seed(0)).to(dtype)
    results = []
    for which in ("triton", "aten"):
        kernel, leaf = compile_kernel(act, which, precision), x.clone().requires_grad_()
        assert kernel.served_by(leaf) == which
        parameters = {
            p.name: torch.tensor(p.default, device="cuda", requires_grad=True) for p in act.learnable
        }
        y = kernel(leaf, **parameters)
        results.append([y, *torch.autograd.grad(y, [leaf, *parameters.values()], weight)])
    for found, expected in zip(*results, strict=True):
        close = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(found.dtype, 1e-4)
        torch.testing.assert_close(found, expected, rtol=close, atol=close)


@pytest.mark.gpu
@needs_gpu
@needs_triton
def test_on_a_gpu_sums_have_the_same_bits_every_time():
    x = torch.randn(1_000_003, device="cuda")
    found = set()
    for _ in range(5):
        epsilon = torch.tensor(0.01, device="cuda", requires_grad=True)
        compile_kernel("crrelu", "triton")(x, epsilon=epsilon).sum().backward()
        found.add(epsilon.grad.item())
    assert len(found) == 1


@pytest.mark.gpu
@needs_gpu
@needs_triton
def test_on_a_gpu_torch_compile_sees_through_the_operators():
    runner = launching.TritonRunner(Scalar.of(get("crrelu")))
    x = torch.linspace(-4, 4, 10_001, device="cuda")
    given = [torch.tensor(0.1, device="cuda")]
    compiled = torch.compile(lambda x, given: runner._forward(x, given) + 1, fullgraph=True)
    expected = compile_kernel("crrelu", "aten")(x, epsilon=0.1) + 1
    torch.testing.assert_close(compiled(x, given), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@needs_gpu
@needs_triton
def test_on_a_gpu_numbers_are_captured_in_a_graph():
    kernel, x = compile_kernel("crrelu", "triton"), torch.randn(4096, device="cuda")
    kernel(x, epsilon=0.3)  # compiled before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = kernel(x, epsilon=0.3)
    x.copy_(torch.randn(4096, device="cuda"))
    graph.replay()
    torch.testing.assert_close(y, compile_kernel("crrelu", "aten")(x, epsilon=0.3), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
@needs_triton
def test_on_a_gpu_that_is_not_the_current_one_it_launches_there():
    x = torch.randn(4096, device="cuda:1", requires_grad=True)
    y = compile_kernel("crrelu", "triton")(x)
    y.sum().backward()
    torch.testing.assert_close(y, compile_kernel("crrelu", "aten")(x), rtol=1e-5, atol=1e-5)
    assert x.grad.device == x.device
