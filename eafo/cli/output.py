"""What the command writes: results to standard output, notes and progress to standard error."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eafo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Interrupted",
    "check_folder",
    "console",
    "drawing",
    "entries",
    "folded",
    "heading",
    "interruptible",
    "make_directory",
    "note",
    "one_line",
    "paragraph",
    "say",
    "say_json",
    "table",
    "write_text",
]

#: Without a terminal there is no width to respect; tables then take what they need up to this.
_WIDTH_WITHOUT_TERMINAL = 200
_LONGEST_LINE = 110


class Interrupted(Exception):  # noqa: N818 - no error
    """Ctrl-C, with the line that says how to go on."""


@contextmanager
def interruptible(remedy: str) -> Iterator[None]:
    """Turn Ctrl-C into `Interrupted` with a remedy."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {remedy}") from error


def console() -> Console:
    """A rich console on today's standard output, which takes no markup from the texts it is given."""
    from rich.console import Console  # noqa: PLC0415 - not needed for errors and JSON

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_WITHOUT_TERMINAL
    return _Console(markup=False, emoji=False, highlight=False, width=width)


def one_line(text: str) -> str:
    """A text on one line, its control characters escaped: it may come from a file or an argument."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


def note(text: str) -> None:
    """One line to standard error."""
    print(f"eafo: {one_line(text)}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Text to standard output, as it is."""
    print(text)


def paragraph(text: str, *, style: str = "", indent: int = 0, above: int = 0) -> None:
    """Print a paragraph in lines that can be read, with blank lines above it."""
    from rich.text import Text  # noqa: PLC0415 - see console

    screen = console()
    margin = " " * indent
    width = min(screen.width, _LONGEST_LINE)
    hanging = margin + "  " if text[:2] in ("• ", "✓ ") else margin
    lines = textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=hanging, break_on_hyphens=False
    )
    screen.print(Text("\n" * above + "\n".join(lines), style=style), soft_wrap=True)


def entries(lines: Sequence[tuple[str, str]]) -> None:
    """Print names and what belongs to them in two columns, folded at the terminal's width."""
    name_width = max(len(name) for name, _ in lines) + 2
    width = max(console().width - name_width, 20)
    for name, text in lines:
        first, *rest = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        say("\n".join([f"{name:<{name_width}}{first}", *(" " * name_width + line for line in rest)]))


def drawing(text: str, *, indent: int) -> None:
    """Print a formula of several lines as it is, with a blank line above and below."""
    lines = (" " * indent + line for line in text.splitlines())
    say("\n" + "\n".join(line.rstrip() for line in lines) + "\n")


def folded(formula: str, width: int) -> list[str]:
    """A formula's text in lines of at most `width` characters, as far as its sums and arguments allow.

    >>> folded("0.5*x*exp(-x**2/2) + max(0, x)", 20)
    ['0.5*x*exp(-x**2/2)', '+ max(0, x)']
    >>> folded("where(x > 0, x*(1 + x*(2 + x)), 0)", 20)
    ['where(x > 0, x*(1', '+ x*(2 + x)), 0)']
    """
    width = min(max(width, 20), _LONGEST_LINE)
    lines: list[str] = []
    # Before a sum's sign, behind a comma.
    for part in re.split(r" (?=[-+] )|(?<=,) ", formula):
        if lines and len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def heading(text: str) -> None:
    """Print a heading."""
    paragraph(text, style="bold")


def say_json(document: Any) -> None:
    """The one JSON document of a command, to standard output."""
    ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    print(json.dumps(_finite(document), indent=2, ensure_ascii=ascii_only, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON has no infinities: they become ``"oo"`` and ``"-oo"``, and NaN null."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and math.isinf(value):
        return "oo" if value > 0 else "-oo"
    return None if isinstance(value, float) and math.isnan(value) else value


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """A table on standard output; the columns named in `numbers` are set flush right, the first other one holds names."""
    from rich import box  # noqa: PLC0415 - see console
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    body = list(rows)
    names = next((column for column in columns if column not in numbers), None)
    for index, column in enumerate(columns):
        # A name or a number that is broken over two lines is no longer found.
        whole = max((len(row[index]) for row in body), default=0) if column in (*numbers, names) else None
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        made.add_column(column, justify=justify, overflow="fold", min_width=whole)
    for row in body:
        made.add_row(*row)
    console().print(made)


def make_directory(path: Path) -> None:
    """Make a folder that can be written to, before work is done for it.

    Raises:
        InputError: it cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder must be writable ({error.strerror})", str(path)) from error
    if not os.access(path, os.W_OK):
        raise InputError("the folder must be writable", str(path))


def check_folder(path: Path) -> None:
    """Refuse a file for which there is no folder to write it in, before anything is computed.

    Raises:
        InputError: there is no such folder, or it may not be written in.
    """
    if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
        raise InputError(
            "an output file needs a folder that can be written in", str(path), f"mkdir -p {path.parent}"
        )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    if not path.name:
        raise InputError("the output must be a file's path", str(path), "for example -o crrelu.cu")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"the output file must be writable ({error.strerror})", str(path)) from error
