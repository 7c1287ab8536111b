"""What do 1,000 clients that wait for one run cost those who work, and when are they answered?

Each waits in `GET /runs/ID?wait=30`. Meanwhile runs are created; then the run changes. Beside the
same creates with nobody waiting, and beside the same 1,000 connections asking without waiting.
"""

import json
import resource
import selectors
import time
from contextlib import ExitStack

from bench import machine, seeding, servers
from bench.figures import Row
from bench.load import Connection, LoadError, drive, parsed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Waiting clients"
WAITERS = 1000
WAIT_SECONDS = 30
SETTLE_SECONDS = 0.5


def answer(bench: Workbench) -> list[Row]:
    """Rows for memory, threads, creates meanwhile, and the time until all are answered."""
    _allow_connections()
    seen = Collected()
    with servers.tallystick(bench.stored(0)) as server:
        load = servers.creates(server, servers.create_sweep(server))
        drive(load, clients=4, seconds=1)
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            _repeat(bench, seen, server)
    return _rows(seen)


def _repeat(bench: Workbench, seen: Collected, server: Started) -> None:
    """One round: without waiters, with them, then the change."""
    load = servers.creates(server, servers.create_sweep(server))
    run = _create(server)
    with bench.timed() as section:
        alone_ = drive(load, clients=4, seconds=bench.seconds / 2)
    seen.add(section.foreign, rate0=alone_.per_second, p99_0=alone_.p99_ms)
    before = machine.memory(server.process.pid)
    with ExitStack() as stack:
        waiting = [stack.enter_context(server.connect()) for _ in range(WAITERS)]
        with bench.timed() as section:
            plain = _ask_all(server, waiting, f"/runs/{run}")
        seen.add(section.foreign, plain=plain)
        for connection in waiting:
            connection.send("GET", f"/runs/{run}?wait={WAIT_SECONDS}", headers=server.headers)
        _await_turn(server, run)
        with bench.timed() as section:
            beside = drive(load, clients=4, seconds=bench.seconds / 2)
        seen.add(section.foreign, rate1=beside.per_second, p99_1=beside.p99_ms)
        during = machine.memory(server.process.pid)
        with machine.section() as section:
            taken = _change_and_collect(server, waiting, run)
        seen.add(section.foreign, answered=taken)
    seen.add(
        section.foreign,
        memory=max(during.rss - before.rss, 0.0),
        threads0=before.threads,
        threads1=during.threads,
    )


def _rows(seen: Collected) -> list[Row]:
    beside = "the same with nobody waiting"
    return [
        Row(
            what=f"creates with 4 clients while {WAITERS:,} wait",
            figure=seen.figure("rate1", "/s"),
            floor=beside,
            floor_figure=seen.figure("rate0", "/s"),
        ),
        Row(
            what=f"create p99 while {WAITERS:,} wait",
            figure=seen.figure("p99_1", "ms"),
            floor=beside,
            floor_figure=seen.figure("p99_0", "ms"),
        ),
        Row(
            what=f"from the change until {WAITERS:,} are answered",
            figure=seen.figure("answered", "s"),
            floor=f"{WAITERS:,} requests at once that do not wait",
            floor_figure=seen.figure("plain", "s"),
        ),
        Row(what=f"memory (RSS) of {WAITERS:,} waiters", figure=seen.figure("memory", "MB")),
        Row(
            what=f"threads while {WAITERS:,} wait",
            figure=seen.figure("threads1", ""),
            floor=beside,
            floor_figure=seen.figure("threads0", ""),
        ),
    ]


def _allow_connections() -> None:
    """Room for the sockets of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WAITERS * 2 + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _create(server: Started) -> str:
    """A run that is not started."""
    body = {"name": "awaited", "command": "true", "chat_session_id": seeding.SESSION}
    body["sweep_id"] = servers.create_sweep(server)
    with server.connect() as connection:
        content = json.dumps(body).encode()
        return str(parsed(connection.request("POST", "/runs", content, server.headers))["id"])


def _await_turn(server: Started, run: str) -> None:
    """Until the server has seen to all that was sent before: requests are read in their order."""
    with server.connect() as connection:
        for _ in range(20):
            connection.request("GET", f"/runs/{run}", headers=server.headers)
    time.sleep(SETTLE_SECONDS)


def _ask_all(server: Started, connections: list[Connection], path: str) -> float:
    """Seconds until every connection has had its answer to the same request."""
    began = time.perf_counter()
    for connection in connections:
        connection.send("GET", path, headers=server.headers)
    _collect(connections)
    return time.perf_counter() - began


def _change_and_collect(server: Started, waiting: list[Connection], run: str) -> float:
    """End the run, which never started; seconds until every waiter was told."""
    with selectors.DefaultSelector() as selector, server.connect() as connection:
        for each in waiting:
            selector.register(each, selectors.EVENT_READ)
        if selector.select(0):
            raise LoadError("a waiter was answered before anything had changed")
        began = time.perf_counter()
        connection.request("POST", f"/runs/{run}/stop", b"{}", server.headers)
    for content in _collect(waiting):
        if parsed(content)["status"] != "stopped":
            raise LoadError(f"a waiter was told something else: {content[:200]!r}")
    return time.perf_counter() - began


def _collect(connections: list[Connection]) -> list[bytes]:
    """Every answer, in the order in which they come."""
    found = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(WAIT_SECONDS + 30)
            if not ready:
                raise LoadError(f"{len(selector.get_map())} connections were never answered")
            for key, _ in ready:
                status, content = key.data.receive()
                if status != 200:
                    raise LoadError(f"{status}: {content[:300]!r}")
                found.append(content)
                selector.unregister(key.fileobj)
    return found


if __name__ == "__main__":
    alone(TITLE, answer)
