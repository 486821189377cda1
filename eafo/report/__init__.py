"""Reports: a study or a comparison as one self-contained HTML page, with figures."""

from __future__ import annotations

from eafo.report.writing import write

__all__ = ["write"]
