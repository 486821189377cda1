"""The operators of torch.library: what torch itself checks of them, and export."""

from __future__ import annotations

import pytest
import torch

from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.kernels import build, compile_kernel, operator

needs_compiler = pytest.mark.skipif(build.find_compiler() is None, reason="no C++ compiler on this machine")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def _inputs(name, dtype=torch.float32):
    act = get(name)
    x = torch.randn(3, 7, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    values = [torch.tensor(p.default, dtype=dtype, requires_grad=p.learnable) for p in act.parameters]
    return (x, *values)


@pytest.mark.parametrize("backend", ["aten", pytest.param("cpp", marks=needs_compiler)])
@pytest.mark.parametrize("name", names())
def test_opcheck(name, backend):
    torch.library.opcheck(operator(name, backend), _inputs(name))


@needs_compiler
@pytest.mark.parametrize("name", ["gelu", "crrelu", "srelu"])
def test_values_and_gradients_are_those_of_the_kernel(name):
    inputs, act = _inputs(name, torch.float64), get(name)
    found = operator(name)(*inputs)
    expected = compile_kernel(name)(inputs[0], **dict(zip(act.defaults, inputs[1:], strict=True)))
    assert torch.equal(found, expected)
    leaves = [t for t in inputs if t.requires_grad]
    for a, b in zip(*(torch.autograd.grad(y.sum(), leaves) for y in (found, expected)), strict=True):
        assert torch.equal(a, b)
    assert torch.autograd.gradcheck(operator(name), inputs)


def test_it_is_one_node_of_an_exported_program():
    silu = operator("silu", "aten")

    class Layer(torch.nn.Module):
        def forward(self, x):
            return 2 * silu(x)

    x = torch.randn(4, 3)
    program = torch.export.export(Layer(), (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert [t for t in targets if t.startswith("eafo.silu_")]
    wide = torch.randn(9, 3)
    torch.testing.assert_close(program.module()(wide), 2 * torch.nn.functional.silu(wide))


def test_formulas_of_one_name_are_two_operators():
    first, second = (operator(get(formula)) for formula in ("x*exp(-x**2)", "x*exp(-x**4)"))
    assert first is not second
    assert first is operator("x*exp(-x**2)")
    with pytest.raises(InputError, match="the precisions are"):
        operator("gelu", precision="double")
