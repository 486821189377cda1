"""`eafo properties` and `eafo rank`: the page, the table, the JSON, the figure."""

from __future__ import annotations

import math

import pytest

from eafo import catalog


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
    # JSON has no infinity.
    assert document["range"] == [pytest.approx(-0.01 * math.exp(-0.5)), None]
    assert document["exact_range"][1] == "oo"
    assert document["smoothness"] == 0
    assert document["monotone"] is False


def test_rank_lists_the_whole_catalog(eafo, tmp_path):
    ran = eafo("rank", "-o", "figure.svg")
    assert ran.status == 0
    assert "wrote figure.svg" in ran.err
    assert all(name in ran.out for name in catalog.names())
    assert "0.159 at -1, 0.159 at 1" in ran.out
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_rank_as_json(eafo):
    document = eafo("rank", "tanh", "relu", "--law", "logistic", "--resolution", "0.01", "--json").document
    assert document["law"] == "logistic"
    assert [row["activation"] for row in document["rows"]] == ["relu", "tanh"]
    assert {row["resolution"] for row in document["rows"]} == {0.01}
    assert document["figure"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
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
