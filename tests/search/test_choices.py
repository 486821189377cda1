"""What a trial chooses of how it is trained: learning rate, a value a channel, what is kept for backward."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from eafo.catalog import get
from eafo.errors import InputError
from eafo.report import write
from eafo.report.provenance import comparison_command, rate_facts
from eafo.report.rows import candidate, of_comparison
from eafo.search import Comparison, Plan, compare, confirm, load, run
from eafo.tasks import Setting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.search.conftest import Toys


def plan(space: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    found = {
        "bases": ["relu", "crrelu"],
        "parameters": {"epsilon": {"low": -0.5, "high": 1.0, "learnable": True}},
        "rates": [0.5, 1.0, 2.0],
        "per_channel": [False, True],
        "saved": ["x", "code"],
    }
    known = {"name": "p", "task": "toy_tasks:Trained", "epochs": 1, "trials": 40, "seeds": 2}
    return known | {"pruner": {"name": "none"}, "space": found if space is None else space} | changes


def test_each_trial_is_trained_as_it_chose(toys: Toys) -> None:
    study = run(plan(), workers=1)
    assert Plan.from_dict(study.plan.to_dict()) == study.plan
    seen = set()
    for trial in study.trials:
        chosen, setting = dict(trial.parameters), trial.setting
        assert setting.rate == chosen["rate"]
        seen.add((trial.base, setting.rate, setting.per_channel, setting.saved))
        # Without a learnable parameter there is none to have a value a channel; with one there is no code.
        assert ("per_channel" in chosen) == (trial.base == "crrelu")
        assert setting.per_channel == bool(chosen.get("per_channel", False))
        assert trial.base == "relu" or setting.saved == "x"
        assert trial.activation is not None
        line = f"{trial.activation.name}|0|{setting.rate:g}|{setting.per_channel}|{setting.saved}"
        assert line in toys.lines
    assert {s[1] for s in seen} == {0.5, 1.0, 2.0}
    assert {s[2] for s in seen if s[0] == "crrelu"} == {True, False}
    assert {s[3] for s in seen if s[0] == "relu"} == {"x", "code"}
    best = study.best
    assert (best.setting.rate, best.setting.per_channel) == (2.0, True)
    assert candidate(best).endswith(", rate=2, a value a channel)")
    codes = [t for t in study.trials if t.setting.saved == "code"]
    assert all(candidate(t) == f"relu (rate={t.setting.rate:g}, f′ in four bits)" for t in codes)
    assert load("p") == study


def test_one_activation_in_two_settings_is_two_candidates(toys: Toys) -> None:
    space = {"bases": ["relu"], "rates": [1.0, 2.0]}
    study = run(plan(space, trials=12), workers=1)
    # Two of them are trained, each once.
    assert len(toys.lines) == 4
    assert {t.setting.rate: t.estimate.mean for t in study.trials if t.estimate} == pytest.approx(
        {1.0: 90 - 0.9 - 5 + 0.05, 2.0: 90 - 0.9 + 0.05}
    )
    # The learning rate is chosen, not what is named best: of an activation one leads.
    assert [t.setting.rate for t in study.leaders(3)] == [2.0]


def test_a_second_run_goes_on_with_what_was_chosen(toys: Toys) -> None:
    whole = run(plan(trials=9), workers=1, storage=toys.folder / "a.db")
    run(plan(trials=9), workers=1, trials=5, storage=toys.folder / "b.db")
    lines = len(toys.lines)
    resumed = run(plan(trials=9), workers=1, storage=toys.folder / "b.db")
    assert resumed.trials[:5] == whole.trials[:5]
    ways = [(t.activation, t.setting) for t in resumed.trials]
    # What was trained before, it knows.
    assert len(toys.lines) - lines == 2 * (len(set(ways)) - len(set(ways[:5]))) > 0


def test_features_tell_how_a_candidate_is_trained(toys: Toys) -> None:
    space = {"bases": ["relu"], "rates": [0.1, 10.0]}
    study = run(plan(space, trials=6, surrogate={"pool": 1}), workers=1)
    assert {(t.setting.rate, dict(t.features)["setting.rate"]) for t in study.trials} == {(0.1, -1), (10, 1)}


def test_the_real_thing_a_rate_and_a_value_a_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"bases": ["crrelu"], "per_channel": [False, True], "rates": [0.5, 2.0]}
    given = plan(space, task="mnist1d", trials=8, seeds=1, setting={"examples": 300})
    study = run(given, workers=2)
    assert {t.state for t in study.trials} == {"complete"}
    scores = {(t.setting.rate, t.setting.per_channel): t.outcomes[0].loss for t in study.trials}
    assert len(set(scores.values())) == len(scores) > 1


def test_baselines_are_not_confirmed_but_for_what_is_trained_in_another_way(toys: Toys) -> None:
    space = {"bases": ["relu", "gelu", "crrelu"], "saved": ["x", "code"], "rates": [1.0, 2.0]}
    study = run(plan(space, trials=40), workers=1)
    held = [get(name) for name in ("relu", "gelu", "silu")]
    named = [(t.base, t.setting.saved) for t in study.leaders(9, held)]
    assert sorted(named) == [("crrelu", "x"), ("gelu", "code"), ("relu", "code")]
    assert sorted((t.base, t.setting.saved) for t in study.leaders(9)) == sorted(
        [*named, ("gelu", "x"), ("relu", "x")]
    )


def test_candidates_see_the_examples_of_the_baselines(toys: Toys) -> None:
    given = {"baselines": ["relu"], "seeds": 8, "epochs": 1, "workers": 1}
    found = confirm(
        ["crrelu"],
        "toy_tasks:Trained",
        setting=Setting(examples=128),
        settings=[Setting(per_channel=True)],
        **given,
    )
    assert [a.setting.examples for a in found.comparison.arms] == [128, 128]
    with pytest.raises(InputError, match="may differ in rate, per_channel and saved alone"):
        confirm(["crrelu"], "toy_tasks:Trained", settings=[Setting(examples=7)], **given)
    with pytest.raises(InputError, match="must differ, but got 'relu'"):
        confirm(["relu"], "toy_tasks:Trained", settings=[Setting()], **given)


def test_arms_that_differ_in_their_training_alone_are_told_apart(toys: Toys) -> None:
    found = confirm(
        ["gelu", "gelu"],
        "toy_tasks:Trained",
        baselines=["relu"],
        seeds=8,
        epochs=1,
        workers=1,
        settings=[Setting(), Setting(saved="code")],
    ).comparison
    assert [r.label for r in sorted(of_comparison(found), key=lambda r: r.index)] == [
        "gelu",
        "gelu (f′ kept in four bits)",
        "relu",
    ]
    assert {(row["activation"], row["saved"]) for row in found.rows()} == {
        ("gelu", "x"),
        ("gelu", "code"),
        ("relu", "x"),
    }


def test_rates_of_older_files_are_read(toys: Toys) -> None:
    found = compare(["relu"], "toy_tasks:Trained", 1, epochs=1, workers=1, rates=[2.0, 4.0])
    old = found.to_dict()
    for arm in old["arms"]:
        arm["rate"] = arm.pop("setting")["rate"]
    assert [a.setting.rate for a in Comparison.from_dict(old).arms] == [2.0]


def test_a_command_is_told_where_it_chooses_rates_by_the_same_seeds(toys: Toys) -> None:
    given = {"seeds": 16, "epochs": 1, "workers": 1, "first_seed": 100}
    long = confirm(["crrelu"], "toy_tasks:Trained", baselines=["relu"], rates=[1.0, 2.0], **given).comparison
    assert long.tuned_on == (116, 117, 118, 119)
    assert len(long.seeds) < 16
    assert comparison_command(long) == ""
    whole = compare(["crrelu"], "toy_tasks:Trained", 2, epochs=1, workers=1, rates=[1.0, 2.0])
    assert whole.tuned_on == (2, 3, 4, 5)
    assert comparison_command(whole).endswith("--rates 1,2")
    told = "each activation's own, of 1, 2 times the recipe's, chosen on the seeds 2 to 5; that another might have been chosen is not in the intervals"
    assert rate_facts(whole) == (("Learning rates", told),)
    assert rate_facts(replace(whole, rates=())) == ()
    assert "chosen on the seeds 2 to 5" in write(whole, toys.folder / "page").read_text()


def test_a_confirmation_trains_each_as_its_trial_and_all_at_their_best_rates(toys: Toys) -> None:
    ways = [Setting(per_channel=True), Setting()]
    found = confirm(
        ["crrelu", "crrelu"],
        "toy_tasks:Trained",
        baselines=["relu"],
        seeds=8,
        epochs=1,
        workers=1,
        first_seed=100,
        settings=ways,
        rates=[0.5, 2.0, 4.0],
    )
    arms = found.comparison.arms
    assert [(a.setting.rate, a.setting.per_channel) for a in arms] == [(2, True), (2, False), (2, False)]
    # All on four seeds; the better two of the rates, which are 2 and 0.5 here, on four more.
    tuning = [line.split("|")[1] for line in toys.lines if "|4|" in line]
    assert sorted(tuning) == sorted(["108", "109", "110", "111"] * 3)
    tuning = [line.split("|")[1] for line in toys.lines if "|0.5|" in line]
    assert sorted(tuning) == sorted([str(seed) for seed in range(108, 116)] * 3)
    assert arms[0].estimate is not None
    assert arms[1].estimate is not None
    assert arms[0].estimate.mean == pytest.approx(arms[1].estimate.mean + 2)
    assert Comparison.from_dict(found.comparison.to_dict()) == found.comparison
    notes = {row.index: row.note for row in of_comparison(found.comparison)}
    assert notes[0] == "2 times the recipe's learning rate; a value a channel"
    assert notes[2] == "2 times the recipe's learning rate"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": [0.0]}, "a rate must be a positive number, times the recipe's own, but got 0.0"),
        ({"rates": 2}, "rates must be a list of positive numbers, but got 2"),
        ({"rates": [1.0, 1.0]}, "each rate of a space must be given once, but got [1.0, 1.0]"),
        ({"per_channel": ["yes"]}, "per_channel must be true or false, but got 'yes'"),
        ({"saved": ["y"]}, "saved must be one of x, code, but got 'y'"),
    ],
)
def test_wrong_choices_are_refused(toys: Toys, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Plan.from_dict(plan({"bases": ["relu"], **changes}))
    assert message in str(caught.value)


def test_what_is_fixed_is_not_chosen(toys: Toys) -> None:
    with pytest.raises(InputError, match=r"rate is fixed by \[setting\] or chosen by \[space\], not both"):
        Plan.from_dict(plan({"bases": ["relu"], "rates": [1, 2]}, setting={"rate": 0.5}))
    with pytest.raises(InputError, match="takes the keyword setting, but got 'toy'; leave out rate"):
        Plan.from_dict(plan({"bases": ["relu"], "rates": [1, 2]}, task="toy_tasks:Toy"))
    with pytest.raises(InputError, match="there must be a setting for each candidate, but got '1 for 2'"):
        confirm(["relu", "gelu"], "toy_tasks:Trained", baselines=["silu"], seeds=8, settings=[Setting()])
    with pytest.raises(InputError, match="a rate is fixed or chosen among rates, not both"):
        confirm(["gelu"], "toy_tasks:Trained", seeds=8, settings=[Setting(rate=2.0)], rates=[1, 2])
