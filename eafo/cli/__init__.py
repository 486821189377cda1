"""The command ``eafo``: every use of the library from a terminal.

Exit status: 0 done, 2 the user's input is wrong, 130 interrupted, 141 the reader of a pipe went away, 1 anything else. What goes
wrong is one line on standard error; ``EAFO_DEBUG=1`` adds the traceback.
"""

from __future__ import annotations

from eafo.cli.running import main

__all__ = ["main"]
