"""Whatever goes wrong is one line on standard error and the right status; standard output stays empty."""

from __future__ import annotations

import re

import pytest

from eafo.cli import trials
from eafo.cli.running import run

PLAN = """
name = "small"
task = "mnist1d"
budget = "tiny"
trials = 1
seeds = 1
[space]
bases = ["relu"]
"""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["derive", "nosuch"],
            "an activation must be a catalog name or a formula, but got 'nosuch'; see `eafo list`",
        ),
        (["derive", "relu", "--law", "nosuch"], "a law must be one of cauchy, .*, but got 'nosuch'"),
        (["derive", "__import__('os')"], "a formula calls known functions only, but got '__import__'"),
        (["derive", "x.__class__"], "a formula is made of"),
        (["derive", "relu", "--law", "normal(0, -1)"], "deviation must be positive"),
        (["wafbc", "logistic", "--bounds", "1", "0"], "the lower one first, .*but got .1 0."),
        (["wafbc", "logistic", "--bounds", "1", "1"], "the lower one first"),
        (["wafbc", "logistic", "--bounds", "0", "nan"], "a bound must be a finite number, but got 'nan'"),
        (["wafbc", "logistic", "--bounds", "0"], "--bounds"),
        (["wafbc", "nosuch"], "a law must be one of"),
        (["emit", "nosuch"], "a catalog name or a formula"),
        (["emit", "crrelu", "--target", "fortran"], "fortran"),
        (
            ["emit", "crrelu", "--target", "cuda", "--verify"],
            "the target must be cpp or aten, but got 'cuda'",
        ),
        (
            ["emit", "crrelu", "--target", "triton", "--verify"],
            "the target must be cpp or aten, but got 'triton'",
        ),
        (["bench", "crrelu", "--sizes", ""], "a benchmark needs a size, but got 'none'"),
        (["wafbc", "logistic", "--mean", "1e300"], "the mean must be between 1e-100 and 1e100"),
        (
            ["compare", "relu", "gelu", "--task", "nosuch"],
            "a task must be an embedded one or module:object, but got 'nosuch'",
        ),
        (["compare", "relu", "nosuch"], "a catalog name or a formula"),
        (["compare", "relu", "relu"], "must differ"),
        (["compare", "relu", "--seeds", "0"], "seeds must be a whole number from 1"),
        (["compare", "relu", "--budget", "endless"], "the budget must be one of"),
        (["compare", "relu", "--save", "../elsewhere"], "a name must be"),
        (["search", "nosuch.toml"], "a plan must be a readable TOML file"),
        (["report", "nosuch"], "a report needs the name of a study or comparison"),
        (["report", "nosuch.json"], "nosuch.json"),
        (["list", "nosuch"], "nosuch"),
        (["nosuch"], "no such command 'nosuch'"),
        (["derive"], "missing argument 'base'"),
        (["derive", "relu", "--nosuch"], "no such option: --nosuch"),
        (
            ["derive", "relu", "--metric", "foo"],
            "invalid value for '--metric': 'foo' is not one of 'output', ",
        ),
        (["compare", "relu", "--seeds", "many"], "--seeds"),
    ],
)
def test_bad_input_is_one_line_and_status_2(eafo, arguments, says):
    for extra in ([], ["--json"]):
        ran = eafo(*arguments, *extra)
        assert ran.status == 2, ran
        assert ran.out == ""
        assert re.fullmatch(r"eafo: [^\n]+\n", ran.err), ran.err
        assert re.search(says, ran.err), ran.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("trials = 1", "trails = 1"), "plan.toml.*'trails'; did you mean 'trials'"),
        (("[space]", "[spice]"), "plan.toml.*'spice'; did you mean 'space'"),
        (('"relu"]', '"nosuch"]'), "nosuch"),
        (("seeds = 1", "seeds = 0"), "seeds must be a whole number from 1"),
        (('"mnist1d"', '"mnist2d"'), "a task must be an embedded one"),
        (("name =", "name"), "well-formed TOML"),
    ],
)
def test_a_bad_plan_is_one_line_and_status_2(eafo, tmp_path, change, says):
    (tmp_path / "plan.toml").write_text(PLAN.replace(*change))
    ran = eafo("search", "plan.toml")
    assert (ran.status, ran.out) == (2, "")
    assert re.fullmatch(r"eafo: [^\n]+\n", ran.err), ran.err
    assert re.search(says, ran.err), ran.err
    assert list(tmp_path.glob("studies/*.db")) == []


def test_a_missing_data_set_is_one_line_and_status_2(eafo, tmp_path, monkeypatch):
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    ran = eafo("compare", "relu", "--task", "mnist-mlp", "--seeds", "1", "--epochs", "1")
    assert (ran.status, ran.out) == (2, "")
    assert re.fullmatch(r"eafo: [^\n]+\n", ran.err), ran.err
    assert str(tmp_path / "mnist") in ran.err


def test_a_folder_is_no_sample(eafo, tmp_path):
    (tmp_path / "samples.npy").mkdir()
    ran = eafo("derive", "relu", "--law", "samples.npy")
    assert (ran.status, ran.out) == (2, "")
    assert "a plain file, but got 'samples.npy, which is a folder'" in ran.err
    assert "must exist, but got 'nosuch.npy'" in eafo("derive", "relu", "--law", "nosuch.npy").err


def test_control_characters_never_reach_the_terminal(eafo):
    ran = eafo("derive", "re\x1b[31mlu\n")
    assert ran.status == 2
    assert "\x1b" not in ran.err
    assert ran.err.count("\n") == 1


def test_anything_else_is_one_line_and_status_1(eafo, monkeypatch):
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on\npurpose")

    monkeypatch.setattr("eafo.catalog.names", explode)
    ran = eafo("list", "activations")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "eafo: ZeroDivisionError: on purpose (EAFO_DEBUG=1 shows the traceback)\n"
    monkeypatch.setenv("EAFO_DEBUG", "1")
    assert "Traceback" in eafo("list", "activations").err


def test_ctrl_c_says_how_to_go_on(eafo, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eafo.search.run", interrupt)
    (tmp_path / "plan.toml").write_text(PLAN)
    ran = eafo("search", "plan.toml")
    assert (ran.status, ran.out) == (130, "")
    assert (
        ran.err == "eafo: interrupted; what was finished is kept, and the same command goes on from there\n"
    )


def test_ctrl_c_elsewhere_is_one_line(eafo, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eafo.catalog.names", interrupt)
    ran = eafo("list", "activations")
    assert (ran.status, ran.out, ran.err) == (130, "", "eafo: interrupted\n")


def test_a_warning_is_one_note(eafo, monkeypatch):
    import warnings

    def warn(*_: object, **__: object) -> None:
        warnings.simplefilter("default")
        warnings.warn("no compiler\nhere", stacklevel=1)

    monkeypatch.setattr(trials, "_load", warn)
    monkeypatch.setattr("eafo.report.write", lambda *_, **__: trials.Path("page/index.html"), raising=False)
    ran = eafo("report", "some")
    assert (ran.status, ran.out) == (0, "page/index.html\n")
    assert ran.err == "eafo: note: no compiler here\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["derive", "--help"], ["--version"]])
def test_help_is_no_failure(arguments, capsys):
    assert run(arguments) == 0
    assert "eafo" in capsys.readouterr().out
