"""Looking things up by id; a refusal says where to find the right one."""

from tallystick.db.database import Transaction
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import ID_PATTERN
from tallystick.domain.policy import MAX_SESSION_LENGTH, is_placeholder
from tallystick.domain.run import Run
from tallystick.domain.session import Session
from tallystick.domain.sweep import Sweep
from tallystick.errors import NotFoundError
from tallystick.projections import attempts, runs, sessions, sweeps


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` can be an id of that kind (P3.1)."""
    return text.startswith(f"{prefix}_") and ID_PATTERN.fullmatch(text) is not None


def run_missing(run: str) -> NotFoundError:
    """There is no such run."""
    return NotFoundError(
        f"Run not found: {run[:80]}",
        code="run_not_found",
        hint=_unexpanded(run),
        next_actions=("GET /runs lists the runs there are",),
    )


def sweep_missing(sweep: str) -> NotFoundError:
    """There is no such sweep."""
    return NotFoundError(
        f"Sweep not found: {sweep[:80]}",
        code="sweep_not_found",
        hint=_unexpanded(sweep),
        next_actions=(
            "GET /sweeps lists the sweeps there are",
            'POST /sweeps/wild with {"name": "...", "chat_session_id": "..."} creates one',
        ),
    )


def _unexpanded(text: str) -> str | None:
    if not is_placeholder(text):
        return None
    return "this is a variable that nothing expanded; a shell expands it in double quotes only"


def find_run(tx: Transaction, run: str) -> Run:
    """A run that exists; raises `NotFoundError`."""
    found = runs.get(tx, run) if is_id(run, "run") else None
    if found is None:
        raise run_missing(run)
    return found


def find_attempt(tx: Transaction, run: Run, key: str | None) -> Attempt | None:
    """An attempt of `run` by id or number, the newest without `key`; None before the first.

    Raises `NotFoundError` for a key that no attempt of this run has.
    """
    if key is None:
        return None if run.attempt is None else attempts.get(tx, run.attempt)
    found = None
    if key.isascii() and key.isdigit() and len(key) < 10:
        found = attempts.numbered(tx, run.id, int(key))
    elif is_id(key, "att"):
        found = attempts.get(tx, key)
    if found is None or found.run != run.id:
        raise NotFoundError(
            f"Attempt not found: expected an id or a number from 1 to {run.attempts} of "
            f"{run.id}; found {key[:80]!r}",
            code="attempt_not_found",
            next_actions=(f"GET /runs/{run.id}/attempts lists them",),
        )
    return found


def find_sweep(tx: Transaction, sweep: str) -> Sweep:
    """A sweep that exists; raises `NotFoundError`."""
    found = sweeps.get(tx, sweep) if is_id(sweep, "swp") else None
    if found is None:
        raise sweep_missing(sweep)
    return found


def find_session(tx: Transaction, key: str) -> Session:
    """A session that exists; raises `NotFoundError`."""
    usable = len(key) <= MAX_SESSION_LENGTH and key.isprintable()
    found = sessions.get(tx, key) if usable else None
    if found is None:
        raise NotFoundError(
            f"Session not found: {key[:80]}",
            code="session_not_found",
            hint=_unexpanded(key),
            next_actions=("GET /sessions lists the sessions there are",),
        )
    return found
