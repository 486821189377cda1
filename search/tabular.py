"""A tabular benchmark of searches: every formula of a small grammar, trained once, on which searches are replayed in seconds.

``train`` trains each formula of ``tabular.toml`` with eight seeds and writes its score after so many epochs (the mean test accuracy
of the last tenth of them; the rate is constant, so that a shorter training is the start of a longer one). It goes on where it stopped.

``replay`` lets searches loose on the table, a hundred times each, with other seeds of the sampler and another pair of the table's eight
seeds: how many epochs are trained until one of the best 1 % (by the mean of all eight) is scored in full? The driver, the sampler and
the pruner are eafo's own; only the training is looked up. A ladder may give up all of the best for good; such a search never gets there
in its thousand trials.

    python search/tabular.py train search/results/tabular.csv
    python search/tabular.py replay search/results/tabular.csv
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from eafo.activation import Activation
from eafo.catalog import get
from eafo.errors import EafoError
from eafo.kernels.bench import environment
from eafo.report.style import figure, legend, look, styled
from eafo.search import Plan
from eafo.search.agreement import kendall
from eafo.search.driver import Driver
from eafo.search.executors import Job, Result
from eafo.search.executors.local import LocalExecutor
from eafo.search.filters import fingerprint
from eafo.search.parts import PrunerPlan, SamplerPlan
from eafo.search.progress import SilentProgress
from eafo.search.space import candidates
from eafo.search.study import make_pruner, make_sampler
from eafo.tasks import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLAN = Plan.from_toml(Path(__file__).with_name("tabular.toml"))
SEEDS = 8
FIDELITIES = (1, 2, 5, 10, 15, 25, 50)
HEADER = ("formula", "seed", *(f"epochs_{e}" for e in FIDELITIES))


def formulas() -> Iterator[Activation]:
    """Every function of the grammar that passes the filters, once."""
    grammar, filters = PLAN.space.grammar, PLAN.space.filters
    assert grammar is not None  # noqa: S101 - both stand in the plan
    assert filters is not None  # noqa: S101
    seen = set()
    for chosen in itertools.product(*grammar.choices.values()):
        try:
            activation = get(
                str(get(grammar.text(dict(zip(grammar.choices, chosen, strict=True)).__getitem__)))
            )
            values = fingerprint(activation)
        except EafoError:
            continue
        if values not in seen and not filters.refusal(activation):
            yield activation
        seen.add(values)


def score(curve: Sequence[float], epochs: int) -> float:
    """What a training of so many epochs would score."""
    return float(np.mean(curve[epochs - math.ceil(epochs / 10) : epochs]))


def train(path: Path, workers: int | None) -> None:
    """Write the table, or what it lacks."""
    done = {(row["formula"], int(row["seed"])) for row in read(path)} if path.is_file() else set()
    if not done:
        path.write_text(f"# {environment()}\n{','.join(HEADER)}\n")
    found = list(formulas())
    jobs = deque(
        Job(i, activation, PLAN.task, seed, PLAN.epochs)
        for seed in range(SEEDS)
        for i, activation in enumerate(found)
        if (str(activation), seed) not in done
    )
    print(f"{len(found)} formulas, {len(jobs)} trainings are missing", flush=True)
    busy = 0
    with path.open("a", newline="") as file, LocalExecutor(workers) as executor:
        table = csv.writer(file, lineterminator="\n")
        while jobs or busy:
            while jobs and busy < executor.workers:
                executor.submit(jobs.popleft())
                busy += 1
            result, busy = executor.next(), busy - 1
            values = (
                [f"{score(result.outcome.curve, e):.2f}" for e in FIDELITIES]
                if result.outcome
                else [""] * len(FIDELITIES)
            )
            table.writerow((result.job.activation, result.job.seed, *values))
            file.flush()


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file under its line of provenance."""
    with path.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


class Table:
    """Scores by formula, seed and epochs; NaN where a training failed.

    Args:
        path: as `train` wrote it; seeds that not every formula has yet are left out.
    """

    def __init__(self, path: Path) -> None:
        rows = read(path)
        names = list(dict.fromkeys(row["formula"] for row in rows))
        self.seeds = min(sum(row["formula"] == name for row in rows) for name in names)
        self.scores = np.full((len(names), self.seeds, len(FIDELITIES)), np.nan)
        for row in rows:
            if int(row["seed"]) < self.seeds:
                values = [float(row[f"epochs_{e}"] or "nan") for e in FIDELITIES]
                self.scores[names.index(row["formula"]), int(row["seed"])] = values
        self.row = {fingerprint(get(name)): i for i, name in enumerate(names)}
        self.names = names
        means = self.scores[:, :, -1].mean(1)
        self.best = set(
            np.argsort(-np.nan_to_num(means, nan=-np.inf))[: max(1, round(len(names) / 100))].tolist()
        )

    def look_up(self, activation: Activation, seed: int, epochs: int) -> float:
        """The score of a training."""
        return float(self.scores[self.row[fingerprint(activation)], seed, FIDELITIES.index(epochs)])


class Replay:
    """An executor that looks trainings up, and stops the study when one of the best is scored in full.

    Args:
        table: where.
        plan: what is searched.
        seeds: the table's seeds that stand for those of the plan.
        study: what is stopped.
    """

    workers = 2

    def __init__(self, table: Table, plan: Plan, seeds: Sequence[int], study: optuna.Study) -> None:
        self._table, self._plan, self._seeds, self._study = table, plan, seeds, study
        self._waiting: deque[Job] = deque()
        self._scored: dict[int, int] = {}
        self._epochs = 0
        #: The epochs that were trained until then.
        self.reached = math.inf

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._waiting.append(job)

    def cancel(self, owner: int) -> tuple[Job, ...]:
        """Drop what waits."""
        dropped = tuple(j for j in self._waiting if j.owner == owner)
        self._waiting = deque(j for j in self._waiting if j.owner != owner)
        return dropped

    def next(self) -> Result:
        """The next job's score."""
        job = self._waiting.popleft()
        self._epochs += job.epochs
        value = self._table.look_up(job.activation, self._seeds[job.seed], job.epochs)
        if math.isnan(value):
            return Result(job, None, EafoError("the training failed"))
        row = self._table.row[fingerprint(job.activation)]
        if job.epochs == self._plan.epochs:
            self._scored[row] = self._scored.get(row, 0) + 1
        if row in self._table.best and self._scored.get(row) == self._plan.seeds and math.isinf(self.reached):
            self.reached = self._epochs
            self._study.stop()
        return Result(job, Outcome(job.seed, value))

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *args: object) -> None: ...


ARMS = {
    "random": ("random", False),
    "random, ladder": ("random", True),
    "TPE": ("tpe", False),
    "TPE, ladder": ("tpe", True),
    "evolution, ladder": ("evolution", True),
}


def replayed(table: Table, arm: str, repeat: int) -> float:
    """The epochs that a search trains until it has one of the best."""
    sampler, climbs = ARMS[arm]
    plan = PLAN if climbs else replace(PLAN, ladder=(), pruner=PrunerPlan("none"))
    seeds = np.random.default_rng(repeat).permutation(table.seeds)[: plan.seeds]
    study = optuna.create_study(
        direction="maximize",
        sampler=make_sampler(SamplerPlan(sampler, repeat)),
        pruner=make_pruner(plan.pruner),
    )
    replay = Replay(table, plan, [int(s) for s in seeds], study)
    Driver(study, plan, candidates(plan.space), replay, SilentProgress()).work()
    return replay.reached


def replay(path: Path, repeats: int) -> None:
    """Replay every arm; write the CSV and the figure beside the table."""
    table = Table(path)
    print(
        f"{len(table.names)} formulas, {table.seeds} seeds; the best: {', '.join(table.names[i] for i in sorted(table.best))}"
    )
    last = table.scores[:, :, -1]
    for place, epochs in enumerate(FIDELITIES[:-1]):
        # One seed of a shorter training against the mean of the others' whole ones.
        print(f"{epochs} epochs: {kendall(table.scores[:, 0, place].tolist(), last[:, 1:].tolist())}")
    with ProcessPoolExecutor(
        initializer=optuna.logging.set_verbosity, initargs=(optuna.logging.ERROR,)
    ) as pool:
        found = {
            arm: np.array(
                list(pool.map(replayed, itertools.repeat(table), itertools.repeat(arm), range(repeats)))
            )
            for arm in ARMS
        }
    generator = np.random.default_rng(0)
    for arm, trained in found.items():
        drawn = generator.integers(0, repeats, (2, 10_000, repeats))
        ratios = np.median(trained[drawn[0]], 1) / np.median(found["random"][drawn[1]], 1)
        low, high = np.quantile(ratios, [0.025, 0.975])
        share = np.median(trained) / np.median(found["random"])
        print(
            f"{arm}: median {np.median(trained):.0f} epochs, {share:.2f} ({low:.2f} to {high:.2f}) of random's; "
            f"{np.isinf(trained).sum()} of {repeats} never get there"
        )
    with path.with_name("tabular_replay.csv").open("w", newline="") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(("repeat", *found))
        for repeat, reached in enumerate(zip(*found.values(), strict=True)):
            written.writerow((repeat, *("" if math.isinf(e) else int(e) for e in reached)))
    draw(found, path.with_name("tabular_replay.png"))


def draw(found: dict[str, Any], path: Path) -> None:
    """The share of repeats that have reached the best, against the epochs trained."""
    with styled():
        made = figure(6.4, 4)
        axes = made.subplots()
        for index, (arm, epochs) in enumerate(found.items()):
            chosen = look(index)
            reached = np.sort(epochs[np.isfinite(epochs)])
            share = np.arange(1, len(reached) + 1) / len(epochs)
            axes.step(reached, share, where="post", label=arm, color=chosen.colour, linestyle=chosen.line)
        axes.set(xlabel="epochs trained", ylabel="share with one of the best 1 %", xscale="log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        legend(made, axes)
        made.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("train", "replay"))
    parser.add_argument("table", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--repeats", type=int, default=100)
    options = parser.parse_args()
    if options.verb == "train":
        train(options.table, options.workers)
    else:
        replay(options.table, options.repeats)


if __name__ == "__main__":
    main()
