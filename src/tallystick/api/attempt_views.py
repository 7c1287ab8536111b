"""Attempts and their texts to the bodies that go out (P3.3, P6.6)."""

from collections.abc import Sequence
from dataclasses import replace

from tallystick.api.views import Material, document_in, git_view, load_texts, optional_seconds
from tallystick.api.views import seconds as seconds_of
from tallystick.db.database import Transaction
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import Text
from tallystick.domain.run import Run, explain
from tallystick.domain.status import Phase, flatten
from tallystick.wire.attempt_views import AttemptView


def texts_of(tx: Transaction, found: Sequence[Attempt]) -> Material:
    """Everything that the views of `found` need, in one question."""
    wanted: list[Text | None] = []
    for attempt in found:
        wanted += [attempt.reason, attempt.git_branch, attempt.git_missing, attempt.context]
    return Material(load_texts(tx, wanted))


def attempt_view(
    run: Run, attempt: Attempt, material: Material, *, run_dir: str, output_bytes: int
) -> AttemptView:
    """One attempt of `run`."""
    context = document_in(material.text(attempt.context)) or {}
    phase = Phase.ACTIVE if attempt.active else Phase.ENDED
    return AttemptView(
        id=attempt.id,
        run_id=run.id,
        number=attempt.number,
        status=flatten(phase, attempt.outcome, started=attempt.started_at is not None),
        outcome=attempt.outcome,
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        reason=_reason(run, attempt, material),
        reason_code=attempt.reason_code,
        supervised=attempt.unsupervised_at is None,
        backend=attempt.backend,
        devices=list(attempt.gpus),
        limit_missing=context.get("limit_missing"),
        assigned_at=seconds_of(attempt.assigned_at),
        submitted_at=optional_seconds(attempt.submitted_at),
        started_at=optional_seconds(attempt.started_at),
        ended_at=optional_seconds(attempt.ended_at),
        output_bytes=output_bytes,
        output_sealed_bytes=attempt.output_bytes,
        output_sha256=attempt.output_sha256,
        run_dir=run_dir,
        host=context.get("host"),
        interpreter=context.get("interpreter"),
        interpreter_version=context.get("interpreter_version"),
        git=git_view(attempt, material),
    )


def _reason(run: Run, attempt: Attempt, material: Material) -> str | None:
    """The rule's words for its end, as they would stand at the run's, then what was seen."""
    as_if_last = replace(
        run,
        phase=Phase.ACTIVE if attempt.active else Phase.ENDED,
        unsupervised=attempt.unsupervised_at is not None,
        reason_code=attempt.reason_code,
        exit_code=attempt.exit_code,
        signal=attempt.signal,
    )
    said, seen = explain(as_if_last), material.text(attempt.reason)
    return f"{said}: {seen}" if said and seen else said or seen
