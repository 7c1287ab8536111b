"""How many runs can be registered durably in a second, and how long does one take?

With 1 and with 32 kept-alive clients, at no and at many stored runs; beside a FastAPI echo of the
same body under the same load, and beside a bare durable commit.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from bench import floors, mlflow_server, servers
from bench.figures import Row, at_least
from bench.load import Load, LoadError, Throughput, drive
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Durable creates"
CLIENTS = (1, 32)


@dataclass(frozen=True, slots=True)
class Sink:
    """Where creates go; `server` is set where they must lead to runs."""

    load: Load
    server: Started | None = None

    @classmethod
    def tallystick(cls, server: Started) -> Self:
        """A new sweep of a server."""
        return cls(servers.creates(server, servers.create_sweep(server)), server)


def answer(bench: Workbench) -> list[Row]:
    """Rows for every number of clients and of stored runs."""
    seen = Collected()
    stored = (0, bench.runs)
    with ExitStack() as stack:
        targets = {}
        full = stack.enter_context(servers.tallystick(bench.stored(bench.runs)))
        targets[f"at{bench.runs}"] = Sink.tallystick(full)
        if bench.fastapi:
            floor = stack.enter_context(servers.echo(bench.directory, python=bench.fastapi))
            targets["echo"] = Sink(servers.creates(floor, "swp_0123456789ab"))
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            _commit(bench, seen)
            with servers.tallystick(bench.stored(0)) as empty:  # anew: it fills up meanwhile
                _repeat(bench, seen, {"at0": Sink.tallystick(empty), **targets})
    rows = [row for clients in CLIENTS for row in _rows(bench, seen, clients, stored)]
    return rows + _beside_mlflow(bench, seen)


def _repeat(bench: Workbench, seen: Collected, targets: Mapping[str, Sink]) -> None:
    """Every server in turn, with one client and with many."""
    for sink in targets.values():
        drive(sink.load, clients=4, seconds=1)  # the first requests import and fill caches
    for clients in CLIENTS:
        for name, sink in targets.items():
            _measure(bench, seen, name, sink, clients=clients)


def _beside_mlflow(bench: Workbench, seen: Collected) -> list[Row]:
    """The same wish to MLflow's default server, as its users see it and without TCP's waiting."""
    if bench.mlflow is None:
        return [Row(what="MLflow", figure=None, note="MLflow is not installed")]
    ways = [(clients, quickack) for clients in CLIENTS for quickack in (False, True)]
    refused: dict[tuple[int, bool], str] = {}
    with mlflow_server.server(bench) as peer:
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: MLflow, repeat {repeat + 1} of {bench.repeats}")
            for clients, quickack in ways:
                try:
                    mlflow_server.measure_creates(
                        bench, seen, peer, clients=clients, quickack=quickack
                    )
                except LoadError as error:
                    bench.say(f"MLflow: {error}")
                    refused[clients, quickack] = (
                        f"a repeat was left out: {str(error)[:120].replace(chr(124), chr(47))}"
                    )
            with bench.timed() as section:
                own = mlflow_server.by_its_own_client(bench, peer, count=20 if bench.quick else 50)
            seen.add(section.foreign, mlflow_client_p50=own.p50_ms)
    rows = [
        _mlflow_row(seen, clients, quickack=quickack, note=refused.get((clients, quickack), ""))
        for clients, quickack in ways
    ]
    own_client = Row(
        what="create p50, 1 client, 0 runs",
        figure=seen.figure("at0_1_p50", "ms"),
        floor="MLflow by its own client",
        floor_figure=seen.figure("mlflow_client_p50", "ms"),
    )
    return [*rows, own_client]


def _mlflow_row(seen: Collected, clients: int, *, quickack: bool, note: str) -> Row:
    key = mlflow_server.creates_key(clients, quickack=quickack)
    return Row(
        what=f"creates, {clients} client{'s' if clients > 1 else ''}, 0 runs",
        figure=seen.figure(f"at0_{clients}", "/s"),
        floor=f"MLflow, {'TCP_QUICKACK' if quickack else 'as users see it'}",
        floor_figure=seen.figure(key, "/s") if seen.has(key) else None,
        note=note,
    )


def _commit(bench: Workbench, seen: Collected) -> None:
    with bench.timed() as section:
        result = floors.sqlite_commits(bench.directory, seconds=bench.seconds / 4)
    seen.add(section.foreign, commit=result.per_second, commit_p50=result.p50_ms)


def _measure(bench: Workbench, seen: Collected, name: str, sink: Sink, *, clients: int) -> None:
    """One load on one server; every 200 must have made a run of its own."""
    before = servers.count_runs(sink.server) if sink.server else 0
    with bench.timed() as section:
        result = drive(sink.load, clients=clients, seconds=bench.seconds)
    if sink.server:
        check_distinct(result, servers.count_runs(sink.server) - before, clients=clients)
    key = f"{name}_{clients}"
    seen.add(
        section.foreign,
        **{key: result.per_second, f"{key}_p50": result.p50_ms, f"{key}_p99": result.p99_ms},
    )


def check_distinct(result: Throughput, made: int, *, clients: int) -> None:
    """What was under way when the load ended may have made a run without being counted."""
    if not result.requests <= made <= result.requests + clients:
        raise LoadError(f"{result.requests} answers of 200, but {made} runs were made")


def _rows(bench: Workbench, seen: Collected, clients: int, stored: tuple[int, int]) -> list[Row]:
    rows = []
    who = f"{clients} client{'s' if clients > 1 else ''}"
    empty = seen.figure(f"at0_{clients}", "/s")
    for count in stored:
        key = f"at{count}_{clients}"
        rate = seen.figure(key, "/s")
        rows.append(
            Row(
                what=f"creates, {who}, {count:,} runs",
                figure=rate,
                floor="FastAPI echo",
                floor_figure=seen.figure(f"echo_{clients}", "/s") if bench.fastapi else None,
                target=at_least(0.45) if clients == 32 else None,
                note="" if bench.fastapi else "no FastAPI here",
            )
        )
        for share in ("p50", "p99"):
            beside = f"echo_{clients}_{share}"
            rows.append(
                Row(
                    what=f"create {share}, {who}, {count:,} runs",
                    figure=seen.figure(f"{key}_{share}", "ms"),
                    floor="FastAPI echo" if bench.fastapi else "",
                    floor_figure=seen.figure(beside, "ms") if bench.fastapi else None,
                )
            )
    rows.append(
        Row(
            what=f"creates, {who}, {stored[1]:,} runs",
            figure=seen.figure(f"at{stored[1]}_{clients}", "/s"),
            floor="the same at 0 runs",
            floor_figure=empty,
            target=at_least(0.9),
        )
    )
    rows.append(
        Row(
            what=f"creates, {who}, 0 runs",
            figure=empty,
            floor="bare SQLite commit, one row each",
            floor_figure=seen.figure("commit", "/s"),
        )
    )
    return rows


if __name__ == "__main__":
    alone(TITLE, answer)
