"""How soon does a server answer, and how much memory does it hold, at no and at many stored runs?

Memory is that of the server and all its children, idle and after the same load; RSS counts shared
pages once for each process, PSS shares them out. Beside a bare FastAPI, and beside MLflow.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from bench import lists, machine, mlflow_server, servers
from bench.figures import Row, Target, at_most
from bench.load import drive
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Start-up and memory"
SETTLE_SECONDS = 1.5
"""What begins after the first answer has begun by then."""

Opener = Callable[[], AbstractContextManager[Started]]


def answer(bench: Workbench) -> list[Row]:
    """Rows for start-up and memory, at no and at many runs."""
    seen = Collected()
    directories = {f"at{count}": bench.stored(count) for count in (0, bench.runs)}
    openers: dict[str, Opener] = {
        name: lambda directory=directory: servers.tallystick(directory)  # type: ignore[misc]
        for name, directory in directories.items()
    }
    if fastapi := bench.fastapi:
        openers["echo"] = lambda: servers.echo(bench.directory, python=fastapi)
    if bench.mlflow:
        openers["mlflow"] = lambda: mlflow_server.server(bench, warm=False)
    for directory in directories.values():
        with servers.tallystick(directory):
            pass  # a first start makes tokens; it is the next ones that are counted
    for repeat in range(bench.repeats):
        bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
        for name, opener in openers.items():
            machine.await_quiet(patience_seconds=bench.patience_seconds)
            _measure(bench, seen, name, opener)
    return _rows(bench, seen, list(openers))


def _measure(bench: Workbench, seen: Collected, name: str, opener: Opener) -> None:
    with machine.section() as section:
        context = opener()
        server = context.__enter__()
    try:
        time.sleep(SETTLE_SECONDS + (mlflow_server.WARM_SECONDS if name == "mlflow" else 0))
        idle = machine.memory(server.process.pid)
        if name != "mlflow":
            _use(bench, name, server)
        used = machine.memory(server.process.pid)
    finally:
        context.__exit__(None, None, None)
    seen.add(
        section.foreign,
        **{
            f"{name}_startup": server.startup_seconds,
            f"{name}_rss": idle.rss,
            f"{name}_pss": idle.pss,
            f"{name}_used": used.rss,
            f"{name}_processes": idle.processes,
        },
    )


def _use(bench: Workbench, name: str, server: Started) -> None:
    """A load like a day's: creates, and lists where there are runs."""
    sweep = "swp_0123456789ab" if name == "echo" else servers.create_sweep(server)
    drive(servers.creates(server, sweep), clients=32, seconds=bench.seconds / 2)
    if name == f"at{bench.runs}":
        lists.time_list(server, count=20)


def _rows(bench: Workbench, seen: Collected, names: list[str]) -> list[Row]:
    rows = []
    for key, unit, what, bound in (
        ("startup", "s", "start-up to the first 200", 2.5),
        ("rss", "MB", "memory (RSS), idle", 3),
        ("used", "MB", "memory (RSS) after a load", 3),
        ("pss", "MB", "memory (PSS), idle", None),
    ):
        for count in (0, bench.runs):
            target = _target(key, bound, count, bench)
            for peer, shown in (("echo", "bare FastAPI"), ("mlflow", "MLflow")):
                if peer not in names or (key, peer) == ("used", "mlflow"):
                    continue
                rows.append(
                    Row(
                        what=f"{what}, {count:,} runs",
                        figure=seen.figure(f"at{count}_{key}", unit),
                        floor=f"{shown}{' at 0 runs' if peer == 'mlflow' else ''}",
                        floor_figure=seen.figure(f"{peer}_{key}", unit),
                        target=target if peer == "echo" else None,
                    )
                )
    if not bench.mlflow:
        rows.append(Row(what="MLflow", figure=None, note="MLflow is not installed"))
    rows += [
        Row(what=f"processes, {name}", figure=seen.figure(f"{name}_processes", ""))
        for name in names
        if name in {"at0", "mlflow"}
    ]
    return rows


def _target(key: str, bound: float | None, count: int, bench: Workbench) -> Target | None:
    """Memory has a target at many runs only, start-up always."""
    if bound is None or (key != "startup" and count != bench.runs):
        return None
    return at_most(bound)


if __name__ == "__main__":
    alone(TITLE, answer)
