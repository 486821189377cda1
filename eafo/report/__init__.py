"""Reports: a study or a comparison as one self-contained HTML page, with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eafo.report.writing import write

__all__ = ["write"]


def __getattr__(name: str) -> Any:
    if name == "write":
        # matplotlib takes most of a second, which a table in a terminal need not wait for.
        from eafo.report.writing import write  # noqa: PLC0415

        return write
    raise AttributeError(f"module 'eafo.report' has no attribute {name!r}")
