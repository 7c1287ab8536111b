"""Options that several commands share, and the client behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tallystick.cli import output, reporting
from tallystick.errors import VerificationError
from tallystick.wire.demands import Retryable

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.demands import AskedWords

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Session = Annotated[
    str | None,
    typer.Option(
        "--session",
        help="The conversation that this belongs to. [default: your agent's, or this shell's]",
    ),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="TERMS",
        help="Only what this says: 'status:failed param.lr>=1e-3 metric.loss<0.2 tag:best'.",
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        "--sort", metavar="KEY", help="ended, duration, metric.loss, param.lr; -KEY for falling."
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many rows.")]
DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The server's data directory. [default: as `tally up`]"
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[--] COMMAND",
        show_default=False,
        help="One word is taken as a shell line as it is; several are quoted and joined.",
    ),
]
Environment = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        "-e",
        metavar="NAME[=VALUE]",
        help="Give the run this variable of yours, or this value. May be repeated. "
        "PATH, VIRTUAL_ENV, LD_LIBRARY_PATH, CONDA_*, PYTHON*, CUDA_* and OMP_* always go along, "
        "but for CUDA_VISIBLE_DEVICES: the queue assigns GPUs.",
    ),
]

Cpus = Annotated[int | None, typer.Option("--cpus", min=1, help="Cores it takes.")]
Gpus = Annotated[
    int | None,
    typer.Option(
        "--gpus", min=0, help="GPUs leased to it alone. [default: 1 where the host has any]"
    ),
]
GpuMemory = Annotated[
    int | None,
    typer.Option("--gpu-memory", metavar="MIB", min=1, help="Memory that each GPU must have."),
]
Memory = Annotated[
    int | None, typer.Option("--memory", metavar="MIB", min=1, help="Main memory it takes.")
]
Priority = Annotated[
    int | None,
    typer.Option(
        "--priority", min=-100, max=100, help="Higher starts first in its session. [default: 0]"
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, help="Then it is ended."),
]
Retries = Annotated[
    int | None,
    typer.Option("--retries", min=0, max=100, help="Further attempts when it fails. [default: 0]"),
]
RetryOn = Annotated[
    list[str] | None,
    typer.Option(
        "--retry-on",
        metavar="OUTCOME",
        help="What is tried again: failed, timed_out, out_of_memory; repeatable. [default: failed]",
    ),
]
RetryDelay = Annotated[
    float | None,
    typer.Option(
        "--retry-delay",
        metavar="SECONDS",
        min=0,
        help="Before the second attempt; doubled before each further one. [default: 10]",
    ),
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="WORD", help="To find it by; repeatable.")
]
DependsOn = Annotated[
    list[str] | None,
    typer.Option(
        "--depends-on", metavar="RUN", help="Wait until this run has succeeded; repeatable."
    ),
]

Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUES",
        help="A parameter: 0.1 (constant), 0.1,0.01 (each), 32:128:32 (from, to, step), "
        "log:1e-5:1e-1:5 (5 of them); for --random 0:1, log:1e-5:1e-1, int:1:8. Or JSON.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", metavar="N", help="Each with seeds 0 to N-1; or a list, 1,2,5."),
]
Random = Annotated[
    int | None, typer.Option("--random", metavar="N", min=1, help="Draw N distinct points.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="What --random draws from. [default: 0]")]
Points = Annotated[
    str | None,
    typer.Option("--points", metavar="FILE", help="One JSON object a line; - reads stdin."),
]
MaxRuns = Annotated[
    int | None, typer.Option("--max-runs", min=1, help="Only the first so many points.")
]
Placement = Annotated[
    str | None,
    typer.Option(
        "--placement",
        help="flag (--name=value), placeholder ({name}) or environment. "
        "[default: placeholder where the command has one, else flag]",
    ),
]


TAKES_A_COMMAND = {"allow_interspersed_args": False}
"""From the first word of the command on, everything belongs to the command."""

SCRATCH_NAME = "scratch"
SCRATCH_GOAL = "runs that were started without naming a sweep"


def examples(*lines: str) -> str:
    r"""An epilog with examples; \b keeps the help formatter from folding it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def client_for(session: str | None = None) -> "Client":
    """The client of this command; at its end what the guard spooled is sent, in passing."""
    from tallystick.client.client import Client

    return reporting.at_the_end(Client(session=session, warn=_warn))


@contextmanager
def creating(session: str | None = None) -> "Iterator[Client]":
    """A client that creates; after the command's answer it compares what it saw of the ledger.

    So a request that was accepted is answered first. A contradiction stands on standard error,
    never inside an answer in JSON, and ends the command with exit code 4.
    """
    client = client_for(session)
    status = None
    try:
        yield client
    except typer.Exit as left:
        status = left.exit_code
    if not is_continued(client):
        status = output.UNVERIFIED
    if status is not None:
        raise typer.Exit(status)


def is_continued(client: "Client") -> bool:
    """Whether the ledger is the one that was seen before; told with both notes when it is not."""
    try:
        client.close()
    except VerificationError as error:
        output.complain(error)
        return False
    return True


def _warn(words: str) -> None:
    """What concerns the ledger and fails no command."""
    output.note(output.plain(f"warning: {words}"))


def scratch_sweep(client: "Client") -> str:
    """Id of the session's own scratch sweep.

    The Idempotency-Key is made of the session, and the ledger keeps it for ever: the first call
    creates the sweep, every later one is answered with the same, and two at once cannot make two.
    """
    import hashlib

    digest = hashlib.sha256(client.session.encode(errors="surrogatepass")).hexdigest()
    return client.create_sweep(SCRATCH_NAME, goal=SCRATCH_GOAL, key=f"scratch-{digest}").id


def outcomes(named: list[str] | None) -> tuple[Retryable, ...] | None:
    """What --retry-on names; raises `UsageError`."""
    known: tuple[Retryable, ...] = get_args(Retryable)
    if unknown := [one for one in named or () if one not in known]:
        raise output.UsageError(
            f"--retry-on: expected {', '.join(known)}; found {unknown[0]}", code="usage"
        )
    return tuple(one for one in known if one in named) if named else None


def asked_of(
    *,
    cpus: int | None,
    gpus: int | None,
    gpu_memory: int | None,
    memory: int | None,
    priority: int | None,
    timeout: float | None,
    retries: int | None,
    retry_on: list[str] | None,
    retry_delay: float | None,
) -> "AskedWords":
    """What a run needs, by the names of the requests; None is not asked for.

    Raises `UsageError`.
    """
    return {
        "cpus": cpus,
        "gpus": gpus,
        "gpu_memory_mb": gpu_memory,
        "memory_mb": memory,
        "priority": priority,
        "timeout_seconds": timeout,
        "retries": retries,
        "retry_on": outcomes(retry_on),
        "retry_delay_seconds": retry_delay,
    }
