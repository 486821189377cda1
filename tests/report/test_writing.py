"""The page: whole, harmless, readable without sight, and alone in its folder."""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eafo import report
from eafo.activation import Activation
from eafo.catalog import get
from eafo.derivation import derive
from eafo.errors import InputError
from eafo.report import layers
from eafo.report.rows import of_comparison
from eafo.search import Arm, Comparison, Estimate, Plan, Study, TrialResult, compare
from eafo.tasks import Outcome, Setting

FIGURES_OF_A_COMPARISON = {"curves.png", "densities.png", "derivatives.png", "intervals.png", "training.png"}


@pytest.fixture(scope="module", params=["comparison", "study"])
def page(request, tmp_path_factory):
    result = request.getfixturevalue(request.param)
    return report.write(result, tmp_path_factory.mktemp("page"), derivations=(derive("relu", "normal"),))


def test_the_folder_holds_the_page_its_figures_and_its_numbers(comparison, tmp_path):
    path = report.write(comparison, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "index.html"
    assert {p.name for p in path.parent.iterdir()} == FIGURES_OF_A_COMPARISON | {"index.html", "result.json"}
    assert all((path.parent / n).read_bytes().startswith(b"\x89PNG") for n in FIGURES_OF_A_COMPARISON)
    assert Comparison.load(path.parent / "result.json") == comparison


def test_a_study_has_its_history_and_a_figure_for_each_parameter(study, tmp_path):
    path = report.write(study, tmp_path)
    names = {p.name for p in tmp_path.glob("*.png")}
    further = {"corrections.png", "history.png", "parameter-0.png", "parameter-1.png"}
    assert names == FIGURES_OF_A_COMPARISON | further
    assert json.loads((tmp_path / "result.json").read_text()) == study.to_dict()
    assert path.read_text().count("<svg") == 9


def test_it_loads_nothing_from_anywhere(page, inspect):
    text = page.read_text()
    loads = [
        a.get("src")
        for a in inspect(page).named("img", "script", "iframe", "object", "embed", "link", "image")
    ]
    assert loads == []
    links = [v for _, a in inspect(page).elements for k, v in a.items() if k in ("href", "xlink:href", "src")]
    assert links
    assert all(link is not None and link.startswith("#") for link in links)
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    # What is left are the names of XML vocabularies, which no browser fetches.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/1998/Math/MathML",
    }


def test_ids_are_unique_and_every_reference_meets_one(page, inspect):
    seen = inspect(page)
    ids = [a["id"] for _, a in seen.elements if "id" in a]
    assert len(ids) == len(set(ids))
    references = {v for _, a in seen.elements for k, v in a.items() if k in ("href", "xlink:href")}
    labels = {part for _, a in seen.elements for part in (a.get("aria-labelledby") or "").split()}
    clips = set(re.findall(r"url\(#([^)]*)\)", page.read_text()))
    assert {r.removeprefix("#") for r in references if r} | labels | clips <= set(ids)


def test_it_can_be_read_without_sight(page, inspect):
    seen = inspect(page)
    assert seen.named("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert all(a.get("role") == "img" and a.get("aria-labelledby") for a in seen.named("svg"))
    assert all(a.get("scope") in ("col", "row") for a in seen.named("th"))
    assert len(seen.named("caption")) == len(seen.named("table"))


def test_the_derivation_stands_there_as_mathml(page, inspect):
    assert len(inspect(page).named("math")) >= 5


def test_the_table_gives_mean_interval_deviation_and_seeds(comparison, tmp_path, inspect):
    words = inspect(report.write(comparison, tmp_path)).words
    estimate = comparison.arms[0].estimate
    row = f"relu max(0, x) {estimate.mean:.2f} {estimate.low:.2f} … {estimate.high:.2f} {estimate.deviation:.2f} 3 2.5"
    assert row in words
    assert "seed 1: the loss is NaN; seed 2: the loss is NaN" in words
    assert "activations.0.epsilon 0.01 0.31 0.3 0.32" in words


def test_the_summary_claims_no_more_than_the_intervals(comparison, tmp_path, inspect):
    words = inspect(report.write(comparison, tmp_path)).words
    assert "crrelu has the highest mean" in words
    assert "Intervals that overlap with it: x*sigmoid(beta*x); beta=2, relu." in words


def test_a_single_seed_gets_no_interval(comparison, tmp_path, inspect):
    arms = tuple(replace(arm, outcomes=arm.outcomes[:1], failures=()) for arm in comparison.arms)
    words = inspect(report.write(replace(comparison, seeds=(0,), arms=arms), tmp_path)).words
    assert "relu max(0, x) 81.06 — — 1" in words or re.search(r"relu max\(0, x\) \d+\.\d\d — — 1 ", words)


def test_nothing_finished_is_said_and_not_drawn(comparison, tmp_path, inspect):
    arms = tuple(Arm(arm.activation, (), ("seed 0: it diverged",)) for arm in comparison.arms)
    seen = inspect(report.write(replace(comparison, arms=arms), tmp_path))
    assert "No activation finished all its seeds." in seen.words
    assert {p.name for p in tmp_path.glob("*.png")} == {"curves.png", "densities.png", "derivatives.png"}


def test_a_study_without_a_complete_trial_says_so(study, tmp_path, inspect):
    failed = replace(study, trials=tuple(t for t in study.trials if t.state == "failed"))
    words = inspect(report.write(failed, tmp_path)).words
    assert "1 trial: 0 complete, 0 pruned, 1 failed; 1 unfinished. No trial is complete yet." in words


def test_a_study_shows_a_later_comparison_below(study, comparison, tmp_path, inspect):
    path = report.write(study, tmp_path, comparison=comparison)
    assert "The comparison crrelu has the highest mean" in inspect(path).words
    assert (tmp_path / "comparison-intervals.png").exists()
    assert Comparison.load(tmp_path / "comparison.json") == comparison


def test_a_name_of_markup_stays_text(comparison, tmp_path, inspect):
    evil = "<script>alert(1)</script>$x_{"
    arm = replace(comparison.arms[0], activation=Activation(evil, get("mish").expression))
    path = report.write(
        replace(comparison, task="<img src=x onerror=alert(1)>:t", arms=(arm, *comparison.arms)), tmp_path
    )
    seen = inspect(path)
    assert seen.named("script", "img") == []
    assert "<img src=x onerror=alert(1)>:t" in seen.words


def test_a_derivation_of_markup_stays_text(comparison, tmp_path, inspect):
    evil = Activation("<script>alert(1)</script>", get("relu").expression)
    seen = inspect(report.write(comparison, tmp_path, derivations=(derive(evil, "normal"),)))
    assert seen.named("script") == []
    assert "<script>alert(1)</script>" in seen.words


def test_the_same_result_draws_the_same_figures(comparison, tmp_path):
    first, second = (report.write(comparison, tmp_path / n) for n in ("a", "b"))
    assert first.read_text() == second.read_text()
    for name in FIGURES_OF_A_COMPARISON:
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()


def test_the_users_matplotlib_settings_come_back(comparison, tmp_path):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 31.0}):
        report.write(comparison, tmp_path)
        assert mpl.rcParams["font.size"] == 31.0


def test_a_file_in_the_way_is_one_clear_error(comparison, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="the report's folder must be writable"):
        report.write(comparison, tmp_path / "taken")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_clear_error(comparison, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="the report's folder must be writable"):
        report.write(comparison, tmp_path)


def test_no_half_written_file_is_left(comparison, tmp_path):
    (tmp_path / "index.html").mkdir()
    with pytest.raises(InputError):
        report.write(comparison, tmp_path)
    assert [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []
    assert list(Path(tmp_path).glob(".*")) == []


def test_long_names_leave_room_for_the_curves(comparison, tmp_path):
    long = [replace(get("crrelu", epsilon=0.1 * i), name=f"{i} " + "long " * 15 + "x" * 3) for i in range(4)]
    arms = tuple(replace(comparison.arms[0], activation=activation) for activation in long)
    report.write(replace(comparison, arms=arms), tmp_path)
    # A figure whose labels leave no room warns, and a warning is an error here.
    assert (tmp_path / "training.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def recorded() -> Comparison:
    setting = Setting(record=True, examples=300)
    return compare(["crrelu", "gelu"], "mnist1d-mlp", 2, epochs=2, workers=1, setting=setting)


def test_what_layers_saw_is_drawn_and_told(recorded, tmp_path, inspect):
    path = report.write(recorded, tmp_path)
    assert {p.name for p in tmp_path.glob("*.png")} == FIGURES_OF_A_COMPARISON | {
        "layers.png",
        "layer-parameter-0.png",
    }
    text = path.read_text()
    assert "What the layers saw" in text
    assert "record, examples 300" in text or "examples 300, record" in text
    assert "--examples 300 --record" in text
    rows = of_comparison(recorded)
    drawn = layers.draw(rows, "deviation", lambda layer: layer.deviation)
    for row, axes in zip(rows, drawn.axes, strict=True):
        found = [line.get_ydata() for line in axes.get_lines()]
        for depth, line in enumerate(found):
            right = np.mean([o.layers[depth].deviation for o in row.outcomes], axis=0)
            assert np.allclose(line, right)
        assert len(found) == 2
    assert Comparison.load(tmp_path / "result.json") == recorded


def test_further_numbers_have_a_table(tmp_path):
    outcomes = [Outcome(seed, 1.0, metrics={"margin": 0.5 + seed}) for seed in (0, 1)]
    page = report.write(Comparison("mnist1d", 1, (0, 1), (Arm(get("relu"), tuple(outcomes)),)), tmp_path)
    text = page.read_text()
    assert "What the task tells beside the score" in text
    assert re.search(r"margin.*relu.*>1<", text, re.DOTALL)


def test_a_ladder_is_told_by_how_well_its_rungs_order(tmp_path):
    plan = {
        "name": "l",
        "task": "mnist1d",
        "epochs": 50,
        "ladder": [5],
        "trials": 6,
        "seeds": 2,
        "space": {"bases": ["relu"]},
    }
    trials = tuple(
        TrialResult(
            i, "complete", "relu", "none", get("relu"), (), (Outcome(0, 80.0 + i), Outcome(1, 80.5 + i)),
            Estimate.of([80.0 + i, 80.5 + i]), rungs=((5, 40.0 + i),),
        )
        for i in range(6)
    )  # fmt: skip
    text = report.write(Study("l", Plan.from_dict(plan), trials), tmp_path).read_text()
    assert "What is known early" in text
    assert re.search(r"<th scope=\"row\">5</th>\s*<td class=\"number\">\+1.00</td>", text)
    few = report.write(Study("l", Plan.from_dict(plan), trials[:3]), tmp_path / "few").read_text()
    assert "What is known early" not in few


def test_a_search_of_formulas_names_them_and_derives_nothing(tmp_path):
    plan = {
        "name": "f",
        "task": "mnist1d",
        "epochs": 5,
        "trials": 2,
        "seeds": 2,
        "space": {"grammar": {"depth": 1}},
    }
    outcomes = tuple(Outcome(seed, 80.0 + seed) for seed in (0, 1))
    trials = (
        TrialResult(0, "complete", "formula", "", get("sin(x)*tanh(x)"), (), outcomes, Estimate.of([80.0, 81.0])),
        TrialResult(1, "pruned", "formula", "", None, (), (), None, "left out: it is constant"),
    )  # fmt: skip
    text = report.write(Study("f", Plan.from_dict(plan), trials), tmp_path).read_text()
    assert "The best is trial 0, sin(x)*tanh(x), with" in text
    assert "1: formula" in text
    assert "becomes" not in text


@pytest.mark.parametrize("kind", ["comparison", "study"])
def test_the_cost_is_shown_where_it_is_asked_for(kind, tmp_path, request) -> None:
    result = request.getfixturevalue(kind)
    page = report.write(result, tmp_path, cost=True)
    assert (tmp_path / "cost.png").is_file()
    text = page.read_text(encoding="utf-8")
    section = text[text.index('id="cost"') :]
    assert "Cost beside" in section
    assert "times a copy" in section
    assert "in equal time" in section
    assert section.count(">yes<") >= 1
    numbers = json.loads((tmp_path / "cost.json").read_text(encoding="utf-8"))
    assert section.count(">yes<") == sum(entry["front"] for entry in numbers)
    assert all(entry["kernel"]["of_copy"] > 0 and entry["equal_time"]["step"] > 0 for entry in numbers)
    assert 'id="cost"' not in report.write(result, tmp_path).read_text(encoding="utf-8")


def test_a_front_of_several_objectives(tmp_path, inspect):
    plan = {
        "name": "o",
        "task": "mnist1d",
        "epochs": 50,
        "trials": 4,
        "seeds": 2,
        "objectives": ["score", "cost", "memory"],
        "space": {"bases": ["relu", "gelu"], "saved": ["x", "code"], "rates": [0.5, 1]},
    }

    def scored(number, name, mean, cost, *, saved="x", rate=1.0):
        setting = Setting(saved=saved, rate=rate)
        return TrialResult(
            number, "complete", name, "none", get(name), (("rate", rate),),
            (Outcome(0, mean - 1), Outcome(1, mean + 1)), Estimate.of([mean - 1, mean + 1]),
            setting=setting, costs=(("cost", cost), ("memory", 0.5 if saved == "code" else 4.0)),
        )  # fmt: skip

    trials = (
        scored(0, "relu", 80.0, 0.1),
        scored(1, "relu", 80.0, 0.1, saved="code", rate=0.5),
        scored(2, "gelu", 90.0, 1.0),
        scored(3, "gelu", 70.0, 1.0, saved="code"),
    )
    study = Study("o", Plan.from_dict(plan), trials)
    assert [t.number for t in study.front] == [2, 1]
    seen = inspect(report.write(study, tmp_path))
    assert {"front-cost.png", "front-memory.png"} <= {p.name for p in tmp_path.glob("*.png")}
    assert "2 candidates that no other one beats in every objective at once" in seen.words
    assert "On the Pareto front of score, cost, memory: 2 trials; the highest score has trial 2" in seen.words
    assert re.search(r"1: relu \(rate=0.5, f′ in four bits\) 80.00 \S+ … \S+ 0.1 0.5", seen.words)
