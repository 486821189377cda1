"""Figures as files: the format is that of the name."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from eafo.errors import InputError
from eafo.report.style import styled

__all__ = ["check_name", "write"]

#: By the end of a name, what is left out of the file: the date would make two runs differ.
_FORMATS: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}


def check_name(path: str | Path) -> None:
    """Refuse a name that no format belongs to, before anything is computed.

    Raises:
        InputError: the name does not end in svg, png or pdf.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise InputError(f"a figure's name must end in {', '.join(_FORMATS)}", str(path))


def write(drawn: Figure, path: str | Path) -> Path:
    """Write a figure; the format is that of the name: svg, png or pdf.

    Raises:
        InputError: another format, or the file cannot be written.
    """
    check_name(path)
    target = Path(path)
    try:
        with styled():
            drawn.savefig(target, metadata=_FORMATS[target.suffix.lower()])
    except OSError as error:
        raise InputError(f"the figure's file must be writable ({error.strerror})", str(path)) from error
    return target
