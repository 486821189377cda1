"""What a page is made of, and its HTML."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2
from markupsafe import Markup

__all__ = ["Drawing", "Page", "Section", "Table", "render"]


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption; `svg` is our own output, safe as it stands."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the row, the columns in `numbers` are set flush right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Section:
    """A part of a page. All but `html` is text that the template escapes.

    Args:
        name: its anchor; letters and hyphens.
        title: its heading.
        paragraphs: text.
        facts: name and value pairs.
        code: text set as code, as it is; `code_title` says what it is.
        drawings: figures, side by side where there is room.
        tables: tables, each in a box that scrolls by itself.
        html: a fragment made by eafo itself, such as a derivation.
    """

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    code_title: str = ""
    code: str = ""
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    html: Markup = Markup("")  # noqa: RUF009 - immutable


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    summary: str
    sections: tuple[Section, ...]


def render(page: Page) -> str:
    """The page as one HTML document that loads nothing."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("eafo.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(page=page)
