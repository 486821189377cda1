"""Trainings as one stack follow the same trainings one by one."""

from __future__ import annotations

import pytest
import torch

import eafo
from eafo import tasks
from eafo.errors import InputError
from eafo.search import compare
from eafo.tasks import DivergedError, Outcome, Setting, ood, text
from eafo.tasks.classification import Classification
from eafo.tasks.stacked import train_stacked
from eafo.tasks.train import train

#: Of the losses after the first epochs; later, rounding grows as between two machines.
TOLERANCE = 1e-4


def problem(name: str):
    if name == "ood":
        return ood.problem(2, ood.polynomial), ood.RECIPE
    if name == "char-lm-gated":
        return text.problem(True), text.RECIPE
    found = tasks.get(name)
    assert isinstance(found, Classification)
    return found.problem(Setting(examples=500)), found.recipe


# torch has no batching rule for its own attention on the processor, and says so.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(
    ("name", "per_channel"),
    [(n, False) for n in ("mnist1d", "mnist1d-mlp", "ood", "char-lm-gated")] + [("mnist1d", True)],
)
def test_each_of_a_stack_trains_as_it_does_alone(name: str, per_channel: bool) -> None:
    given, recipe = problem(name)
    members = [(eafo.get("crrelu"), 0), (eafo.get("crrelu"), 7), (eafo.get("crrelu(epsilon=0.3)"), 2)]
    setting = Setting(per_channel=per_channel)
    stacked = train_stacked(given, members, recipe, epochs=2, share=0.5, setting=setting)
    for (activation, seed), found in zip(members, stacked, strict=True):
        alone = train(given, activation, recipe, seed=seed, epochs=2, share=0.5, setting=setting)
        assert isinstance(found, Outcome)
        assert found.seed == seed
        assert found.steps == alone.steps
        assert found.loss == pytest.approx(alone.loss, rel=TOLERANCE)
        assert found.score == pytest.approx(alone.score, rel=0.02)
        for ours, theirs in zip(found.learned, alone.learned, strict=True):
            assert (ours.parameter, ours.start) == (theirs.parameter, theirs.start)
            assert ours.end == pytest.approx(theirs.end, abs=1e-4)
            assert ours.end != ours.start


@pytest.mark.slow
# torch's own, where its compiler is loaded.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["mnist1d", "mnist1d-mlp", "ood"])
def test_a_compiled_stack_trains_as_one_that_is_not(name: str) -> None:
    given, recipe = problem(name)
    members = [(eafo.get("crrelu"), 0), (eafo.get("crrelu(epsilon=0.3)"), 2)]
    plain, compiled = (
        train_stacked(given, members, recipe, epochs=2, share=0.5, setting=Setting(compiled=c))
        for c in (False, True)
    )
    assert [c.loss for c in compiled] == [pytest.approx(p.loss, rel=TOLERANCE) for p in plain]


def test_one_that_diverges_takes_no_other_with_it() -> None:
    given, recipe = problem("mnist1d-mlp")
    steep = eafo.get("x*exp(a*x**2); a=0.01").with_learnable("a")
    members = [(steep, 0), (steep.with_parameters(a=50.0), 0)]
    right, wrong = train_stacked(given, members, recipe, epochs=2, share=0.5)
    assert isinstance(right, Outcome)
    assert isinstance(wrong, DivergedError)
    assert "must stay finite (epoch 1)" in str(wrong)
    assert right.loss == pytest.approx(
        train(given, steep, recipe, seed=0, epochs=2, share=0.5).loss, rel=TOLERANCE
    )


def test_what_no_stack_can_hold_is_refused() -> None:
    given, recipe = problem("mnist1d-mlp")
    with pytest.raises(InputError, match="must differ in the starts of learnable parameters alone"):
        train_stacked(given, [(eafo.get("relu"), 0), (eafo.get("gelu"), 0)], recipe, epochs=1, share=0.0)
    with pytest.raises(InputError, match="a stack needs at least one training"):
        train_stacked(given, [], recipe, epochs=1, share=0.0)
    with pytest.raises(InputError, match="not recorded, without checkpoints and keep x, but got 'record'"):
        train_stacked(
            given, [(eafo.get("relu"), 0)], recipe, epochs=1, share=0.0, setting=Setting(record=True)
        )


def test_a_network_with_dropout_is_refused() -> None:
    found = tasks.get("mnist-lenet")
    assert isinstance(found, Classification)
    given, recipe = problem("mnist1d")
    wrong = type(given)(found.model, given.data, given.batch)
    with pytest.raises(
        InputError, match=r"must neither draw numbers nor keep statistics .* but got 'Dropout'"
    ):
        train_stacked(wrong, [(eafo.get("relu"), 0)], recipe, epochs=1, share=0.0)


def test_a_gradient_is_bounded_for_each_network_alone() -> None:
    torch.manual_seed(0)
    from eafo.tasks.recipe import Recipe

    given, _ = problem("ood")
    recipe = Recipe("adam", 1e-2, 64, clip=1e-3)
    members = [(eafo.get("relu"), seed) for seed in (0, 1)]
    stacked = train_stacked(given, members, recipe, epochs=1, share=0.0)
    alone = [train(given, a, recipe, seed=s, epochs=1, share=0.0) for a, s in members]
    assert [s.loss for s in stacked] == [pytest.approx(a.loss, rel=TOLERANCE) for a in alone]


def test_a_comparison_stacks_its_seeds() -> None:
    alone = compare(["crrelu", "gelu"], "mnist1d-mlp", 3, epochs=1, workers=1)
    stacked = compare(["crrelu", "gelu"], "mnist1d-mlp", 3, epochs=1, workers=1, setting=Setting(stacked=2))
    assert stacked.setting.stacked == 2
    for ours, theirs in zip(stacked.arms, alone.arms, strict=True):
        assert [o.seed for o in ours.outcomes] == [0, 1, 2]
        for one, other in zip(ours.outcomes, theirs.outcomes, strict=True):
            assert one.loss == pytest.approx(other.loss, rel=TOLERANCE)
    assert type(stacked).from_dict(stacked.to_dict()) == stacked


def test_a_task_of_ones_own_runs_its_seeds_one_by_one() -> None:
    class Own:
        name, description = "own", "fails at seed 1"
        epochs = dict.fromkeys(tasks.BUDGETS, 1)

        def prepare(self) -> None: ...

        def run(self, activation, seed, epochs):
            if seed == 1:
                raise DivergedError("it must not diverge", seed)
            return Outcome(seed, 1.0)

    first, second = tasks.run_stacked(Own(), eafo.get("relu"), (0, 1), 1, Setting(stacked=2))
    assert first == Outcome(0, 1.0)
    assert isinstance(second, DivergedError)
