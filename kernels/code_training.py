"""What four bits an element cost a training: f′ from a code against f′ from x, on the same seeds.

Each seed trains twice, alike but for `save` of `eafo.nn.Module`: the test accuracy with ``code`` less that with ``x``,
its mean over the seeds with Student's 95 % interval, and in which share of the seeds the code was ahead.

    python kernels/code_training.py --csv kernels/results/code_training.csv
"""

from __future__ import annotations

import argparse
import csv
import functools
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TextIO

import eafo.tasks
from eafo.errors import EafoError
from eafo.kernels.bench import environment
from eafo.nn import Module
from eafo.search.statistics import Estimate
from eafo.tasks.classification import Classification
from eafo.tasks.train import train_layers

ACTIVATIONS = ("gelu", "silu", "mish", "srelu")
SAVES = ("x", "code")
Case = tuple[str, str, int]


def scores(case: Case, budget: str) -> tuple[float, ...]:
    """Test accuracy in percent with each way of saving."""
    name, activation, seed = case
    task = eafo.tasks.get(name)
    assert isinstance(task, Classification)  # noqa: S101
    found = []
    for save in SAVES:
        layer = functools.partial(Module, activation, save=save)
        outcome = train_layers(
            task.problem(),
            # What kind of place it is makes no difference here.
            lambda kind="", layer=layer: layer(),
            task.recipe, seed=seed, epochs=task.epochs[budget], share=task.share,
        )  # fmt: skip
        found.append(outcome.score)
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=["mnist1d", "mnist-mlp"])
    parser.add_argument("--activations", nargs="+", default=ACTIVATIONS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", default="short")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    try:
        for name in options.tasks:
            eafo.tasks.get(name).prepare()
    except EafoError as error:
        sys.exit(str(error))
    cases = [(t, a, s) for t in options.tasks for a in options.activations for s in range(options.seeds)]
    run = functools.partial(scores, budget=options.budget)
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        found = dict(zip(cases, pool.map(run, cases), strict=True))
    tell(found)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            write(found, options.budget, file)


def tell(found: dict[Case, tuple[float, ...]]) -> None:
    """One line a task and activation."""
    for task, activation in dict.fromkeys(case[:2] for case in found):
        pairs = [pair for case, pair in found.items() if case[:2] == (task, activation)]
        differences = [code - x for x, code in pairs]
        ahead = sum(d > 0 for d in differences) / len(differences)
        mean = Estimate.of(x for x, _ in pairs)
        print(f"{task} {activation}: x {mean}; code - x {Estimate.of(differences)}, ahead in {ahead:.0%}")


def write(found: dict[Case, tuple[float, ...]], budget: str, file: TextIO) -> None:
    """One row a case."""
    file.write(f"# {environment()}; f' in four bits for a standard normal law; budget {budget}\n")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("task", "activation", "seed", *SAVES))
    table.writerows((*case, *(f"{score:.6g}" for score in pair)) for case, pair in found.items())


if __name__ == "__main__":
    main()
