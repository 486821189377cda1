"""``python -m eafo.cli``: the command without its entry point."""

from __future__ import annotations

from eafo.cli.running import main

if __name__ == "__main__":
    main()
