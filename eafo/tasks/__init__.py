"""Tasks: what one trial is. An activation and a seed go in, a score comes out.

`get` finds a task by name, `names` lists the embedded ones. A task of your own is any object with the members of
`Task`, named ``"module:object"``; its module must be importable in the worker processes too.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eafo.errors import EafoError, InputError
from eafo.tasks.protocol import BUDGETS, QUANTILES, DivergedError, Layer, Learned, Outcome, Task
from eafo.tasks.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from eafo.activation import Activation
    from eafo.catalog import ActivationLike

__all__ = [
    "BUDGETS",
    "QUANTILES",
    "DivergedError",
    "Layer",
    "Learned",
    "Outcome",
    "Setting",
    "Task",
    "build_model",
    "check",
    "get",
    "length",
    "names",
    "run",
    "run_stacked",
]

_EMBEDDED = {
    "char-lm": "eafo.tasks.text:CHAR_LM",
    "char-lm-gated": "eafo.tasks.text:CHAR_LM_GATED",
    "cifar10-airbench": "eafo.tasks.airbench:AIRBENCH",
    "deit-tiny-cifar10": "eafo.tasks.transformers:DEIT_CIFAR10",
    "deit-tiny-cifar100": "eafo.tasks.transformers:DEIT_CIFAR100",
    "deit-tiny-imagenet": "eafo.tasks.transformers:DEIT_IMAGENET",
    "dpo": "eafo.tasks.dpo:DPO",
    "dpo-hh": "eafo.tasks.dpo:DPO_HH",
    "dpo-shp": "eafo.tasks.dpo:DPO_SHP",
    "fashion-mnist": "eafo.tasks.mnist:FASHION",
    "mnist-lenet": "eafo.tasks.mnist:LENET",
    "mnist-mlp": "eafo.tasks.mnist:MLP",
    "mnist1d": "eafo.tasks.mnist1d:CNN",
    "mnist1d-held-out": "eafo.tasks.mnist1d:HELD_OUT",
    "mnist1d-mlp": "eafo.tasks.mnist1d:MLP",
    "ood": "eafo.tasks.ood:OOD",
    "tnt-small-cifar10": "eafo.tasks.transformers:TNT_CIFAR10",
    "tnt-small-cifar100": "eafo.tasks.transformers:TNT_CIFAR100",
    "vit-tiny-cifar10": "eafo.tasks.transformers:VIT_CIFAR10",
    "vit-tiny-cifar100": "eafo.tasks.transformers:VIT_CIFAR100",
    "vit-tiny-imagenet": "eafo.tasks.transformers:VIT_IMAGENET",
}


def names() -> tuple[str, ...]:
    """The names of the embedded tasks.

    >>> names()[:4]
    ('char-lm', 'char-lm-gated', 'cifar10-airbench', 'deit-tiny-cifar10')
    """
    return tuple(_EMBEDDED)


def get(name: str) -> Task:
    """The task of this name.

    Args:
        name: an embedded name, or ``"module:object"`` for a task of your own (an object, or a class called without
            arguments).

    Raises:
        InputError: no such task, or the object is none.

    >>> get("mnist1d").epochs["tiny"]
    2
    >>> get("mnist1")
    Traceback (most recent call last):
        ...
    eafo.errors.InputError: a task must be an embedded one or module:object, but got 'mnist1'; did you mean 'mnist1d'?
    """
    if isinstance(name, str) and name in _EMBEDDED:
        return _import(_EMBEDDED[name])
    if not isinstance(name, str) or ":" not in name:
        close = difflib.get_close_matches(str(name), _EMBEDDED, 1)
        hint = f"did you mean '{close[0]}'?" if close else "see `eafo list tasks`"
        raise InputError("a task must be an embedded one or module:object", name, hint)
    return _import(name)


def _import(path: str) -> Task:
    module, _, attribute = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
        task = found() if isinstance(found, type) else found
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        remedy = "check the spelling, and that PYTHONPATH reaches the module"
        raise InputError(f"the task module:object must be importable ({error})", path, remedy) from error
    if not isinstance(task, Task):
        raise InputError("a task must have name, description, epochs, prepare and run", path)
    return task


def length(task: Task, budget: str) -> tuple[int, int | None]:
    """The epochs of a budget, and how many examples it takes: None for all.

    Raises:
        InputError: no such budget.

    >>> length(get("mnist1d"), "short")
    (50, None)
    """
    if budget not in task.epochs:
        raise InputError(f"the budget must be one of {', '.join(task.epochs)}", budget)
    examples: Mapping[str, int | None] = getattr(task, "examples", {})
    return task.epochs[budget], examples.get(budget)


def check(task: Task, setting: Setting) -> None:
    """Check that a task can be run in a setting.

    Raises:
        InputError: the setting differs from the default, and the task's `run` takes none.
    """
    if replace(setting, stacked=1) != Setting() and "setting" not in inspect.signature(task.run).parameters:
        raise InputError(
            "a task runs in another setting where its run takes the keyword setting",
            task.name,
            f"leave out {', '.join(setting.to_dict())}",
        )


def run(task: Task, activation: Activation, seed: int, epochs: int, setting: Setting) -> Outcome:
    """Run a task in a setting.

    Raises:
        InputError: as `check`.
        DivergedError: the loss left the finite numbers.
    """
    check(task, setting)
    if replace(setting, stacked=1) == Setting():
        return task.run(activation, seed, epochs)
    run: Any = task.run
    outcome: Outcome = run(activation, seed, epochs, setting=setting)
    return outcome


def run_stacked(
    task: Task, activation: Activation, seeds: Sequence[int], epochs: int, setting: Setting
) -> Sequence[Outcome | EafoError]:
    """Run a task with several seeds, as one stack where the task's ``run_stacked`` does that, else one by one.

    A stack pays where networks are so small that their calls take the time: of the embedded tasks on a processor, ``ood`` and
    ``mnist1d-mlp``.

    Returns:
        What became of each seed: its outcome, or the error that ended it alone.

    Raises:
        InputError: as `check`; a setting that is not for stacks.
    """
    check(task, setting)
    stack: Any = getattr(task, "run_stacked", None)
    if stack is not None:
        found: Sequence[Outcome | EafoError] = stack(activation, seeds, epochs, setting)
        return found
    return [_caught(task, activation, seed, epochs, replace(setting, stacked=1)) for seed in seeds]


def _caught(
    task: Task, activation: Activation, seed: int, epochs: int, setting: Setting
) -> Outcome | EafoError:
    try:
        return run(task, activation, seed, epochs, setting)
    except EafoError as error:
        return error


def build_model(name: str, data: str, activation: ActivationLike) -> nn.Module:
    """Build a vision transformer around an activation; see `eafo.tasks.vision.build_model`.

    Raises:
        InputError: no such model, data set or activation.
    """
    from eafo.tasks import vision  # noqa: PLC0415 - loads torch

    return vision.build_model(name, data, activation)
