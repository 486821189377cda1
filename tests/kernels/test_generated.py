"""The checked-in kernels are what the generator writes today.

``EAFO_UPDATE_GOLDEN=1 python -m pytest tests/kernels/test_generated.py`` writes them anew.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

from eafo.catalog import names
from eafo.kernels import emit, suffix

FOLDER = Path(__file__).parents[2] / "kernels" / "generated"
NAMES = names()
TARGETS = ("cpp", "cuda")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_generated_kernels_are_up_to_date(name, target):
    file = FOLDER / f"{name}.{suffix(target)}"
    text = emit(name, target)
    if os.environ.get("EAFO_UPDATE_GOLDEN") == "1":
        file.write_text(text, encoding="utf-8")
    kept = file.read_text(encoding="utf-8").splitlines()
    difference = list(
        difflib.unified_diff(kept, text.splitlines(), f"kept {file.name}", "generated", lineterm="")
    )
    assert not difference, "\n".join(["EAFO_UPDATE_GOLDEN=1 writes it anew:", *difference])


def test_the_folder_holds_nothing_else():
    expected = {f"{name}.{suffix(target)}" for name in NAMES for target in TARGETS}
    assert {path.name for path in FOLDER.iterdir()} == expected
