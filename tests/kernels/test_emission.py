"""Emitted source: reproducible, self-contained, and harmless whatever the user's names are."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sympy
import torch

from eafo.activation import VARIABLE as X
from eafo.activation import Activation, Parameter, Provenance
from eafo.catalog import names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel, emit, suffix, targets

HOSTILE = [
    "*/ int main() { evil(); } /*",
    "\\",
    "??/",
    '"); import os; os.system("x") #',
    "{{ 7 * 7 }} {% raw %}",
    "a'b\"c`d$e",
]


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("name", names())
def test_every_activation_is_written_the_same_twice(name, target):
    assert emit(name, target) == emit(name, target)
    assert "#include" not in emit(name, target)


def test_the_header_says_what_it_is():
    text = emit("crrelu", "cuda")
    assert text.startswith("// crrelu: ")
    assert "// p0 = epsilon, 0.01 at the start, in (-inf, inf), learnable\n" in text
    assert "// from: Sun et al." in text
    assert "// Operations an element: 9 forward, 16 backward" in text


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_gets_out_of_its_comment(name, target):
    act = Activation(name, 2 * X, provenance=Provenance(source=f"{name}\n#include <evil>\n"))
    comment = "#" if target in ("aten", "triton") else "//"
    plain = emit(Activation("plain", 2 * X), target)
    body = plain.split("\n\n", 1)[1]
    text = emit(act, target)
    header = text.removesuffix(body)
    assert text.endswith(body)
    assert all(line.startswith(comment) for line in header.strip().splitlines())
    assert not any(c in header for c in '\\{}"`$?' if c != "?")


def test_parameters_reach_code_under_generated_names_alone():
    act = Activation("f", sympy.Symbol("system") * X, (Parameter("system", 1.0, learnable=True),))
    for target in targets():
        body = emit(act, target).split("\n\n", 1)[1]
        assert "system" not in body
        assert "p0" in body


@pytest.mark.parametrize("name", ["crrelu", "srelu", "mish"])
def test_emitted_python_is_what_aten_runs(name):
    module: dict = {}
    exec(emit(name, "aten"), module)  # noqa: S102 - what the generator wrote
    kernel = compile_kernel(name, "aten")
    x = torch.linspace(-4, 4, 33, dtype=torch.float64, requires_grad=True)
    parameters = [x.new_tensor(v) for v in kernel.activation.defaults.values()]
    (value,) = module["forward"](x.detach(), *parameters)
    slope, *_ = module["backward"](x.detach(), *parameters)
    y = kernel(x)
    assert torch.equal(value, y)
    assert torch.equal(slope, torch.autograd.grad(y.sum(), x)[0])


@pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
@pytest.mark.parametrize("name", ["crrelu", "srelu", "gelu"])
def test_emitted_cpp_compiles_without_a_warning(name, tmp_path):
    command = [build.find_compiler(), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command += ["-Wno-unused-parameter", "-Wno-unused-function", "-fsyntax-only", "-x", "c++", "-"]
    done = subprocess.run(command, input=emit(name, "cpp"), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_emitting_loads_no_torch():
    code = "import sys; from eafo.kernels import emit; emit('mish'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_targets_and_their_suffixes():
    assert targets() == ("aten", "cpp", "cuda", "triton")
    assert [suffix(t) for t in targets()] == ["py", "cpp", "cu", "py"]


def test_an_unknown_target_is_refused():
    with pytest.raises(InputError, match="the targets are: aten, cpp, cuda, triton, but got 'metal'"):
        emit("relu", "metal")


def test_the_header_states_the_precision_and_what_it_promises():
    fast, exact = (emit("gelu", "cpp", precision) for precision in ("fast", "exact"))
    assert "// C++17 for GCC and Clang, four types; no header needed. fast: float32 within 8 ULP" in fast
    assert "exact: float32 computed in double and rounded once" in exact
    assert "float32_compensated" in fast
    assert "float32_compensated" not in exact
    fast, exact = (emit("gelu", "cuda", precision) for precision in ("fast", "exact"))
    assert "fast: half precisions by the processor's approximations" in fast
    assert "quick_exp" in fast
    assert "quick_exp" not in exact
    with pytest.raises(InputError, match="the precisions of aten are: fast, exact, but got 'wrong'"):
        emit("gelu", "aten", "wrong")
