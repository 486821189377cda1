"""The command as a process of its own: what it loads, pipes, and the terminal it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "optuna", "matplotlib")


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eafo.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def loaded_by(*arguments: str) -> set[str]:
    """The heavy packages that a command loads."""
    code = (
        "import sys, io; from eafo.cli.running import run; status = run(sys.argv[1:]); "
        f"print(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode in (0, 2), ran.stderr
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "--json"],
        ["derive", "relu", "--json"],
        ["wafbc", "normal"],
        ["derive", "nosuch"],
    ],
)
def test_light_commands_load_nothing_heavy(arguments):
    assert loaded_by(*arguments) == set()


def test_help_loads_not_even_sympy():
    code = "import sys; from eafo.cli.running import run; run(['--help']); sys.exit('sympy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False).returncode
        == 0
    )


def test_list_names_all_kinds():
    ran = command("list", "--json")
    found = json.loads(ran.stdout)
    assert set(found) == {"activations", "laws", "tasks", "targets"}
    assert {"crrelu", "srelu", "sinerelu"} <= {a["name"] for a in found["activations"]}
    assert {"normal", "uniform", "logistic", "laplace", "cauchy"} <= {law["name"] for law in found["laws"]}
    assert {"mnist1d", "mnist-mlp"} <= {task["name"] for task in found["tasks"]}
    assert {"cuda", "cpp", "aten"} <= {target["name"] for target in found["targets"]}
    shown = command("list").stdout
    for rows in found.values():
        assert all(row["name"] in shown for row in rows)


def test_bad_input_in_a_process():
    ran = command("derive", "nosuch")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == "eafo: an activation must be a catalog name or a formula, but got 'nosuch'; see `eafo list`\n"
    )


def test_a_reader_that_leaves_is_no_failure_to_talk_about():
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "eafo.cli", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_no_colour_without_a_terminal():
    assert "\x1b" not in command("derive", "relu").stdout


def test_an_ascii_terminal_gets_valid_json_and_no_traceback():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = command("derive", "relu", "--json", env=environment)
    assert json.loads(ran.stdout)["correction"] == "x*exp(-x**2/2)"
    plain = command("derive", "relu", env=environment)
    assert (plain.returncode, plain.stderr) == (0, "")
