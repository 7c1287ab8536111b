"""Domain states and their texts to the bodies that go out (P3.3, P6.6).

States are gathered first, then every text they mention in one question, so a page costs the same
number of questions whatever its length. No metric file is read for a list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tallystick.db.database import Transaction
from tallystick.domain import params
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import Text
from tallystick.domain.policy import SESSION_MISSING, SESSION_PLACEHOLDER, SWEEP_MISSING
from tallystick.domain.reasons import NotStarted
from tallystick.domain.run import Run, explain
from tallystick.domain.session import Session
from tallystick.domain.status import Status, Tally
from tallystick.domain.token import Token
from tallystick.ledger.ledger import Ledger
from tallystick.projections import attempts
from tallystick.wire import views as wire
from tallystick.wire.views import Warning as Notice

LONGEST_IN_LIST: Final = 4_096
"""Characters of a command in a list."""

_LARGEST_LOADED: Final = 262_144  # bytes of a text in a list; 1,000 commands may be megabytes each

ERASED: Final = "[erased]"
"""Stands for a text whose payload was erased (P6.6)."""


@dataclass(slots=True)
class Material:
    """What views are made from: texts by commitment, attempts by id."""

    texts: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)

    def text(self, commitment: Text | None) -> str | None:
        """The text behind a commitment."""
        if commitment is None:
            return None
        return "" if commitment.n == 0 else self.texts.get(commitment.c, ERASED)


def of_runs(tx: Transaction, found: Sequence[Run], *, in_list: bool) -> Material:
    """Everything that the views of `found` need."""
    known = [run.attempt for run in found if run.attempt is not None]
    by_id: dict[str, Attempt] = (
        {item.id: item for item in attempts.many(tx, known)} if known else {}
    )
    wanted: list[Text | None] = []
    for run in found:
        wanted += [run.name, run.command, run.workdir, run.reason, run.gpuwrap, run.note]
        if not in_list:
            wanted.append(run.environment)
        attempt = by_id.get(run.attempt) if run.attempt else None
        if attempt is not None:
            wanted += [attempt.git_branch, attempt.git_missing, attempt.context]
    most = _LARGEST_LOADED if in_list else None
    return Material(load_texts(tx, wanted, most=most), by_id)


def load_texts(
    tx: Transaction, wanted: Iterable[Text | None], *, most: int | None = None
) -> dict[str, str]:
    """Texts by commitment, in one question; those longer than `most` bytes are named instead."""
    keys: list[str] = []
    texts: dict[str, str] = {}
    for text in wanted:
        if text is None or text.n == 0:
            continue
        if most is not None and text.n > most:
            texts[text.c] = f"[{text.n} bytes; GET /runs/{{id}} has them]"
        else:
            keys.append(text.c)
    found = Ledger.texts(tx, keys) if keys else {}
    texts.update({c: content.decode("utf-8", "replace") for c, content in found.items()})
    return texts


def run_view(run: Run, material: Material, *, in_list: bool = False, **more: Any) -> wire.RunView:
    """One run; `more` are fields that only some answers have."""
    if run.status is Status.READY:
        more.setdefault("pending_reason", NotStarted(run.id).words(now=run.created_at))
    attempt = material.attempts.get(run.attempt) if run.attempt else None
    command = material.text(run.command) or ""
    cut = in_list and (len(command) > LONGEST_IN_LIST or run.command.n > _LARGEST_LOADED)
    reason = _reason(run, material)
    return wire.RunView(
        id=run.id,
        name=material.text(run.name) or "",
        command=command[:LONGEST_IN_LIST] if cut else command,
        command_truncated=cut,
        workdir=material.text(run.workdir) or "",
        status=run.status,
        outcome=run.outcome,
        exit_code=run.exit_code,
        signal=run.signal,
        reason=reason,
        reason_code=run.reason_code,
        error=reason if run.status is Status.FAILED else None,
        sweep_id=run.sweep,
        chat_session_id=run.session,
        parent_run_id=run.parent,
        origin_alert_id=run.origin_alert,
        gpuwrap_config=document_in(material.text(run.gpuwrap)),
        **_demands(run),
        devices=list(attempt.gpus) if attempt is not None else [],
        point=run.point,
        sweep_params=None if run.point is None else params.decode(run.params),
        params=params.decode(run.params) if run.params else {},
        env=None if in_list else document_in(material.text(run.environment)),
        violations=list(run.violations),
        compliant=not run.violations,
        created_by=run.created_by,
        created_at=seconds(run.created_at),
        queued_at=optional_seconds(run.queued_at),
        launched_at=optional_seconds(run.launched_at),
        started_at=optional_seconds(run.started_at),
        stopped_at=optional_seconds(run.stopped_at),
        ended_at=optional_seconds(run.ended_at),
        starred=run.starred,
        note=material.text(run.note),
        is_archived=run.archived,
        archived_at=optional_seconds(run.archived_at),
        retry_at=optional_seconds(run.not_before),
        attempt=run.attempt,
        attempts=run.attempts,
        git=git_view(attempt, material),
        **_interpreter(attempt, material),
        seq=run.created_seq,
        changed_seq=run.changed_seq,
        **more,
    )


def _demands(run: Run) -> dict[str, Any]:
    """What it asks for, flat, as it was sent."""
    asked = run.demands
    return {
        "cpus": asked.cpus,
        "gpus": asked.gpus,
        "gpu_memory_mb": asked.gpu_memory_mb,
        "memory_mb": asked.memory_mb,
        "priority": asked.priority,
        "timeout_seconds": optional_seconds(asked.timeout_ms),
        "retries": asked.retries,
        "retry_on": list(asked.retry_on),
        "retry_delay_seconds": seconds(asked.backoff_ms),
        "tags": list(run.tags),
        "depends_on": list(run.depends_on),
    }


def _reason(run: Run, material: Material) -> str | None:
    """Why it is where it is: the rule's words, then what was seen."""
    said, seen = explain(run), material.text(run.reason)
    return f"{said}: {seen}" if said and seen else said or seen


def document_in(text: str | None) -> dict[str, Any] | None:
    """The JSON object that a text holds; None when it was erased, or holds none any more."""
    if text is None or text == ERASED:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:  # a secret that was cut out may have taken a quote along
        return None
    return found if isinstance(found, dict) else None


def git_view(attempt: Attempt | None, material: Material) -> wire.GitView | None:
    """What an attempt ran from; None where that is not known, or not asked for."""
    if attempt is None or (attempt.git_head is None and attempt.git_missing is None):
        return None
    return wire.GitView(
        head=attempt.git_head,
        branch=material.text(attempt.git_branch),
        tree=attempt.git_tree,
        missing=material.text(attempt.git_missing),
    )


def _interpreter(attempt: Attempt | None, material: Material) -> dict[str, Any]:
    context = document_in(material.text(attempt.context)) if attempt is not None else None
    if context is None:
        return {}
    keys = ("interpreter", "interpreter_version", "limit_missing")
    return {key: context.get(key) for key in keys}


def progress(tally: Tally) -> wire.Progress:
    """Counters under the names that agents read."""
    return wire.Progress(
        total=tally.total,
        completed=tally.finished,
        failed=tally.failed,
        running=tally.running,
        launching=tally.launching,
        ready=tally.ready,
        queued=tally.queued,
        canceled=tally.stopped,
    )


def session_view(session: Session) -> wire.SessionView:
    """One session."""
    return wire.SessionView(
        id=session.id,
        opened_at=seconds(session.opened_at),
        last_at=seconds(session.last_at),
        sweeps=session.sweeps,
        runs=progress(session.runs),
        violations=session.violations,
    )


def token_view(token: Token, /, **more: Any) -> wire.TokenView:
    """One token, without its secret."""
    return wire.TokenView(
        id=token.id,
        role=token.role,
        session=token.session,
        run=token.run,
        created_at=seconds(token.created_at),
        expires_at=optional_seconds(token.expires_at),
        revoked_at=optional_seconds(token.revoked_at),
        **more,
    )


def seconds(milliseconds: int) -> float:
    """Unix seconds."""
    return milliseconds / 1000


def optional_seconds(milliseconds: int | None) -> float | None:
    """Unix seconds, or nothing."""
    return None if milliseconds is None else milliseconds / 1000


_SAID: Final[Mapping[str, str]] = {
    SESSION_PLACEHOLDER: (
        "chat_session_id is a variable that nothing expanded, so this is not attributed to your "
        "conversation. A shell expands nothing between single quotes: write the body as "
        '-d "{\\"chat_session_id\\": \\"$CHAT_SESSION_ID\\", ...}", or close the single quotes '
        'around the variable: -d \'{"chat_session_id": "\'"$CHAT_SESSION_ID"\'", ...}\''
    ),
    SESSION_MISSING: (
        "chat_session_id is missing; the policy lets this through, and the record is marked "
        "non-compliant. Send the id of this conversation with every request that creates something"
    ),
    SWEEP_MISSING: (
        "sweep_id is missing; the policy lets this through, and the record is marked "
        "non-compliant. POST /sweeps/wild creates a sweep; send its id with every run"
    ),
}


def notices(violations: Iterable[str]) -> list[Notice]:
    """The warnings that go with marks on a record."""
    return [Notice(code=code, detail=_SAID.get(code, code)) for code in violations]
