"""Searches of formulas that climb a ladder of longer trainings."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from eafo.errors import InputError
from eafo.search import Plan, load, run

PLAN: dict[str, Any] = {
    "name": "ladder",
    "task": "mnist1d-mlp",
    "epochs": 4,
    "trials": 14,
    "seeds": 2,
    "ladder": [1, 2],
    "space": {"bases": ["relu"], "grammar": {"depth": 1}},
    "pruner": {"name": "halving", "factor": 2},
    "sampler": {"name": "random", "seed": 3},
    "setting": {"examples": 200},
}


def test_units_climb_and_steps_are_rungs() -> None:
    plan = Plan.from_dict(PLAN)
    assert plan.units == ((1, 0), (2, 0), (4, 0), (4, 1))
    assert [plan.step(k) for k in range(4)] == [1, 2, 4, 5]
    flat = Plan.from_dict({**PLAN, "ladder": []})
    assert [flat.step(k) for k in range(2)] == [1, 2]
    assert Plan.from_dict(plan.to_dict()) == plan


def test_what_is_hopeless_falls_off_and_what_cannot_be_trained_is_left_out(tmp_path) -> None:
    study = run(PLAN, storage=tmp_path / "s.db", workers=2)
    assert len(study.trials) == 14
    assert study.unfinished == 0
    states = [t.state for t in study.trials]
    assert states.count("complete") >= 1
    assert states.count("pruned") >= 4
    assert "failed" not in states
    for trial in study.trials:
        if trial.state == "complete":
            assert [epochs for epochs, _ in trial.rungs] == [1, 2]
            assert [o.seed for o in trial.outcomes] == [0, 1]
        elif trial.reason.startswith("left out: "):
            assert trial.rungs == ()
            assert trial.activation is None
        elif not trial.outcomes:
            assert "epochs, at a mean of" in trial.reason
            assert len(trial.rungs) in (1, 2)
    assert {t.base for t in study.trials} <= {"relu", "formula"}
    # A rung is the training of so many epochs, with the first seed.
    known = next(t for t in study.trials if t.rungs and t.activation is not None)
    from eafo import tasks
    from eafo.tasks import Setting

    alone = tasks.run(tasks.get("mnist1d-mlp"), known.activation, 0, 1, Setting(examples=200))
    assert known.rungs[0] == (1, alone.score)
    assert load("ladder", tmp_path / "s.db") == study


def test_it_goes_on_where_it_stopped(tmp_path) -> None:
    first = run({**PLAN, "trials": 5}, storage=tmp_path / "s.db", workers=1)
    rest = run(PLAN, storage=tmp_path / "s.db", workers=1)
    assert len(rest.trials) == 14
    assert rest.trials[:5] == first.trials


@pytest.mark.parametrize("sampler", ["tpe", "evolution"])
def test_in_batches_the_study_is_the_same_on_one_worker_and_on_four(tmp_path, sampler) -> None:
    plan = {**PLAN, "sampler": {"name": sampler, "seed": 3}, "trials": 12}
    found = [run(plan, storage=tmp_path / f"{n}.db", workers=n, batch=4) for n in (1, 4)]
    one, four = (
        [
            (
                t.number,
                t.state,
                t.parameters,
                t.activation,
                t.reason,
                t.rungs,
                [(o.seed, o.score, o.loss) for o in t.outcomes],
            )
            for t in study.trials
        ]
        for study in found
    )
    assert one == four
    assert len(one) == 12
    assert len({t.state for t in found[0].trials}) > 1


def test_a_wrong_batch_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="a batch must be a whole number of candidates from 1, but got 0"):
        run(PLAN, storage=tmp_path / "s.db", batch=0)


def test_a_function_that_comes_again_is_not_trained_again(tmp_path) -> None:
    space = {"grammar": {"depth": 1, "unary": ["relu", "identity"], "binary": ["max", "first"]}}
    study = run(
        {**PLAN, "space": space, "ladder": [], "pruner": {"name": "none"}},
        storage=tmp_path / "s.db",
        workers=1,
    )
    seconds = {t.activation.to_json(): [o.seconds for o in t.outcomes] for t in study.trials}
    # max(relu(x), x), relu(x), max(relu(x), relu(x)) are one function, x and max(x, x) another.
    assert len(seconds) == 2
    for trial in study.trials:
        assert [o.seconds for o in trial.outcomes] == seconds[trial.activation.to_json()]


def test_evolution_finds_what_random_choices_find_later(tmp_path) -> None:
    plan = {
        **PLAN,
        "name": "evolved",
        "trials": 6,
        "sampler": {"name": "evolution", "seed": 1},
        "ladder": [1],
    }
    study = run(plan, storage=tmp_path / "s.db", workers=1)
    assert len(study.trials) == 6
    stored = optuna.load_study(study_name="evolved", storage=f"sqlite:///{tmp_path / 's.db'}")
    assert any(
        "nsga2:generation" in key or "NSGAIISampler" in key for t in stored.trials for key in t.system_attrs
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ladder": [2, 2]}, "the epochs of a ladder must rise, to below those of a training"),
        ({"ladder": [1, 4]}, "the epochs of a ladder must rise"),
        ({"ladder": [0]}, "the epochs of a ladder must be a whole number from 1"),
        ({"ladder": 3}, "a ladder must be a list of epochs, but got 3"),
        ({"space": {"bases": []}}, "bases must be a list of texts, one at least"),
        (
            {"space": {"grammar": {"deep": 1}}},
            r"the keys of \[space.grammar\] are: depth, unary, binary, but got 'deep'",
        ),
        (
            {"space": {"bases": ["relu"], "filters": {"cost": 0}}},
            "cost of .* must be a positive number, but got 0",
        ),
        ({"pruner": {"name": "halving", "factor": 1}}, "the pruner's factor must be a whole number from 2"),
    ],
)
def test_wrong_plans_are_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        Plan.from_dict({**PLAN, **change})
