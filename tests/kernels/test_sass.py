"""What NVRTC makes of the CUDA sources: every architecture, and in the disassembly of the loops what limits their speed.

A kernel that moves its bytes as fast as an H200's memory (4.8 TB/s) has the time of so many instructions an element on its
132 processors of 128 lanes at 1.98 GHz, a sixteenth of them for special functions.
"""

from __future__ import annotations

import pytest
import sass

from eafo.catalog import get, names
from eafo.kernels import nvrtc
from eafo.kernels.backends import cuda
from eafo.kernels.lower import Scalar

needs_nvrtc = pytest.mark.skipif(not nvrtc.available(), reason="eafo[cuda] is not installed")
needs_disassembler = pytest.mark.skipif(sass.disassembler() is None, reason="no nvdisasm on this machine")

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
#: Bytes of an element, and how many instructions and special functions it may take forward and backward.
BUDGETS = {
    "bfloat16": (2, {"forward": (cuda.BUDGET[2], 3.9), "backward": (47, 5.8)}),
    "float16": (2, {"forward": (cuda.BUDGET[2], 3.9), "backward": (47, 5.8)}),
    "float32": (4, {"forward": (cuda.BUDGET[4], 7.8), "backward": (94, 11.6)}),
}
#: Sines of large arguments take a long way, in the same loop.
LONG = {"sin", "sinerelu"}
#: The quotients of float32 that are rounded once.
SLOW = {("gelu_tanh", "float32", "forward")}


def _cubin(name, architecture="sm_90", exact=False, form="plain"):
    return nvrtc.compile_cubin(cuda.source(Scalar.of(get(name)), exact, form), architecture)


@needs_nvrtc
@pytest.mark.parametrize("name", names())
def test_the_catalog_compiles_for_every_architecture(name):
    for architecture in ARCHITECTURES:
        cubin = _cubin(name, architecture)
        assert cubin.startswith(b"\x7fELF")
        for kind in ("float32", "float64", "float16", "bfloat16"):
            assert f"eafo_forward_{kind}".encode() in cubin
            assert f"eafo_backward_{kind}".encode() in cubin


@needs_nvrtc
@needs_disassembler
@pytest.mark.parametrize("name", names())
def test_wide_accesses_no_local_memory_and_few_instructions(name, tmp_path):
    found = sass.functions(_cubin(name), tmp_path / "kernel.cubin")
    for kind, (size, budgets) in BUDGETS.items():
        for direction, (most, most_special) in budgets.items():
            function = found[f"eafo_{direction}_{kind}"]
            loop = function.loop()
            elements = loop.elements(size)
            # Two packs at once are on their way: for each an x, and backward a gradient (the identity's needs no x).
            tensors = 2 if direction == "backward" and name != "identity" else 1
            assert loop.count("LDG.E.128") * 16 == elements * size * tensors
            assert loop.count("STG.E.128") * 16 == elements * size >= 32
            if name in LONG:
                assert not cuda.is_light(Scalar.of(get(name)), size)
                continue
            if direction == "forward":
                share = len(loop.instructions) / elements / most
                assert share < 0.72 if cuda.is_light(Scalar.of(get(name)), size) else share > 0.4
            assert not function.uses("LDL", "STL")
            assert loop.count("MUFU") <= most_special * elements
            if (name, kind, direction) not in SLOW:
                assert len(loop.instructions) <= most * elements


@needs_nvrtc
@needs_disassembler
@pytest.mark.parametrize("form", ["gated", "channels", "code"])
@pytest.mark.parametrize("name", ["gelu", "silu", "crrelu"])
def test_the_forms_too(name, form, tmp_path):
    if form == "code" and get(name).learnable:
        pytest.skip("a code is for fixed parameters")
    found = sass.functions(_cubin(name, form=form), tmp_path / "kernel.cubin")
    for kind in BUDGETS:
        kernels = [f for n, f in found.items() if n.endswith(f"_{kind}")]
        assert len(kernels) == (4 if form == "channels" else 2)
        for function in kernels:
            assert function.uses("LDG.E.128")
            assert function.uses("STG.E.128")
            assert not function.uses("LDL", "STL")


@needs_nvrtc
@needs_disassembler
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_eight_bits_are_rounded_by_the_processor_that_can(architecture, tmp_path):
    found = sass.functions(_cubin("gelu", architecture, form="float8"), tmp_path / "kernel.cubin")
    assert len(found) == 4
    for kind in BUDGETS:
        function = found[f"eafo_forward_{kind}"]
        assert function.uses("LDG.E.128")
        assert not function.uses("LDL", "STL")
        assert bool(function.uses("F2FP.SATFINITE.E4M3")) == (architecture == "sm_90")


@needs_nvrtc
@pytest.mark.parametrize("form", ["plain", "gated", "channels", "code", "float8"])
def test_the_exact_precision_compiles(form):
    assert _cubin("gelu", exact=True, form=form).startswith(b"\x7fELF")
