"""What a page says about how to repeat its run: it must read back."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace

import pytest

import eafo
from eafo.catalog import get
from eafo.errors import InputError
from eafo.report.provenance import comparison_command, plan_toml, run_facts, task_description
from eafo.report.rows import text_form
from eafo.search import Plan
from eafo.search.environment import environment


def test_the_command_reads_back_to_the_same_activations(comparison):
    command, verb, *rest = shlex.split(comparison_command(comparison))
    texts, options = rest[: len(comparison.arms)], rest[len(comparison.arms) :]
    assert (command, verb) == ("eafo", "compare")
    assert [get(t).expression for t in texts] == [arm.activation.expression for arm in comparison.arms]
    assert options == ["--task", "mnist1d", "--seeds", "3", "--epochs", "5"]


def test_later_seeds_are_told(comparison):
    command = comparison_command(replace(comparison, seeds=(5, 6, 7)))
    assert command.endswith("--seeds 3 --epochs 5 --first-seed 5")


def test_no_command_where_none_can_say_it(comparison):
    fixed = get("crrelu").with_learnable()
    arms = (replace(comparison.arms[0], activation=fixed),)
    assert comparison_command(replace(comparison, arms=arms)) == ""


def test_the_plan_reads_back(study):
    assert Plan.from_dict(tomllib.loads(plan_toml(study.plan))) == study.plan


@pytest.mark.parametrize(
    "text", ["crrelu", "srelu(t=1.5)", "crrelu(epsilon=-0.25)", "x*tanh(log(1 + exp(x)))"]
)
def test_text_forms_read_back(text):
    found = get(text)
    assert get(text_form(found)).expression == found.expression
    assert get(text_form(found)).defaults == found.defaults


def test_runs_are_told_each_with_its_versions():
    (told,) = dict(run_facts([])).values()
    assert f"eafo {eafo.__version__}" in told
    assert "torch 2." in told
    first, second = environment(), {"date": "2020-01-01", "eafo": "0", "versions": "none", "machine": "m"}
    facts = dict(run_facts([first, second]))
    assert list(facts) == ["Run 1", "Run 2", "Page written"]
    assert facts["Run 2"] == "2020-01-01: eafo 0; none; m"


def test_a_task_that_is_not_importable_here_is_named():
    with pytest.raises(InputError):
        eafo.tasks.get("nowhere_to_be_found:Task")
    assert task_description("nowhere_to_be_found:Task") == "nowhere_to_be_found:Task"
    assert task_description("mnist1d").startswith("mnist1d: ")
