from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import filelock
import optuna
import pytest

import eafo
from eafo.errors import DataError, InputError
from eafo.search import Plan, load, run
from eafo.search.records import ACTIVATION, PLAN

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Counter, Toys

SPACE = {"bases": ["relu", "crrelu"], "parameters": {"epsilon": {"low": -0.5, "high": 1.0}}}


def plan(task: str = "toy_tasks:Toy", **changes: Any) -> dict[str, Any]:
    base = {
        "name": "p",
        "task": task,
        "epochs": 1,
        "trials": 8,
        "seeds": 2,
        "space": SPACE,
        "pruner": {"name": "none"},
    }
    return {**base, **changes}


def test_a_search_finds_the_top(toys: Toys) -> None:
    study = run(plan(trials=30), workers=2)
    assert [t.number for t in study.trials] == list(range(30))
    assert {t.state for t in study.trials} == {"complete"}
    assert study.unfinished == 0
    assert abs(dict(study.best.parameters)["epsilon"] - 0.3) < 0.15
    assert study.best.base == "crrelu"
    assert study.best.law == "none"
    assert study.best.estimate is not None
    assert study.best.estimate.count == 2
    assert study.best.activation is not None
    assert study.best.activation.defaults == dict(study.best.parameters)
    assert {t.base for t in study.trials} == {"relu", "crrelu"}
    assert all(t.parameters == () for t in study.trials if t.base == "relu")
    assert (toys.folder / "studies" / "p.db").is_file()


def test_what_load_reads_is_what_run_gave(toys: Toys) -> None:
    study = run(plan(), workers=2)
    assert load("p") == study
    assert json.loads(json.dumps(study.to_dict()))["best"] == study.best.number
    frame = study.frame()
    assert list(frame["number"]) == list(range(8))
    assert frame["mean"].max() == study.best.estimate.mean  # type: ignore[union-attr]


def test_the_best_is_a_module(toys: Toys) -> None:
    import torch

    best = run(plan(space={"bases": ["crrelu"], "parameters": SPACE["parameters"]}), workers=1).best
    layer = best.module()
    assert isinstance(layer, eafo.nn.Module)
    assert float(layer.epsilon.detach()) == pytest.approx(dict(best.parameters)["epsilon"])
    assert layer(torch.zeros(2)).tolist() == [0, 0]


def test_a_real_search_over_laws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = {
        "bases": ["relu"],
        "laws": ["none", "normal"],
        "parameters": {"epsilon": {"low": -0.5, "high": 1.0}},
    }
    study = run(plan("mnist1d", epochs=2, trials=4, space=space), workers=2)
    assert [t.state for t in study.trials] == ["complete"] * 4
    corrected = [t for t in study.trials if t.law == "normal"]
    for trial in corrected:
        assert trial.activation is not None
        assert str(trial.activation) == "epsilon*x*exp(-x**2/2) + max(0, x)"
        assert len(trial.outcomes[0].learned) == 3
    assert corrected


def test_one_worker_repeats_a_search_trial_by_trial(toys: Toys) -> None:
    first = run(plan(trials=14), workers=1, storage=toys.folder / "a.db")
    again = run(plan(trials=14), workers=1, storage=toys.folder / "b.db")
    assert [t.parameters for t in first.trials] == [t.parameters for t in again.trials]
    other = run(plan(trials=14, sampler={"seed": 1}), workers=1, storage=toys.folder / "c.db")
    assert [t.parameters for t in first.trials] != [t.parameters for t in other.trials]


def test_trials_are_the_total_and_a_second_run_adds_what_is_missing(toys: Toys) -> None:
    space = {"bases": ["crrelu"], "parameters": SPACE["parameters"]}
    first = run(plan(trials=4, space=space), workers=2)
    assert len(toys.lines) == 8
    assert run(plan(trials=4, space=space), workers=2) == first
    more = run(plan(trials=4, space=space), workers=2, trials=7)
    assert more.trials[:4] == first.trials
    assert len(more.trials) == 7
    assert len(toys.lines) == 14
    # The seed of a resumed sampler is not that of the first run.
    values = [t.parameters for t in more.trials]
    assert len(set(values)) == 7
    assert load("p").plan.trials == 7


def test_a_candidate_is_trained_once(toys: Toys) -> None:
    study = run(plan(trials=6, space={"bases": ["relu", "gelu"]}), workers=1)
    assert len(study.trials) == 6
    assert len(toys.lines) == 4
    assert {t.base for t in study.trials} == {"relu", "gelu"}
    assert all(len(t.outcomes) == 2 for t in study.trials)


def test_hopeless_candidates_are_pruned_and_keep_their_scores(toys: Toys) -> None:
    space = {"bases": ["crrelu"], "parameters": SPACE["parameters"]}
    pruner = {"name": "median", "startup": 3, "warmup": 1}
    study = run(plan(trials=20, seeds=4, space=space, pruner=pruner, sampler={"name": "random"}), workers=1)
    pruned = [t for t in study.trials if t.state == "pruned"]
    assert pruned
    assert all(t.number >= 3 for t in pruned)
    for trial in pruned:
        assert 2 <= len(trial.outcomes) < 4  # one seed of warm-up, then the decision
        assert trial.estimate is not None
        assert trial.reason.startswith(f"pruned after {len(trial.outcomes)} seeds, at a mean of")
    assert study.best.state == "complete"
    assert len(toys.lines) == sum(len(t.outcomes) for t in study.trials) < 80


def test_failures_are_recorded_with_their_reasons(toys: Toys) -> None:
    study = run(plan("toy_tasks:Diverging", trials=10), workers=2)
    failed = [t for t in study.trials if t.state == "failed"]
    assert failed
    for trial in failed:
        assert dict(trial.parameters)["epsilon"] > 0
        assert trial.reason == "seed 1: the loss must stay finite, but got nan"
    assert study.best.state == "complete"


def test_a_score_that_is_not_finite_is_refused(toys: Toys) -> None:
    study = run(plan("toy_tasks:NotFinite", trials=2), workers=1)
    assert [t.state for t in study.trials] == ["failed", "failed"]
    assert study.trials[0].reason == "seed 0: a score must be a finite number, but got inf"
    with pytest.raises(InputError, match="a study has a best trial once one is complete"):
        _ = study.best
    assert study.to_dict()["best"] is None


def test_a_sampler_and_a_pruner_of_ones_own(toys: Toys) -> None:
    grid = optuna.samplers.GridSampler(
        {"base": ["crrelu"], "law": ["none"], "epsilon": [0.0, 0.25, 0.5]}, seed=0
    )
    space = {"bases": ["crrelu"], "parameters": SPACE["parameters"]}
    study = run(plan(trials=9, space=space), workers=1, sampler=grid, pruner=optuna.pruners.NopPruner())
    # The grid is exhausted after three trials, and its sampler stops the study.
    assert sorted(dict(t.parameters)["epsilon"] for t in study.trials) == [0.0, 0.25, 0.5]


def test_asked_and_not_told_is_finished_with_the_same_parameters(toys: Toys) -> None:
    """A driver that died between asking and any suggestion, and one that died after one seed."""
    from eafo.search.storage import find, opened

    wanted = Plan.from_dict(plan(trials=3))
    first = run(wanted, workers=1, trials=1)
    with opened(find("p")) as database:
        study = optuna.load_study(study_name="p", storage=database)
        study.ask()
        half = study.ask()
        half.suggest_categorical("base", ["relu", "crrelu"])
        half.suggest_categorical("law", ["none"])
        suggested = dict(half.params)
        half.set_user_attr(
            "eafo:outcome:0", eafo.tasks.Outcome(0, 12.5, (12.5,), (0.1,), (), 1.0, 1).to_dict()
        )
    assert load("p").unfinished == 2
    study_again = run(wanted, workers=2)
    assert study_again.trials[0] == first.trials[0]
    assert [t.state for t in study_again.trials] == ["complete"] * 3
    assert study_again.unfinished == 0
    assert study_again.trials[2].base == suggested["base"]
    assert study_again.trials[2].outcomes[0].score == 12.5


def test_progress_counts_trainings(toys: Toys, counter: Counter) -> None:
    run(plan(trials=3), workers=1, trials=2)
    run(plan(trials=3), workers=1, progress=counter)
    assert counter.calls[0] == ("started", 6, 4)
    assert sum(call[1] for call in counter.calls if call[0] == "advanced") == 2
    assert counter.calls[-1] == ("finished",)
    assert counter.calls[-2][2].startswith("best ")


def test_optuna_is_silent(toys: Toys, capfd: pytest.CaptureFixture[str]) -> None:
    run(plan(trials=2), workers=1)
    assert capfd.readouterr() == ("", "")


# -- what is refused -------------------------------------------------------------------------------------------


def test_another_plan_of_the_same_name_is_refused(toys: Toys) -> None:
    run(plan(trials=1), workers=1)
    with pytest.raises(InputError) as caught:
        run(plan(trials=1, seeds=3, first_seed=1))
    assert str(caught.value) == (
        "the plan of the study 'p' must be the one that it was made for, but got 'another seeds, first_seed'; change the name"
    )


def test_a_second_driver_is_refused(toys: Toys) -> None:
    (toys.folder / "studies").mkdir()
    with filelock.FileLock(toys.folder / "studies" / "p.db.lock"), pytest.raises(InputError) as caught:
        run(plan())
    assert str(caught.value) == (
        "a study must have one driver at a time, and one is at work, but got 'p'; "
        "wait until it ends, or choose another name"
    )


@pytest.mark.parametrize("make", ["_text", "_foreign"])
def test_a_foreign_file_is_refused_and_left_alone(toys: Toys, make: str) -> None:
    file = toys.folder / "p.db"
    globals()[make](file)
    before = file.read_bytes()
    with pytest.raises(
        InputError, match=r"a study's file must be one that eafo or Optuna made, but got '.*p\.db'; choose"
    ):
        run(plan(), storage=file)
    assert file.read_bytes() == before


def _text(file: Path) -> None:
    file.write_bytes(b"no database at all" * 100)


def _foreign(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()


def test_a_study_that_is_not_eafos_is_refused(toys: Toys) -> None:
    url = f"sqlite:///{toys.folder}/o.db"
    for name, direction in (("p", "minimize"), ("q", "maximize")):
        study = optuna.create_study(study_name=name, storage=url, direction=direction)
        study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(
        InputError,
        match=r"the study 'p' must have the plan's directions \(maximize\), but got 'minimize'; choose",
    ):
        run(plan(), storage=url)
    with pytest.raises(InputError, match="a study must have been made by eafo, but got 'q'"):
        run(plan(name="q"), storage=url)
    with pytest.raises(InputError, match="a study must have been run under this name, but got 'r'"):
        load("r", url)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sqlite://", "a SQLite storage must be a file, or nothing could be resumed, but got 'sqlite://'"),
        ("sqlite:///:memory:", "a SQLite storage must be a file"),
        ("nosuch://x", "the storage must be a database that Optuna can open"),
        ("://x", "a storage must be a database URL or the path of a SQLite file, but got '://x'"),
    ],
)
def test_wrong_storages_are_refused(toys: Toys, storage: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        run(plan(), storage=storage)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_is_refused(toys: Toys) -> None:
    (toys.folder / "file").touch()
    with pytest.raises(InputError, match="the storage's folder must be writable"):
        run(plan(), storage=toys.folder / "file" / "p.db")


def test_a_missing_study_is_refused_and_not_made(toys: Toys) -> None:
    with pytest.raises(
        InputError, match=r"run under this name, but got 'nosuch'; there is no .*studies/nosuch\.db"
    ):
        load("nosuch")
    assert not (toys.folder / "studies").exists()


def test_missing_data_are_told_before_a_study_is_made(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EAFO_DATA", str(toys.folder))
    with pytest.raises(DataError, match="MNIST must lie under EAFO_DATA"):
        run(plan("mnist-mlp"))
    assert not (toys.folder / "studies").exists()


def test_the_storage_holds_the_plan_and_each_activation(toys: Toys) -> None:
    run(plan(trials=2), workers=1)
    study = optuna.load_study(study_name="p", storage=f"sqlite:///{toys.folder}/studies/p.db")
    assert Plan.from_dict(json.loads(study.user_attrs[PLAN])) == Plan.from_dict(plan(trials=2))
    for trial in study.trials:
        assert eafo.Activation.from_json(trial.user_attrs[ACTIVATION])


def test_importance_names_the_choice_that_matters(toys: Toys) -> None:
    space = {
        "bases": ["crrelu", "srelu"],
        "parameters": {"epsilon": {"low": -0.5, "high": 1.0}, "t": {"low": 1.0, "high": 3.0}},
    }
    plan = {"name": "p", "task": "toy_tasks:Toy", "budget": "tiny", "trials": 19, "seeds": 1, "space": space}
    plan["sampler"] = {"name": "random"}
    assert run(plan, storage=toys.folder / "p.db", workers=1).importance == ()
    found = run(plan | {"trials": 60}, storage=toys.folder / "p.db", workers=1)
    assert dict(found.importance).keys() == {"base", "law", "epsilon", "t"}
    # The task scores epsilon alone.
    assert dict(found.importance)["epsilon"] > dict(found.importance)["t"]
    assert found.to_dict()["importance"] == dict(found.importance)
    alone = run(
        plan
        | {
            "name": "q",
            "trials": 40,
            "space": {"bases": ["crrelu"], "parameters": {"epsilon": {"low": -0.5, "high": 1.0}}},
        },
        storage=toys.folder / "q.db",
        workers=1,
    )
    assert alone.importance[0] == ("epsilon", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": "slurm"}, "an executor must be local, ray"),
        ({"gpus": 0.5}, "GPUs are shared out by Ray alone"),
        ({"workers": 0}, "workers must be"),
    ],
)
def test_an_executor_that_cannot_be_had_leaves_no_study(
    toys: Toys, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(plan(), storage=toys.folder / "none.db", **given)
    assert not (toys.folder / "none.db").exists()
