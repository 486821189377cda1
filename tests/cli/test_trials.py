"""search, compare and report, with real trainings of two epochs."""

from __future__ import annotations

import json

import pytest

from eafo.search import Comparison, load
from eafo.tasks import Setting

PLAN = """
name = "small"
task = "mnist1d-mlp"
epochs = 1
trials = 2
seeds = 1
[space]
bases = ["relu"]
laws = ["normal"]
[space.parameters.epsilon]
low = -0.1
high = 0.1
"""
COMPARE = (
    "compare",
    "relu",
    "crrelu",
    "--task",
    "mnist1d-mlp",
    "--seeds",
    "2",
    "--epochs",
    "1",
    "--workers",
    "1",
)


def test_compare_prints_saves_and_reports(eafo, tmp_path):
    ran = eafo(*COMPARE)
    assert ran.status == 0
    saved = Comparison.load(tmp_path / "studies" / "compare-mnist1d-mlp.json")
    assert [len(arm.outcomes) for arm in saved.arms] == [2, 2]
    for arm in saved.arms:
        assert f"{arm.estimate.mean:.2f}" in ran.out
        assert f"{arm.estimate.low:.2f} … {arm.estimate.high:.2f}" in ran.out
    assert "saved studies/compare-mnist1d-mlp.json" in ran.err

    again = eafo(*COMPARE, "--json").document
    assert again["path"] == "studies/compare-mnist1d-mlp-2.json"
    scores = [[o["score"] for o in arm["outcomes"]] for arm in again["arms"]]
    assert scores == [[o.score for o in arm.outcomes] for arm in saved.arms]

    page = eafo("report", "compare-mnist1d-mlp")
    assert (page.status, page.out) == (0, "reports/compare-mnist1d-mlp/index.html\n")
    assert (tmp_path / "reports" / "compare-mnist1d-mlp" / "intervals.png").exists()
    elsewhere = eafo("report", "studies/compare-mnist1d-mlp.json", "-o", "page", "--json").document
    assert elsewhere["page"] == "page/index.html"
    assert "page/intervals.png" in elsewhere["figures"]


def test_search_resumes_and_reports(eafo, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    first = eafo("search", "plan.toml", "--workers", "1", "--json").document
    assert [t["state"] for t in first["trials"]] == ["complete", "complete"]
    more = eafo("search", "plan.toml", "--workers", "1", "--trials", "3")
    assert more.status == 0
    assert "small: 3 trials on mnist1d-mlp" in more.out
    study = load("small")
    kept = [t.estimate.mean for t in study.trials]
    assert kept[:2] == [t["estimate"]["mean"] for t in first["trials"]]
    assert all(f"{mean:.2f}" in more.out for mean in kept)

    page = eafo("report", "small")
    assert page.out == "reports/small/index.html\n"
    html = (tmp_path / "reports" / "small" / "index.html").read_text()
    assert "<math" in html
    assert (tmp_path / "reports" / "small" / "history.png").exists()
    assert eafo("report", "studies/small.db", "-o", "page").out == "page/index.html\n"


def test_report_names_what_is_known(eafo, tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.json").write_text("{}")
    assert "known here: mine" in eafo("report", "nosuch").err
    assert "must be what save wrote" in eafo("report", "mine").err


def test_a_comparison_with_a_name_replaces_its_own_file(eafo, tmp_path):
    single = ("compare", "relu", "--task", "mnist1d-mlp", "--seeds", "1", "--epochs", "1", "--workers", "1")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.json").write_text("an older one")
    ran = eafo(*single, "--save", "mine", "--first-seed", "7")
    assert Comparison.load(tmp_path / "studies" / "mine.json").seeds == (7,)
    assert [p.name for p in (tmp_path / "studies").iterdir()] == ["mine.json"]
    assert [arm.estimate.low for arm in Comparison.load(tmp_path / "studies" / "mine.json").arms] == [None]
    assert "—" in ran.out


def test_an_unwritable_studies_folder_is_told_before_the_work(eafo, tmp_path):
    (tmp_path / "studies").write_text("")
    ran = eafo("compare", "relu", "--seeds", "1")
    assert ran.status == 2
    assert "the folder must be writable" in ran.err


@pytest.mark.slow
def test_demo_walks_the_whole_way_and_does_so_again(eafo, tmp_path):
    first = eafo("demo")
    assert first.status == 0, first.err
    assert first.out.rstrip().endswith("demo/index.html")
    page = (tmp_path / "demo" / "index.html").read_text()
    assert "<math" in page
    assert "The comparison" in page
    assert "extern" in (tmp_path / "demo" / "crrelu.cu").read_text()
    found = json.loads((tmp_path / "demo" / "result.json").read_text())
    assert all(t["state"] in ("complete", "pruned") for t in found["trials"])
    again = eafo("demo", "--json")
    assert again.document["verification"]["ok"] is True
    assert "starting afresh" in again.err


def test_trainings_run_as_they_are_asked_to(eafo, tmp_path):
    options = ("--examples", "300", "--record", "--checkpoints", "kept", "--save", "one")
    first = eafo(*COMPARE, *options)
    assert first.status == 0
    assert len(list((tmp_path / "kept").iterdir())) == 4
    saved = Comparison.load(tmp_path / "studies" / "one.json")
    assert saved.setting == Setting(examples=300, record=True, checkpoints="kept")
    assert all(o.steps == 3 and len(o.layers) == 2 for arm in saved.arms for o in arm.outcomes)

    stacked = eafo(*COMPARE, "--examples", "300", "--stacked", "2", "--save", "two", "--json").document
    for ours, theirs in zip(stacked["arms"], saved.arms, strict=True):
        assert [o["loss"][0] for o in ours["outcomes"]] == pytest.approx(
            [o.loss[0] for o in theirs.outcomes], rel=1e-4
        )

    wrong = eafo(*COMPARE, "--precision", "half")
    assert (wrong.status, wrong.err) == (
        2,
        "eafo: precision must be one of float32, bfloat16, float16, but got 'half'\n",
    )
    both = eafo(*COMPARE, "--stacked", "2", "--record")
    assert both.status == 2
    assert "without checkpoints and keep x, but got 'record'" in both.err


def test_rates_are_numbers(eafo):
    ran = eafo("compare", "relu", "--rates", "1,two")
    assert ran.status == 2
    assert "rates must be numbers between commas, but got '1,two'; for example --rates 0.5,1,2" in " ".join(
        ran.err.split()
    )


OBJECTIVES = """
name = "o"
task = "mnist1d-mlp"
epochs = 1
trials = 6
seeds = 1
objectives = ["score", "cost"]
[space]
bases = ["relu", "crrelu"]
rates = [0.5, 2]
per_channel = [true]
[setting]
examples = 200
"""


def test_a_search_of_two_objectives_and_its_confirmation(eafo, tmp_path):
    (tmp_path / "o.toml").write_text(OBJECTIVES)
    ran = eafo("search", "o.toml", "--workers", "2")
    assert ran.status == 0, ran.err
    assert "on the Pareto front: " in ran.out
    assert "channel" in ran.out
    document = eafo("search", "o.toml", "--confirm", "8", "--json").document
    (study, confirmation) = document, document["confirmation"]["comparison"]
    assert [list(t["costs"]) for t in study["trials"]] == [["cost"]] * 6
    assert confirmation["rates"] == [0.5, 2.0]
    assert {arm["setting"]["rate"] for arm in confirmation["arms"]} <= {0.5, 2.0}
    page = eafo("report", "o")
    assert page.status == 0, page.err
    assert "The Pareto front" in (tmp_path / "reports" / "o" / "index.html").read_text()
    # The name is taken by a study of other directions.
    (tmp_path / "o.toml").write_text(OBJECTIVES.replace(', "cost"', ""))
    other = eafo("search", "o.toml")
    assert other.status == 2
    assert other.err.count("\n") <= 2
    assert "must have the plan's directions (maximize), but got 'maximize, minimize'" in " ".join(
        other.err.split()
    )


def test_a_value_a_channel_and_a_code_are_asked_for(eafo, tmp_path):
    asked = ("--examples", "300", "--save", "one", "--per-channel")
    assert eafo("compare", "crrelu", "--seeds", "1", "--epochs", "1", *asked).status == 0
    assert Comparison.load(tmp_path / "studies" / "one.json").setting.per_channel
    page = eafo("report", "one")
    assert page.status == 0
    assert "--per-channel" in (tmp_path / "reports" / "one" / "index.html").read_text()
    coded = eafo(
        "compare", "crrelu", "relu", "--seeds", "1", "--epochs", "1", "--saved", "code", "--json"
    ).document
    # A code is not for an activation that learns: told as the failure of that training.
    assert "without learnable parameters" in coded["arms"][0]["failures"][0]
    assert not coded["arms"][1]["failures"]
    assert eafo("compare", "relu", "--saved", "y").err.startswith("eafo: saved must be one of x, code, but")


def test_a_search_that_found_baselines_alone_confirms_nothing(eafo, tmp_path):
    known = (
        OBJECTIVES.replace('"relu", "crrelu"', '"relu"')
        .replace(', "cost"', "")
        .replace("trials = 6", "trials = 2")
    )
    (tmp_path / "o.toml").write_text(known)
    ran = eafo("search", "o.toml", "--confirm", "8", "--json")
    assert ran.document["confirmation"] is None
    assert "there is nothing to confirm" in ran.err


def test_without_a_score_the_status_is_not_that_of_success(eafo, tmp_path):
    found = eafo(
        "compare",
        "relu",
        "gelu",
        "--task",
        "mnist1d-mlp",
        "--device",
        "cuda:77",
        "--seeds",
        "1",
        "--epochs",
        "1",
    )
    assert found.status == 1
    assert found.err.splitlines()[-1].startswith(
        "eafo: a training must come to a score, but got 'seed 0: torch must have"
    )
    plan = tmp_path / "lost.toml"
    plan.write_text(
        'name = "lost"\ntask = "mnist1d-mlp"\ntrials = 1\nseeds = 1\nepochs = 1\n'
        '[space]\nbases = ["relu"]\n[setting]\ndevice = "cuda:77"\n'
    )
    found = eafo("search", str(plan), "--json")
    assert found.status == 1
    assert json.loads(found.out)["name"] == "lost"


def test_the_report_of_a_study_elsewhere_is_told_with_its_place(eafo, tmp_path):
    plan = tmp_path / "there.toml"
    plan.write_text(
        'name = "there"\ntask = "mnist1d-mlp"\ntrials = 1\nseeds = 1\nepochs = 1\n[space]\nbases = ["relu"]\n'
    )
    found = eafo("search", str(plan), "--storage", "sqlite:///mine.db")
    assert "`eafo report there --storage sqlite:///mine.db` writes a page" in found.err
    assert eafo("report", "there", "--storage", "sqlite:///mine.db").status == 0


def test_too_few_seeds_of_a_confirmation_are_told_before_the_search(eafo, tmp_path):
    found = eafo("search", str(tmp_path / "none.toml"), "--confirm", "4")
    assert found.status == 2
    assert "--confirm" in found.err
    assert "greater than or equal to 8" in found.err
