"""``eafo list``: what is known by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from eafo.cli.options import Json
from eafo.cli.output import heading, say_json, table

__all__ = ["Kind", "list_known"]


class Kind(StrEnum):
    """What can be listed."""

    activations = "activations"
    laws = "laws"
    tasks = "tasks"
    targets = "targets"


def list_known(
    kind: Annotated[Kind | None, typer.Argument(show_default="all of them", help="What to list.")] = None,
    as_json: Json = False,
) -> None:
    """List the known activations, input laws, tasks and code targets."""
    wanted = list(Kind) if kind is None else [kind]
    tables = {one: _LISTS[one]() for one in wanted}
    if as_json:
        say_json({one.value: rows for one, rows in tables.items()})
        return
    for one, rows in tables.items():
        if kind is None:
            heading(one.value)
        table(_COLUMNS[one], [[_cell(row[column]) for column in _COLUMNS[one]] for row in rows])


def _cell(value: str | list[dict[str, Any]]) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{p['name']}={p['default']:g}{' (learnable)' if p['learnable'] else ''}" for p in value)


def _activations() -> list[dict[str, Any]]:
    from eafo import catalog  # noqa: PLC0415 - SymPy takes 0.4 s, which --help need not pay

    return [
        {
            "name": name,
            "formula": str(found),
            "parameters": [
                {"name": p.name, "default": p.default, "learnable": p.learnable} for p in found.parameters
            ],
            "source": found.provenance.source,
            "url": found.provenance.url,
        }
        for name, found in ((name, catalog.get(name)) for name in catalog.names())
    ]


def _laws() -> list[dict[str, Any]]:
    from eafo import formula, laws  # noqa: PLC0415 - as above

    standard = [{"name": name, "density": formula.to_text(laws.get(name).density)} for name in laws.names()]
    # Laws without a closed form of their own: how they are written, and what they are.
    return standard + [{"name": example, "density": meaning} for example, meaning in laws.FORMS]


def _tasks() -> list[dict[str, Any]]:
    from eafo import tasks  # noqa: PLC0415 - as above

    return [
        {"name": task.name, "description": task.description, "epochs": dict(task.epochs)}
        for task in map(tasks.get, tasks.names())
    ]


def _targets() -> list[dict[str, Any]]:
    from eafo import kernels  # noqa: PLC0415 - as above

    return [{"name": name} for name in kernels.targets()]


_LISTS = {Kind.activations: _activations, Kind.laws: _laws, Kind.tasks: _tasks, Kind.targets: _targets}
_COLUMNS = {
    Kind.activations: ("name", "formula", "parameters", "source"),
    Kind.laws: ("name", "density"),
    Kind.tasks: ("name", "description"),
    Kind.targets: ("name",),
}
