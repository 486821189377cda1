"""Confirmation on fresh seeds, and how often it errs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eafo.errors import InputError
from eafo.search import NullDesign, confirm, null_resampled, null_trained
from eafo.search.confirmation import Sequential
from eafo.tasks import Setting

RNG = np.random.default_rng(1)


def played(effects: list[float], baselines: int = 3, looks: tuple[int, ...] = (5, 10, 15, 20)) -> Sequential:
    """A confirmation of candidates that are better by so many deviations."""
    test = Sequential(len(effects), looks)
    scores = {i: RNG.normal(effect, 1, looks[-1]) for i, effect in enumerate(effects)}
    held = RNG.normal(0, 1, (baselines, looks[-1]))
    for count in looks:
        test.look({i: scores[i][:count] for i in test.open}, list(held[:, :count]))
        if not test.open:
            break
    return test


def test_what_is_better_is_found_and_early_where_it_is_clear() -> None:
    found = [played([3.0, 1.2, 0.0, -2.0]) for _ in range(40)]
    decisions = [[t.verdicts[i].decision for t in found] for i in range(4)]
    assert decisions[0].count("better") == 40
    assert 20 < decisions[1].count("better") <= 40
    assert decisions[2].count("better") <= 3
    assert decisions[3] == ["not shown"] * 40
    assert np.mean([t.verdicts[0].seeds for t in found]) < 12
    assert np.mean([t.verdicts[3].seeds for t in found]) < 8
    verdict = found[0].verdicts[0]
    assert len(verdict.differences) == 3
    assert all(d.mean > 1 for d in verdict.differences)


def test_one_baseline_that_is_as_good_is_enough_to_win_nothing() -> None:
    named = 0
    for _ in range(200):
        test = Sequential(1, (5, 10, 15, 20))
        scores, low, same = RNG.normal(2, 1, 20), RNG.normal(0, 1, 20), RNG.normal(2, 1, 20)
        for count in test.looks:
            if test.open:
                test.look({0: scores[:count]}, [low[:count], same[:count]])
        named += test.verdicts[0].decision == "better"
    assert named / 200 < 0.05 + 3 * 0.0155


def test_null_searches_resampled_from_scores_hold_the_level() -> None:
    scores = RNG.gamma(9.0, 1.0, 60)  # skewed, as accuracies near their ceiling
    for design in (NullDesign(), NullDesign(trials=10, finalists=4, baselines=1, fresh=12)):
        found = null_resampled(scores, design, studies=300)
        assert found.studies == 300
        assert found.holds
        assert found.winners / 300 < 0.09
        assert found.low <= found.winners / 300 <= found.high
        assert found.trainings <= 300 * design.most


def test_a_null_search_is_trained() -> None:
    design = NullDesign(trials=2, seeds=1, finalists=1, baselines=1, fresh=8)
    setting = Setting(stacked=4, examples=200)
    found, scores = null_trained(
        "gelu", "mnist1d-mlp", design, studies=2, epochs=1, workers=1, setting=setting
    )
    assert found.studies == 2
    assert found.trainings == len(scores) <= 2 * design.most
    assert len(set(scores)) > 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trials": 1}, "trials of a null test must be a whole number from 2, but got 1"),
        ({"finalists": 9, "trials": 5}, "a null test has no more finalists than trials, but got 9"),
        ({"fresh": 7}, "fresh of a null test must be a whole number from 8, but got 7"),
    ],
)
def test_wrong_designs_are_refused(values, message) -> None:
    with pytest.raises(InputError, match=message):
        NullDesign(**values)
    with pytest.raises(InputError, match="at least 20 finite scores"):
        null_resampled([1.0] * 3)
    with pytest.raises(
        InputError, match="the number of null searches must be a whole number from 1, but got 0"
    ):
        null_resampled([1.0] * 30, studies=0)


def test_candidates_are_confirmed_by_training(tmp_path) -> None:
    found = confirm(
        ["relu_squared", "exp(exp(x**2))"],
        "mnist1d",
        baselines=["tanh"],
        seeds=8,
        epochs=4,
        workers=2,
        first_seed=50,
    )
    better, failed = found.verdicts
    assert better.decision == "better"
    assert better.differences[0].mean > 1
    assert better.p_value < 0.05
    assert (failed.decision, failed.seeds) == ("failed", 2)
    assert [a.activation.name for a in found.winners] == ["relu_squared"]
    assert [a.activation.name for a in found.baselines] == ["tanh"]
    document = json.loads(json.dumps(found.to_dict()))
    assert document["verdicts"][0]["differences"]["tanh"]["mean"] == better.differences[0].mean
    assert document["looks"] == [2, 4, 6, 8]
    # Stopped early, it has the seeds that it had.
    assert len(found.comparison.arms[0].outcomes) == better.seeds
    assert found.comparison.seeds[0] == 50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"candidates": []}, "a confirmation needs a candidate and a baseline, but got '0 and 1'"),
        ({"candidates": ["tanh"]}, "the activations of a comparison must differ, but got 'tanh'"),
        ({"seeds": 4}, "the seeds of a confirmation must be a whole number from 8, but got 4"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
    ],
)
def test_wrong_confirmations_are_refused(values, message) -> None:
    given = {"candidates": ["relu"], "task": "mnist1d", "baselines": ["tanh"], **values}
    with pytest.raises(InputError, match=message):
        confirm(given.pop("candidates"), **given)


def test_a_baseline_must_finish() -> None:
    with pytest.raises(
        InputError, match=r"every baseline must finish its trainings \(the training loss must stay finite"
    ):
        confirm(["relu"], "mnist1d-mlp", baselines=["exp(exp(x**2))"], seeds=8, epochs=1, workers=1)
