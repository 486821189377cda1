"""derive, wafbc and emit: what they print is what the library computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

from eafo import catalog, formula, kernels
from eafo.activation import Activation
from eafo.derivation import derive as eafo_derive


def test_derive_gives_the_published_correction(eafo):
    found = eafo("derive", "relu", "--law", "normal", "--json").document
    assert found["correction"] == "x*exp(-x**2/2)"
    assert float(formula.parse(found["constant"], {})) > 0
    assert (found["base"], found["law"]) == ("relu", "normal") or found["base"]["name"] == "relu"
    made = found["activation"]
    points = np.linspace(-6, 6, 101)
    crrelu = catalog.get("crrelu")
    assert np.allclose(formula_of(made)(points), crrelu(points), rtol=1e-14, atol=0)


def eafo_text(base: str) -> str:
    return str(eafo_derive(base).activation)


def formula_of(document: dict) -> Activation:
    return Activation.from_json(json.dumps(document))


def test_derive_keeps_every_step_and_the_sign(eafo):
    found = eafo("derive", "relu", "--json").document
    assert len(found["steps"]) >= 4
    for step in found["steps"]:
        assert step["name"]
        assert step["formula"]
        assert step["latex"]
        assert step["justification"]
        assert "verification" in step
    assert any("ε" in finding or "epsilon" in finding for finding in found["findings"])


def test_derive_shows_the_steps(eafo):
    shown = eafo("derive", "relu")
    assert shown.status == 0
    assert shown.err == ""
    for step in eafo("derive", "relu", "--json").document["steps"]:
        assert step["name"] in shown.out
    assert "x*exp(-x**2/2)" in shown.out


@pytest.mark.parametrize(
    "arguments", [[], ["--metric", "input"], ["--metric", "probability"], ["--scale-free"]]
)
def test_derive_takes_a_metric_and_the_scale_free_measure(eafo, arguments):
    found = eafo("derive", "softplus", *arguments, "--json").document
    metric = arguments[1] if "--metric" in arguments else "output"
    peer = eafo_derive("softplus", metric=metric, scale_free="--scale-free" in arguments)
    assert found == json.loads(json.dumps(peer.to_dict()))
    assert (found["correction"] == str(eafo_derive("softplus").correction)) == (not arguments)


def test_derive_says_which_steps_are_numerical(eafo):
    shown = eafo("derive", "gelu").out
    assert "7. Projection (numerical)" in shown
    assert "Base activation (numerical)" not in shown


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_long_formulas_stay_readable(eafo, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = eafo("derive", "gelu").out.splitlines()
    assert max(map(len, lines)) <= min(columns, 110)
    text = " ".join(" ".join(lines).split())
    # Nothing is lost on the way: the formula stands there whole, in one line or in many.
    assert f"activation {' '.join(eafo_text('gelu').split())}" in text
    if columns == 60:
        assert sum(line.startswith("          + x**2*(") for line in lines) > 2


def test_derive_refuses_an_unknown_metric(eafo):
    ran = eafo("derive", "relu", "--metric", "euclidean")
    assert ran.status == 2
    assert ran.out == ""
    assert "'output', 'input', 'probability'" in ran.err


def test_derive_takes_a_formula_and_a_law_with_parameters(eafo):
    found = eafo("derive", "log(1 + exp(x))", "--law", "normal(0, 2)", "--json")
    assert found.status == 0
    assert "normal(0, 2)" in found.out


@pytest.mark.parametrize(
    ("law", "bounds", "peer"),
    [
        ("logistic", ("0", "1"), scipy.stats.logistic.cdf),
        ("uniform", ("0", "1"), scipy.stats.uniform(-1, 2).cdf),
        ("normal", ("-1", "1"), lambda x: 2 * scipy.stats.norm.cdf(x) - 1),
        ("cauchy", ("0", "1"), scipy.stats.cauchy.cdf),
        ("laplace", ("0", "1"), scipy.stats.laplace.cdf),
        ("normal(0, 2)", ("-3", "1/2"), lambda x: -3 + 3.5 * scipy.stats.norm(0, 2).cdf(x)),
    ],
)
def test_wafbc_is_the_cdf_between_its_bounds(eafo, law, bounds, peer):
    found = eafo("wafbc", law, "--bounds", *bounds, "--json").document
    points = np.linspace(-8, 8, 401)
    values = formula_of(found["activation"])(points)
    assert np.max(np.abs(values - peer(points))) <= 1e-12
    assert catalog.get(found["formula"])(points).tolist() == values.tolist()
    assert found["bounds"] == [float(formula.parse(b, {})) for b in bounds]
    assert found["latex"]


@pytest.mark.parametrize(
    ("arguments", "name", "given"),
    [
        (("logistic", "--mean", "1"), "softplus", ("mean", 1.0)),
        (("exponential", "--mean", "1"), "relu", ("mean", 1.0)),
        (("normal", "--variance", "1"), "identity", ("variance", 1.0)),
    ],
)
def test_wafbc_under_a_mean_and_a_variance(eafo, arguments, name, given):
    found = eafo("wafbc", *arguments, "--json").document
    assert found["activation"]["name"] == name
    assert found[given[0]] == given[1]
    assert found["bounds"] is None
    assert found["output_mean"] == (0.0 if given[0] == "variance" else None)


def test_wafbc_without_a_closed_form_is_a_formula_that_can_be_read_back(eafo):
    found = eafo("wafbc", "laplace", "--variance", "4", "--output-mean", "1/2", "--json").document
    act = formula_of(found["activation"])
    points = np.linspace(-6, 6, 101)
    peer = 0.5 + 2 * scipy.stats.norm.ppf(scipy.stats.laplace.cdf(points))
    assert np.max(np.abs(act(points) - peer)) < 3e-6
    assert catalog.get(found["formula"])(points).tolist() == act(points).tolist()
    assert "Sturm" in " ".join(found["activation"]["provenance"]["steps"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mean", "1", "--variance", "1"), "exactly one constraint, but got 'mean and variance'"),
        (("--bounds", "0", "1", "--mean", "1"), "exactly one constraint, but got 'bounds and mean'"),
        (("--mean", "-1"), "the mean must be between 1e-100 and 1e100, but got -1.0"),
        (("--variance", "0"), "the variance must be between 1e-100 and 1e100, but got 0.0"),
        (("--mean", "nan"), "a mean must be a finite number, but got 'nan'; for example --mean 1"),
        (("--output-mean", "1"), "an output mean goes with a variance"),
    ],
)
def test_wafbc_refuses(eafo, arguments, message):
    ran = eafo("wafbc", "normal", *arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert message in ran.err


def test_a_mean_and_a_variance_stay_exact(eafo):
    assert eafo("wafbc", "logistic", "--mean", "pi").out == "pi*log(exp(x) + 1)\n"
    found = eafo("wafbc", "normal", "--variance", "1/3", "--json").document
    assert (found["formula"], found["variance"]) == ("sqrt(3)*x/3", 1 / 3)


def test_bounds_stay_exact(eafo):
    assert eafo("wafbc", "cauchy", "--bounds", "-pi/2", "pi/2").out == "atan(x)\n"
    assert eafo("wafbc", "cauchy", "--bounds", "-1/3", "2/3").out == "atan(x)/pi + 1/6\n"


def test_wafbc_prints_the_formula(eafo):
    assert eafo("wafbc", "logistic").out == "1/(1 + exp(-x))\n"


@pytest.mark.parametrize("target", kernels.targets())
def test_emit_writes_what_the_library_writes(eafo, target, tmp_path):
    source = kernels.emit(catalog.get("crrelu"), target)
    assert eafo("emit", "crrelu", "--target", target).out.rstrip("\n") == source.rstrip("\n")
    written = eafo("emit", "crrelu", "--target", target, "-o", "code.txt")
    assert (written.status, written.out) == (0, "")
    assert (tmp_path / "code.txt").read_text() == source
    found = eafo("emit", "crrelu", "--target", target, "--json").document
    assert (found["target"], found["source"], found["verification"]) == (target, source, None)


def test_emit_verifies_first(eafo):
    ran = eafo("emit", "crrelu", "--target", "aten", "--verify", "--json")
    found = ran.document
    assert found["verification"]["ok"] is True
    assert found["verification"]["points"] >= 1000
    assert ran.err.startswith("eafo: ")


def test_emit_writes_nothing_where_the_folder_is_missing(eafo, tmp_path):
    ran = eafo("emit", "crrelu", "-o", "nowhere/code.cu")
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "the output file must be writable" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_code_that_fails_its_check_is_not_written(eafo, tmp_path, monkeypatch):
    honest = kernels.verify(catalog.get("relu"), backend="aten")
    monkeypatch.setattr(kernels, "verify", lambda *_, **__: Failing(honest), raising=False)
    ran = eafo("emit", "relu", "--target", "aten", "-o", "code.py", "--verify")
    assert ran.status == 1
    assert "must agree with mpmath" in ran.err
    assert not (tmp_path / "code.py").exists()


class Failing:
    """A verification that says no."""

    ok = False

    def __init__(self, honest: kernels.Verification) -> None:
        self.honest = honest


def test_wafbc_says_what_is_numerical_and_how_far_it_is_right(eafo):
    ran = eafo("wafbc", "laplace", "--variance", "1")
    assert ran.status == 0
    assert ran.out.startswith("where(")
    assert "eafo: no closed form: " in ran.err
    assert " of the scale, at " in ran.err
    assert eafo("wafbc", "logistic").err == ""
