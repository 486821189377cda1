"""Run a search from its plan, and read it back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from eafo import catalog, tasks
from eafo.errors import InputError
from eafo.search.cost import objective
from eafo.search.driver import Driver
from eafo.search.environment import environment
from eafo.search.executors.choice import make_executor
from eafo.search.parts import PrunerPlan, SamplerPlan
from eafo.search.plan import Plan
from eafo.search.progress import Progress, SilentProgress
from eafo.search.records import PLAN, RUNS, read_plan, read_study
from eafo.search.space import candidates
from eafo.search.storage import find, locked, opened

if TYPE_CHECKING:
    from pathlib import Path

    from eafo.search.results import Study

__all__ = ["load", "make_pruner", "make_sampler", "run"]

#: Candidates of a generation.
_POPULATION = 20


def run(
    plan: Plan | Mapping[str, Any] | str | Path,
    *,
    trials: int | None = None,
    storage: str | Path | None = None,
    workers: int | None = None,
    executor: str = "local",
    gpus: float = 0.0,
    batch: int | None = None,
    progress: Progress | None = None,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> Study:
    """Run a search, or what is missing of it.

    A study that was interrupted goes on where it stopped: trials that were asked and not told are finished with the same
    parameters and the seeds that they lack. Interrupting (Ctrl-C) ends the workers and leaves the storage ready for that.
    With one worker, or in batches, a search is repeatable trial by trial; with more, each training still is, but the order in
    which results reach the sampler is not.

    Args:
        plan: a plan, a dictionary of the same form, or the path of a TOML file.
        trials: the total number of trials of the study, instead of the plan's.
        storage: a database URL as Optuna takes it, or the path of a SQLite file; ``./studies/NAME.db`` where not given.
        workers: how many worker processes; one for each processor where not given.
        executor: ``"local"``, ``"ray"`` or the address of a Ray cluster; see `eafo.search.executors.choice.make_executor`.
        gpus: GPUs of each training, which Ray shares out; a fraction lets trainings share one.
        batch: so many candidates are asked at once, and their results told in the order asked: the same plan and seeds then give
            the same study on any number of workers.
        progress: told how far it is.
        sampler: an Optuna sampler of your own, instead of the plan's.
        pruner: an Optuna pruner of your own, instead of the plan's.

    Raises:
        InputError: the plan is wrong; another plan or another driver has this name; the storage cannot be used.
        RefusedError: a base × law of the plan has no correction.
        DataError: the task's data are missing or damaged.
        MissingDependencyError: Ray or the database's driver is not installed.
        BuildError: kernels are to be timed, and cannot be compiled here.
        EafoError: the storage or the Ray cluster is lost on the way; the same call goes on from there.
    """
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise InputError("a batch must be a whole number of candidates from 1", batch)
    wanted = _read(plan)
    if batch is not None and "time" in wanted.objectives:
        raise InputError(
            "a study in batches is repeatable, but a measured time is not",
            "the objective time",
            "take cost, which is counted",
        )
    wanted = replace(wanted, trials=trials) if trials is not None else wanted
    if len(wanted.objectives) > 1 and pruner is not None:
        raise InputError("a pruner is for one objective", list(wanted.objectives), "leave one out")
    possible = candidates(wanted.space)
    if "time" in wanted.objectives:
        # What cannot be measured here is told before anything is trained.
        objective("time", catalog.get("relu"), wanted.setting)
    place = find(wanted.name, storage)
    tasks.get(wanted.task).prepare()
    # The executor first: one that cannot be had leaves no study behind.
    with make_executor(executor, workers, gpus) as at_work, locked(place), opened(place) as database:
        study = _study(database, wanted)
        study.sampler = sampler or make_sampler(wanted.sampler, len(study.get_trials(deepcopy=False)))
        study.pruner = pruner or make_pruner(wanted.pruner)
        _note_run(study, wanted, executor)
        Driver(study, wanted, possible, at_work, progress or SilentProgress(), batch=batch).work()
        return read_study(study)


def load(name: str, storage: str | Path | None = None) -> Study:
    """Read a study as it stands; one that is still running, too.

    Args:
        name: the study's name.
        storage: where it lies, as for `run`.

    Raises:
        InputError: no such study.
    """
    place = find(name, storage)
    if place.file is not None and not place.file.is_file():
        raise InputError("a study must have been run under this name", name, f"there is no {place.file}")
    with opened(place) as database:
        try:
            return read_study(optuna.load_study(study_name=name, storage=database))
        except KeyError as error:
            raise InputError("a study must have been run under this name", name) from error


def _read(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    if isinstance(plan, Plan):
        return plan
    return Plan.from_dict(plan) if isinstance(plan, Mapping) else Plan.from_toml(plan)


def _study(database: optuna.storages.RDBStorage, plan: Plan) -> optuna.Study:
    """The study of this plan, made where it is not there yet.

    Optuna's own `load_if_exists` would keep an old direction and an old plan without a word.
    """
    if plan.name not in {
        s.study_name for s in optuna.get_all_study_summaries(database, include_best_trial=False)
    }:
        study = optuna.create_study(study_name=plan.name, storage=database, directions=plan.directions)
        study.set_user_attr(PLAN, json.dumps(plan.to_dict()))
        return study
    study = optuna.load_study(study_name=plan.name, storage=database)
    if [d.name.lower() for d in study.directions] != plan.directions:
        raise InputError(
            f"the study '{plan.name}' must have the plan's directions ({', '.join(plan.directions)})",
            ", ".join(d.name.lower() for d in study.directions),
            "choose another name or storage",
        )
    if PLAN not in study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(
            PLAN, json.dumps(plan.to_dict())
        )  # Its driver was killed between the two steps above.
    stored = read_plan(study)
    asked, known = plan.to_dict(), stored.to_dict()
    keys = dict.fromkeys((*asked, *known))
    if differing := [k for k in keys if k != "trials" and asked.get(k) != known.get(k)]:
        raise InputError(
            f"the plan of the study '{plan.name}' must be the one that it was made for",
            f"another {', '.join(differing)}",
            "change the name",
        )
    if stored != plan:
        study.set_user_attr(PLAN, json.dumps(plan.to_dict()))
    return study


def _note_run(study: optuna.Study, plan: Plan, executor: str) -> None:
    """Write down on what the study is run, where something is missing of it and it was not run on that before."""
    trials = study.get_trials(deepcopy=False)
    runs: list[dict[str, str]] = json.loads(study.user_attrs.get(RUNS, "[]"))
    here = environment(plan.setting.device, executor)
    if here not in runs and sum(t.state.is_finished() for t in trials) < plan.trials:
        study.set_user_attr(RUNS, json.dumps([*runs, here]))


def make_sampler(plan: SamplerPlan, existing: int = 0) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of a plan, for a study that has so many trials already."""
    # A resumed run must not draw the numbers of the first one again.
    seed = int(np.random.SeedSequence([plan.seed, existing]).generate_state(1)[0])
    if plan.name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if plan.name == "evolution":
        with warnings.catch_warnings():
            # Of one objective it is the plain genetic algorithm; Optuna calls none of it experimental but warns.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def make_pruner(plan: PrunerPlan) -> optuna.pruners.BasePruner:
    """Optuna's pruner of a plan."""
    if plan.name == "none":
        return optuna.pruners.NopPruner()
    if plan.name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=plan.factor)
    # Optuna leaves alone the steps below its number; the plan counts the seeds that are left alone.
    return optuna.pruners.MedianPruner(n_startup_trials=plan.startup, n_warmup_steps=plan.warmup + 1)
