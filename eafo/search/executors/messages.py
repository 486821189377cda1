"""What driver and worker say to each other: one JSON object a line.

Plain text, because a pickle ties both ends to the same modules and makes each side run what the other one sends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eafo import errors
from eafo.activation import Activation
from eafo.errors import EafoError
from eafo.search.executors import Job, Result
from eafo.tasks import DivergedError, Outcome, Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["READY", "decode_job", "decode_result", "encode_job", "encode_result"]

#: A worker's first line: it has started and takes jobs.
READY = json.dumps({"ready": True})

_KINDS: dict[str, type[EafoError]] = {
    kind.__name__: kind for kind in (DivergedError, *(getattr(errors, name) for name in errors.__all__))
}


def encode_job(job: Job) -> str:
    """A job as one line."""
    values = {"owner": job.owner, "task": job.task, "seed": job.seed, "epochs": job.epochs}
    values |= {"activation": job.activation.to_json(), "setting": job.setting.to_dict()}
    return json.dumps({**values, "further": job.further})


def decode_job(line: str) -> Job:
    """Read what `encode_job` wrote."""
    values = json.loads(line)
    activation = Activation.from_json(values.pop("activation"))
    setting = Setting.from_dict(values.pop("setting"))
    return Job(activation=activation, setting=setting, further=tuple(values.pop("further")), **values)


def encode_result(results: Sequence[Outcome | BaseException]) -> str:
    """The outcome of each seed of a job, or the error that ended it, as one line."""
    return json.dumps([_plain(result) for result in results])


def _plain(result: Outcome | BaseException) -> dict[str, Any]:
    if isinstance(result, BaseException):
        return {"error": _plain_error(result)}
    return {"outcome": result.to_dict()}


def _plain_error(error: BaseException) -> dict[str, Any]:
    if isinstance(error, EafoError):
        plain = error.value is None or isinstance(error.value, str | int | float | bool)
        value = error.value if plain else repr(error.value)
        values: dict[str, Any] = {"kind": _kind(error), "rule": error.rule, "remedy": error.remedy}
        return {**values, **({"value": value} if error.has_value else {})}
    rule = f"the task must run without an error, but raised {type(error).__name__}: {error}"
    return {"kind": "EafoError", "rule": rule, "remedy": ""}


def _kind(error: EafoError) -> str:
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS), "EafoError")


def decode_result(line: str, job: Job) -> Result:
    """Read what `encode_result` wrote about a job."""
    first, *further = map(_read, json.loads(line))
    if isinstance(first, Outcome):
        return Result(job, first, None, tuple(further))
    return Result(job, None, first, tuple(further))


def _read(entry: dict[str, Any]) -> Outcome | EafoError:
    if "outcome" in entry:
        return Outcome.from_dict(entry["outcome"])
    values = entry["error"]
    return _KINDS[values.pop("kind")](**values)
