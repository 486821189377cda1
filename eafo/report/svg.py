"""A figure as inline SVG: accessible, repeatable, in the colours of the page around it."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from eafo.report.style import GRID, INK

__all__ = ["inline"]

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_VARIABLES = {INK: "var(--ink)", GRID: "var(--rule)", "#ffffff": "var(--paper)"}


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """An ``<svg>`` element for an HTML page.

    Args:
        figure: what to draw.
        name: unique on the page; it prefixes every id in the drawing.
        title: a short accessible name.
        description: what the figure shows, in a sentence or two, for readers who do not see it.
    """
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    root = ET.fromstring(stream.getvalue())  # noqa: S314 - matplotlib wrote it a line above
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    _prefix_ids(root, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-description"}
    for tag, text in (("desc", description), ("title", title)):
        element = ET.Element(
            f"{{{_SVG}}}{tag}", {"id": f"{name}-{'title' if tag == 'title' else 'description'}"}
        )
        element.text = text
        root.insert(0, element)
    return _serialise(root)


def _prefix_ids(root: ET.Element, name: str) -> None:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif value.startswith("#") and key == f"{{{_XLINK}}}href":
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))


def _serialise(root: ET.Element) -> str:
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    text = ET.tostring(root, encoding="unicode")
    # Only inside style attributes: a label may well read "#ffffff".
    return re.sub(r'style="[^"]*"', lambda found: _coloured(found[0]), text)


def _coloured(style: str) -> str:
    for colour, variable in _VARIABLES.items():
        style = style.replace(colour, variable)
    return style
