"""What driver and worker say to each other: one JSON object a line.

Plain text, because a pickle ties both ends to the same modules and makes each side run what the other one sends.
"""

from __future__ import annotations

import json
from typing import Any

from eafo import errors
from eafo.activation import Activation
from eafo.errors import EafoError
from eafo.search.executors import Job, Result
from eafo.tasks import DivergedError, Outcome, Setting

__all__ = ["READY", "decode_job", "decode_result", "encode_job", "encode_result"]

#: A worker's first line: it has started and takes jobs.
READY = json.dumps({"ready": True})

_KINDS: dict[str, type[EafoError]] = {
    kind.__name__: kind for kind in (DivergedError, *(getattr(errors, name) for name in errors.__all__))
}


def encode_job(job: Job) -> str:
    """A job as one line."""
    values = {"owner": job.owner, "task": job.task, "seed": job.seed, "epochs": job.epochs}
    return json.dumps({**values, "activation": job.activation.to_json(), "setting": job.setting.to_dict()})


def decode_job(line: str) -> Job:
    """Read what `encode_job` wrote."""
    values = json.loads(line)
    activation = Activation.from_json(values.pop("activation"))
    setting = Setting.from_dict(values.pop("setting"))
    return Job(activation=activation, setting=setting, **values)


def encode_result(outcome: Outcome | None, error: BaseException | None) -> str:
    """An outcome, or the error that ended the job, as one line."""
    if outcome is not None:
        return json.dumps({"outcome": outcome.to_dict()})
    if isinstance(error, EafoError):
        plain = error.value is None or isinstance(error.value, str | int | float | bool)
        value = error.value if plain else repr(error.value)
        values: dict[str, Any] = {"kind": _kind(error), "rule": error.rule, "remedy": error.remedy}
        return json.dumps({"error": {**values, **({"value": value} if error.has_value else {})}})
    rule = f"the task must run without an error, but raised {type(error).__name__}: {error}"
    return json.dumps({"error": {"kind": "EafoError", "rule": rule, "remedy": ""}})


def _kind(error: EafoError) -> str:
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS), "EafoError")


def decode_result(line: str, job: Job) -> Result:
    """Read what `encode_result` wrote about a job."""
    values = json.loads(line)
    if "outcome" in values:
        return Result(job, Outcome.from_dict(values["outcome"]))
    entry = values["error"]
    return Result(job, None, _KINDS[entry.pop("kind")](**entry))
