"""Pools of candidates, of which a surrogate chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pytest

from eafo import catalog
from eafo.errors import InputError
from eafo.search import Plan, Study, load, run
from eafo.search.surrogate import Surrogate

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Toys

SPACE = {"bases": ["relu", "crrelu"], "parameters": {"epsilon": {"low": -0.5, "high": 1.0}}}
PLAN: dict[str, Any] = {
    "name": "pools",
    "task": "toy_tasks:WithProblem",
    "epochs": 1,
    "trials": 18,
    "seeds": 1,
    "space": {"bases": ["crrelu"], "parameters": SPACE["parameters"]},
    "sampler": {"name": "random"},
    "pruner": {"name": "none"},
    "surrogate": {"pool": 4, "startup": 6},
}


def known(scores: dict[float, float], startup: int = 8) -> Surrogate:
    surrogate = Surrogate(startup)
    for epsilon, score in scores.items():
        surrogate.learn(catalog.get("crrelu", epsilon=epsilon), {"loss": epsilon**2}, score)
    return surrogate


def predicted(surrogate: Surrogate, epsilon: float) -> float:
    return surrogate.predict(catalog.get("crrelu", epsilon=epsilon), {"loss": epsilon**2})


def test_it_is_trusted_once_it_orders_what_it_has_not_seen() -> None:
    values = [k / 10 for k in range(-4, 10)]
    surrogate = known({e: -((e - 0.3) ** 2) for e in values})
    assert surrogate.trusted
    assert predicted(surrogate, 0.31) > predicted(surrogate, 0.7) > predicted(surrogate, 0.95)
    assert predicted(surrogate, 0.2) == pytest.approx(-0.01, abs=1e-6)
    assert not known({e: -((e - 0.3) ** 2) for e in values[:7]}).trusted
    assert not known(dict.fromkeys(values, 1.0)).trusted


def test_it_is_seldom_trusted_where_there_is_nothing_to_learn() -> None:
    rng = np.random.default_rng(0)
    trusted = [known({float(e): float(s) for e, s in rng.normal(size=(20, 2))}).trusted for _ in range(100)]
    assert sum(trusted) <= 10


def test_the_same_candidate_again_is_no_neighbour_of_its_own() -> None:
    rng = np.random.default_rng(1)
    surrogate = known({float(e): float(s) for e, s in rng.normal(size=(20, 2))})
    before = surrogate.trusted
    for e, s in np.random.default_rng(1).normal(size=(20, 2)):
        surrogate.learn(catalog.get("crrelu", epsilon=float(e)), {"loss": float(e) ** 2}, float(s))
    assert surrogate.trusted == before


def states(study: Study) -> list[Any]:
    return [
        (
            t.number,
            t.state,
            t.parameters,
            t.reason,
            t.features,
            t.predicted,
            [(o.seed, o.score) for o in t.outcomes],
        )
        for t in study.trials
    ]


def test_of_a_pool_one_is_trained(toys: Toys) -> None:
    study = run(PLAN, workers=1)
    assert len(study.trials) == 18
    passed = [t for t in study.trials if t.reason.startswith("passed over: ")]
    trained = [t for t in study.trials if t.state == "complete"]
    assert len(passed) + len(trained) == 18
    assert len(passed) >= 6
    assert len(toys.lines) == len(trained)
    # Before it is trusted, all are trained.
    assert all(t.state == "complete" for t in study.trials[:6])
    assert all(t.features and t.activation for t in study.trials)
    assert len({tuple(name for name, _ in t.features) for t in study.trials}) == 1
    chosen = [t for t in trained if t.predicted is not None]
    assert 2 <= len(chosen) <= 4
    for trial in passed:
        assert trial.state == "pruned"
        assert trial.outcomes == ()
        words = trial.reason.removeprefix("passed over: predicted ").split()
        winner = next(t for t in chosen if t.number == int(words[2]))
        assert float(words[0].rstrip(",")) <= float(words[3]) == round(winner.predicted, 2)
    # A good guess: what was chosen scores above what was trained before there was a choice.
    assert np.mean([t.estimate.mean for t in chosen]) > np.mean([t.estimate.mean for t in trained[:6]])
    assert load("pools") == study


def test_a_pool_of_one_measures_and_trains_all(toys: Toys) -> None:
    study = run({**PLAN, "surrogate": {"pool": 1}, "trials": 12}, workers=1)
    assert {t.state for t in study.trials} == {"complete"}
    assert all(t.features for t in study.trials)
    assert Plan.from_dict(study.plan.to_dict()) == study.plan


def test_in_batches_the_study_is_the_same_on_one_worker_and_on_four(toys: Toys) -> None:
    plan = {**PLAN, "space": SPACE, "sampler": {"name": "tpe"}, "trials": 20}
    one, four = (states(run(plan, storage=toys.folder / f"{n}.db", workers=n, batch=2)) for n in (1, 4))
    assert one == four
    assert sum(reason.startswith("passed over") for _, _, _, reason, *_ in one) >= 3


def test_with_a_ladder_it_learns_from_what_was_given_up(tmp_path: Path) -> None:
    plan = {
        **PLAN,
        "task": "mnist1d-mlp",
        "epochs": 4,
        "ladder": [1],
        "trials": 28,
        "space": {"grammar": {"depth": 1}},
        "pruner": {"name": "halving", "factor": 4},
        "setting": {"examples": 300},
    }
    study = run(plan, storage=tmp_path / "s.db", workers=2, batch=2)
    assert sum(t.state == "complete" for t in study.trials) < 10
    assert any(t.reason.startswith("passed over: predicted") for t in study.trials)
    more = run({**plan, "trials": 32}, storage=tmp_path / "s.db", workers=2, batch=2)
    assert more.trials[:28] == study.trials


class StoppedError(Exception):
    """As if the driver were killed."""


@pytest.mark.parametrize("at", [0, 2])
def test_a_driver_that_is_killed_while_it_chooses_goes_on(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    told: list[int] = []
    tell = optuna.Study.tell

    def killed(self: optuna.Study, trial: Any, *arguments: Any, **state: Any) -> Any:
        if state.get("state") == optuna.trial.TrialState.PRUNED:
            told.append(1)
            if len(told) > at:
                raise StoppedError
        return tell(self, trial, *arguments, **state)

    monkeypatch.setattr(optuna.Study, "tell", killed)
    with pytest.raises(StoppedError):
        run(PLAN, workers=1, batch=2)
    monkeypatch.setattr(optuna.Study, "tell", tell)
    before = load("pools")
    assert before.unfinished > 0
    after = run(PLAN, workers=1, batch=2)
    assert [t.number for t in after.trials] == list(range(18))
    assert after.unfinished == 0
    finished = {t.number: t for t in before.trials}
    assert all(after.trials[number] == trial for number, trial in finished.items())
    trained = [t for t in after.trials if t.state == "complete"]
    assert len(toys.lines) == len(set(toys.lines)) == len(trained)
    # Of every pool one was trained, that which was interrupted included.
    passed = [t for t in after.trials if t.reason.startswith("passed over: ")]
    assert len(passed) + len(trained) == 18
    assert len(passed) >= 6


def test_an_unfinished_choice_is_made_again(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    from eafo.search import surrogate

    choose = surrogate.Chooser.choose

    def killed(self: Any, pool: Any) -> Any:
        if len(pool) > 1:
            raise StoppedError
        return choose(self, pool)

    monkeypatch.setattr(surrogate.Chooser, "choose", killed)
    with pytest.raises(StoppedError):
        run(PLAN, workers=1)
    before = load("pools")
    assert before.unfinished == 4
    monkeypatch.setattr(surrogate.Chooser, "choose", choose)
    after = run(PLAN, workers=1)
    pool = after.trials[len(before.trials) : len(before.trials) + 4]
    assert sorted(t.state for t in pool) == ["complete", "pruned", "pruned", "pruned"]


def test_what_cannot_be_measured_comes_last(toys: Toys) -> None:
    space = {"bases": ["crrelu", "exp(exp(50*x))"], "parameters": SPACE["parameters"]}
    study = run({**PLAN, "space": space, "trials": 18}, workers=1)
    blind = [t for t in study.trials if t.activation is not None and not t.features]
    assert {t.base for t in blind} == {"exp(exp(50*x))"}
    assert all(t.predicted is None for t in blind)
    # Trained once, it costs nothing from then on.
    assert all(
        t.state == "complete" or t.reason == "passed over: its features cannot be measured" for t in blind
    )


def test_another_surrogate_is_another_plan(tmp_path: Path) -> None:
    plan = {
        **PLAN,
        "task": "mnist1d-mlp",
        "trials": 1,
        "setting": {"examples": 200},
        "surrogate": {"pool": 1},
    }
    run(plan, storage=tmp_path / "s.db", workers=1)
    for changed in ({**plan, "surrogate": {"pool": 2}}, {k: v for k, v in plan.items() if k != "surrogate"}):
        with pytest.raises(
            InputError, match="must be the one that it was made for, but got 'another surrogate'"
        ):
            run(changed, storage=tmp_path / "s.db", workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surrogate": {"pool": 0}}, "the surrogate's pool must be a whole number from 1"),
        ({"surrogate": {"startup": 3}}, "the surrogate's startup must be a whole number from 4"),
        (
            {"surrogate": {"poll": 4}},
            r"the keys of \[surrogate\] are: pool, startup, but got 'poll'; did you mean 'pool'",
        ),
        ({"task": "ood"}, r"a surrogate needs a task with the method problem\(setting\), but got 'ood'"),
    ],
)
def test_wrong_plans_are_refused(toys: Toys, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan.from_dict({**PLAN, **change})
