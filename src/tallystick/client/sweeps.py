"""Calls about sweeps: containers for related runs (P2)."""

from collections.abc import Iterator

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.client.waiting import wait_until
from tallystick.wire.requests import CreateWildSweep
from tallystick.wire.views import SweepView

SWEEP_ENDS = frozenset({"completed", "failed", "canceled"})


class SweepCalls(Calls):
    """Create, find and follow sweeps."""

    def create_sweep(
        self, name: str, *, goal: str = "", session: str | None = None, key: str | None = None
    ) -> SweepView:
        """Create a sweep; the same `key` (Idempotency-Key) answers the same sweep."""
        body = CreateWildSweep(name=name, goal=goal, chat_session_id=session or self.session)
        return view(SweepView, self._create("/sweeps/wild", body, key=key))

    def sweeps(
        self, *, session: str | None = None, limit: int | None = None
    ) -> Iterator[SweepView]:
        """Sweeps, newest first; fetched page by page as they are asked for."""
        for item in self._pages("/sweeps", {"chat_session_id": session}, limit):
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
