"""Contract tests that every embedded task passes, and what is particular to each."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys

import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import DataError, InputError, MissingDependencyError
from eafo.nn import Module
from eafo.tasks import DivergedError, Outcome, Task, ood, text
from eafo.tasks.models import LeNet, by_kind
from eafo.tasks.recipe import Recipe

SEED = 3


def task(name: str) -> Task:
    pictures = "cifar" in name or "imagenet" in name
    if (name.startswith("mnist-") or pictures) and not os.environ.get("EAFO_DATA"):
        pytest.skip("EAFO_DATA is not set")
    if name == "dpo":
        pytest.importorskip("transformers")
    if name == "fashion-mnist" or pictures or name.startswith("dpo-"):
        try:
            tasks.get(name).prepare()
        except (DataError, MissingDependencyError) as error:
            pytest.skip(str(error))
    return tasks.get(name)


#: The range of a score, and a loss that is no worse than guessing.
RANGES = {
    "ood": (-3.0, 6.0, 1.5),
    "char-lm": (-9.0, 0.0, math.log(256)),
    "char-lm-gated": (-9.0, 0.0, math.log(256)),
    "dpo": (0.0, 100.0, 1.0),
}


@pytest.mark.parametrize("name", tasks.names())
def test_contract(name: str) -> None:
    found = task(name)
    assert isinstance(found, Task)
    assert found.name == name
    assert tuple(found.epochs) == tasks.BUDGETS
    assert list(found.epochs.values()) == sorted(found.epochs.values())
    found.prepare()
    epochs, examples = tasks.length(found, "tiny")
    outcome = tasks.run(found, eafo.get("crrelu"), SEED, epochs, tasks.Setting().with_examples(examples))
    assert len(outcome.curve) == len(outcome.loss) == epochs
    low, high, guessing = RANGES.get(name, (0.0, 100.0, math.log(100 if "100" in name else 10)))
    assert all(low <= a <= high for a in outcome.curve)
    # The transformers see some images once.
    assert outcome.loss[0] < (1.5 if "tiny" in name or "tnt" in name else 1.05) * guessing
    assert outcome.steps > 0
    assert outcome.seconds > 0
    assert outcome.seed == SEED
    assert {entry.parameter.rsplit(".")[-1] for entry in outcome.learned} == {"epsilon"}
    # What is tuned on preferences has been tuned before.
    fresh = [entry for entry in outcome.learned if "β" not in entry.parameter]
    assert all(entry.start == pytest.approx(0.01) for entry in fresh)
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


@pytest.mark.parametrize("name", ["mnist1d", "mnist-mlp", "ood", "char-lm", "mnist-lenet"])
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

    model = found.model(lambda: Module("crrelu"))
    weights, own = found.recipe.make_optimiser(model).param_groups
    assert (weights["weight_decay"], own["weight_decay"]) == (1e-4, 0.0)
    assert len(own["params"]) == 2
    assert len(weights["params"]) + 2 == len(list(model.parameters()))


def test_the_models_have_the_published_sizes() -> None:
    # 5,210 weights for ConvBase (greydanus/mnist1d); 784·128 + 128 + 128·64 + 64 + 64·10 + 10 for the MLP.
    # LeNet: 156 + 2,416 + 48,120 in convolutions, 10,164 + 7,140 + 850 in dense layers.
    for name, size in (
        ("mnist1d", 5210),
        ("mnist1d-mlp", 15210),
        ("mnist-mlp", 109386),
        ("mnist-lenet", 68846),
    ):
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
            "or module:object, but got 'mnist'; did you mean",
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


def test_sinerelu_waves_ten_times_as_high_in_dense_layers() -> None:
    model = LeNet(lambda kind: Module(by_kind(eafo.get("sinerelu"), kind)))
    assert [layer.epsilon for layer in model.activations] == [0.0025] * 3 + [0.025] * 2
    assert by_kind(eafo.get("relu"), "dense") == eafo.get("relu")
    searched = by_kind(eafo.get("sinerelu").with_parameters(epsilon=0.01), "dense")
    assert searched.defaults == {"epsilon": 0.1}


def test_the_dropout_of_lenet_is_for_training_alone() -> None:
    model = LeNet(lambda _: torch.nn.ReLU())
    assert [d.p for d in model.dropouts] == [0.0, 0.2, 0.3, 0.4, 0.5]
    x = torch.randn(4, 784)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


class Known(torch.nn.Module):
    """A model without parameters."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def test_extrapolation_is_scored_outside_and_trained_inside() -> None:
    for variables, function in ood.OOD.functions.values():
        given = ood.problem(variables, function)
        assert given.inputs.shape == given.outside.shape == (2048, variables)
        assert given.inputs.abs().max() <= 1
        assert (given.outside.abs().amax(1) > 1).all()
        assert given.outside.abs().max() <= 1.5
        assert abs(given.targets.mean()) < 1e-5
        assert given.targets.std() == pytest.approx(1, abs=1e-4)

        def known(x: torch.Tensor, function=function, variables=variables) -> torch.Tensor:
            raw = ood.problem.__wrapped__(variables, lambda x: x[:, 0])
            inside = function(raw.inputs)
            return ((function(x) - inside.mean()) / inside.std())[:, None]

        assert given.score(Known(known)) > 4
        mean = Known(lambda x, given=given: given.outside_targets.mean() + 0 * x[:, :1])
        assert given.score(mean) == pytest.approx(0, abs=1e-3)


def test_extrapolation_is_learned() -> None:
    outcome = tasks.get("ood").run(eafo.get("gelu"), 0, 20)
    assert outcome.loss[-1] < 0.1 * outcome.loss[0]
    assert outcome.score > outcome.curve[0]
    assert outcome.steps == 3 * 20 * 32


def test_a_language_model_learns_and_knows_no_future() -> None:
    first, last = (tasks.get("char-lm").run(eafo.get("gelu"), 0, epochs).score for epochs in (1, 4))
    assert -8 < first < last - 0.2
    for gated in (False, True):
        model = text.problem(gated).build(lambda _: Module("gelu")).eval()
        x = torch.randint(256, (2, 64), generator=torch.Generator().manual_seed(0))
        y = x.clone()
        y[:, 40:] = 7
        torch.testing.assert_close(model(x)[:, :40], model(y)[:, :40])
        assert not torch.allclose(model(x)[:, 40], model(y)[:, 40])


def test_gated_layers_have_as_many_weights_and_use_the_gate() -> None:
    sizes = [
        sum(p.numel() for p in text.problem(gated).build(lambda _: Module("gelu")).parameters())
        for gated in (False, True)
    ]
    assert abs(sizes[1] / sizes[0] - 1) < 0.01


def test_bits_per_byte_of_a_model_that_knows_nothing_are_eight() -> None:
    assert text.problem(False).score(Known(lambda x: torch.zeros(*x.shape, 256))) == pytest.approx(-8)


def test_a_text_of_ones_own_is_read_and_a_short_one_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    (tmp_path / "text").mkdir()
    file = tmp_path / "text" / "mine.txt"
    read = text.read_text.__wrapped__
    assert "the source of Python" in read().source
    file.write_bytes(b"so it goes, " * 10_000)
    assert read().source.startswith("mine.txt, 120,000 bytes, SHA-256 ")
    file.write_bytes(b"too short")
    with pytest.raises(
        DataError, match=r"mine.txt must hold at least 100000 bytes, but got 9; put a longer text there"
    ):
        read()


def test_the_learning_rate_falls_along_a_cosine_after_a_warm_up() -> None:
    recipe = Recipe("adam", 1e-3, 1, schedule="cosine", warmup=0.25)
    factors = [recipe.factor(step, 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == factors[24] == factors[25] == 1.0
    assert all(a > b for a, b in itertools.pairwise(factors[25:]))
    assert factors[-1] == pytest.approx(0.1)
    assert Recipe("adam", 1e-3, 1).factor(50, 100) == 1.0
