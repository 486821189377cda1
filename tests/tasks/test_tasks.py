"""Contract tests that every embedded task passes, and what is particular to each."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys

import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import InputError
from eafo.tasks import DivergedError, Outcome, Task

SEED = 3


def task(name: str) -> Task:
    if name.startswith("mnist-") and not os.environ.get("EAFO_DATA"):
        pytest.skip("EAFO_DATA is not set")
    return tasks.get(name)


@pytest.mark.parametrize("name", tasks.names())
def test_contract(name: str) -> None:
    found = task(name)
    assert isinstance(found, Task)
    assert found.name == name
    assert tuple(found.epochs) == tasks.BUDGETS
    assert list(found.epochs.values()) == sorted(found.epochs.values())
    found.prepare()
    outcome = found.run(eafo.get("crrelu"), SEED, found.epochs["tiny"])
    epochs = found.epochs["tiny"]
    assert len(outcome.curve) == len(outcome.loss) == epochs
    assert all(0 <= a <= 100 for a in outcome.curve)
    assert outcome.loss[0] < 1.05 * math.log(10)  # no worse than guessing among ten classes
    assert outcome.seconds > 0
    assert outcome.seed == SEED
    assert {entry.parameter.rsplit(".")[-1] for entry in outcome.learned} == {"epsilon"}
    assert all(entry.start == pytest.approx(0.01) for entry in outcome.learned)
    assert all(entry.end != entry.start for entry in outcome.learned)  # each layer learns its own
    assert len({entry.end for entry in outcome.learned}) == len(outcome.learned)
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_the_numbers_of_steps_and_places() -> None:
    outcome = task("mnist1d").run(eafo.get("crrelu"), 0, 2)
    assert outcome.steps == 80
    assert [entry.parameter for entry in outcome.learned] == [f"activations.{i}.epsilon" for i in range(3)]


def test_the_score_is_the_mean_over_the_last_share_of_the_epochs() -> None:
    found = task("mnist1d")
    assert isinstance(found, tasks.mnist1d.Classification)
    outcome = dataclasses.replace(found, share=0.5).run(eafo.get("relu"), 0, 3)
    assert outcome.score == pytest.approx(sum(outcome.curve[-2:]) / 2)
    assert dataclasses.replace(found, share=0.5).run(eafo.get("relu"), 0, 1).score != outcome.score


def test_a_fixed_parameter_is_not_learned() -> None:
    assert task("mnist1d").run(eafo.get("srelu"), 0, 1).learned == ()


def test_training_learns() -> None:
    outcome = task("mnist1d").run(eafo.get("relu_squared"), 0, 12)
    assert outcome.loss[-1] < outcome.loss[0] / 2
    assert outcome.score > 60


def test_seeds_differ_and_repeat() -> None:
    found = task("mnist1d-mlp")
    first, again, other = (found.run(eafo.get("gelu"), seed, 1) for seed in (0, 0, 1))
    assert dataclasses.replace(again, seconds=first.seconds) == first
    assert other.loss != first.loss


def test_training_leaves_torch_as_it_was() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    with torch.no_grad():
        task("mnist1d-mlp").run(eafo.get("relu"), 0, 1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


_SCRIPT = """
import json, sys, eafo
from eafo import tasks
outcome = tasks.get(sys.argv[1]).run(eafo.get("crrelu"), 5, 1).to_dict()
del outcome["seconds"]
print(json.dumps(outcome))
"""


@pytest.mark.parametrize("name", ["mnist1d", "mnist-mlp"])
def test_two_processes_give_the_same_outcome_bit_for_bit(name: str) -> None:
    task(name)
    command = [sys.executable, "-c", _SCRIPT, name]
    ours = task(name).run(eafo.get("crrelu"), 5, 1).to_dict()
    del ours["seconds"]
    # One run with as many threads as it likes: the task itself keeps to one.
    theirs = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(theirs.stdout) == ours


def test_a_diverging_training_ends_with_its_reason() -> None:
    with pytest.raises(DivergedError, match=r"must stay finite \(epoch 1\), but got (nan|inf)"):
        task("mnist1d").run(eafo.get("exp(exp(x**2))"), 0, 2)


def test_weight_decay_spares_the_parameters_of_activations() -> None:
    found = tasks.get("mnist-mlp")
    assert isinstance(found, tasks.mnist.Classification)
    from eafo.nn import Module
    from eafo.tasks.train import _optimiser

    model = found.model(lambda: Module("crrelu"))
    weights, own = _optimiser(model, found.recipe).param_groups
    assert (weights["weight_decay"], own["weight_decay"]) == (1e-4, 0.0)
    assert len(own["params"]) == 2
    assert len(weights["params"]) + 2 == len(list(model.parameters()))


def test_the_models_have_the_published_sizes() -> None:
    # 5,210 weights for ConvBase (greydanus/mnist1d); 784·128 + 128 + 128·64 + 64 + 64·10 + 10 for the MLP.
    for name, size in (("mnist1d", 5210), ("mnist1d-mlp", 15210), ("mnist-mlp", 109386)):
        found = tasks.get(name)
        assert isinstance(found, tasks.mnist.Classification)
        assert sum(p.numel() for p in found.model(torch.nn.ReLU).parameters()) == size


@pytest.mark.parametrize(
    ("seed", "epochs", "message"),
    [
        (0, 0, "the number of epochs must be at least 1, but got 0"),
        (-1, 1, "a seed must be at least 0, but got -1"),
    ],
)
def test_wrong_numbers_are_refused(seed: int, epochs: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks.get("mnist1d").run(eafo.get("relu"), seed, epochs)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mnist",
            "a task must be one of mnist-mlp, mnist1d, mnist1d-mlp or module:object, but got 'mnist'; did you mean",
        ),
        (
            "nosuch.module:Task",
            "must be importable (No module named 'nosuch'), but got 'nosuch.module:Task'; check",
        ),
        (
            "math:nosuch",
            "must be importable (module 'math' has no attribute 'nosuch'), but got 'math:nosuch'",
        ),
        ("math:pi", "a task must have name, description, epochs, prepare and run, but got 'math:pi'"),
    ],
)
def test_unknown_tasks_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks.get(name)
    assert message in str(caught.value)


def test_listing_tasks_loads_no_torch() -> None:
    code = "import sys; from eafo import tasks; [tasks.get(n).description for n in tasks.names()]; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"


def test_an_outcome_refuses_what_is_no_score() -> None:
    with pytest.raises(InputError, match="a score must be a finite number, but got nan"):
        Outcome(0, math.nan)
    with pytest.raises(InputError, match="an outcome must be what to_dict wrote"):
        Outcome.from_dict({"seed": 0})
