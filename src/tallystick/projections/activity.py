"""What executes now, and what of it belongs to whom: as many rows as there is room for runs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.budget import session_in
from tallystick.domain.ids import AttemptId, RunId, SessionId, SweepId
from tallystick.projections import sessions, sweeps
from tallystick.projections.tables import attempts, runs
from tallystick.projections.tables import sessions as session_shape

_a = attempts.table.c
_r = runs.table.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One attempt that has not ended. Times are milliseconds."""

    attempt: AttemptId
    run: RunId
    session: SessionId
    sweep: SweepId | None
    gpus: tuple[str, ...]
    """Devices leased to it."""
    assigned_at: int
    started_at: int | None
    """None until its command was executed."""
    stopping: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a sweep or a session has used; times are milliseconds."""

    runs: int = 0
    gpu_ms: int = 0
    """Of one device; attempts that are active now count."""
    wall_ms: int = 0
    """Since its first run started; a sweep's stands still while nothing of it is left to do."""
    busy: bool = False
    """Whether anything of it is queued or active."""

    def of(self, kind: str) -> int:
        """What is used of one kind of budget."""
        return {"runs": self.runs, "gpu": self.gpu_ms, "wall": self.wall_ms}[kind]


def active(tx: Transaction) -> list[Activity]:
    """Every attempt that has not ended, oldest first."""
    statement = (
        select(
            _a.id,
            _a.run,
            _r.session,
            _r.sweep,
            _a.gpus,
            _a.assigned_at,
            _a.started_at,
            _r.stop_requested,
        )
        .join_from(attempts.table, runs.table, _a.run == _r.id)
        .where(_a.active.is_(True))
        .order_by(_a.assigned_at, _a.id)
    )
    return [
        Activity(
            attempt=row["id"],
            run=row["run"],
            session=row["session"],
            sweep=row["sweep"],
            gpus=tuple(json.loads(row["gpus"])),
            assigned_at=row["assigned_at"],
            started_at=row["started_at"],
            stopping=row["stop_requested"],
        )
        for row in tx.fetch(statement)
    ]


def uses(tx: Transaction, scopes: Iterable[str], *, now: int) -> dict[str, Use]:
    """What each scope that exists has used by `now`; one question for all of a kind."""
    wanted = list(scopes)
    present = active(tx) if wanted else []
    found: dict[str, Use] = {}
    for sweep in sweeps.many(tx, [one for one in wanted if session_in(one) is None]):
        held = _held_ms((one for one in present if one.sweep == sweep.id), now=now)
        busy = sweep.runs.queued + sweep.runs.active > 0 or sweep.unregistered > 0
        until = now if busy or sweep.completed_at is None else sweep.completed_at
        found[sweep.id] = Use(
            runs=sweep.runs.total,
            gpu_ms=sweep.gpu_ms + held,
            wall_ms=max(0, _since(sweep.started_at, until) - sweep.idle_ms),
            busy=busy,
        )
    for scope in wanted:
        named = session_in(scope)
        session = sessions.get(tx, named) if named is not None else None
        if session is not None:
            held = _held_ms((one for one in present if one.session == session.id), now=now)
            found[scope] = Use(
                runs=session.runs.total,
                gpu_ms=session.gpu_ms + held,
                wall_ms=_since(session.started_at, now),
                busy=session.runs.queued + session.runs.active > 0,
            )
    return found


def queued_by_session(tx: Transaction, *, limit: int) -> dict[str, int]:
    """Runs in the queue of the sessions that have most of them."""
    s = session_shape.table.c
    statement = (
        select(s.id, s.runs_queued)
        .where(s.runs_queued > 0)
        .order_by(s.runs_queued.desc(), s.id)
        .limit(limit)
    )
    return {row["id"]: row["runs_queued"] for row in tx.fetch(statement)}


def _held_ms(held: Iterable[Activity], *, now: int) -> int:
    """Device time of attempts that go on."""
    return sum(max(now - one.assigned_at, 0) * len(one.gpus) for one in held)


def _since(start: int | None, end: int) -> int:
    return 0 if start is None else max(end - start, 0)
