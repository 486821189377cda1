"""bench: a table, a CSV, a figure, one JSON document."""

from __future__ import annotations

import csv

import pytest

QUICK = ("--sizes", "2^10", "--dtypes", "float32", "--rounds", "3", "--variants", "eager,eafo")


def test_a_table_of_a_catalog_name_and_a_formula(eafo, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = eafo("bench", "crrelu", "x*sigmoid(1.7*x)", *QUICK)
    assert ran.status == 0
    lines = [line.split() for line in ran.out.splitlines()]
    for title in (["float32,", "forward"], ["float32,", "forward+backward"]):
        rows = lines[lines.index(title) :]
        assert [row[:2] for row in rows if "2^10" in row][:2] == [
            ["crrelu", "2^10"],
            ["x*sigmoid(1.7*x)", "2^10"],
        ]
    # Kept for backward: x and one number.
    assert [row[-2] for row in lines if "2^10" in row] == ["0.00", "0.00", "1.00", "1.00"]
    assert all(len(line) <= 80 for line in ran.out.splitlines() if "2^10" in line)


def test_the_gated_form_beside_the_exact_precision(eafo):
    ran = eafo("bench", "silu", *QUICK[:-1], "eager,eafo,exact", "--form", "gated")
    assert ran.status == 0
    assert "float32, forward+backward, gated" in ran.out.splitlines()
    head = next(line.split() for line in ran.out.splitlines() if "activation" in line)
    assert head[1:] == ["size", "eafo", "copy", "eager", "exact", "kept", "peak"]


@pytest.mark.parametrize(("option", "name"), [("--csv", "none/out.csv"), ("--figure", "none/out.svg")])
def test_a_folder_that_is_not_there_is_told_before_anything_is_measured(eafo, option, name):
    ran = eafo("bench", "relu", *QUICK, option, name)
    assert ran.status == 2
    assert "an output file needs a folder that can be written in" in ran.err
    assert "mkdir -p none" in ran.err
    assert "µs" not in ran.err


def test_a_csv_and_a_figure(eafo, tmp_path):
    ran = eafo("bench", "relu", *QUICK, "--csv", "out.csv", "--figure", "out.svg")
    assert ran.status == 0
    head, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert "torch" in head
    assert [row["variant"] for row in csv.DictReader(rows)] == ["copy", "eager", "eafo"] * 2
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def test_json_is_the_whole_of_standard_output(eafo):
    document = eafo("bench", "relu", *QUICK, "--passes", "forward", "--json").document
    assert [m["variant"] for m in document["measurements"]] == ["copy", "eager", "eafo"]
    assert document["measurements"][0]["value_error"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "a catalog name or a formula"),
        (
            ["relu", "--sizes", "many"],
            "a size must be a whole number or a power of one, as 2^20, but got 'many'",
        ),
        (["relu", "--sizes", "99999999999"], "a size must be"),
        (["relu", "--sizes", "2^99"], "a size must be a multiple of 256 from 256 to 2^31"),
        (["relu", "--dtypes", "int8"], "the types of a benchmark are"),
        (["relu", "--figure", "out.txt"], "a figure's name must end in .svg, .png, .pdf, but got 'out.txt'"),
        (["relu", "--rounds", "1"], "--rounds"),
        (["relu", "--device", "tpu"], "--device"),
    ],
)
def test_bad_input_is_one_line_and_status_2(eafo, arguments, message):
    ran = eafo("bench", *arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1
