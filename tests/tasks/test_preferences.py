"""Preferences from files in their official forms, and what is refused of others."""

from __future__ import annotations

import gzip
import json

import pytest

from eafo.errors import DataError
from eafo.tasks.preference_files import HH, SHP
from eafo.tasks.preferences import GENERATED, Preference


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("EAFO_DATA", str(tmp_path))
    return tmp_path


def write(path, entries) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in entries)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def dialogue(answer: str, other: str) -> dict[str, str]:
    start = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: why?\n\nAssistant:"
    return {"chosen": start + answer, "rejected": start + other}


@pytest.fixture
def hh(root):
    folder = root / "hh-rlhf"
    write(folder / "harmless-base" / "train.jsonl.gz", [dialogue(" so", " no"), dialogue(" same", " same")])
    write(folder / "harmless-base" / "test.jsonl", [dialogue(" c", " d")])
    write(folder / "helpful-base" / "train.jsonl", [dialogue(" yes", " well")])
    write(folder / "helpful-base" / "test.jsonl.gz", [dialogue(" a", " b")])
    return folder


def test_dialogues_are_cut_before_the_last_answer(hh) -> None:
    HH.check()
    train, test = HH.read(None)
    prompt = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: why?\n\nAssistant:"
    assert train == [Preference(prompt, " so", " no"), Preference(prompt, " yes", " well")]
    assert test == [Preference(prompt, " c", " d"), Preference(prompt, " a", " b")]
    assert HH.read(1)[0] == train[:1]


def post(label: int, ratio: float, history: str = "post", **other) -> dict[str, object]:
    return {
        "history": history,
        "human_ref_A": "A",
        "human_ref_B": "B",
        "labels": label,
        "score_ratio": ratio,
        **other,
    }


@pytest.fixture
def shp(root):
    folder = root / "shp"
    entries = [post(1, 2.0), post(0, 3.5), post(1, 1.9), *(post(1, 4, "much") for _ in range(8))]
    write(folder / "askbaking" / "train.json", entries)
    write(folder / "askbaking" / "test.json", [post(0, 2)])
    return folder


def test_comments_go_by_their_votes(shp) -> None:
    SHP.check()
    train, test = SHP.read(None)
    assert train[:2] == [
        Preference("\n\nHuman: post\n\nAssistant:", " A", " B"),
        Preference("\n\nHuman: post\n\nAssistant:", " B", " A"),
    ]
    # One with too few votes is left out, and of a post no more than five are kept.
    assert len(train) == 2 + 5
    assert len(test) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{", r"line 2 of .*train.jsonl must be JSON \(.*\); fetch the official file"),
        ("[1]", r"line 2 of .* must be a JSON object, but got 'list'"),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b"},
            r"line 2 of .* must have the text 'rejected', but got 'None'",
        ),
        (
            {"chosen": "a", "rejected": "b"},
            r"line 2 of .* must be two dialogues that begin alike, but got 'nothing'",
        ),
    ],
)
def test_damaged_lines_of_hh_are_named(hh, entry, message) -> None:
    write(hh / "helpful-base" / "train.jsonl", [dialogue(" x", " y"), entry])
    with pytest.raises(DataError, match=message):
        HH.read(None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (post(2, 3), r"'labels' in line 1 of .*train.json must be 0 or 1, but got 2.0"),
        (post(1, float("nan")), r"line 1 of .* must have the number 'score_ratio', but got 'nan'"),
        (post(True, 2), r"must have the number 'labels', but got 'True'"),
        (post(1, 2, history=""), r"must have the text 'history'"),
    ],
)
def test_damaged_lines_of_shp_are_named(shp, entry, message) -> None:
    write(shp / "askbaking" / "train.json", [entry])
    with pytest.raises(DataError, match=message):
        SHP.read(None)


def test_a_truncated_archive_is_named(hh) -> None:
    path = hh / "harmless-base" / "train.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"train.jsonl.gz must be readable .*; fetch the official file"):
        HH.read(None)


def test_missing_files_are_named(root) -> None:
    with pytest.raises(
        DataError, match=r"HH must lie under EAFO_DATA, but .*hh-rlhf is missing; put the folders"
    ):
        HH.check()
    (root / "hh-rlhf").mkdir()
    with pytest.raises(
        DataError,
        match=r"must hold PART/train.jsonl.gz and PART/test.jsonl.gz, but got 'none'; the parts are harmless-base",
    ):
        HH.check()
    (root / "shp").mkdir()
    with pytest.raises(DataError, match=r"must hold PART/train.json and PART/test.json, but got 'none'"):
        SHP.check()


def test_a_file_that_lies_there_unpacked_too_is_read_once(hh) -> None:
    before = HH.read(None)
    packed = hh / "harmless-base" / "train.jsonl.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    assert HH.read(None) == before


def test_a_part_without_one_of_its_splits_is_named(hh, shp) -> None:
    (hh / "harmless-base" / "test.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"both splits, but .*harmless-base/test.jsonl.gz is missing; put it there"
    ):
        HH.check()
    (shp / "askbaking" / "train.json").unlink()
    with pytest.raises(DataError, match=r"both splits, but .*askbaking/train.json is missing"):
        SHP.check()


def test_files_without_comparisons_are_refused(hh, shp) -> None:
    for part, name in (("harmless-base", "test.jsonl"), ("helpful-base", "test.jsonl.gz")):
        write(hh / part / name, [])
    with pytest.raises(DataError, match=r"hh-rlhf must hold comparisons for test, but got 'none'"):
        HH.read(None)
    write(shp / "askbaking" / "train.json", [post(1, 1.5)])
    with pytest.raises(DataError, match=r"shp must hold comparisons for train"):
        SHP.read(None)


def test_generated_preferences_are_kind_nine_times_in_ten() -> None:
    train, test = GENERATED.read(None)
    assert (len(train), len(test)) == (1024, 256)
    kind = ("gladly", "thanks", "of course", "a pleasure", "good question", "well asked")
    right = sum(p.chosen[1:].startswith(kind) for p in train) / len(train)
    assert right == pytest.approx(0.9, abs=0.02)
    assert GENERATED.read(5)[0] == train[:5]
