"""Calls about sweeps: containers for related runs, and declared spaces of them (P2)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.client.waiting import wait_until
from tallystick.wire.requests import CreateWildSweep
from tallystick.wire.sweep_requests import DeclareSweep
from tallystick.wire.sweep_views import PlanPreview, SweepMoved
from tallystick.wire.views import SweepView

SWEEP_ENDS = frozenset({"completed", "failed", "canceled"})


class SweepCalls(Calls):
    """Create, declare, start, stop, find and follow sweeps."""

    def create_sweep(
        self, name: str, *, goal: str = "", session: str | None = None, key: str | None = None
    ) -> SweepView:
        """Create a sweep; the same `key` (Idempotency-Key) answers the same sweep."""
        body = CreateWildSweep(name=name, goal=goal, chat_session_id=session or self.session)
        return view(SweepView, self._create("/sweeps/wild", body, key=key))

    def declare_sweep(self, body: DeclareSweep, *, key: str | None = None) -> SweepView:
        """Create a sweep of exactly the points that `body` declares (P2.2).

        Without a session of its own the body belongs to this client's.
        """
        session = body.chat_session_id or self.session
        return view(
            SweepView, self._create("/sweeps", replace(body, chat_session_id=session), key=key)
        )

    def preview_sweep(self, body: DeclareSweep) -> PlanPreview:
        """What `declare_sweep` would make of the same body; nothing is created."""
        return view(PlanPreview, self._caller.post("/sweeps/preview", body))

    def edit_sweep(self, sweep_id: str, **changes: Any) -> SweepView:
        """Change fields of `UpdateSweep`; the space only while there are no runs.

        Raises `ConflictError` afterwards (P3.4).
        """
        return view(
            SweepView, self._caller.post(path_of("sweeps", sweep_id), changes, method="PUT")
        )

    def start_sweep(self, sweep_id: str, *, parallel: int | None = None) -> SweepMoved:
        """Start all its runs, at most `parallel` at a time, to completion; a draft's, too."""
        return self._move(sweep_id, "start", parallel)

    def stop_sweep(self, sweep_id: str) -> SweepMoved:
        """End what is queued or running; harmless when it is stopped already."""
        return self._move(sweep_id, "stop")

    def resume_sweep(self, sweep_id: str, *, parallel: int | None = None) -> SweepMoved:
        """Execute what is missing, failed, was lost or was stopped."""
        return self._move(sweep_id, "resume", parallel)

    def archive_sweep(self, sweep_id: str) -> SweepMoved:
        """Take it out of the ordinary lists; nothing is deleted."""
        return self._move(sweep_id, "archive")

    def unarchive_sweep(self, sweep_id: str) -> SweepMoved:
        """Put it back into the ordinary lists."""
        return self._move(sweep_id, "unarchive")

    def sweeps(
        self, *, session: str | None = None, archived: bool = False, limit: int | None = None
    ) -> Iterator[SweepView]:
        """Sweeps, newest first; fetched page by page as they are asked for."""
        query = {"chat_session_id": session, "archived": "only" if archived else None}
        for item in self._pages("/sweeps", query, limit):
            yield view(SweepView, item)

    def sweep(self, sweep_id: str, *, wait: float = 0) -> SweepView:
        """One sweep; with `wait` (seconds, at most 55) once its status changes."""
        return view(SweepView, self._caller.get(path_of("sweeps", sweep_id), wait_seconds=wait))

    def wait_sweep(self, sweep_id: str, *, timeout_seconds: float | None = None) -> SweepView:
        """The sweep once every run has ended, or as it is when the time is up."""
        return wait_until(
            lambda seen: seen.status in SWEEP_ENDS,
            lambda wait: self.sweep(sweep_id, wait=wait),
            timeout_seconds=timeout_seconds,
            clock=self._caller.clock,
        )

    def _move(self, sweep_id: str, verb: str, parallel: int | None = None) -> SweepMoved:
        """One of the calls that are harmless when repeated."""
        query = "" if parallel is None else f"?parallel={int(parallel)}"
        return view(SweepMoved, self._caller.post(path_of("sweeps", sweep_id, verb) + query))
