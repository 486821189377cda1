"""`eafo properties`, `eafo entropy` and `eafo rank`: the page, the table, the JSON, the figure."""

from __future__ import annotations

import math

import pytest

from eafo import catalog
from eafo.theory import entropy as entropies


def test_properties_tells_where_sinerelu_jumps(eafo):
    ran = eafo("properties", "sinerelu")
    assert ran.status == 0
    assert ran.err == ""
    assert "jumps by epsilon = 0.0025 at x = 0, from −0.0025 to 0" in ran.out
    assert "not continuous" in ran.out
    assert "turns without end towards −∞" in ran.out


def test_properties_of_srelu_at_a_parameter(eafo):
    ran = eafo("properties", "srelu(t=1.5)", "--law", "uniform(-3, 3)")
    assert "C¹" in ran.out
    assert "flat on (−∞, −1.5)" in ran.out
    assert "P(f(X) = 0) = 0.25 under uniform(-3, 3)" in ran.out


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("sin(x)", "C^∞"),
        ("hardswish", "from −3/8 = −0.375 to ∞"),
        ("relu", "all of (0, ∞)"),
        ("relu_squared", "Lipschitz constant  none"),
        ("where(x > 0, 1, 0)", "jumps by 1 at x = 0, from 0 to 1"),
        ("tanh", "odd"),
        ("exp(0 - x)", "monotonicity        nowhere increasing"),
        ("x**2", "monotonicity        not monotone"),
    ],
)
def test_properties_of(eafo, formula, says):
    ran = eafo("properties", formula)
    assert ran.status == 0
    assert says in ran.out


def test_properties_as_json(eafo):
    document = eafo("properties", "crrelu", "--json").document
    assert document["formula"] == str(catalog.get("crrelu"))
    assert document["kinks"] == [{"x": 0.0, "left_slope": 0.01, "right_slope": 1.01}]
    # JSON has no infinity, and what there is not is no infinity.
    assert document["range"] == [pytest.approx(-0.01 * math.exp(-0.5)), "oo"]
    assert eafo("properties", "sin", "--json").document["limits"] == [None, None]
    assert eafo("properties", "identity", "--json").document["limits"] == ["-oo", "oo"]
    assert document["exact_range"][1] == "oo"
    assert document["smoothness"] == 0
    assert document["monotone"] is False


def test_rank_lists_the_whole_catalog(eafo, tmp_path):
    ran = eafo("rank", "-o", "figure.svg")
    assert ran.status == 0
    assert "wrote figure.svg" in ran.err
    assert all(name in ran.out for name in catalog.names())
    # At 80 columns the atoms are folded.
    assert all(f"0.159 at {value}" in ran.out for value in (-1, 1))
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_rank_as_json(eafo):
    document = eafo("rank", "tanh", "relu", "--law", "logistic", "--resolution", "0.01", "--json").document
    assert document["law"] == "logistic"
    assert [row["activation"] for row in document["rows"]] == ["relu", "tanh"]
    assert {row["resolution"] for row in document["rows"]} == {0.01}
    assert document["figure"] is None


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        # Known to 30 digits by mpmath.
        (["silu"], ["H              0.108338274 nats, differential: −∫ q log q dz"]),
        (["softplus"], ["H              0.612879350 nats"]),
        (["relu"], ["1.056042857 nats, mixed", "atom             0, of probability 0.5", "0.725791353 nats"]),
        (["relu", "--resolution", "0.01"], ["H_δ ", "δ                0.01"]),
        (["sigmoid", "--law", "cauchy"], ["sigmoid × cauchy", "H              −∞"]),
        (["sign(x)"], ["0.693147181 nats, mixed", "H given no atom  not known"]),
    ],
)
def test_entropy_tells_value_kind_and_atoms(eafo, arguments, lines):
    ran = eafo("entropy", *arguments)
    assert (ran.status, ran.err) == (0, "")
    for line in lines:
        assert line in ran.out


@pytest.mark.parametrize("resolution", [None, "bf16", "0.01"])
def test_entropy_as_json_is_what_the_library_computes(eafo, resolution):
    asked = [] if resolution is None else ["--resolution", resolution]
    document = eafo("entropy", "hardtanh", "--law", "logistic", *asked, "--json").document
    found = entropies.of("hardtanh", "logistic", 0.01 if resolution == "0.01" else resolution)
    assert document["value"] == found.value
    assert document["scale_free"] == found.scale_free
    assert document["resolution"] == found.resolution
    assert document["kind"] == found.kind
    assert [a["value"] for a in document["atoms"]] == [-1.0, 1.0]
    assert document["atoms"][0]["probability"] == pytest.approx(1 / (1 + math.e), rel=1e-12)
    assert document["formula"] == "min(1, max(-1, x))"
    assert document["law"] == "logistic"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["entropy", "nosuch"], "an activation must be a catalog name or a formula, but got 'nosuch'"),
        (["entropy", "relu", "--law", "nosuch"], "a law must be"),
        (["entropy", "relu", "--resolution", "fp4"], "a resolution must be a positive number or one of"),
        (["entropy", "relu", "--resolution", "0"], "a resolution must be a positive number or one of"),
        (["entropy", "relu", "--resolution", "nan"], "a resolution must be a positive number or one of"),
        (["properties", "nosuch"], "an activation must be a catalog name or a formula, but got 'nosuch'"),
        (["properties", "1/x"], "real and finite, but got 'a pole at x = 0'"),
        (["properties", "relu", "--law", "nosuch"], "a law must be"),
        (["rank", "relu", "--resolution", "fp4"], "a resolution must be"),
        (["rank", "relu", "--resolution", "-1"], "resolution"),
        (["rank", "relu", "relu"], "must differ"),
        (["rank", "relu", "-o", "figure.gif"], "must end in .svg, .png, .pdf"),
    ],
)
def test_bad_input_is_one_line(eafo, arguments, says):
    ran = eafo(*arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert says in ran.err


@pytest.mark.parametrize(
    "arguments", [("entropy", "gelu", "--resolution", "bf16"), ("properties", "sinerelu")]
)
def test_what_is_told_fits_a_narrow_terminal(eafo, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "70")
    told = eafo(*arguments).out
    assert max(map(len, told.splitlines())) <= 70
    monkeypatch.setenv("COLUMNS", "200")
    assert eafo(*arguments).out.split() == told.split()
