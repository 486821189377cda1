"""The table of what was known early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import eafo.report
from eafo import catalog
from eafo.report.evidence import evidence_section
from eafo.search import Estimate, Plan, Study, TrialResult
from eafo.search.agreement import kendall
from eafo.tasks import Outcome

PLAN = Plan.from_dict(
    {
        "name": "early",
        "task": "mnist1d",
        "epochs": 50,
        "trials": 12,
        "seeds": 2,
        "ladder": [5, 15],
        "space": {"bases": ["crrelu"], "parameters": {"epsilon": {"low": -0.5, "high": 1.0}}},
        "surrogate": {"pool": 2},
    }
)


def trial(number: int) -> TrialResult:
    rng = np.random.default_rng(number)
    scores = 80 + number + rng.normal(0, 0.5, 2)
    outcomes = tuple(Outcome(seed, float(score), (float(score),)) for seed, score in enumerate(scores))
    return TrialResult(
        number,
        "complete",
        "crrelu",
        "none",
        catalog.get("crrelu", epsilon=0.1 * number),
        (("epsilon", 0.1 * number),),
        outcomes,
        Estimate.of(o.score for o in outcomes),
        rungs=((5, 60 + number + float(rng.normal(0, 5))), (15, 70.0 + number)),
        features=(("noise", float(rng.normal())), ("falls", -float(number)), ("same", 1.0)),
        predicted=80.0 + number if number >= 6 else None,
    )


@pytest.fixture(scope="module")
def early() -> Study:
    return Study("early", PLAN, tuple(map(trial, range(12))))


def test_every_rung_and_feature_has_its_agreement(early: Study) -> None:
    section = evidence_section(early)
    assert section is not None
    rungs, features = section.tables
    assert [row[0] for row in rungs.rows] == ["5", "15"]
    # The constant one has nothing to tell; the strongest comes first, after the prediction.
    assert [row[0] for row in features.rows] == ["the surrogate's prediction", "falls", "noise"]
    assert [row[3] for row in features.rows] == ["6", "12", "12"]
    scores = [[o.score for o in t.outcomes] for t in early.trials]
    expected = kendall([dict(t.features)["falls"] for t in early.trials], scores, resamples=2000)
    assert features.rows[1][1:3] == (f"{expected.tau:+.2f}", f"{expected.low:+.2f} … {expected.high:+.2f}")
    assert features.rows[1][1].startswith("-")
    assert "Of 5 intervals one in twenty" in section.paragraphs[1]


def test_the_page_shows_it(early: Study, tmp_path, inspect) -> None:
    page = inspect(eafo.report.write(early, tmp_path))
    assert "What is known early" in page.words
    assert "One batch before any training" in page.words
    assert "[surrogate] pool = 2 startup = 10" in page.words


def test_without_a_ladder_or_features_there_is_none(early: Study, study: Study) -> None:
    assert evidence_section(study) is None
    few = replace(early, trials=early.trials[:3])
    assert evidence_section(few) is None
    bare = tuple(replace(t, features=(), predicted=None) for t in early.trials)
    section = evidence_section(replace(early, trials=bare))
    assert section is not None
    assert [table.columns[0] for table in section.tables] == ["epochs"]
    alike = tuple(replace(t, outcomes=early.trials[0].outcomes) for t in early.trials)
    assert evidence_section(replace(early, trials=alike)) is None
