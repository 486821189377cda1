from __future__ import annotations

import builtins
import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import eafo
from eafo.errors import DataError, InputError, MissingDependencyError
from eafo.report.provenance import comparison_command
from eafo.report.rows import of_comparison
from eafo.search import Comparison, compare
from eafo.search.results import Arm
from eafo.tasks import Setting

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Counter, Toys


def test_a_real_comparison() -> None:
    found = compare(["relu", "relu_squared"], "mnist1d", 2, epochs=2, workers=2, first_seed=5)
    assert (found.task, found.epochs, found.seeds) == ("mnist1d", 2, (5, 6))
    assert [arm.activation.name for arm in found.arms] == ["relu", "relu_squared"]
    for arm in found.arms:
        assert [o.seed for o in arm.outcomes] == [5, 6]
        assert arm.failures == ()
        assert arm.estimate is not None
        assert arm.estimate.mean == pytest.approx(sum(o.score for o in arm.outcomes) / 2)
        assert arm.estimate.count == 2
        # In one process or in another, a training is the same.
        assert arm.outcomes[0].loss == eafo.tasks.get("mnist1d").run(arm.activation, 5, 2).loss


def test_learning_rates_are_chosen_on_seeds_of_their_own(toys: Toys) -> None:
    rates, small = (0.01, 1.0, 4.0), Setting(examples=300)
    found = compare(
        ["relu", "gelu"], "mnist1d", 2, epochs=1, workers=2, first_seed=5, setting=small, rates=rates
    )
    task = eafo.tasks.get("mnist1d")
    for arm in found.arms:

        def score(seed: int, rate: float, arm: Arm = arm) -> float:
            return eafo.tasks.run(task, arm.activation, seed, 1, replace(small, rate=rate)).score

        means = {rate: sum(score(seed, rate) for seed in range(7, 11)) / 4 for rate in rates}
        half = sorted(rates, key=means.__getitem__)[-2:]
        longer = {rate: sum(score(seed, rate) for seed in range(7, 15)) / 8 for rate in half}
        assert longer[arm.setting.rate] == max(longer.values())
        assert len(set(means.values())) == 3
        assert [o.score for o in arm.outcomes] == [score(seed, arm.setting.rate) for seed in (5, 6)]
    assert found.rates == rates
    assert found.tuned_on == tuple(range(7, 15))
    assert Comparison.load(found.save(toys.folder / "rates.json")) == found
    assert comparison_command(found).endswith("--rates 0.01,1,4")
    assert all("times the recipe's learning rate" in row.note for row in of_comparison(found))


@pytest.mark.parametrize("rates", [(0.0,), (1.0, float("inf")), (1.0, -2.0)])
def test_rates_that_are_none_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="a rate must be a positive number, times the recipe's own"):
        compare(["relu"], "mnist1d", 1, epochs=1, rates=rates)


def test_rates_are_given_once() -> None:
    with pytest.raises(InputError, match="rates must be given once each, but got '1, 2, 1'"):
        compare(["relu"], "mnist1d", 1, epochs=1, rates=(1, 2, 1))


def test_a_rate_is_fixed_or_chosen() -> None:
    with pytest.raises(InputError, match=r"a rate is fixed or chosen among rates, not both, but got 2\.0"):
        compare(["relu"], "mnist1d", 1, epochs=1, setting=Setting(rate=2.0), rates=(0.5, 1))


def test_rates_are_for_tasks_that_take_a_setting(toys: Toys) -> None:
    with pytest.raises(InputError, match="a task runs in another setting where its run takes"):
        compare(["relu"], "toy_tasks:Toy", 1, epochs=1, rates=(0.5, 1))


def test_it_survives_its_file(toys: Toys) -> None:
    found = compare(["relu", "crrelu"], "toy_tasks:Toy", 3, workers=2)
    path = found.save(toys.folder / "new" / "c.json")
    assert Comparison.load(path) == found
    assert json.loads(path.read_text())["arms"][0]["estimate"]["count"] == 3
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert [(r["activation"], r["seed"]) for r in rows] == [(a, s) for a in ("relu", "crrelu") for s in "012"]
    assert float(rows[0]["score"]) == found.arms[0].outcomes[0].score
    assert list(found.frame()["score"]) == [float(r["score"]) for r in rows]


def test_progress_is_told(toys: Toys, counter: Counter) -> None:
    compare(["relu", "crrelu"], "toy_tasks:Toy", 2, workers=1, progress=counter)
    assert counter.calls[0] == ("started", 4, 0)
    assert counter.calls[-2:] == [("advanced", 1, "best 89.21 crrelu"), ("finished",)]
    assert len(counter.calls) == 6


def test_a_diverging_seed_is_shown_and_spoils_the_estimate(toys: Toys) -> None:
    found = compare(["relu", "crrelu"], "toy_tasks:Diverging", 3, workers=2)
    relu, crrelu = found.arms
    assert relu.estimate is not None
    assert crrelu.estimate is None
    assert [o.seed for o in crrelu.outcomes] == [0, 2]
    assert crrelu.failures == ("seed 1: the loss must stay finite, but got nan",)
    assert [r["failure"] for r in found.rows()][3:] == ["", "the loss must stay finite, but got nan", ""]
    assert Comparison.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds must be a whole number from 1 to 10000, but got 0"),
        ({"seeds": 1.0}, "seeds must be a whole number from 1 to 10000, but got 1.0"),
        ({"first_seed": -1}, "first_seed must be a whole number from 0 to 1000000, but got -1"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1000000, but got 0"),
        ({"budget": "long"}, "the budget must be one of tiny, short, full, but got 'long'"),
        ({"task": "nosuch"}, "a task must be an embedded one"),
        ({"activations": []}, "a comparison needs at least one activation, but got 'none'"),
        ({"activations": "relu"}, "activations must be a list, but got 'relu'; write ['relu']"),
        (
            {"activations": ["relu", "nosuch"]},
            "an activation must be a catalog name or a formula, but got 'nosuch'",
        ),
        (
            {"activations": ["relu", "max(0, x)"]},
            "the activations of a comparison must differ, but got 'max(0, x)'",
        ),
        ({"activations": ["__import__('os')"]}, "a formula"),
        ({"workers": 0}, "the number of workers must be a whole number from 1 to 1024, but got 0"),
    ],
)
def test_wrong_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        compare(**{"activations": ["relu"], **arguments})
    assert message in str(caught.value)


def test_arms_that_differ_in_a_parameter_are_two(toys: Toys) -> None:
    found = compare(["srelu", "srelu(t=1)"], "toy_tasks:Toy", 1, workers=1)
    assert len(found.arms) == 2


def test_missing_data_are_told_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    with pytest.raises(DataError, match="MNIST must lie under EAFO_DATA"):
        compare(["relu"], "mnist-mlp", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a comparison's file must be readable (No such file or directory)"),
        ("{", "a comparison's file must be what save wrote"),
        ("[]", "a comparison's JSON must be what save wrote"),
        ('{"format": "other"}', "the format of a comparison must be eafo-comparison-1, but got 'other'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError) as caught:
        Comparison.load(tmp_path / "c.json")
    assert message in str(caught.value)


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="the comparison must be writable there"):
        Comparison("mnist1d", 1, (0,), ()).save(tmp_path / "file" / "c.json")


def test_a_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_pandas(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(MissingDependencyError, match=r'a frame needs pandas; pip install "eafo\[frame\]"'):
        Comparison("mnist1d", 1, (0,), ()).frame()


def test_a_score_that_is_not_finite_is_a_failure_with_its_reason(toys: Toys) -> None:
    found = compare(["relu", "gelu"], "toy_tasks:NotFinite", 2, budget="tiny", workers=1)
    for arm in found.arms:
        assert arm.outcomes == ()
        assert arm.estimate is None
        assert arm.failures == tuple(
            f"seed {s}: a score must be a finite number, but got inf" for s in (0, 1)
        )
