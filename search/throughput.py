"""Steps a second of the embedded tasks with an activation in plain operations, by eafo's kernels, and compiled by torch.

The same steps of training for every variant, interleaved in blocks, one thread; medians over the blocks. ``eager``: the formula in
torch operations (torch's own operator where it has one); ``eafo``: `eafo.nn.Module`; ``compiled``: the whole network of the first,
through `torch.compile`. ``… stacked``: ten networks as one (`eafo.tasks.stacked`), where ten steps are counted for each of its; no
stack holds a network with dropout.

    python search/throughput.py --csv search/results/throughput.csv
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor, nn

import eafo.tasks
from eafo.catalog import get
from eafo.errors import EafoError
from eafo.kernels.bench import environment
from eafo.kernels.peers import as_written, native
from eafo.nn import Module
from eafo.tasks import Setting, ood, text
from eafo.tasks.classification import Classification
from eafo.tasks.problem import Problem
from eafo.tasks.stacked import Stack

TASKS = ("mnist1d", "mnist1d-mlp", "mnist-mlp", "mnist-lenet", "ood", "char-lm")
ACTIVATIONS = ("crrelu", "gelu")
#: With dropout.
ALONE = ("mnist-lenet",)
BLOCKS, STEPS = 9, 20
STACKED = 10


class Formula(nn.Module):
    """An activation as a user of torch writes it, its parameters learned."""

    def __init__(self, name: str) -> None:
        super().__init__()
        activation = get(name)
        self.function: Callable[..., Tensor] = native(activation) or as_written(activation)
        values = [torch.tensor(v) for v in activation.defaults.values()]
        self.values = nn.ParameterList(
            nn.Parameter(v, p.learnable) for v, p in zip(values, activation.parameters, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """f(x)."""
        return self.function(x, *self.values)


def problem(name: str) -> tuple[Problem, Any]:
    """What a task trains first, and its recipe."""
    task = eafo.tasks.get(name)
    if isinstance(task, Classification):
        return task.problem(), task.recipe
    if name == "ood":
        return ood.problem(2, ood.polynomial), ood.RECIPE
    return text.problem(False), text.RECIPE


def steps(given: Problem, recipe: Any, layer: Callable[..., nn.Module], *, compiled: bool) -> Iterator[None]:
    """Train; a step a turn."""
    torch.manual_seed(0)
    model: Any = given.build(layer)
    optimiser = recipe.make_optimiser(model)
    if compiled:
        model = torch.compile(model, dynamic=False)
    order = torch.Generator().manual_seed(0)
    while True:
        for inputs, targets in given.batches(order, 0):
            # The last batch of an epoch may be smaller, and would be compiled anew.
            if len(inputs) < recipe.batch:
                continue
            loss = given.loss(model, inputs, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield


def stacked_steps(
    given: Problem, recipe: Any, layer: Callable[..., nn.Module], *, compiled: bool
) -> Iterator[None]:
    """Train a stack; a step of all of it a turn."""
    layers = [(layer, seed) for seed in range(STACKED)]
    stack = Stack.of(given, layers, recipe, Setting(compiled=compiled))
    while True:
        for batches in zip(*(given.batches(m.order, 0) for m in stack.members), strict=True):
            if len(batches[0][0]) < recipe.batch:
                continue
            stack.step(batches)
            yield


def measure(name: str, activation: str) -> dict[str, list[float]]:
    """Seconds a step, a block each, by variant."""
    given, recipe = problem(name)
    torch._dynamo.reset()
    running: dict[str, tuple[Iterator[None], int]] = {}
    for variant, layer, compiled in (
        ("eager", lambda *_: Formula(activation), False),
        ("eafo", lambda *_: Module(activation), False),
        ("compiled", lambda *_: Formula(activation), True),
    ):
        running[variant] = steps(given, recipe, layer, compiled=compiled), 1
        if name not in ALONE:
            running[f"{variant} stacked"] = stacked_steps(given, recipe, layer, compiled=compiled), STACKED
    found: dict[str, list[float]] = {v: [] for v in running}
    for block in range(BLOCKS + 1):
        for variant, (run, networks) in running.items():
            count = max(4, STEPS // networks)
            start = time.perf_counter()
            for _ in itertools.islice(run, count):
                pass
            # The first block compiles, and warms up.
            if block:
                found[variant].append((time.perf_counter() - start) / count / networks)
    return found


def write(results: dict[tuple[str, str], dict[str, list[float]]], file: TextIO) -> None:
    """One row a task, activation and variant: steps a second, the median and the quartiles."""
    file.write(f"# {environment()}; one thread, {BLOCKS} interleaved blocks of {STEPS} steps\n")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("task", "activation", "variant", "steps_per_second", "low", "high"))
    for case, found in results.items():
        for variant, seconds in found.items():
            low, middle, high = np.quantile(1 / np.array(seconds), (0.25, 0.5, 0.75))
            table.writerow((*case, variant, f"{middle:.4g}", f"{low:.4g}", f"{high:.4g}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--activations", nargs="+", default=ACTIVATIONS)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        for name in options.tasks:
            eafo.tasks.get(name).prepare()
    except EafoError as error:
        sys.exit(str(error))
    results = {}
    for case in itertools.product(options.tasks, options.activations):
        results[case] = measure(*case)
        shown = ", ".join(f"{v} {1 / np.median(s):.1f}" for v, s in results[case].items())
        print(f"{case[0]} {case[1]}: {shown} steps/s", flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            write(results, file)


if __name__ == "__main__":
    main()
