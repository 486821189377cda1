"""Candidates a minute: a search by eafo, and the loop that one would write with Optuna and PyTorch, on the same space and task.

Both look for a formula of the grammar of ``formulas.toml`` on MNIST-1D, by TPE, two seeds of 50 epochs a candidate, on two processors. The
plain loop trains every candidate to the end in eager PyTorch, as `Study.optimize` calls it: with two threads of its own, or with
``n_jobs=2`` and one each, whichever is faster. eafo climbs the plan's ladder, in two worker processes.

    python search/versus_optuna.py --csv search/results/versus_optuna.csv
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import nn

import eafo.search
from eafo.catalog import get
from eafo.errors import EafoError
from eafo.kernels.bench import environment
from eafo.kernels.peers import as_written
from eafo.search.grammar import Grammar
from eafo.tasks.data import make_mnist1d

PLAN = Path(__file__).with_name("formulas.toml")
EPOCHS, BATCH, SEEDS, COUNTED = 50, 100, 2, 5


class Function(nn.Module):
    """A formula as a module of plain operations."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.function = as_written(get(text))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """f(x)."""
        return torch.as_tensor(self.function(x)).expand_as(x)


def accuracy(text: str, seed: int) -> float:
    """Train the small CNN as its repository does, and score the last epochs."""
    data = make_mnist1d()
    inputs, labels = torch.from_numpy(data.train_inputs).unsqueeze(1), torch.from_numpy(data.train_labels)
    test, truth = torch.from_numpy(data.test_inputs).unsqueeze(1), torch.from_numpy(data.test_labels)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv1d(1, 25, 5, stride=2, padding=1), Function(text),
        nn.Conv1d(25, 25, 3, stride=2, padding=1), Function(text),
        nn.Conv1d(25, 25, 3, stride=2, padding=1), Function(text),
        nn.Flatten(), nn.Linear(125, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    scores = []
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            scores.append(100 * (model(test).argmax(1) == truth).float().mean().item())
    return sum(scores[-COUNTED:]) / COUNTED


def objective(trial: optuna.Trial) -> float:
    """As one would write it: a formula that cannot be read is pruned."""
    grammar = Grammar(depth=2)
    chosen = {name: trial.suggest_categorical(name, options) for name, options in grammar.choices.items()}
    text = grammar.text(chosen.__getitem__)
    try:
        scores = [accuracy(text, seed) for seed in range(SEEDS)]
    except EafoError as error:
        raise optuna.TrialPruned(str(error)) from error
    return sum(scores) / SEEDS


def plain(trials: int, jobs: int) -> tuple[float, float]:
    """Candidates a minute, and the best mean."""
    torch.set_num_threads(2 // jobs)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    start = time.perf_counter()
    study.optimize(objective, n_trials=trials, n_jobs=jobs, catch=(RuntimeError,))
    return 60 * trials / (time.perf_counter() - start), study.best_value


def ours(trials: int) -> tuple[float, float]:
    """The same by eafo, the start of its workers included."""
    plan: dict[str, Any] = tomllib.loads(PLAN.read_text())
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        study = eafo.search.run(plan | {"trials": trials}, storage=Path(folder) / "s.db", workers=2)
        rate = 60 * trials / (time.perf_counter() - start)
        assert study.best.estimate is not None  # noqa: S101 - a complete trial has one
        return rate, study.best.estimate.mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100, help="of eafo's search")
    parser.add_argument("--plain", type=int, default=20, help="of each plain loop")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make_mnist1d()
    rows = []
    for name, trials, (rate, best) in (
        ("optuna, two threads", options.plain, plain(options.plain, 1)),
        ("optuna, n_jobs=2", options.plain, plain(options.plain, 2)),
        ("eafo", options.trials, ours(options.trials)),
    ):
        rows.append((name, trials, f"{rate:.2f}", f"{best:.2f}"))
        print(f"{name}: {rate:.1f} candidates a minute, the best of {trials} {best:.2f} %", flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            file.write(f"# {environment()}\n")
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("loop", "candidates", "candidates_per_minute", "best_accuracy"))
            table.writerows(rows)


if __name__ == "__main__":
    main()
