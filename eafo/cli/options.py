"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Json", "Workers"]

Json = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output, nothing else.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, show_default="one per processor", help="Worker processes.")
]
