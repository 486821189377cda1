"""Human preferences from official files: Anthropic's HH and Stanford's SHP, checked line by line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eafo.errors import DataError
from eafo.tasks.preferences import TURN, Preference

__all__ = ["HH", "SHP", "HelpfulHarmless", "StanfordHuman"]

#: A pair's votes, at least so many times the other's (Rafailov et al., 2023, in their code), and pairs of a post at most (as SHP's authors advise).
_LEAST_RATIO, _MOST_OF_A_POST = 2.0, 5


def _place(folder: str, name: str, what: str) -> Path:
    """A folder under EAFO_DATA."""
    root = os.environ.get("EAFO_DATA")
    place = Path(root or "EAFO_DATA") / folder
    if not root or not place.is_dir():
        raise DataError(
            f"{name} must lie under EAFO_DATA, but {place} is missing",
            remedy=f"put {what} there and set EAFO_DATA",
        )
    return place


def _files(
    place: Path, parts: Iterable[str], names: Mapping[str, Sequence[str]], remedy: str
) -> dict[str, list[Path]]:
    """The files of each split, one of each part that is there.

    Args:
        place: the folder of the data.
        parts: folders in it that may be there.
        names: what the file of each split may be called, the first that is there counts.
        remedy: where no part is there.

    Raises:
        DataError: no part is there, or one lacks a split.
    """
    found: dict[str, list[Path]] = {split: [] for split in names}
    for part in parts:
        there = {
            split: next((f for f in (place / part / name for name in ends) if f.is_file()), None)
            for split, ends in names.items()
        }
        for split, path in there.items():
            if path is not None:
                found[split].append(path)
            elif any(there.values()):
                missing = place / part / names[split][0]
                raise DataError(
                    f"every part must have both splits, but {missing} is missing", remedy="put it there"
                )
    if not all(found.values()):
        wanted = " and ".join(f"PART/{ends[0]}" for ends in names.values())
        raise DataError(f"{place} must hold {wanted}", "none", remedy)
    return found


def _some(found: list[Preference], split: str, place: Path) -> list[Preference]:
    """The comparisons of a split, where there are any.

    Raises:
        DataError: there are none.
    """
    if not found:
        raise DataError(f"{place} must hold comparisons for {split}", "none", "fetch the official files")
    return found


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, gzipped or not, each with where it stands."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            for number, line in enumerate(file, 1):
                where = f"line {number} of {path}"
                try:
                    entry = json.loads(line)
                except ValueError as error:
                    raise DataError(
                        f"{where} must be JSON ({error})", remedy="fetch the official file"
                    ) from error
                if not isinstance(entry, dict):
                    raise DataError(
                        f"{where} must be a JSON object", type(entry).__name__, "fetch the official file"
                    )
                yield where, entry
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path} must be readable ({error})", remedy="fetch the official file") from error


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where} must have the text '{key}'", repr(value)[:60], "fetch the official file")
    return value


def _number(entry: dict[str, Any], key: str, where: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DataError(f"{where} must have the number '{key}'", repr(value)[:60], "fetch the official file")
    return float(value)


@dataclass(frozen=True)
class HelpfulHarmless:
    """Anthropic's HH: dialogues of which the last answer was preferred or not (Bai et al., 2022).

    Official files: ``PART/train.jsonl.gz`` and ``PART/test.jsonl.gz`` under ``$EAFO_DATA/hh-rlhf/``, for one or more of the four parts.
    """

    name: str = "HH"
    keep_end: bool = True
    parts: tuple[str, ...] = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")

    def check(self) -> None:
        """Check that a part is there.

        Raises:
            DataError: none is.
        """
        self._files()

    def read(self, count: int | None) -> tuple[list[Preference], list[Preference]]:
        """As `Preferences.read`."""
        place, files = self._files()
        train, test = (_some(self._read(paths, count), split, place) for split, paths in files.items())
        return train, test

    def _files(self) -> tuple[Path, dict[str, list[Path]]]:
        place = _place("hh-rlhf", self.name, "the folders of Anthropic's hh-rlhf")
        names = {split: (f"{split}.jsonl.gz", f"{split}.jsonl") for split in ("train", "test")}
        return place, _files(place, self.parts, names, f"the parts are {', '.join(self.parts)}")

    @staticmethod
    def _read(files: list[Path], count: int | None) -> list[Preference]:
        found = []
        for path in files:
            for where, entry in _lines(path):
                chosen, rejected = (_text(entry, key, where) for key in ("chosen", "rejected"))
                prompt = _common_prompt(chosen, rejected, where)
                answers = chosen[len(prompt) :], rejected[len(prompt) :]
                # Some of the official pairs are the same answer twice, or no answer.
                if all(answers) and answers[0] != answers[1]:
                    found.append(Preference(prompt, *answers))
                if len(found) == count:
                    return found
        return found


def _common_prompt(chosen: str, rejected: str, where: str) -> str:
    """What both dialogues have in common, up to the last turn of the assistant."""
    common = os.path.commonprefix([chosen, rejected])  # noqa: RUF071 - of texts
    end = common.rfind(TURN)
    if end < 0:
        raise DataError(
            f"{where} must be two dialogues that begin alike",
            common[:60] or "nothing",
            "fetch the official file",
        )
    return common[: end + len(TURN)]


@dataclass(frozen=True)
class StanfordHuman:
    """Stanford's SHP: comments on a post, the preferred one with more votes though it came later (Ethayarajh et al., 2022).

    Official files: ``DOMAIN/train.json`` and ``DOMAIN/test.json``, JSON lines, under ``$EAFO_DATA/shp/``, for one or more domains. Kept are
    pairs of which one has at least twice the votes, as by Rafailov et al., and five of a post at most, as the data's authors advise.
    """

    name: str = "SHP"
    keep_end: bool = False

    def check(self) -> None:
        """Check that a domain is there.

        Raises:
            DataError: none is.
        """
        self._files()

    def read(self, count: int | None) -> tuple[list[Preference], list[Preference]]:
        """As `Preferences.read`."""
        place, files = self._files()
        train, test = (_some(self._read(paths, count), split, place) for split, paths in files.items())
        return train, test

    def _files(self) -> tuple[Path, dict[str, list[Path]]]:
        place = _place("shp", self.name, "the folders of stanfordnlp's SHP")
        names = {
            split: tuple(f"{split}{end}" for end in (".json", ".json.gz", ".jsonl"))
            for split in ("train", "test")
        }
        return place, _files(
            place, sorted(p.name for p in place.iterdir()), names, "put the official folders there"
        )

    @staticmethod
    def _read(files: list[Path], count: int | None) -> list[Preference]:
        found: list[Preference] = []
        posts: defaultdict[str, int] = defaultdict(int)
        for path in files:
            for where, entry in _lines(path):
                post, one, other = (
                    _text(entry, key, where) for key in ("history", "human_ref_A", "human_ref_B")
                )
                label, ratio = _number(entry, "labels", where), _number(entry, "score_ratio", where)
                if label not in (0, 1):
                    raise DataError(f"'labels' in {where} must be 0 or 1", label, "fetch the official file")
                if ratio < _LEAST_RATIO or posts[post] == _MOST_OF_A_POST:
                    continue
                posts[post] += 1
                answers = (one, other) if label else (other, one)
                found.append(Preference(f"\n\nHuman: {post}{TURN}", *(f" {answer}" for answer in answers)))
                if len(found) == count:
                    return found
        return found


HH, SHP = HelpfulHarmless(), StanfordHuman()
