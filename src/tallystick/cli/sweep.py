"""`tally sweep`: containers for related runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output

if TYPE_CHECKING:
    from tallystick.wire.views import SweepView

app = typer.Typer(no_args_is_help=True, help="Sweeps: containers for related runs, with a goal.")

SweepId = Annotated[str, typer.Argument(metavar="SWEEP", help="Id of the sweep, whole.")]


@app.command(
    epilog=options.examples(
        "tally sweep create --name mnist-mlp-grid --goal 'which learning rate?'",
        'SWEEP=$(tally sweep create --name "try dropout")',
    ),
)
def create(
    name: Annotated[str, typer.Option("--name", help="What people see.")],
    goal: Annotated[str, typer.Option("--goal", help="What its runs are to find out.")] = "",
    session: options.Session = None,
    as_json: options.Json = False,
) -> None:
    """Create a sweep and print its id."""
    with options.creating(session) as client:
        sweep = client.create_sweep(name, goal=goal)
        output.warn(sweep.warnings)
        if as_json:
            output.emit(sweep)
            return
        output.say(sweep.id)
        output.note(f"add runs with: tally run create --sweep {sweep.id} -- COMMAND")


@app.command("list", epilog=options.examples("tally sweep list", "tally sweep list --json"))
def list_sweeps(
    session: Annotated[
        str | None, typer.Option("--session", help="Of this conversation only.")
    ] = None,
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """List sweeps, newest first."""
    sweeps = list(options.client_for().sweeps(session=session, limit=limit))
    if as_json:
        output.emit(sweeps)
        return
    now = output.now_seconds()
    output.table(
        ("ID", "NAME", "STATUS", ">RUNS", "PROGRESS", "CREATED", "GOAL"),
        (
            (
                sweep.id,
                sweep.name,
                sweep.status,
                str(sweep.progress.total),
                output.progress_words(sweep.progress),
                output.ago(sweep.created_at, now=now),
                sweep.goal or "",
            )
            for sweep in sweeps
        ),
        empty="no sweeps; create one with: tally sweep create --name NAME",
    )


@app.command(epilog=options.examples("tally sweep show swp_0123456789ab"))
def show(sweep_id: SweepId, as_json: options.Json = False) -> None:
    """One sweep and its runs."""
    client = options.client_for()
    sweep = client.sweep(sweep_id)
    if as_json:
        output.emit(sweep)
        return
    _show_facts(sweep)
    from tallystick.cli.run import show_runs

    output.say()
    show_runs(list(client.runs(sweep=sweep_id, limit=100)))
    if sweep.progress.total > 100:
        output.note(f"the newest 100 of {sweep.progress.total} runs")


def _show_facts(sweep: "SweepView") -> None:
    """One sweep, a line for each fact."""
    output.facts(
        (
            ("id", sweep.id),
            ("name", sweep.name),
            ("goal", sweep.goal),
            ("status", sweep.status),
            ("progress", output.progress_words(sweep.progress)),
            ("session", sweep.chat_session_id),
            ("not compliant", ", ".join(sweep.violations)),
            ("created", output.moment_of(sweep.created_at)),
            ("started", output.moment_of(sweep.started_at)),
            ("completed", output.moment_of(sweep.completed_at)),
            ("ledger", f"entry {sweep.seq}"),
        )
    )


@app.command(
    epilog=options.examples(
        "tally sweep wait swp_0123456789ab", "tally sweep wait --timeout 3600 swp_0123456789ab"
    ),
)
def wait(
    sweep_id: SweepId,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds, then give up waiting.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Wait until every run has ended; exit code 1 unless all of them succeeded.

    Runs that are only `ready` never end by themselves: they are told, and waited for all the same.
    """
    from tallystick.cli.waiting import wait_shown
    from tallystick.client.sweeps import SWEEP_ENDS

    client = options.client_for()
    idle = client.sweep(sweep_id).progress.ready
    if idle and not as_json:
        output.note(f"{idle} ready and not queued; start with: tally run start RUN...")
    sweep = wait_shown(
        lambda wait_seconds: client.sweep(sweep_id, wait=wait_seconds),
        lambda seen: seen.status in SWEEP_ENDS,
        lambda seen: f"{seen.name}: {output.progress_words(seen.progress)}",
        timeout_seconds=timeout,
    )
    if as_json:
        output.emit(sweep)
    else:
        output.say(f"{sweep.status}: {output.progress_words(sweep.progress)}")
    if sweep.status != "completed" or sweep.progress.canceled:
        raise typer.Exit(output.REFUSED)
