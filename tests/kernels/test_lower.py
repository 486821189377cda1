"""Lowering: sharing, folding, powers, branches, and what cannot be lowered."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch

from eafo.activation import VARIABLE as X
from eafo.catalog import get, names
from eafo.errors import InputError
from eafo.formula import parse
from eafo.kernels.backends import aten
from eafo.kernels.lower import Scalar, lower
from eafo.kernels.program import Operation, Precision, Program

A = sympy.Symbol("a", real=True)


def _lower(expression, parameters=(), precision=Precision.FLOAT64) -> Program:
    return lower([expression], parameters, precision, ["f"])


def _count(program: Program, operation: Operation) -> int:
    return sum(step.operation is operation for step in program.instructions)


def test_a_program_is_in_order_and_ends_in_its_outputs():
    for name in names():
        act = get(name)
        scalar = Scalar.of(act.with_learnable(*act.defaults))
        for program in (scalar.forward(Precision.FLOAT32), scalar.backward(Precision.FLOAT64)):
            for position, step in enumerate(program.instructions):
                assert all(k < position for k in step.operands)
            assert all(0 <= k < len(program.instructions) for k in program.outputs)
            assert len(program.outputs) == len(program.output_names)


def test_common_terms_are_computed_once():
    program = _lower(sympy.exp(X) * sympy.sin(X) + sympy.exp(X) / sympy.sin(X))
    assert _count(program, Operation.EXP) == 1
    assert _count(program, Operation.SIN) == 1


def test_backward_shares_between_slope_and_parameters():
    backward = Scalar.of(get("crrelu")).backward(Precision.FLOAT64)
    assert backward.output_names == ("df/dx", "df/depsilon")
    assert _count(backward, Operation.EXP_HEAD) == 1
    mish = Scalar.of(get("mish")).backward(Precision.FLOAT64)
    assert _count(mish, Operation.EXP) == 1


def test_small_powers_are_products():
    program = _lower(X**8)
    assert _count(program, Operation.MUL) == 3
    assert _count(program, Operation.POW) == 0
    assert _count(_lower(X**-2), Operation.DIV) == 1
    assert _count(_lower(sympy.sqrt(1 + X**2)), Operation.SQRT) == 1
    assert _count(_lower((1 + X**2) ** A, [A]), Operation.POW) == 1
    assert _count(_lower(X**40), Operation.POW) == 1


def test_constants_are_folded_once_from_their_exact_values():
    program = _lower(sympy.sqrt(2 / sympy.pi) * X)
    constants = [s.value for s in program.instructions if s.operation is Operation.CONST]
    assert constants == [float((2 / np.longdouble(np.pi)) ** np.longdouble(0.5))]
    single = _lower(X * sympy.Rational(1, 10), precision=Precision.FLOAT32)
    assert [s.value for s in single.instructions if s.operation is Operation.CONST] == [
        float(np.float32(0.1))
    ]


def test_sums_of_x_and_a_constant_stay_exact():
    assert str(_lower(X / 6 + sympy.Rational(1, 2))).count("div") == 0
    constants = [
        s.value for s in _lower(X / 6 + sympy.Rational(1, 2)).instructions if s.operation is Operation.CONST
    ]
    assert constants == [3.0, 1 / 6]


def test_unused_parameters_stay_inputs():
    program = _lower(X + 1, [A])
    assert program.inputs == ("x", "a")
    assert program.operations == 1


def test_conditions_become_selects():
    condition = sympy.And(X > 0, sympy.Or(X < 1, sympy.Eq(X, 3)), sympy.Ne(X, 2))
    program = _lower(sympy.Piecewise((X, condition), (0, True)))
    assert _count(program, Operation.SELECT) == 1
    assert _count(program, Operation.AND) == 2
    assert _count(program, Operation.NOT) == 1
    assert program.instructions[program.outputs[0]].operation is Operation.SELECT


def test_a_piecewise_without_a_last_branch_is_nan_there():
    program = _lower(sympy.Piecewise((X, X > 0)))
    assert any(np.isnan(s.value) for s in program.instructions if s.operation is Operation.CONST)


def test_operation_counts_of_the_three_examples():
    counts = {}
    for name in ("crrelu", "srelu", "sinerelu"):
        scalar = Scalar.of(get(name))
        counts[name] = (
            scalar.forward(Precision.FLOAT64).operations,
            scalar.backward(Precision.FLOAT64).operations,
        )
    assert counts == {"crrelu": (9, 16), "srelu": (11, 19), "sinerelu": (21, 21)}


def test_an_unknown_function_is_refused():
    with pytest.raises(InputError, match="a kernel is built of known functions, but got 'gamma"):
        _lower(sympy.gamma(X))


def test_programs_print():
    assert str(_lower(2 * X)) == "float64 (x)\n  v0 = x\n  v1 = 2.0\n  v2 = mul v0, v1\n  f = v2"


@pytest.mark.parametrize("formula", ["x*exp(-exp(exp(exp(3))))", "x + exp(exp(exp(4)))", "cosh(exp(20))*x"])
def test_a_constant_beyond_every_format_is_refused_at_once(formula):
    with pytest.raises(InputError, match=r"must (be finite|stay below)"):
        (
            Scalar.of(get(formula)).backward(Precision.FLOAT64),
            Scalar.of(get(formula)).forward(Precision.FLOAT64),
        )


@pytest.mark.parametrize(
    "text",
    [
        "2*log(1/4 - erf(sqrt(2)*2.4)/4 + exp(-7.8)/4)",
        "log(1/4 - erf(20)/4)",
        "log(1/2 - erf(-3)/2)",
        "log(1 - exp(-exp(-2)))",
        "log(1 + exp(-30))",
        "1 + erf(-4)",
        "exp(-100)/(1 - erf(10)) - sqrt(100*pi)",
        "(exp(0.001) - 1)*tanh(log(1 + exp(0.3)))/(1 + exp(-2))",
    ],
)
def test_constants_are_folded_from_their_exact_values(text):
    """Rewritten like functions of x, they would be numbers that SymPy does not know, or cancel in the program."""
    number = sympy.N(parse(text), 40, maxn=1000)
    program = Scalar.of(get(f"{text} + x")).forward(Precision.FLOAT64)
    constants = [step.value for step in program.instructions if step.operation is Operation.CONST]
    assert np.abs(constants) == pytest.approx([float(abs(number))], rel=1e-15, abs=0)


def test_what_torch_compile_sees_of_erfcx_is_as_close_as_torchs_own(monkeypatch):
    names = {}
    exec(aten.HELPERS, names)  # noqa: S102 - the text is eafo's own
    u = torch.linspace(0, 13.4, 100_001)
    right = torch.special.erfcx(u.double())
    errors = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        errors.append(((names["_erfcx"](u).double() - right).abs() / right).max().item())
    assert errors[0] < 2**-21
    assert errors[1] < 2**-21
    assert errors[0] != errors[1]
