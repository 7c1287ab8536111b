"""`tally exec`: run a command as a registered run and behave as if it ran here.

The run's output is copied to standard output byte for byte, the exit status is the command's own.
At a terminal Ctrl-C asks whether to stop the run or to leave it running, a second one leaves;
elsewhere Ctrl-C and TERM stop the run. The run outlives this process in every other case.
"""

import signal
import sys
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output
from tallystick.cli.following import Following
from tallystick.errors import UnavailableError

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.views import RunView

SIGNAL_BASE = 128


class InterruptedBySignal(BaseException):
    """Ctrl-C or TERM, at a moment when it may be acted on."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(number)
        self.number = number


class Interrupts:
    """Turns INT and TERM into exceptions once armed; before that they are remembered.

    Registering a run must not be torn in two: whether it exists would then be unknown.
    """

    def __init__(self) -> None:
        """Take over both signals."""
        self._armed = False
        self._waiting: int | None = None
        self._previous = {
            number: signal.signal(number, self._arrived)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _arrived(self, number: int, _frame: types.FrameType | None) -> None:
        """Remember it, or act on it."""
        if not self._armed:
            self._waiting = number
            return
        self._armed = False
        raise InterruptedBySignal(number)

    def arm(self) -> None:
        """From here on a signal raises; one that came earlier raises now."""
        self._armed = True
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._arrived(number, None)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def execute(
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
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            metavar="WORD",
            help="What led to it, kept as a tag; the same origin never makes a second run.",
        ),
    ] = None,
    env_all: Annotated[
        bool,
        typer.Option("--env-all", help="Give the run every variable of yours but tokens."),
    ] = False,
    split: Annotated[
        bool,
        typer.Option("--split", help="Make a loop over fixed values a sweep, a run for each."),
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave once it is registered; it goes on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the run as JSON at the end, and no output.")
    ] = False,
) -> None:
    """Run a command as a registered run: its output, its exit status.

    A command that a signal ended gives 128 + the signal's number, as in a shell. Where the ledger
    is not the one that was seen before, both its notes are printed and the exit status is 4.
    """
    from tallystick.cli.registration import Registration, register
    from tallystick.cli.splitting import register_split

    said = Registration(
        words=tuple(command or ()),
        sweep=sweep,
        name=name,
        workdir=workdir,
        env=tuple(env or ()),
        params=tuple(param or ()),
        origin=origin,
        key=origin,
        env_all=env_all,
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
    with options.creating(session) as client:
        interrupts = Interrupts()
        try:
            runs = register_split(client, said) if split else (register(client, said),)
            _tell(client, runs, quietly=origin is not None)
            status = output.OK
            if detach:
                output.note(_left(runs))
            else:
                status = _attend_all(client, runs, interrupts, as_json=as_json)
        finally:
            interrupts.restore()
        raise typer.Exit(status)


def _tell(client: "Client", runs: "Sequence[RunView]", *, quietly: bool) -> None:
    """What was registered, before any output of it.

    `quietly` leaves out what lint says (`R101`): who typed the command did not ask for a run.
    """
    for warning in (each for run in runs[:1] for each in run.warnings):
        if not (quietly and warning.name):
            output.warn([warning])
    for run in runs:
        output.note(f"{run.id} {run.status} in sweep {run.sweep_id}")
    if client.contradiction:  # told now, not only hours later; the run goes on
        output.complain(client.contradiction)


def _left(runs: "Sequence[RunView]") -> str:
    """How to see the rest, for somebody who does not stay."""
    if len(runs) == 1:
        return f"runs on by itself; see it with: tally run logs -f {runs[0].id}"
    return f"they run on by themselves; see them with: tally sweep wait {runs[0].sweep_id}"


def _attend_all(
    client: "Client", runs: "Sequence[RunView]", interrupts: Interrupts, *, as_json: bool
) -> int:
    """Follow one run after the other; the exit status of the last, as a loop's is.

    Whoever stops one of them stops those that would have come after it, too.
    """
    status = output.OK
    for number, run in enumerate(runs, start=1):
        status, stopped = _attend(client, run, interrupts, as_json=as_json)
        if stopped:
            for later in runs[number:]:
                client.stop_run(later.id)
            break
    return status


def _attend(
    client: "Client", run: "RunView", interrupts: Interrupts, *, as_json: bool
) -> tuple[int, bool]:
    """Follow a run to its end, through one interruption; its exit status, and if it was stopped.

    Raises `typer.Exit` when it is left running.
    """
    following, stopped_by = Following(client, run.id), None
    while True:
        try:
            interrupts.arm()
            ended = client.wait_run(run.id) if as_json else following.copy()
            return _finish(ended, stopped_by, as_json=as_json), stopped_by is not None
        except UnavailableError as error:
            error.hint = "the run goes on without the server and without this command"
            error.next_actions = ("tally up", f"tally run logs -f {run.id}")
            raise
        except InterruptedBySignal as interrupted:
            if stopped_by is not None or not _stops(run.id, interrupts, interrupted.number):
                output.note(f"left; see it with: tally run logs -f {run.id}")
                raise typer.Exit(SIGNAL_BASE + interrupted.number) from None
            stopped_by = interrupted.number
            output.note(f"stopping {run.id}")
            client.stop_run(run.id)


def _stops(run_id: str, interrupts: Interrupts, number: int) -> bool:
    """Whether an interruption stops the run: asked at a terminal, taken as read elsewhere."""
    if number != signal.SIGINT or not output.is_terminal():
        return True
    sys.stderr.write(f"\nstop {run_id}? [y] stops it, anything else leaves it running: ")
    sys.stderr.flush()
    interrupts.arm()
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes", "s", "stop"}
    except InterruptedBySignal:
        sys.stderr.write("\n")
        return False


def _finish(run: "RunView", stopped_by: int | None, *, as_json: bool) -> int:
    """The last words about a run that did not succeed, and its exit status."""
    if as_json:
        output.emit(run)
    if run.outcome != "succeeded":
        # the reason may quote the end of the output, which stands right above
        words = f"exit code {run.exit_code}" if run.exit_code is not None else run.reason
        output.note(output.plain(f"{run.id} {run.status}: {words or run.outcome}"))
    status = exit_status(run)
    return SIGNAL_BASE + stopped_by if stopped_by and status == output.REFUSED else status


def exit_status(run: "RunView") -> int:
    """The command's own exit status, 128 + n for a signal; 1 where neither is known."""
    if run.signal is not None:
        return SIGNAL_BASE + run.signal
    if run.exit_code is not None:
        return run.exit_code
    return output.OK if run.outcome == "succeeded" else output.REFUSED
