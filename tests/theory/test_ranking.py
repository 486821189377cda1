"""The ranking: its order, its places, its two measures, and who may be ranked."""

from __future__ import annotations

import math

import pytest

import eafo
from eafo.errors import InputError
from eafo.theory import spacing
from eafo.theory.ranking import Ranking, rank


@pytest.fixture(scope="module")
def whole() -> Ranking:
    return rank("normal", "bf16")


def test_the_whole_catalog_is_ranked(whole: Ranking) -> None:
    assert sorted(row.activation.name for row in whole.rows) == list(eafo.names())
    assert (whole.law, whole.resolution) == ("normal", "bf16")
    assert all(math.isfinite(row.entropy.value) for row in whole.rows)
    assert all(math.isfinite(row.entropy.scale_free) for row in whole.rows)


def test_places_follow_the_values(whole: Ranking) -> None:
    values = [row.entropy.value for row in whole.rows]
    assert values == sorted(values)
    assert [row.place for row in whole.rows] == [1 + sum(w < v - 1e-8 for w in values) for v in values]
    shapes = [row.entropy.scale_free for row in whole.scale_free()]
    assert shapes == sorted(shapes)
    assert [row.scale_free_place for row in whole.scale_free()] == [
        1 + sum(w < v - 1e-8 for w in shapes) for v in shapes
    ]


def test_against_the_histogram_of_a_sample(whole: Ranking) -> None:
    x = eafo.laws.get("normal").sample(400_000, seed=1)
    for row in whole.rows:
        if row.activation.name in ("relu", "crrelu", "gelu", "hardtanh", "sin", "identity", "sinerelu"):
            sampled = spacing.at_resolution(row.activation(x), row.entropy.resolution)
            assert row.entropy.value == pytest.approx(sampled, abs=0.02), row.activation.name


def test_against_spacings_where_there_are_no_atoms(whole: Ranking) -> None:
    x = eafo.laws.get("normal").sample(100_000, seed=2)
    for row in whole.rows:
        # Fine against the output's scale, the resolution costs next to nothing.
        if row.activation.name in ("softplus", "tanh", "identity", "elu", "softsign"):
            found = spacing.entropy(row.activation(x))
            assert row.entropy.value == pytest.approx(found.value, abs=0.02 + 4 * found.error)


def test_relu_lies_below_what_has_no_atom(whole: Ranking) -> None:
    names = [row.activation.name for row in whole.rows]
    assert names.index("relu") < names.index("crrelu") < names.index("gelu") < names.index("identity")
    notes = {row.activation.name: row.note for row in whole.rows}
    assert notes["relu"] == "0.5 at 0"
    assert notes["hardtanh"] == "0.159 at -1, 0.159 at 1"
    assert notes["gelu"] == ""


def test_scale_free_means_free_of_scale() -> None:
    one, thousand = rank("normal", "bf16", ["tanh(x)", "1024*tanh(x)"]).rows
    assert thousand.entropy.scale_free == pytest.approx(one.entropy.scale_free, abs=1e-6)
    assert thousand.entropy.value == pytest.approx(one.entropy.value + math.log(1024), abs=1e-6)


def test_a_step_of_ones_own() -> None:
    ranking = rank("laplace(0, 2)", 0.25, ["relu", "tanh"])
    assert ranking.law == "laplace(0, 2)"
    assert {row.entropy.resolution for row in ranking.rows} == {0.25}


def test_as_plain_values_and_as_a_table() -> None:
    ranking = rank(activations=["relu", "silu", "swish"])
    rows = ranking.to_dict()["rows"]
    assert rows[0]["activation"] == "relu"
    assert rows[0]["atoms"] == [{"value": 0.0, "probability": pytest.approx(0.5)}]
    # SiLU and Swish at its start are one function, and share a place.
    assert [row["place"] for row in rows] == [1, 2, 2]
    pytest.importorskip("pandas")
    frame = ranking.frame()
    assert list(frame["activation"]) == ["relu", "silu", "swish"]
    assert frame["atoms"][0] == "0.5 at 0"


@pytest.mark.parametrize(
    ("law", "resolution", "activations", "message"),
    [
        ("nosuch", "bf16", None, "a law must be"),
        ("normal", "bf17", ["relu"], "resolution"),
        ("normal", -1.0, ["relu"], "resolution"),
        ("normal", math.nan, ["relu"], "resolution"),
        ("normal", "bf16", [], "at least one activation"),
        ("normal", "bf16", "relu", "activations must be a list"),
        ("normal", "bf16", ["relu", "relu"], "must differ, but got 'relu'"),
        ("normal", "bf16", ["nosuch"], "a catalog name or a formula"),
    ],
)
def test_bad_requests(law: str, resolution: str | float, activations: list[str] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank(law, resolution, activations)
