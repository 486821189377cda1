"""The figures of one page: drawn once, kept as SVG for the page and as PNG beside it; and what else lies there."""

from __future__ import annotations

import io

from markupsafe import Markup
from matplotlib.figure import Figure

from eafo.report import svg
from eafo.report.page import Drawing
from eafo.report.style import styled

__all__ = ["Album"]


class Album:
    """Collects the figures of a page and the files beside it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, figure: Figure, name: str, title: str, caption: str, description: str = "") -> Drawing:
        """Take in a figure.

        Args:
            figure: the figure.
            name: its file's name, unique on the page.
            title: its accessible name.
            caption: what readers see below it.
            description: what it shows, for readers who do not see it; the caption where not given.
        """
        with styled():
            drawing = Drawing(Markup(svg.inline(figure, name, title, description or caption)), caption)  # noqa: S704 - our own SVG, its texts escaped
            stream = io.BytesIO()
            figure.savefig(stream, format="png", metadata={"Software": None})
        self.files[f"{name}.png"] = stream.getvalue()
        return drawing
