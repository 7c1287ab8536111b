"""Calls about alerts and events: asking somebody to look, answering, and hearing what happened."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view, views
from tallystick.client.waiting import wait_until
from tallystick.wire.signal_requests import MOST_EVENT_IDS, RaiseAlert, ResolveEvents, RespondAlert
from tallystick.wire.signal_views import AlertAnswered, AlertView, EventView

Action = Literal["continue", "stop", "note"]


class AlertCalls(Calls):
    """Raise and answer alerts; read what happened in a session."""

    def raise_alert(
        self,
        run_id: str,
        message: str,
        choices: Sequence[str | Mapping[str, str]] = ("continue", "stop"),
        *,
        severity: Literal["info", "warning", "critical"] = "warning",
        key: str | None = None,
    ) -> AlertView:
        """Ask somebody to look at a run; the run goes on, whether and whenever they answer.

        A choice is a text, or an object with `label` and `action` (continue, stop or note).
        """
        body = RaiseAlert(message=message, choices=list(choices), severity=severity)
        answer = self._create(path_of("runs", run_id, "alerts"), body, key=key)
        return view(AlertView, answer["alert"])

    def alerts(
        self,
        *,
        run: str | None = None,
        session: str | None = None,
        status: Literal["pending", "resolved"] | None = None,
        limit: int | None = None,
    ) -> Iterator[AlertView]:
        """Alerts, newest first; fetched page by page as they are asked for."""
        query = {"run_id": run, "chat_session_id": session, "status": status}
        for item in self._pages("/alerts", query, limit):
            yield view(AlertView, item)

    def alert(self, alert_id: str, *, run: str | None = None, wait: float = 0) -> AlertView:
        """One alert; with `wait` (seconds, at most 55) once somebody has answered.

        A job names its own `run`: its token opens nothing else.
        """
        path = path_of("alerts", alert_id)
        if run is not None:
            path = path_of("runs", run, "alerts", alert_id)
        return view(AlertView, self._caller.get(path, wait_seconds=wait))

    def wait_alert(
        self, alert_id: str, *, run: str | None = None, timeout_seconds: float | None = None
    ) -> AlertView:
        """The alert once it is answered, or as it is when the time is up."""
        return wait_until(
            lambda seen: seen.status == "resolved",
            lambda wait: self.alert(alert_id, run=run, wait=wait),
            timeout_seconds=timeout_seconds,
            clock=self._caller.clock,
        )

    def respond_alert(
        self,
        alert_id: str,
        choice: str | None = None,
        *,
        action: Action | None = None,
        note: str | None = None,
    ) -> AlertAnswered:
        """Answer it, once; `stop` ends the run. `action` counts more than what a choice says."""
        body = RespondAlert(choice=choice, action=action, note=note)
        answer = self._caller.post(path_of("alerts", alert_id, "respond"), body)
        return view(AlertAnswered, answer)

    def session_events(self, session: str | None = None) -> list[EventView]:
        """What this conversation has not heard yet, oldest first; at most 1,000."""
        path = path_of("wild", "v2", "events", session or self.session)
        return views(EventView, self._caller.get(path, {"limit": 1_000}))

    def resolve_events(self, event_ids: Sequence[str], session: str | None = None) -> int:
        """These were heard, and are not told again; how many were not heard before."""
        path = path_of("wild", "v2", "events", session or self.session, "resolve")
        count = 0
        for start in range(0, len(event_ids), MOST_EVENT_IDS):  # a call takes no more
            part = list(event_ids[start : start + MOST_EVENT_IDS])
            count += int(self._caller.post(path, ResolveEvents(event_ids=part))["resolved"])
        return count
