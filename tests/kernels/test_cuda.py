"""The CUDA backend: compiled by NVRTC where it is installed, and run on a GPU where there is one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import halves
import numpy as np
import pytest
import torch

from eafo.catalog import get, names
from eafo.errors import BuildError, InputError, MissingDependencyError
from eafo.kernels import compile_kernel, emit, nvrtc
from eafo.kernels.launch import cuda as launching
from eafo.kernels.launch.cuda import CudaRunner
from eafo.nn import Module

needs_nvrtc = pytest.mark.skipif(not nvrtc.available(), reason="eafo[cuda] is not installed")
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


def test_a_thread_of_autograd_has_a_context_before_the_driver_is_asked(monkeypatch):
    bound, device = set(), SimpleNamespace(set_current=lambda: bound.add(threading.get_ident()))

    def most_at_once(threads, _):
        assert threading.get_ident() in bound
        return 2048 // threads

    kernel = SimpleNamespace(occupancy=SimpleNamespace(max_active_blocks_per_multiprocessor=most_at_once))
    code = SimpleNamespace(get_kernel=lambda name: kernel)
    monkeypatch.setattr(nvrtc, "require", lambda: SimpleNamespace(Device=lambda index: device))
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    with ThreadPoolExecutor(1) as pool:
        module = launching._Module(code, 0, 132, 128)
        found = pool.submit(module.most, "eafo_backward", torch.float32, sums=True).result()
    assert found == 132 * 16


class _Driver:
    """Enough of cuda.core for a module to be loaded: devices that are made current, and kernels."""

    def __init__(self, refuses=False):
        self.current, self.refuses, self.launched = [], refuses, []
        self.ObjectCode = SimpleNamespace(from_cubin=lambda cubin: SimpleNamespace(get_kernel=self._kernel))
        self.LaunchConfig = SimpleNamespace
        self.launch = lambda stream, config, kernel, *values: self.launched.append((config, values))

    def Device(self, index):
        return SimpleNamespace(set_current=lambda: self.current.append(index), create_stream=lambda s: s)

    def _kernel(self, name):
        if self.refuses:
            raise RuntimeError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION")
        occupancy = SimpleNamespace(max_active_blocks_per_multiprocessor=lambda threads, _: 2048 // threads)
        return SimpleNamespace(occupancy=occupancy)


@pytest.fixture
def driver(monkeypatch):
    """Put a driver of two GPUs of which none is there in the place of CUDA."""

    def install(**options):
        found, guards = _Driver(**options), []

        @contextlib.contextmanager
        def on(device):
            guards.append(device)
            yield
            guards.pop()

        monkeypatch.setattr(nvrtc, "require", lambda: found)
        monkeypatch.setattr(nvrtc, "compile_cubin", lambda source, architecture: b"")
        monkeypatch.setattr(torch.cuda, "device", on)
        monkeypatch.setattr(
            torch.cuda, "current_device", lambda: torch.device(guards[-1]).index if guards else 0
        )
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
        monkeypatch.setattr(launching, "current_stream", lambda index: 7)
        monkeypatch.setattr(launching, "_thread", threading.local())
        processors = SimpleNamespace(multi_processor_count=132)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: processors)
        found.guards = guards
        return found

    yield install
    for kept in (launching._stream, launching._config, launching._resident, launching._kernel):
        kept.cache_clear()


def test_the_first_call_on_another_gpu_leaves_the_current_one(driver):
    found = driver()
    set_current = found.Device(1).set_current

    def guarded():
        assert found.guards == [1]
        set_current()

    found.Device = lambda index: SimpleNamespace(set_current=guarded, create_stream=lambda s: s)
    module = launching._Module.load("", 1, "plain")
    module.launch("eafo_forward", torch.ones(3), 5, torch.ones(3), 11)
    assert found.current == [1]
    assert found.guards == []
    ((config, values),) = found.launched
    assert (config.grid, config.block, values[1]) == (5, 128, 11)


def test_a_cubin_that_the_driver_refuses_is_an_error_of_one_line(driver):
    driver(refuses=True)
    with pytest.raises(
        BuildError, match=r"the driver must load the kernel, but got 'CUDA_ERROR_.*'; update the driver"
    ):
        launching._Module.load("", 0, "channels")


def test_launches_that_a_graph_holds_have_counters_of_their_own(monkeypatch, driver):
    driver()
    module, pool = launching._Module.load("", 0, "plain"), launching._Pool(torch.zeros(10, dtype=torch.int32))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    monkeypatch.setattr(launching, "_CAPTURED", set())
    monkeypatch.setattr(launching, "_POOLS", {0: pool})
    places = [module.tickets(n) for n in (4, 1, 5)]
    taken = [(t.data_ptr() - places[0].data_ptr()) // 4 for t in places]
    assert (taken, [len(t) for t in places]) == ([0, 4, 5], [4, 1, 5])
    assert pool.take(1) is None
    # What a graph launches is never unloaded.
    module.launch("eafo_forward", torch.ones(3), 1)
    assert {module} == launching._CAPTURED


def test_cuda_by_name_serves_tensors_of_the_cpu_through_torch():
    x = torch.linspace(-2, 2, 5)
    assert torch.equal(compile_kernel("crrelu", "cuda")(x), compile_kernel("crrelu", "aten")(x))
    assert not CudaRunner.serves(x, ())


@needs_nvrtc
@pytest.mark.parametrize("formula", ["min(x, 1e300)", "max(x, -1e300)"])
def test_a_constant_beyond_float32_compiles(formula):
    assert nvrtc.compile_cubin(emit(formula, "cuda"), "sm_90").startswith(b"\x7fELF")


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


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["crrelu", "gelu", "silu"])
def test_on_a_gpu_the_gated_and_the_bias_form_and_a_value_a_channel(name, dtype, precision):
    act, generator = get(name), torch.Generator("cuda").manual_seed(0)
    x, gate, weight = (torch.randn(1001, 96, device="cuda", generator=generator).to(dtype) for _ in range(3))
    bias = torch.randn(96, device="cuda", generator=generator).to(dtype)
    results = []
    for backend in ("cuda", "aten"):
        kernel = compile_kernel(act, backend, precision)
        found = []
        for form, beside in ((kernel.gated, gate), (kernel.biased, bias)):
            leaves = [t.clone().requires_grad_() for t in (x, beside)]
            y = form(*leaves)
            found += [y, *torch.autograd.grad(y, leaves, weight)]
        if act.learnable:
            leaf, epsilon = (
                x.clone().requires_grad_(),
                torch.full((96,), 0.2, device="cuda", requires_grad=True),
            )
            y = kernel(leaf, epsilon=epsilon)
            assert kernel._computation.runner(leaf, (epsilon,)).name == backend
            found += [y, *torch.autograd.grad(y, [leaf, epsilon], weight)]
        results.append(found)
    close = {torch.float16: 4e-3, torch.bfloat16: 4e-2, torch.float64: 1e-10}.get(dtype, 2e-4)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=close, atol=close * 10)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", names())
def test_on_a_gpu_half_precisions_are_within_a_unit_at_every_input(name, dtype):
    x = halves.every(dtype).cuda().requires_grad_()
    wide = x.detach().double().requires_grad_()
    results = [compile_kernel(name, "cuda")(x), compile_kernel(name, "aten")(wide)]
    halves.assert_within_a_unit(x.detach(), *(y.detach() for y in results))
    slopes = [torch.autograd.grad(y.sum(), v)[0] for y, v in zip(results, (x, wide), strict=True)]
    halves.assert_within_a_unit(x.detach(), *slopes)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["identity", "gelu", "crrelu"])
def test_on_a_gpu_eight_bits(name, dtype):
    x = torch.randn(100_003, device="cuda", generator=torch.Generator("cuda").manual_seed(0)).to(dtype) * 100
    x[:50_000] /= 2000
    found = compile_kernel(name, "cuda").float8(x, 1.5)
    right = (compile_kernel(name, "aten")(x.double()) * 1.5).clamp(-448, 448)
    # Half a step of the type, and what the kernel itself errs by.
    step = torch.exp2(torch.floor(torch.log2(right.abs().clamp(min=2.0**-6))) - 3)
    assert ((found.double() - right).abs() <= step * (0.5 + 2**-8)).all()
    if name == "identity":
        assert torch.equal(found.view(torch.uint8), right.to(torch.float8_e4m3fn).view(torch.uint8))


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(5, 96, 7, 7), (3, 8, 5, 1), (1, 3, 300, 150), (2, 5000, 3, 3)], ids=str)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=str)
def test_on_a_gpu_a_value_a_channel_of_images(order, shape, dtype):
    generator = torch.Generator("cuda").manual_seed(0)
    x, weight = (
        torch.randn(shape, device="cuda", generator=generator).to(dtype).to(memory_format=order)
        for _ in range(2)
    )
    # One is learned by channel, one for all, and one is a number.
    channels = torch.linspace(0.5, 1, shape[1], device="cuda").view(-1, 1, 1).to(dtype)
    results = []
    for backend in ("cuda", "aten"):
        kernel = compile_kernel("xielu", backend)
        given = [x.clone(), channels.clone(), torch.tensor(0.7, device="cuda")]
        leaves = [t.requires_grad_() for t in given]
        y = kernel(leaves[0], alpha_p=leaves[1], alpha_n=leaves[2])
        results.append((y, *torch.autograd.grad(y, leaves, weight)))
    close = {torch.float16: 4e-3, torch.bfloat16: 4e-2, torch.float64: 1e-9}.get(dtype, 2e-4)
    for found, expected in zip(*results, strict=True):
        scale = max(1.0, expected.double().abs().max().item())
        torch.testing.assert_close(found, expected, rtol=close, atol=close * scale)


def _graphed(step, x):
    """A captured step, as torch advises: after a warm-up on a stream of its own."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            step(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(x)
    return graph, captured


def _differentiated(call, *leaves):
    def step(x):
        y = call(x)
        return (y, *torch.autograd.grad(y.float().sum(), [x, *leaves]))

    return step


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("form", ["own type", "channels", "bias", "gate", "code", "float8"])
def test_on_a_gpu_a_graph_captures_every_form(form, dtype):
    crrelu, shape = compile_kernel("crrelu", "cuda"), (1001, 96)
    x, beside = (torch.randn(shape, device="cuda", dtype=dtype, requires_grad=True) for _ in range(2))
    epsilon = torch.tensor(0.2, device="cuda", dtype=dtype, requires_grad=True)
    alpha = torch.full((96,), 0.7, device="cuda", dtype=dtype, requires_grad=True)
    bias = torch.randn(96, device="cuda", dtype=dtype, requires_grad=True)
    xielu, gelu = compile_kernel("xielu", "cuda"), compile_kernel("gelu", "cuda", save="code")
    step = {
        "own type": _differentiated(lambda x: crrelu(x, epsilon=epsilon), epsilon),
        "channels": _differentiated(lambda x: xielu(x, alpha_p=alpha), alpha),
        "bias": _differentiated(lambda x: crrelu.biased(x, bias), bias),
        "gate": _differentiated(lambda x: crrelu.gated(x, beside, epsilon=epsilon), beside, epsilon),
        "code": _differentiated(gelu),
        "float8": lambda x: (crrelu.float8(x.detach(), epsilon.detach(), epsilon=epsilon.detach()).float(),),
    }[form]
    graph, captured = _graphed(step, x)
    for seed in range(3):
        with torch.no_grad():
            x.normal_(generator=torch.Generator("cuda").manual_seed(seed))
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(captured, step(x), strict=True))


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_graphs_may_overlap():
    kernel = compile_kernel("crrelu", "cuda")
    inputs = [torch.randn(2**20, device="cuda", requires_grad=True) for _ in range(2)]
    epsilon = torch.tensor(0.2, device="cuda", requires_grad=True)
    step = _differentiated(lambda x: kernel(x, epsilon=epsilon), epsilon)
    graphs, streams = [_graphed(step, x) for x in inputs], [torch.cuda.Stream() for _ in inputs]
    expected = [step(x) for x in inputs]
    torch.cuda.synchronize()
    for _ in range(50):
        for (graph, _), stream in zip(graphs, streams, strict=True):
            with torch.cuda.stream(stream):
                graph.replay()
    torch.cuda.synchronize()
    for (_, captured), right in zip(graphs, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(captured, right, strict=True))


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_a_graphed_module_learns_the_same():
    results = []
    for graphed in (False, True):
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(64, 64), Module("crrelu"), torch.nn.Linear(64, 1)).cuda()
        x = torch.randn(512, 64, device="cuda")
        call = torch.cuda.make_graphed_callables(layers, (x,)) if graphed else layers
        optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad(set_to_none=True)
            call(x).square().mean().backward()
            optimizer.step()
        results.append([p.detach().clone() for p in layers.parameters()])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_on_a_second_gpu_the_first_stays_current():
    x = torch.randn(1001, device="cuda:1", requires_grad=True)
    epsilon = torch.tensor(0.2, device="cuda:1", requires_grad=True)
    y = compile_kernel("crrelu", "cuda")(x, epsilon=epsilon)
    y.sum().backward()
    assert torch.cuda.current_device() == 0
    torch.testing.assert_close(y, _crrelu(x, epsilon))
    assert epsilon.grad.device == x.grad.device == y.device


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
def test_on_a_gpu_a_code_of_four_bits():
    x = torch.randn(100_003, device="cuda", dtype=torch.bfloat16)
    results = []
    for backend in ("cuda", "aten"):
        leaf = x.clone().requires_grad_()
        y = compile_kernel("gelu", backend, save="code")(leaf)
        results.append((y, *torch.autograd.grad(y.float().sum(), leaf)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=2e-2, atol=2e-2)
    assert (results[0][1] != results[1][1]).float().mean() < 0.01


@pytest.mark.gpu
@needs_gpu
@needs_nvrtc
@pytest.mark.skipif(shutil.which("compute-sanitizer") is None, reason="no compute-sanitizer on this machine")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck"])
def test_on_a_gpu_the_sanitizer_finds_nothing(tool):
    program = """
import torch
from eafo.kernels import compile_kernel
for dtype in (torch.float32, torch.bfloat16):
    x, gate = (torch.randn(301, 96, device="cuda").to(dtype).requires_grad_() for _ in range(2))
    crrelu = compile_kernel("crrelu", "cuda")
    for epsilon in (torch.tensor(0.1), torch.full((96,), 0.1)):
        epsilon = epsilon.cuda().requires_grad_()
        y = crrelu(x, epsilon=epsilon)
        torch.autograd.grad(y, [x, epsilon], torch.ones_like(y))
    y = crrelu.gated(x, gate)
    torch.autograd.grad(y, [x, gate], torch.ones_like(y))
    y = compile_kernel("gelu", "cuda", save="code")(x)
    torch.autograd.grad(y, x, torch.ones_like(y))
torch.cuda.synchronize()
"""
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "3", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
