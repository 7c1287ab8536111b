"""Runs and sweeps as MLflow's client reads them: a sweep is an experiment, a run is a run.

A run inside a job can have nested ones, which its client makes: they are part of the registered
run, and their ids are its id, a hyphen and eight digits. Their state is what the client claims.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick.domain import params
from tallystick.domain.run import Run
from tallystick.domain.status import Status
from tallystick.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Refusal,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
)
from tallystick.intake.batch import UNTIMED

NO_SWEEP: Final = "0"
"""The experiment of runs that belong to no sweep."""

STATUS: Final[Mapping[Status, str]] = {
    Status.READY: "SCHEDULED",
    Status.QUEUED: "SCHEDULED",
    Status.LAUNCHING: "RUNNING",
    Status.RUNNING: "RUNNING",
    Status.FINISHED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.STOPPED: "KILLED",
}

_CODES: Final[Mapping[type[TallystickError], str]] = {
    NotFoundError: "RESOURCE_DOES_NOT_EXIST",
    UnauthenticatedError: "UNAUTHENTICATED",
    ForbiddenError: "PERMISSION_DENIED",
    ConflictError: "INVALID_STATE",
    UnavailableError: "TEMPORARILY_UNAVAILABLE",
}

Point = tuple[Any, Any, int]
"""Step, value and time, as the index tells them."""


def members(error: TallystickError) -> dict[str, Any]:
    """`error_code` and `message`, which the client raises."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    if code is None:
        code = "INVALID_PARAMETER_VALUE" if isinstance(error, Refusal) else "INTERNAL_ERROR"
    message = f"{error.detail}; {error.hint}" if error.hint else error.detail
    return {"error_code": code, "message": message}


@dataclass(frozen=True, slots=True)
class Place:
    """A run, or one nested in it."""

    run: str
    child: str = ""
    """As streams and series name it: `nested-` and eight digits."""

    @classmethod
    def of(cls, run_id: str) -> "Place":
        """From the id that clients use."""
        run, _, digits = run_id.partition("-")
        return cls(run, f"nested-{digits}" if digits else "")

    @property
    def id(self) -> str:
        """The id that clients use."""
        return self.run + self.child.removeprefix("nested")


@dataclass(slots=True, kw_only=True)
class Tracked:
    """One run, or one nested in it, with what was told of it."""

    place: Place
    info: dict[str, Any]
    metrics: dict[str, Point] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As the client reads it."""
        return {
            "info": self.info,
            "data": {
                "metrics": [metric(name, point) for name, point in self.metrics.items()],
                "params": _pairs(self.params),
                "tags": _pairs(self.tags),
            },
            "inputs": {},
        }


def experiment(sweep: str, name: str) -> dict[str, Any]:
    """A sweep."""
    return {
        "experiment_id": sweep,
        "name": name,
        "artifact_location": f"mlflow-artifacts:/{sweep}",
        "lifecycle_stage": "active",
        "tags": [],
    }


def metric(name: str, point: Point) -> dict[str, Any]:
    """One point; its step is a whole number there, and what is not finite is text."""
    step, value, time = point
    return {
        "key": name,
        "value": value,
        "timestamp": 0 if time == UNTIMED else time,
        "step": math.trunc(step) if isinstance(step, int | float) else 0,
    }


def tracked(run: Run, name: str, child: str, told: "Told") -> Tracked:
    """A run, or one nested in it, from what its index says."""
    place = Place(run.id, child)
    prefix = f"{child}/" if child else ""
    claim = told.claims.get(f"{prefix}status") or {}
    tags = _own(told.tags, prefix)
    if child:
        name = tags.get("mlflow.runName") or child
        status, start = (
            claim.get("status", "RUNNING"),
            told.children.get(child, {}).get("start_time"),
        )
        end = claim.get("end_time")
    else:
        status, start, end = STATUS[run.status], run.started_at or run.created_at, run.ended_at
        tags = {"tally.run": run.id, "tally.session": run.session} | tags
    tags.setdefault("mlflow.runName", name)
    sweep = run.sweep or NO_SWEEP
    info = {
        "run_id": place.id,
        "run_uuid": place.id,
        "run_name": tags["mlflow.runName"],
        "experiment_id": sweep,
        "user_id": tags.get("mlflow.user", ""),
        "status": status,
        "start_time": start or run.created_at,
        "artifact_uri": f"mlflow-artifacts:/{sweep}/{place.id}/artifacts",
        "lifecycle_stage": "active",
    }
    if end:
        info["end_time"] = end
    given = {} if child else {key: str(value) for key, value in params.decode(run.params).items()}
    return Tracked(
        place=place,
        info=info,
        metrics=_own(told.metrics, prefix),
        params=given | _own(told.params, prefix),
        tags={key: str(value) for key, value in tags.items() if value is not None},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one run's index says, nested runs included."""

    metrics: Mapping[str, Point] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, Any] = field(default_factory=dict)
    begun: Mapping[str, Any] = field(default_factory=dict)
    """Attempts whose client has begun to track the registered run."""


def _own(told: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What is about the run itself, or about the nested one of a prefix, without the prefix."""
    if prefix:
        return {
            name.removeprefix(prefix): held
            for name, held in told.items()
            if name.startswith(prefix) and held is not None
        }
    return {
        name: held
        for name, held in told.items()
        if not name.startswith("nested-") and held is not None
    }


def _pairs(held: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in held.items()]
