"""Training a network: the one way through the loop for all embedded tasks."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from eafo.errors import InputError
from eafo.nn import Module, by_channel
from eafo.tasks.loop import Run, learnable_values, outcome_of
from eafo.tasks.models import by_kind
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from eafo.activation import Activation
    from eafo.tasks.models import ActivationFactory
    from eafo.tasks.problem import Problem
    from eafo.tasks.protocol import Outcome
    from eafo.tasks.recipe import TrainingRecipe

__all__ = ["built", "prepared", "train", "train_layers"]


def train(
    problem: Problem,
    activation: Activation,
    recipe: TrainingRecipe,
    *,
    seed: int,
    epochs: int,
    share: float,
    setting: Setting | None = None,
) -> Outcome:
    """Train a fresh network and score it after each epoch.

    The seed fixes the initialisation and, through a generator of its own, the order of the examples: different
    activations see the same ones. Other users of torch's global generators are not disturbed.

    Args:
        problem: the network, the batches, the loss and the score.
        activation: used at every place, as the problem has it there.
        recipe: optimiser, learning rate and its course, weight decay.
        seed: from 0.
        epochs: at least 1.
        share: the score is the mean over the last ⌈share · epochs⌉ epochs, at least the last.
        setting: on what it runs, and what it keeps.

    Raises:
        DivergedError: the loss left the finite numbers.
        InputError: there is no such device here.
    """
    save = "x" if setting is None else setting.saved
    return train_layers(
        problem,
        lambda kind="": Module(by_kind(activation, kind), save=save),
        recipe,
        seed=seed,
        epochs=epochs,
        share=share,
        setting=setting,
    )


def train_layers(
    problem: Problem,
    layer: ActivationFactory,
    recipe: TrainingRecipe,
    *,
    seed: int,
    epochs: int,
    share: float,
    setting: Setting | None = None,
) -> Outcome:
    """As `train`, with what stands at each place as it is made by ``layer``."""
    setting = setting or Setting()
    with prepared(setting):
        model = built(problem, layer, seed, setting)
        started = learnable_values(model)
        # Made before the clock starts: a process's first optimiser loads a good part of torch.
        run = Run(problem, model, recipe.make_optimiser(model), recipe, setting, seed, epochs)
        run.resume()
        while len(run.curve) < epochs:
            run.epoch()
    outcome = outcome_of(
        seed, run.curve, run.losses, share, started, learnable_values(model), run.seconds, run.steps
    )
    return replace(outcome, layers=run.recorder.layers()) if run.recorder else outcome


def built(problem: Problem, layer: ActivationFactory, seed: int, setting: Setting) -> nn.Module:
    """The fresh network of a seed, where it is trained; its weights do not depend on whether parameters have a value a channel."""
    torch.manual_seed(seed)
    model = problem.build(layer).to(setting.device)
    if setting.per_channel:
        batch = next(problem.batches(torch.Generator().manual_seed(seed), 0))
        inputs, targets = (part.to(setting.device) for part in batch)
        with _forked(inputs.device):
            by_channel(model, lambda: problem.loss(model, inputs, targets))
    return model


@contextmanager
def prepared(setting: Setting) -> Iterator[None]:
    """One thread, torch's global generators put back at the end, gradients on.

    Raises:
        InputError: there is no such device here.
    """
    device = _device(setting.device)
    with _one_thread(), _forked(device), torch.enable_grad():
        yield


def _forked(device: torch.device) -> AbstractContextManager[None]:
    """Torch's global generators put back at the end."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        InputError: torch has none of this name here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"torch must have the device here ({reason})", name, "leave it out") from error
    return device


@contextmanager
def _one_thread() -> Iterator[None]:
    # Small layers lose time to more threads, and the sums inside matrix products depend on their number.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
