"""`tally attempt`: the executions of a run, each with a record and output of its own."""

from typing import Annotated

import typer

from tallystick.cli import options, output

app = typer.Typer(no_args_is_help=True, help="Attempts: every execution of a run; retries too.")


@app.callback()
def _noun() -> None:
    """Attempts: every execution of a run; retries too."""


@app.command("list", epilog=options.examples("tally attempt list run_0123456789ab"))
def list_attempts(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, whole.")],
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """List the attempts of a run, newest first."""
    attempts = list(options.client_for().attempts(run_id, limit=limit))
    if as_json:
        output.emit(attempts)
        return
    now = output.now_seconds()
    output.table(
        (">NO", "ID", "STATUS", "OUTCOME", ">EXIT", "STARTED", ">TOOK", ">BYTES", "REASON"),
        (
            (
                str(attempt.number),
                attempt.id,
                attempt.status,
                attempt.outcome or "",
                output.exit_words(attempt.exit_code, attempt.signal),
                output.ago(attempt.started_at, now=now),
                output.duration(attempt.started_at, attempt.ended_at, now=now),
                str(attempt.output_bytes),
                "" if attempt.outcome == "succeeded" else attempt.reason or "",
            )
            for attempt in attempts
        ),
        empty="no attempts yet; the queue makes the first one: tally run start RUN",
    )
    for attempt in attempts[:1]:
        if attempt.limit_missing:
            output.note(attempt.limit_missing)
