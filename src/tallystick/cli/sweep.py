"""`tally sweep`: containers for related runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output, showing

if TYPE_CHECKING:
    from tallystick.wire.sweep_views import SweepMoved

app = typer.Typer(no_args_is_help=True, help="Sweeps: containers for related runs, with a goal.")

SweepId = Annotated[str, typer.Argument(metavar="SWEEP", help="Id of the sweep, whole.")]


@app.command(
    epilog=options.examples(
        "tally sweep create mnist-mlp-grid --goal 'which learning rate?'",
        "tally sweep create lr --command 'python train.py' --param lr=0.1,0.01 --seeds 3 --start",
        "tally sweep create bs --command 'python train.py --bs {bs} --wd {wd}' \\\n"
        "      --param bs=32:128:32 --param wd=log:1e-5:1e-1:5 --dry-run",
        "tally sweep create rs --command 'python train.py' --param lr=log:1e-5:1e-1 --random 50",
        "tally sweep create pts --command 'python train.py' --points points.jsonl --parallel 4",
    ),
)
def create(
    words: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="What people see.")
    ] = None,
    *,
    name: Annotated[str | None, typer.Option("--name", help="The same, as an option.")] = None,
    goal: Annotated[str, typer.Option("--goal", help="What its runs are to find out.")] = "",
    command: Annotated[
        str | None,
        typer.Option(
            "--command", "-c", help="What every run executes; declares a space. Else it is empty."
        ),
    ] = None,
    param: options.Params = None,
    seeds: options.Seeds = None,
    random: options.Random = None,
    seed: options.Seed = None,
    points: options.Points = None,
    max_runs: options.MaxRuns = None,
    placement: options.Placement = None,
    parallel: Annotated[
        int | None, typer.Option("--parallel", min=1, help="Runs of it at a time.")
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Start its runs at once.")] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Register nothing until it is started.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would hold; create nothing.")
    ] = False,
    workdir: Annotated[
        str | None, typer.Option("--workdir", help="Where it runs. [default: here]")
    ] = None,
    env: options.Environment = None,
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
    session: options.Session = None,
    as_json: options.Json = False,
) -> None:
    """Create a sweep and print its id; with --command, of exactly the runs that are declared."""
    from tallystick.cli import declaring

    called = declaring.name_of(words, name)
    if command is None:
        declaring.refuse_without_command(
            param=param, seeds=seeds, random=random, points=points, dry_run=dry_run
        )
        _create_empty(called, goal, session, as_json=as_json)
        return
    body = declaring.body_of(
        declaring.Said(
            name=called,
            goal=goal,
            command=command,
            params=tuple(param or ()),
            seeds=seeds,
            samples=random,
            seed=seed,
            points=points,
            max_runs=max_runs,
            placement=placement,
            parallel=parallel,
            start=start,
            draft=draft,
            workdir=workdir,
            env=tuple(env or ()),
            tags=tuple(tag or ()),
            asked=options.asked_of(
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
        )
    )
    if dry_run:
        declaring.show_preview(options.client_for(session).preview_sweep(body), as_json=as_json)
        return
    with options.creating(session) as client:
        sweep = client.declare_sweep(body)
        output.warn(sweep.warnings)
        if as_json:
            output.emit(sweep)
            return
        output.say(sweep.id)
        output.note(declaring.next_words(sweep, started=start))


def _create_empty(name: str, goal: str, session: str | None, *, as_json: bool) -> None:
    """A sweep whose runs are registered one by one."""
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
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones instead.")] = False,
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """List sweeps, newest first."""
    sweeps = list(options.client_for().sweeps(session=session, archived=archived, limit=limit))
    if as_json:
        output.emit(sweeps)
        return
    now = output.now_seconds()
    output.table(
        ("ID", "NAME", "STATUS", ">RUNS", "PROGRESS", "CREATED", "GOAL", "REASON"),
        (
            (
                sweep.id,
                sweep.name,
                sweep.status,
                str(sweep.progress.total),
                output.progress_words(sweep.progress),
                output.ago(sweep.created_at, now=now),
                sweep.goal or "",
                sweep.reason or "",
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
    showing.show_sweep(sweep)
    output.say()
    showing.show_runs(list(client.runs(sweep=sweep_id, limit=100)))
    if sweep.progress.total > 100:
        output.note(f"the newest 100 of {sweep.progress.total} runs")


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
        output.note(f"{idle} ready and not queued; start with: tally sweep start {sweep_id}")
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


Parallel = Annotated[
    int | None,
    typer.Option("--parallel", min=1, help="Runs of it at a time. [default: what has room]"),
]


@app.command(
    epilog=options.examples(
        "tally sweep start swp_0123456789ab", "tally sweep start --parallel 4 swp_0123456789ab"
    ),
)
def start(sweep_id: SweepId, parallel: Parallel = None, as_json: options.Json = False) -> None:
    """Start every run of it, to completion; a draft's runs are registered first."""
    _moved(options.client_for().start_sweep(sweep_id, parallel=parallel), as_json=as_json)


@app.command(epilog=options.examples("tally sweep stop swp_0123456789ab"))
def stop(sweep_id: SweepId, as_json: options.Json = False) -> None:
    """End what is queued or running, and register nothing more."""
    _moved(options.client_for().stop_sweep(sweep_id), as_json=as_json)


@app.command(epilog=options.examples("tally sweep resume swp_0123456789ab"))
def resume(sweep_id: SweepId, parallel: Parallel = None, as_json: options.Json = False) -> None:
    """Execute what is missing, failed, was lost or was stopped; the rest is left alone."""
    _moved(options.client_for().resume_sweep(sweep_id, parallel=parallel), as_json=as_json)


@app.command(epilog=options.examples("tally sweep archive swp_0123456789ab"))
def archive(sweep_id: SweepId, as_json: options.Json = False) -> None:
    """Take it out of the ordinary lists; nothing is deleted."""
    _moved(options.client_for().archive_sweep(sweep_id), as_json=as_json)


@app.command(epilog=options.examples("tally sweep unarchive swp_0123456789ab"))
def unarchive(sweep_id: SweepId, as_json: options.Json = False) -> None:
    """Put it back into the ordinary lists."""
    _moved(options.client_for().unarchive_sweep(sweep_id), as_json=as_json)


def _moved(moved: "SweepMoved", *, as_json: bool) -> None:
    """What a call did."""
    output.warn(moved.warnings)
    if as_json:
        output.emit(moved)
        return
    output.say(f"{moved.message}: {moved.sweep_id}")
    if moved.sweep.reason:
        output.note(moved.sweep.reason)


@app.command(
    epilog=options.examples(
        "tally sweep edit swp_0123456789ab --goal 'and with dropout?'",
        "tally sweep edit swp_0123456789ab --param lr=0.1,0.03,0.01 --seeds 3 --gpus 2",
    ),
)
def edit(
    sweep_id: SweepId,
    *,
    name: Annotated[str | None, typer.Option("--name", help="What people see.")] = None,
    goal: Annotated[
        str | None, typer.Option("--goal", help="What its runs are to find out.")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="What every run executes.")
    ] = None,
    param: options.Params = None,
    seeds: options.Seeds = None,
    random: options.Random = None,
    seed: options.Seed = None,
    points: options.Points = None,
    max_runs: options.MaxRuns = None,
    placement: options.Placement = None,
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
    """Change name or goal; command, parameters and resources only while it has no runs.

    --param or --points declares the space anew; what else is left out stays.
    """
    from tallystick.cli import declaring

    changes = {
        "name": name,
        "goal": goal,
        "base_command": command,
        **declaring.space_of(
            params=param or (),
            seeds=seeds,
            samples=random,
            seed=seed,
            points=points,
            max_runs=max_runs,
            placement=placement,
        ),
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
    }
    output.require_change(*changes.values())
    given = {field: value for field, value in changes.items() if value is not None}
    sweep = options.client_for().edit_sweep(sweep_id, **given)
    output.warn(sweep.warnings)
    if as_json:
        output.emit(sweep)
    else:
        showing.show_sweep(sweep)
