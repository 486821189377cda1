"""What was run, on what, and how to run it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eafo import catalog, tasks
from eafo.activation import Activation
from eafo.errors import InputError
from eafo.report.rows import text_form
from eafo.search import Comparison, Plan
from eafo.search.environment import environment
from eafo.tasks import Setting

__all__ = ["comparison_command", "plan_toml", "rate_facts", "run_facts", "setting_facts", "task_description"]


def run_facts(runs: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """On what trainings ran, a line a run, and with what this page was written.

    >>> [what for what, _ in run_facts([environment()])]
    ['Run', 'Page written']
    """
    lines = [("Run" if len(runs) < 2 else f"Run {i}", _line(run)) for i, run in enumerate(runs, 1) if run]
    return (*lines, ("Page written", _line(environment())))


def _line(run: Mapping[str, str]) -> str:
    return f"{run.get('date', '')}: eafo {run.get('eafo', '')}; {run.get('versions', '')}; {run.get('machine', '')}"


def task_description(name: str) -> str:
    """The task in a sentence; its name alone where the task is a user's own and not importable here."""
    try:
        return f"{name}: {tasks.get(name).description}"
    except InputError:
        return name


def comparison_command(comparison: Comparison) -> str:
    """The command that repeats a comparison; empty where an activation has no text form that reads back to it, or is trained in its own way."""
    if any(
        replace(arm.setting, rate=comparison.setting.rate) != comparison.setting for arm in comparison.arms
    ):
        return ""
    following = range(comparison.seeds[-1] + 1, comparison.seeds[-1] + 1 + len(comparison.tuned_on))
    if comparison.tuned_on != tuple(following):
        return ""  # A confirmation that stopped before the seeds that it had planned.
    if not comparison.rates and any(arm.setting.rate != comparison.setting.rate for arm in comparison.arms):
        return ""
    texts = [text_form(arm.activation) for arm in comparison.arms]
    if not all(_reads_back(text, arm.activation) for text, arm in zip(texts, comparison.arms, strict=True)):
        return ""
    options = [
        "--task",
        comparison.task,
        "--seeds",
        str(len(comparison.seeds)),
        "--epochs",
        str(comparison.epochs),
    ]
    first = comparison.seeds[0]
    options += ["--first-seed", str(first)] if first else []
    for name, value in comparison.setting.to_dict().items():
        option = "--compile" if name == "compiled" else f"--{name.replace('_', '-')}"
        options += [option] if value is True else [option, str(value)]
    if comparison.rates:
        options += ["--rates", ",".join(f"{rate:g}" for rate in comparison.rates)]
    return shlex.join(["eafo", "compare", *texts, *options])


def rate_facts(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """How the learning rates were chosen, where they were."""
    if not comparison.rates:
        return ()
    tried = ", ".join(f"{rate:g}" for rate in comparison.rates)
    seeds = comparison.tuned_on
    where = f" on the seeds {seeds[0]} to {seeds[-1]}" if seeds else ""
    told = f"each activation's own, of {tried} times the recipe's, chosen{where}; that another might have been chosen is not in the intervals"
    return (("Learning rates", told),)


def setting_facts(setting: Setting) -> tuple[tuple[str, str], ...]:
    """On what trainings ran, where it was not the default.

    >>> setting_facts(Setting(device="cuda", compiled=True))
    (('Setting', 'device cuda, compiled'),)
    """
    told = [n if v is True else f"{n} {v}" for n, v in setting.to_dict().items()]
    return (("Setting", ", ".join(told)),) if told else ()


def _reads_back(text: str, activation: Activation) -> bool:
    try:
        repeated = catalog.get(text)
    except InputError:
        return False
    return (repeated.expression, repeated.parameters) == (activation.expression, activation.parameters)


def plan_toml(plan: Plan) -> str:
    """A plan as the TOML file that reads back to it."""
    return _toml(plan.to_dict(), "").strip() + "\n"


def _toml(table: Mapping[str, Any], path: str) -> str:
    values = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in values.items()]
    body = "".join(f"{line}\n" for line in lines)
    if path and lines:
        body = f"\n[{path}]\n{body}"
    inner = (
        _toml(v, f"{path}.{_key(k)}" if path else _key(k)) for k, v in table.items() if isinstance(v, Mapping)
    )
    return body + "".join(inner)


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    # A JSON string, number, list or truth value is also TOML.
    return json.dumps(value, ensure_ascii=False)
