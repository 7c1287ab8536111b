"""Calls about the guard: what it decided, what it may let pass, and what a command would do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tallystick.client.caller import TIMEOUT_SECONDS, path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view, views
from tallystick.wire.guard_requests import (
    AcceptPolicy,
    CheckPlan,
    ConvertCommand,
    GrantException,
    SendDecisions,
)
from tallystick.wire.guard_views import (
    ConversionView,
    DecisionsSent,
    DecisionView,
    ExceptionView,
    PlanCheckView,
    ProjectPolicyView,
)

PlanKind = Literal["markdown", "tasks", "shell", "makefile", "notebook"]


class AgentCalls(Calls):
    """Report decisions of the guard, grant exceptions, accept rules, convert and check plans."""

    def send_decisions(
        self,
        decisions: Sequence[Mapping[str, Any]],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> DecisionsSent:
        """Report what a guard spooled, at most 100 at a time; repeating it is harmless.

        Each is recorded or refused by itself; `refused` says which, and why.
        """
        body = SendDecisions(decisions=[dict(one) for one in decisions])
        answer = self._caller.post("/guard/decisions", body, timeout_seconds=timeout_seconds)
        return view(DecisionsSent, answer)  # reported in passing: no time to compare ledgers

    def decisions(
        self, *, session: str | None = None, action: str | None = None, limit: int | None = None
    ) -> Iterator[DecisionView]:
        """What guards did, newest first; fetched page by page as they are asked for."""
        query = {"chat_session_id": session, "action": action}
        for item in self._pages("/guard/decisions", query, limit):
            yield view(DecisionView, item)

    def decision(self, decision_id: str) -> DecisionView:
        """What a guard did with one command, whole."""
        return view(DecisionView, self._caller.get(path_of("guard", "decisions", decision_id)))

    def grant_exception(
        self,
        command: str,
        *,
        session: str | None = None,
        expires_seconds: int = 900,
        key: str | None = None,
    ) -> ExceptionView:
        """Let one command pass the guard once; people only. Its `note` is what the guard reads."""
        body = GrantException(command=command, session=session, expires_seconds=expires_seconds)
        return view(ExceptionView, self._create("/guard/exceptions", body, key=key))

    def exceptions(self, *, limit: int | None = None) -> Iterator[ExceptionView]:
        """Exceptions that people granted, newest first, used and expired ones among them."""
        for item in self._pages("/guard/exceptions", {}, limit):
            yield view(ExceptionView, item)

    def accept_policy(self, root: str, text: str) -> ProjectPolicyView:
        """Let a project's rules count from now on; people only. Repeating it is harmless."""
        answer = self._caller.post("/policy/projects", AcceptPolicy(root=root, text=text))
        self._guard.saw(answer)
        return view(ProjectPolicyView, answer)

    def project_policies(self) -> list[ProjectPolicyView]:
        """The rules that were accepted, one for each project, newest first."""
        return views(ProjectPolicyView, list(self._pages("/policy/projects", {}, None)))

    def convert(
        self,
        command: str,
        *,
        workdir: str | None = None,
        session: str | None = None,
        sweep: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> ConversionView:
        """What a command would do, and the calls that do it on the record; nothing is started."""
        body = ConvertCommand(
            command=command,
            workdir=workdir,
            chat_session_id=session,
            sweep_id=sweep,
            files=dict(files or {}),
        )
        return view(ConversionView, self._caller.post("/convert", body))

    def check_plan(
        self, text: str, *, kind: PlanKind | None = None, name: str = ""
    ) -> PlanCheckView:
        """What in a plan starts experiments beside the record; nothing is recorded."""
        body = CheckPlan(text=text, kind=kind, name=name)
        return view(PlanCheckView, self._caller.post("/plans/check", body))
