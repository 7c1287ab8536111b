"""`tally demo`: a whole audited grid search in one command.

Starts a server of its own on a free port, lets an agent (`demo_agent.py`) run twelve trials on it,
shows the results, and verifies the ledger that they left. However it ends, its runs are stopped and
its server is ended by pid; nothing else on the machine is touched.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import output
from tallystick.cli.ledger import verify_here
from tallystick.client.config import process_environment
from tallystick.errors import NotFoundError, TallystickError, UnavailableError

if TYPE_CHECKING:
    from rich.table import Table

    from tallystick.cli.demo_agent import Agent, Place, Result

EXAMPLE = "mnist_mlp"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
GRID_SECONDS = 600.0
LOOK_SECONDS = 0.25
SHOWN_LOG_LINES = 15


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End with the verdict instead of serving on.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Keep everything there. [default: nowhere]"),
    ] = None,
) -> None:
    """Watch an agent run an audited grid search.

    Twelve runs, a table of results, and a ledger that is verified before your eyes. Exit code 0
    only if every run succeeded and the ledger verifies.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleaned up like Ctrl-C
    try:
        with _directory(data_dir) as base:
            status = _play(base, leave=leave)
    except KeyboardInterrupt:
        output.note("\ninterrupted; the demo's runs and its server are stopped")
        raise typer.Exit(128 + signal.SIGINT) from None
    raise typer.Exit(status)


def _play(base: Path, *, leave: bool) -> int:
    """The demo from the first line to the last; its exit status."""
    from tallystick.cli.demo_agent import SESSION, Agent, grid

    workspace = base / "workspace"
    place = _prepare(workspace)
    output.say("1. A server of its own")
    with _server(base, workspace) as (process, url):
        agent = Agent(url=url, token=(base / "agent.token").read_text().strip())
        output.say(f"   {url}, data in {base}\n")
        try:
            output.say("2. An agent declares a sweep and registers twelve runs")
            agent.create_sweep()
            for trial in grid():
                agent.create_run(trial, place)
            output.say(f"   session {SESSION}, sweep {agent.sweep}\n")
            slots = agent.call("GET", "/wild/v2/system-health")["max_concurrent"]
            output.say(f"3. The queue runs them, {slots} at a time")
            _watch(agent)
            status = _show_results(agent) or _show_verdict(base)
        finally:
            _stop_runs(agent)
        if not leave:
            _serve_on(process, url, base)
    return status


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    """The data directory: the one that was named, or one that is removed in the end."""
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="tally-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    base = data_dir.expanduser().absolute()
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    yield base


def _prepare(workspace: Path) -> "Place":
    """The training script in a directory of its own, and the interpreter that can run it."""
    from tallystick.cli.demo_agent import SCRIPT, Place

    missing = [name for name in ("numpy", "sklearn") if find_spec(name) is None]
    if missing:
        raise NotFoundError(
            f"the demo trains with {' and '.join(missing)}, which this Python does not have",
            code="demo_needs_packages",
            next_actions=("pip install 'tallystick[demo]'",),
        )
    workspace.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_example() / SCRIPT, workspace / SCRIPT)
    folder, name = Path(sys.executable).parent, Path(sys.executable).name
    return Place(
        workspace=workspace,
        python="python" if (folder / "python").exists() else name,
        path=f"{folder}:{process_environment().get('PATH', '/usr/bin:/bin')}",
    )


def _example() -> Path:
    """The example's directory: inside the installed package, else in the repository."""
    package = Path(str(files("tallystick")))
    for candidate in (
        package / "_examples" / EXAMPLE,
        package.parent.parent / "examples" / EXAMPLE,
    ):
        if candidate.is_dir():
            return candidate
    raise NotFoundError(f"the example {EXAMPLE} is not installed", code="example_missing")


@contextmanager
def _server(base: Path, workspace: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A server of its own, from its first answer until the block is left."""
    ready, log = base / "ready.json", base / "server.log"
    ready.unlink(missing_ok=True)
    argv = [sys.executable, "-P", "-m", "tallystick", "up", "--port", "0"]
    for name, value in (("data-dir", base), ("workspace", workspace), ("ready-file", ready)):
        argv += [f"--{name}", str(value)]
    with log.open("ab") as sink:
        # a session of its own: Ctrl-C reaches the demo alone, which then ends things in order
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=_own_environment(),
            start_new_session=True,
        )
    try:
        yield process, _address(process, ready, log)
    finally:
        _end(process)


def _own_environment() -> dict[str, str]:
    """Ours without settings that are meant for another server."""
    environment = process_environment()
    return {name: value for name, value in environment.items() if not name.startswith("TALLY_")}


def _address(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> str:
    """The server's URL once it answers; raises `UnavailableError` with its last words."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return str(json.loads(ready.read_bytes())["url"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    words = "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:])
    raise UnavailableError(f"the demo's server did not start:\n{words}", code="demo_server_failed")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """TERM, patience, KILL; by pid, and nobody else."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _watch(agent: "Agent") -> None:
    """Show the runs until all have ended: a live table at a terminal, a line each elsewhere."""
    from rich.live import Live

    from tallystick.cli.demo_agent import RUN_ENDS

    console = output.console()
    deadline = time.monotonic() + GRID_SECONDS
    told: set[str] = set()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while True:
            runs = agent.runs()
            if live is not None:
                live.update(_progress(runs), refresh=True)
            for run in runs if live is None else []:
                if run["status"] in RUN_ENDS and run["id"] not in told:
                    told.add(run["id"])
                    output.say(f"   {run['id']} {run['status']:<9} {run['name']}")
            if all(run["status"] in RUN_ENDS for run in runs):
                return
            if time.monotonic() > deadline:
                raise UnavailableError("the demo's runs did not end in time", code="demo_timeout")
            time.sleep(LOOK_SECONDS)


def _progress(runs: list[dict[str, Any]]) -> "Table":
    """The runs as they are now."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("   RUN", "NAME", "STATUS", "TOOK"):
        grid.add_column(column, no_wrap=True)
    for run in runs:
        status = run["status"]
        took = output.duration(run.get("started_at"), run.get("ended_at"))
        style = output.STYLE_OF.get(status, "")
        grid.add_row(f"   {run['id']}", run["name"], Text(status, style=style), took)
    return grid


def _show_results(agent: "Agent") -> int:
    """The table of results, the best run marked; an exit status."""
    from tallystick.cli.demo_agent import mean_of_seeds

    results = agent.results()
    output.say("\n4. Results, from what the runs measured")
    output.table(
        ("", "RUN", "LR", ">BATCH", ">SEED", "STATUS", ">VAL LOSS", ">VAL ACC", ">MEAN OF SEEDS"),
        (
            (
                " * " if place == 0 and result.val_accuracy is not None else "   ",
                str(result.run["id"]),
                result.trial.lr,
                result.trial.batch_size,
                result.trial.seed,
                str(result.run["status"]),
                _number(result.val_loss),
                _number(result.val_accuracy),
                _number(mean_of_seeds(result, results)),
            )
            for place, result in enumerate(results)
        ),
        empty="   no runs",
    )
    output.say(f"   * best of {len(results)}\n")
    return _count_failures(results)


def _count_failures(results: "list[Result]") -> int:
    """Say which runs failed or measured nothing; an exit status."""
    bad = [
        result
        for result in results
        if result.run["status"] != "finished" or result.val_accuracy is None
    ]
    for result in bad:
        reason = result.run.get("reason") or "it measured nothing"
        output.note(f"   {result.run['id']} {result.run['status']}: {reason}")
    return output.REFUSED if bad or not results else output.OK


def _number(value: float | None) -> str:
    """Four decimals, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def _show_verdict(base: Path) -> int:
    """What `tally ledger verify` says about it; an exit status."""
    output.say("5. The ledger, verified as `tally ledger verify` does")
    try:
        report = verify_here(str(base), None)
    except TallystickError as error:
        output.complain(error)
        return output.exit_code_of(error)
    output.say("   ok: the ledger verifies")
    output.facts((f"   {name}", value) for name, value in report.items())
    return output.OK


def _stop_runs(agent: "Agent") -> None:
    """Nothing of the demo goes on after it; a server that is gone already is no trouble."""
    if not agent.trials:
        return
    from tallystick.cli.demo_agent import RUN_ENDS

    try:
        agent.stop_all()
        deadline = time.monotonic() + STOP_SECONDS
        while any(run["status"] not in RUN_ENDS for run in agent.runs()):
            if time.monotonic() > deadline:
                return
            time.sleep(LOOK_SECONDS)
    except TallystickError as error:
        output.note(f"   the demo's runs could not be stopped: {error.detail}")


def _serve_on(process: "subprocess.Popen[bytes]", url: str, base: Path) -> None:
    """Say where to look, and keep the server until Ctrl-C."""
    output.say(f"\n6. Open {url}/ in a browser, or in another terminal:")
    output.say(f"   TALLY_DATA_DIR={base} tally run list")
    output.say("   Ctrl-C ends the demo")
    try:
        process.wait()
    except KeyboardInterrupt:
        output.note("\ndemo ended; its server is stopped")
