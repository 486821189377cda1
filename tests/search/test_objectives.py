"""Several objectives: what is told to Optuna, the front, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
import pytest

from eafo import catalog
from eafo.errors import BuildError, InputError
from eafo.search import Plan, load, run
from eafo.search.cost import Cost, objective
from eafo.search.storage import find, opened
from eafo.tasks import Setting

if TYPE_CHECKING:
    from eafo.activation import Activation
    from tests.search.conftest import Toys

BASES = ["relu", "crrelu", "gelu", "mish"]


def plan(**changes: Any) -> dict[str, Any]:
    space = {
        "bases": BASES,
        "saved": ["x", "code"],
        "parameters": {"epsilon": {"low": -0.5, "high": 1.0, "learnable": False}},
    }
    known = {"name": "p", "task": "toy_tasks:Trained", "epochs": 1, "trials": 24, "seeds": 2, "space": space}
    return known | {"objectives": ["score", "cost", "memory"]} | changes


def test_every_objective_reaches_optuna_and_the_front_is_its_own(toys: Toys) -> None:
    study = run(plan(), workers=2)
    assert {t.state for t in study.trials} == {"complete"}
    gelu = objective("cost", catalog.get("relu"), Setting())
    for trial in study.trials:
        assert trial.activation is not None
        costs = dict(trial.costs)
        assert costs["cost"] == objective("cost", trial.activation, trial.setting)
        assert costs["memory"] == (0.5 if trial.setting.saved == "code" else 4.0)
        assert (costs["cost"] == gelu) == (trial.base == "relu")
    with opened(find("p")) as database:
        kept = optuna.load_study(study_name="p", storage=database)
        assert [d.name for d in kept.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
        ours = [t for t in kept.trials if t.number in {t.number for t in study.front}]
        assert {tuple(t.values) for t in kept.best_trials} == {tuple(t.values) for t in ours}
        assert [t.values[0] for t in kept.trials] == [t.estimate.mean for t in study.trials if t.estimate]
    scores = [t.estimate.mean for t in study.front if t.estimate]
    assert scores == sorted(scores, reverse=True)
    assert study.front[0].estimate == study.best.estimate
    assert {t.number for t in study.leaders(3)} <= {t.number for t in study.front}
    assert len({(t.activation, t.setting) for t in study.front}) == len(study.front)
    assert load("p") == study


@pytest.mark.parametrize("sampler", ["tpe", "random", "evolution"])
def test_every_sampler_takes_several_objectives_and_resumes(toys: Toys, sampler: str) -> None:
    given = plan(sampler={"name": sampler}, space={**plan()["space"], "filters": {"cost": 0.9}})
    first = run(given, workers=1, trials=13)
    again = run(given, workers=1, trials=70)
    assert again.trials[:13] == first.trials
    assert len(again.trials) == 70
    # GELU and Mish cost too much: told as pruned, without a value.
    assert {t.state for t in again.trials if t.base == "gelu"} <= {"pruned"}
    assert {t.base for t in again.front} <= {"relu", "crrelu"}
    assert again.importance


def test_batches_repeat_counted_objectives_and_refuse_measured_ones(toys: Toys) -> None:
    one, four = (
        run(plan(), workers=workers, batch=4, storage=toys.folder / f"{workers}.db") for workers in (1, 4)
    )
    assert [(t.parameters, t.costs) for t in one.trials] == [(t.parameters, t.costs) for t in four.trials]
    with pytest.raises(
        InputError, match="repeatable, but a measured time is not, but got 'the objective time'"
    ):
        run(plan(objectives=["score", "time"]), batch=4)


def test_a_measured_time_is_that_of_the_kernels(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(activations: list[Activation], device: str, *, saved: str, per_channel: bool) -> list[Cost]:
        return [Cost(1.0, len(a.name) + (0.5 if saved == "code" else 0.0), 4.0) for a in activations]

    monkeypatch.setattr("eafo.search.cost.kernel_costs", measured)
    study = run(plan(objectives=["score", "time"], trials=12), workers=1)
    for trial in study.trials:
        assert trial.activation is not None
        expected = len(trial.activation.name) + (0.5 if trial.setting.saved == "code" else 0.0)
        assert trial.costs == (("time", expected),)
    monkeypatch.undo()
    # One that is measured for real; what it takes is another test's.
    assert objective("time", catalog.get("relu"), Setting()) > 0


def test_a_candidate_is_measured_once_whoever_asks_again(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def counted(activations: list[Activation], device: str, **_: object) -> list[Cost]:
        measured.extend(a.name for a in activations)
        return [Cost(1.0, float(len(measured)), 4.0) for _ in activations]

    monkeypatch.setattr("eafo.search.cost.kernel_costs", counted)
    given = plan(objectives=["score", "time"], space={"bases": ["relu", "gelu"]})
    run(given, workers=1, trials=4)
    study = run(given, workers=1, trials=8)
    # Each run first measures one, to see that it can.
    assert sorted(measured) == ["gelu", "relu", "relu", "relu"]
    for base in ("relu", "gelu"):
        assert len({t.costs for t in study.trials if t.base == base}) == 1


def test_a_time_that_cannot_be_measured_is_told_before_the_first_training(toys: Toys) -> None:
    given = plan(objectives=["score", "time"], setting={"device": "cuda:0"})
    with pytest.raises(InputError, match="cuda"):
        run(given, workers=1)
    assert toys.lines == []
    assert not (toys.folder / "studies").exists()


def test_a_channels_kernel_is_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def bench(activations: list[Activation], **given: object) -> list[object]:
        asked.append((given["variants"], given["parameters"], given["device"]))
        raise BuildError("that is all", "asked")

    monkeypatch.setattr("eafo.kernels.bench.bench", bench)
    for name, setting in (
        ("crrelu", Setting()),
        ("crrelu", Setting(per_channel=True, device="cuda:1")),
        ("relu", Setting(per_channel=True)),
        ("relu", Setting(saved="code")),
    ):
        with pytest.raises(BuildError):
            objective("time", catalog.get(name), setting)
    assert asked == [
        (["eafo"], "scalar", "cpu"),
        (["eafo"], "channel", "cuda"),
        (["eafo"], "scalar", "cpu"),
        (["code"], "none", "cpu"),
    ]


def test_an_objective_that_cannot_be_had_fails_its_trial_alone(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(name: str, activation: Activation, setting: Setting) -> float:
        if activation.name == "crrelu":
            raise BuildError("the compiler must be there", "none")
        return objective(name, activation, setting)

    monkeypatch.setattr("eafo.search.driver.objective", refused)
    study = run(plan(), workers=1)
    assert {t.state for t in study.trials if t.base == "crrelu"} == {"failed"}
    assert {t.reason for t in study.trials if t.base == "crrelu"} == {
        "cost, memory: the compiler must be there, but got 'none'"
    }
    assert {t.state for t in study.trials if t.base != "crrelu"} == {"complete"}
    assert len(study.trials) == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["cost"]}, "the objectives must be score, then any of time, cost, memory, each once"),
        ({"objectives": ["score", "speed"]}, "each once, but got ['score', 'speed']"),
        ({"objectives": ["score", "cost", "cost"]}, "each once, but got ['score', 'cost', 'cost']"),
        ({"objectives": []}, "each once, but got []"),
        ({"objectives": "score"}, "objectives must be a list of texts, but got 'score'"),
        ({"pruner": {"name": "halving"}}, "bad by its score alone, but got 'a pruner'; leave out that"),
        ({"pruner": {"name": "median"}}, "bad by its score alone, but got 'a pruner'; leave out that"),
        (
            {"ladder": [1], "epochs": 3, "surrogate": {}},
            "bad by its score alone, but got 'a ladder and a surrogate'",
        ),
    ],
)
def test_contradictory_objectives_are_refused(toys: Toys, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Plan.from_dict(plan(**changes))
    assert message in str(caught.value)


def test_a_study_of_other_directions_is_refused(toys: Toys) -> None:
    run(plan(trials=2), workers=1)
    with pytest.raises(InputError, match="a pruner is for one objective"):
        run(plan(trials=2), workers=1, pruner=optuna.pruners.NopPruner())
    with pytest.raises(InputError, match="must have the plan's directions") as caught:
        run(plan(objectives=["score"]), workers=1)
    assert "but got 'maximize, minimize, minimize'" in str(caught.value)
