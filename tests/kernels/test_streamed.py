"""Results stored past the caches: those that are not, but for how the compiler joins products and sums."""

from __future__ import annotations

import pytest
import torch

from eafo.catalog import get, names
from eafo.kernels import build
from eafo.kernels.backends import cpp
from eafo.kernels.launch.cpp import CppRunner
from eafo.kernels.lower import Scalar

needs_avx512 = pytest.mark.skipif(
    build.find_compiler() is None or "avx512f" not in build._processor().split(),
    reason="no compiler, or no AVX-512 on this machine",
)


def _runners(name, monkeypatch):
    """Of one that never stores past the caches and one that does from 1 KiB on."""
    made = []
    for streams in (False, True):
        monkeypatch.setattr(build, "streams", lambda streams=streams: streams)
        monkeypatch.setattr(cpp, "_STREAMED_BYTES", 1024)
        runner = CppRunner(Scalar.of(get(name)))
        runner._gated  # noqa: B018 - compiled while the patches hold
        made.append(runner)
    return made


def _assert_close(found, expected, outputs):
    """Results to an ULP or two, and sums over them to what their terms may lose."""
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        rtol, atol = (5e-7, 1e-6) if i < outputs else (1e-4, 1e-2)
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@needs_avx512
@pytest.mark.parametrize("name", names())
def test_the_same_results_to_rounding(name, monkeypatch):
    plain, streamed = _runners(name, monkeypatch)
    values = tuple(get(name).defaults.values())
    generator = torch.Generator().manual_seed(2)
    # Below the size, whole lines, a part of a line at the end of a chunk and of the last one.
    for n in (255, 256, 1024, 16384 + 7, 50000):
        x, grad, gate = (3 * torch.randn(n, generator=generator) for _ in range(3))
        _assert_close([streamed.forward(x, values)], [plain.forward(x, values)], 1)
        _assert_close([streamed.gated(x, gate, values)], [plain.gated(x, gate, values)], 1)
        _assert_close(streamed.backward(x, values, grad), plain.backward(x, values, grad), 1)
        both = (r.gated_backward(x, gate, values, grad) for r in (streamed, plain))
        _assert_close(*both, 2)


@needs_avx512
def test_unaligned_inputs_writing_over_x_and_any_number_of_threads(monkeypatch):
    plain, streamed = _runners("crrelu", monkeypatch)
    x = torch.randn(70001)[1:]
    grad = torch.randn(70003)[3:]
    once = streamed.backward(x, (0.3,), grad)
    assert torch.equal(once[0], plain.backward(x, (0.3,), grad)[0])
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert all(
                torch.equal(a, b) for a, b in zip(streamed.backward(x, (0.3,), grad), once, strict=True)
            )
    finally:
        torch.set_num_threads(before)
    expected = plain.forward(x, (0.3,))
    assert streamed.overwrite(x, (0.3,))
    assert torch.equal(x, expected)


@needs_avx512
@pytest.mark.parametrize("form", ["plain", "gated"])
def test_only_float32_in_fast_precision_is_stored_past_the_caches(form):
    scalar = Scalar.of(get("crrelu"))
    assert "movntps" in cpp.source(scalar, False, form, streamed=True)
    assert "movntps" not in cpp.source(scalar, False, form)
    assert cpp.source(scalar, True, form, streamed=True) == cpp.source(scalar, True, form)


def test_only_where_it_was_measured_to_be_faster(monkeypatch):
    monkeypatch.setattr(build, "find_compiler", lambda: "c++")
    monkeypatch.setattr(build, "_version", lambda _: "g++ 12")
    for processor, expected in (
        ("vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f", True),
        ("vendor_id : AuthenticAMD\nflags : fpu avx2", False),
        ("vendor_id : GenuineIntel\nflags : fpu avx2 avx512f", False),
        ("aarch64", False),
    ):
        monkeypatch.setattr(build, "_processor", lambda processor=processor: processor)
        assert build.streams() is expected
    monkeypatch.setattr(build, "_version", lambda _: "clang version 18")
    monkeypatch.setattr(build, "_processor", lambda: "AuthenticAMD avx512f")
    assert not build.streams()
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    assert not build.streams()
