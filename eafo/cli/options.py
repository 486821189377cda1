"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Executor", "Gpus", "Json", "Workers"]

Json = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output, nothing else.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, show_default="one per processor", help="Worker processes.")
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor", help="Where trainings run: local, ray, or a Ray cluster's HOST:PORT or ray://HOST:PORT."
    ),
]
Gpus = Annotated[
    float,
    typer.Option("--gpus", min=0.0, help="GPUs of each training on Ray; 0.25: four trainings share one."),
]
