"""`tally run`: register, start, follow and stop runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output, showing
from tallystick.cli.following import Following, queue_words

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.views import RunView

app = typer.Typer(no_args_is_help=True, help="Runs: every trial is one.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, whole.")]
RunIds = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs, whole.")]


@app.command(
    context_settings=options.TAKES_A_COMMAND,
    epilog=options.examples(
        "tally run create --sweep swp_0123456789ab -- python train.py --lr 1e-2 --seed 1",
        "tally run create --name baseline --param lr=1e-2 --no-start -- 'python a.py | tee log'",
        "tally run create --gpus 2 --timeout 3600 --retries 1 -- python train.py",
    ),
)
def create(
    command: options.Words = None,
    *,
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", help="Its sweep. [default: the session's own scratch sweep]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What people see. [default: the command]")
    ] = None,
    workdir: Annotated[
        str | None, typer.Option("--workdir", help="Where it runs. [default: here]")
    ] = None,
    env: options.Environment = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="Its configuration, for tables."),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Queue it at once, or leave it ready.")
    ] = True,
    cpus: options.Cpus = None,
    gpus: options.Gpus = None,
    gpu_memory: options.GpuMemory = None,
    memory: options.Memory = None,
    priority: options.Priority = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    retry_on: options.RetryOn = None,
    retry_delay: options.RetryDelay = None,
    tag: options.Tags = None,
    depends_on: options.DependsOn = None,
    session: options.Session = None,
    as_json: options.Json = False,
) -> None:
    """Register one trial, and queue it."""
    from tallystick.cli.registration import Registration, register

    said = Registration(
        words=tuple(command or ()),
        sweep=sweep,
        name=name,
        workdir=workdir,
        env=tuple(env or ()),
        params=tuple(param or ()),
        start=start,
        asked={
            **options.asked_of(
                cpus=cpus,
                gpus=gpus,
                gpu_memory=gpu_memory,
                memory=memory,
                priority=priority,
                timeout=timeout,
                retries=retries,
                retry_on=retry_on,
                retry_delay=retry_delay,
            ),
            "tags": tag or [],
            "depends_on": depends_on or [],
        },
    )
    with options.creating(session) as client:
        run = register(client, said)
        output.warn(run.warnings)
        if as_json:
            output.emit(run)
            return
        output.say(run.id)
        words = f"{queue_words(run)} in sweep {run.sweep_id}"
        output.note(output.plain(f"{words}; follow it with: tally run logs -f {run.id}"))


@app.command(
    "list",
    epilog=options.examples(
        "tally run list",
        "tally run list --status failed --json",
        "tally run list --filter 'param.lr>=1e-3 metric.val/loss<0.2' --sort metric.val/loss",
    ),
)
def list_runs(
    *,
    sweep: Annotated[str | None, typer.Option("--sweep", help="Of this sweep only.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Of this conversation only.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", help="ready, queued, launching, running, finished, failed or stopped."
        ),
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones instead.")] = False,
    chosen: options.Filter = None,
    sort: options.Sort = None,
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """List runs, newest first unless --sort says otherwise."""
    client = options.client_for()
    found = client.runs(
        sweep=sweep,
        session=session,
        status=status,
        archived=archived,
        filter=chosen,
        sort=sort,
        limit=limit,
    )
    runs = list(found)
    if as_json:
        output.emit(runs)
        return
    showing.show_runs(runs)


@app.command(
    epilog=options.examples(
        "tally run table --filter 'sweep:swp_0123456789ab' --out results.csv",
        "tally run table -f 'status:finished' --columns id,param.*,min.val/loss --out best.parquet",
    ),
)
def table(
    *,
    chosen: options.Filter = None,
    sort: options.Sort = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns", metavar="NAMES", help="As in: id,status,param.*,metric.loss,min.loss."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .csv, .json or .parquet file.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="At most so many rows.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Print runs with their parameters and metrics as CSV, or write them to a file.

    Metrics are last values; min. and max. are the least and the greatest. Times are Unix seconds.
    """
    from tallystick.cli import table_files

    if out is not None:
        table_files.check(out)
    names = None if columns is None else columns.split(",")
    found = options.client_for().run_table(chosen, columns=names, sort=sort, limit=limit)
    rows = max(map(len, found.values()), default=0)
    if out is not None:
        table_files.write(out, found)
        output.note(f"{rows} runs, {len(found)} columns: {out}")
    elif as_json:
        output.emit(table_files.as_json(found))
    else:
        sys.stdout.write(table_files.csv_text(found))


@app.command(
    epilog=options.examples(
        "tally run annotate run_0123456789ab --tag best --star",
        "tally run annotate run_0123456789ab --note 'the loss spikes at step 900'",
    ),
)
def annotate(
    run_ids: RunIds,
    *,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag that they should have; repeatable.")
    ] = None,
    untag: Annotated[
        list[str] | None, typer.Option("--untag", help="One that they should not have.")
    ] = None,
    star: Annotated[bool | None, typer.Option("--star/--no-star", help="A star, or none.")] = None,
    note: Annotated[
        str | None, typer.Option("--note", help="In place of the note before; '' for none.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Tag, star or note runs, at any time; who did, and when, is in the ledger."""
    output.require_change(tag or None, untag or None, star, note)
    client = options.client_for()
    runs = [
        client.annotate_run(
            run_id, add_tags=tag or (), remove_tags=untag or (), starred=star, note=note
        )
        for run_id in run_ids
    ]
    _each(runs, as_json=as_json)


@app.command(epilog=options.examples("tally run show run_0123456789ab"))
def show(run_id: RunId, as_json: options.Json = False) -> None:
    """Everything that is known about one run."""
    run = options.client_for().run(run_id)
    if as_json:
        output.emit(run)
        return
    showing.show_run(run)


@app.command(
    epilog=options.examples(
        "tally run logs -f run_0123456789ab", "tally run logs --attempt 1 run_0123456789ab"
    ),
)
def logs(
    run_id: RunId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=1, help="Only the last so many bytes.")
    ] = None,
    attempt: Annotated[
        str | None,
        typer.Option("--attempt", help="Its number or id. [default: the newest]"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Print what a run wrote, byte for byte; each attempt has its own output.

    With -f the newest attempt is followed, and those that come after it.
    """
    client = options.client_for()
    if as_json:
        output.emit(client.logs(run_id, offset=-tail if tail else 0, attempt=attempt))
        return
    start = 0
    if tail:
        start = client.logs(run_id, offset=-tail, limit=1, attempt=attempt).offset
    if follow and attempt is None:
        newest = max(1, client.run(run_id).attempts)
        Following(client, run_id, attempt=newest, offset=start).copy()
        return
    for chunk in client.follow_logs(run_id, offset=start, until_end=follow, attempt=attempt):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


@app.command(epilog=options.examples("tally run start run_0123456789ab"))
def start(run_ids: RunIds, as_json: options.Json = False) -> None:
    """Let the queue start ready runs."""
    client = options.client_for()
    _each([client.start_run(run_id) for run_id in run_ids], as_json=as_json)


@app.command(epilog=options.examples("tally run stop run_0123456789ab", "tally run stop --wait …"))
def stop(
    run_ids: RunIds,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return once every process of them is dead.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Stop runs, whatever they are doing; repeating it is harmless."""
    client = options.client_for()
    runs = [client.stop_run(run_id) for run_id in run_ids]
    if wait:
        runs = [client.wait_run(run.id) for run in runs]
    _each(runs, as_json=as_json)


@app.command(
    epilog=options.examples(
        "tally run wait run_0123456789ab", "tally run wait --timeout 600 run_0123456789ab"
    ),
)
def wait(
    run_ids: RunIds,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds, then give up waiting.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Wait until runs have ended; exit code 1 unless every one of them succeeded."""
    client = options.client_for()
    runs = _wait_all(client, run_ids, timeout)
    _each(runs, as_json=as_json)
    if any(run.outcome != "succeeded" for run in runs):
        raise typer.Exit(output.REFUSED)


def _wait_all(client: "Client", run_ids: list[str], timeout: float | None) -> "list[RunView]":
    """Every run once it has ended, or as it is when the one time-out is up."""
    import time
    from functools import partial

    from tallystick.cli.waiting import wait_shown
    from tallystick.client.runs import RUN_ENDS

    deadline = None if timeout is None else time.monotonic() + timeout
    runs = []
    for run_id in run_ids:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        run = wait_shown(
            partial(_look, client, run_id),
            lambda seen: seen.status in RUN_ENDS,
            lambda seen: f"{seen.name}: {queue_words(seen)}",
            timeout_seconds=left,
        )
        runs.append(run)
    return runs


def _look(client: "Client", run_id: str, wait_seconds: float) -> "RunView":
    """One look at a run, which may wait."""
    return client.run(run_id, wait=wait_seconds)


@app.command(
    epilog=options.examples(
        "tally run rerun run_0123456789ab", "tally run rerun --timeout 7200 run_0123456789ab"
    ),
)
def rerun(
    run_id: RunId,
    *,
    command: Annotated[
        str | None, typer.Option("--command", help="A shell line instead of the old one.")
    ] = None,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Queue it at once, or leave it ready.")
    ] = True,
    cpus: options.Cpus = None,
    gpus: options.Gpus = None,
    gpu_memory: options.GpuMemory = None,
    memory: options.Memory = None,
    priority: options.Priority = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    retry_on: options.RetryOn = None,
    retry_delay: options.RetryDelay = None,
    session: options.Session = None,
    as_json: options.Json = False,
) -> None:
    """Register a run again, as a new one that names the old one as its parent.

    It asks for what the old one asked for, but for what is named here.
    """
    asked = options.asked_of(
        cpus=cpus,
        gpus=gpus,
        gpu_memory=gpu_memory,
        memory=memory,
        priority=priority,
        timeout=timeout,
        retries=retries,
        retry_on=retry_on,
        retry_delay=retry_delay,
    )
    with options.creating(session) as client:
        run = client.rerun_run(run_id, command=command, auto_start=start, **asked)
        output.warn(run.warnings)
        _each([run], as_json=as_json)


@app.command(
    epilog=options.examples(
        "tally run edit run_0123456789ab --name baseline --gpus 2",
        "tally run edit run_0123456789ab --command 'python train.py --lr 3e-3'",
    ),
)
def edit(
    run_id: RunId,
    *,
    name: Annotated[str | None, typer.Option("--name", help="What people see.")] = None,
    command: Annotated[
        str | None, typer.Option("--command", help="A shell line instead of the old one.")
    ] = None,
    workdir: Annotated[
        str | None, typer.Option("--workdir", help="Where it runs instead; relative to here.")
    ] = None,
    cpus: options.Cpus = None,
    gpus: options.Gpus = None,
    gpu_memory: options.GpuMemory = None,
    memory: options.Memory = None,
    priority: options.Priority = None,
    timeout: options.Timeout = None,
    retries: options.Retries = None,
    retry_on: options.RetryOn = None,
    retry_delay: options.RetryDelay = None,
    as_json: options.Json = False,
) -> None:
    """Change a run before its start; what is left out stays."""
    from tallystick.cli.registration import directory_of

    asked = options.asked_of(
        cpus=cpus,
        gpus=gpus,
        gpu_memory=gpu_memory,
        memory=memory,
        priority=priority,
        timeout=timeout,
        retries=retries,
        retry_on=retry_on,
        retry_delay=retry_delay,
    )
    output.require_change(name, command, workdir, *asked.values())
    run = options.client_for().edit_run(
        run_id,
        name=name,
        command=command,
        workdir=None if workdir is None else directory_of(workdir),
        **asked,
    )
    output.warn(run.warnings)
    if as_json:
        output.emit(run)
        return
    showing.show_run(run)


@app.command(epilog=options.examples("tally run move run_0123456789ab --sweep swp_0123456789ab"))
def move(
    run_ids: RunIds,
    sweep: Annotated[str, typer.Option("--sweep", help="Id of the sweep, whole.")],
    as_json: options.Json = False,
) -> None:
    """Put runs that are ready or have ended into another sweep."""
    client = options.client_for()
    _each([client.move_run(run_id, sweep) for run_id in run_ids], as_json=as_json)


@app.command(epilog=options.examples("tally run archive run_0123456789ab"))
def archive(run_ids: RunIds, as_json: options.Json = False) -> None:
    """Take runs out of the ordinary lists; nothing is deleted."""
    client = options.client_for()
    _each([client.archive_run(run_id) for run_id in run_ids], as_json=as_json)


@app.command(epilog=options.examples("tally run unarchive run_0123456789ab"))
def unarchive(run_ids: RunIds, as_json: options.Json = False) -> None:
    """Put archived runs back into the ordinary lists."""
    client = options.client_for()
    _each([client.unarchive_run(run_id) for run_id in run_ids], as_json=as_json)


def _each(runs: "list[RunView]", *, as_json: bool) -> None:
    """What became of the runs of a command."""
    if as_json:
        output.emit(runs)
    else:
        showing.show_runs(runs)
