"""`import eafo` loads nothing heavy, and every public name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import eafo


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys, eafo; heavy = {'sympy', 'torch', 'optuna', 'matplotlib', 'scipy', 'numpy', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy; eafo.get; assert 'torch' not in sys.modules; print(eafo.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == eafo.__version__


@pytest.mark.parametrize("name", eafo.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(eafo, name) is not None
    assert name in dir(eafo)


def test_no_function_bears_the_name_of_a_module() -> None:
    modules = {"activation", "catalog", "cli", "derivation", "errors", "formula", "kernels", "laws", "nn", "reference", "rendering",
               "report", "search", "tasks", "theory"}  # fmt: skip
    for name in set(eafo.__all__) & modules:
        assert getattr(eafo, name).__name__ == f"eafo.{name}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        eafo.nosuch  # noqa: B018
