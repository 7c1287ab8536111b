"""What a session or a sweep may use: set by people, warned of at 80 %, kept at 100 %."""

from dataclasses import dataclass, replace
from typing import Final

from tallystick.domain.commands import ReportBudget, SetBudget
from tallystick.domain.events import Fact, Record
from tallystick.domain.ids import PEOPLE, Actor, SessionId
from tallystick.domain.signal_events import BudgetReached, BudgetSet, BudgetWarned
from tallystick.errors import ForbiddenError, InvalidError, PolicyError

WARN_AT: Final = 0.8
KINDS: Final = ("runs", "gpu", "wall")
ACTIONS: Final = ("refuse", "stop")
SESSION_SCOPE: Final = "session:"
"""Before a session's id; a sweep's id stands for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of one scope, and which of them were warned of or reached since they were set."""

    id: str
    """The scope: a sweep's id, or `session:` and a session's."""
    runs: int | None = None
    gpu_ms: int | None = None
    wall_ms: int | None = None
    action: str = "refuse"
    warned: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    set_at: int = 0

    @property
    def unlimited(self) -> bool:
        """Whether nobody has set anything, or everything was taken back."""
        return self.runs is None and self.gpu_ms is None and self.wall_ms is None

    def limit(self, kind: str) -> int | None:
        """The limit of one kind, in its own unit."""
        return {"runs": self.runs, "gpu": self.gpu_ms, "wall": self.wall_ms}[kind]


def scope_of(session: SessionId) -> str:
    """The scope of a session."""
    return f"{SESSION_SCOPE}{session}"


def stream_of(scope: str) -> str:
    """The stream of a budget's entries."""
    return f"budget:{scope}"


def scope_in(stream: str) -> str:
    """The scope that a stream is about."""
    return stream.removeprefix("budget:")


def session_in(scope: str) -> SessionId | None:
    """The session that a scope names, if it names one."""
    named = scope.startswith(SESSION_SCOPE)
    return SessionId(scope.removeprefix(SESSION_SCOPE)) if named else None


def decide_set(
    state: Budget, command: SetBudget, *, by: Actor, session: SessionId | None
) -> list[Fact]:
    """Only people set budgets; raises `ForbiddenError` and `InvalidError`."""
    if by.role not in PEOPLE:
        raise ForbiddenError(
            f"budgets are set by people; this token's role is {by.role}",
            code="people_only",
            hint="ask the researcher to set it with their own token",
        )
    action = command.action or state.action
    if action not in ACTIONS:
        raise InvalidError(
            f"action: expected refuse or stop; found {action[:40]!r}", code="body_invalid"
        )
    kinds = ("runs", "gpu_ms", "wall_ms")
    wanted = [getattr(state if kind in command.kept else command, kind) for kind in kinds]
    if any(limit is not None and limit < 0 for limit in wanted):
        raise InvalidError("a budget is 0 or more", code="body_invalid")
    unchanged = wanted == [state.runs, state.gpu_ms, state.wall_ms]
    if unchanged and (state.unlimited or state.action == action):
        return []
    runs, gpu_ms, wall_ms = wanted
    event = BudgetSet(runs=runs, gpu_ms=gpu_ms, wall_ms=wall_ms, action=action)
    return [Fact(stream_of(command.scope), event, session)]


def decide_report(state: Budget, command: ReportBudget, *, session: SessionId | None) -> list[Fact]:
    """What is used was compared with the limit; each mark is passed once."""
    limit = state.limit(command.kind)
    if limit is None or command.kind in state.reached or command.limit not in {None, limit}:
        return []
    if command.reached:
        return [Fact(stream_of(state.id), BudgetReached(kind=command.kind), session)]
    if command.kind in state.warned:
        return []
    return [Fact(stream_of(state.id), BudgetWarned(kind=command.kind), session)]


def passing(state: Budget, runs: int, more: int, *, session: SessionId) -> list[Fact]:
    """What `more` runs beside the `runs` that exist do to the budget.

    Raises `PolicyError` (budget_exceeded) when there is no room for them, or when a limit of
    another kind has been reached.
    """
    if state.unlimited:
        return []
    spent = next((kind for kind in state.reached if kind != "runs"), None)
    over = state.runs is not None and runs + more > state.runs
    if spent is not None or over:
        raise PolicyError(
            _said(state, spent, runs, more),
            code="budget_exceeded",
            hint="only a person can raise a budget: report what was found, and ask",
            next_actions=(f"GET /budgets/{state.id} says what is used",),
            violations=["budget_exceeded"],
        )
    warned = state.runs is not None and runs + more >= WARN_AT * state.runs
    if not warned or "runs" in state.warned:
        return []
    return [Fact(stream_of(state.id), BudgetWarned(kind="runs"), session)]


def _said(state: Budget, spent: str | None, runs: int, more: int) -> str:
    """Which budget is used up, in words."""
    whose = "this session" if session_in(state.id) is not None else f"sweep {state.id}"
    if spent is not None:
        what = "GPU time" if spent == "gpu" else "wall-clock time"
        return f"the budget of {what} of {whose} is used up"
    left = max(0, (state.runs or 0) - runs)
    if left and more > left:
        return f"the budget of {state.runs} runs of {whose} has room for {left}; found {more} more"
    return f"the budget of {state.runs} runs of {whose} is used up: it has {runs}"


def evolve(
    state: Budget, record: Record, event: BudgetSet | BudgetWarned | BudgetReached
) -> Budget:
    """State after an entry; setting forgets what was warned of."""
    if isinstance(event, BudgetSet):
        return Budget(
            id=state.id,
            runs=event.runs,
            gpu_ms=event.gpu_ms,
            wall_ms=event.wall_ms,
            action=event.action,
            set_at=record.ts,
        )
    if isinstance(event, BudgetWarned):
        return replace(state, warned=(*state.warned, event.kind))
    return replace(state, reached=(*state.reached, event.kind))
