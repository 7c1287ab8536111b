"""Shared by the tests of damaged data directories: one to copy, and ways to damage a copy."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.control.texts import Texts
from tallystick.domain import commands as cm
from tallystick.domain.ids import SYSTEM, AttemptId, Enforcement, RunId, SessionId, SweepId
from tallystick.ledger.keys import Signer
from tallystick.projections import attempts
from tallystick.server import Server, build
from tallystick.testing.backend import FakeBackend
from tallystick.testing.server import eventually
from tallystick.testing.spine import AGENT, PERSON

Damage = Callable[[Path], object]

RUN = RunId("run_0123456789ab")

ENTRIES = 600
"""Two full tiles, and an unfinished one."""

TRIGGERS = tuple(
    f"{table}_refuses_{action}" for table in ("entries", "tiles") for action in ("update", "delete")
)


def settings_of(data_dir: Path) -> Settings:
    """Settings of a server over one data directory that executes nothing."""
    return Settings(
        server=ServerSettings(data_dir=data_dir, workspace=data_dir.parent),
        execution=ExecutionSettings(max_concurrent=1, poll_seconds=60.0),
    )


def build_server(data_dir: Path) -> Server:
    """A server in this process, not started."""
    return build(settings_of(data_dir), backend=FakeBackend())


def fill(data_dir: Path, *, entries: int = ENTRIES) -> None:
    """A data directory as a server leaves it after an ordinary day."""
    server = build_server(data_dir)
    server.start()
    execute(server)
    futures = []
    for n in range(entries - server.ledger.size - 1):  # the first one opens the session, too
        texts = Texts(server.clock)
        command = cm.CreateSweep(
            sweep=SweepId(f"swp_{n:012x}"), session=SessionId("chat-1"), name=texts.add("s")
        )
        futures.append(server.handler.submit(command, by=AGENT, texts=texts))
    for future in futures:
        future.result(60)
    assert server.ledger.size == entries
    server.stop()


def execute(server: Server) -> None:
    """One run that was launched, and lost."""
    texts = Texts(server.clock)
    command = cm.RegisterRun(
        run=RUN,
        name=texts.add("r"),
        command=texts.add("true"),
        workdir=texts.add("/"),
        sweep=None,
        session="chat-0",
        start=True,
    )
    server.handler.handle(cm.SetPolicy(sweep=Enforcement.WARN), by=PERSON)
    server.handler.handle(command, by=AGENT, texts=texts)
    attempt = eventually(lambda: _submitted(server))
    server.handler.handle(
        cm.RecordLost(run=RUN, attempt=attempt, reason_code="host_rebooted"), by=SYSTEM
    )


def _submitted(server: Server) -> AttemptId | None:
    """The attempt of the run, once the outcome of its launch is recorded."""
    with server.database.read() as tx:
        found = attempts.active(tx)
    return found[0].id if found and found[0].native is not None else None


def sql(*statements: str) -> Damage:
    """Changes to the database, by somebody who takes the triggers away first."""

    def damage(data_dir: Path) -> None:
        connection = sqlite3.connect(data_dir / "tally.db")
        with connection:
            for trigger in TRIGGERS:
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            for statement in statements:
                connection.execute(statement)
        connection.close()

    return damage


def content(name: str, data: bytes) -> Damage:
    """A file with other content, its mode kept."""
    return lambda data_dir: (data_dir / name).write_bytes(data)


def cut(name: str, size: int) -> Damage:
    """A file of which a crash has left the beginning."""

    def damage(data_dir: Path) -> None:
        path = data_dir / name
        path.write_bytes(path.read_bytes()[:size])

    return damage


def overwrite(name: str, at: int, data: bytes) -> Damage:
    """Some bytes in the middle of a file."""

    def damage(data_dir: Path) -> None:
        with (data_dir / name).open("r+b") as file:
            file.seek(at)
            file.write(data)

    return damage


def gone(*names: str) -> Damage:
    """Files, or directories, that are not there any more."""

    def damage(data_dir: Path) -> None:
        for name in names:
            path = data_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def mode(name: str, bits: int) -> Damage:
    """A file that others may read."""
    return lambda data_dir: (data_dir / name).chmod(bits)


def other_kind(name: str) -> Damage:
    """A directory where a file should be, or a file where a directory should be."""

    def damage(data_dir: Path) -> None:
        path = data_dir / name
        if path.is_dir():
            shutil.rmtree(path)
            path.touch()
        else:
            path.unlink()
            path.mkdir()

    return damage


def other_key(data_dir: Path) -> None:
    """The key of another ledger in the place of this one's."""
    origin = Signer.load(data_dir / "ledger.key").origin
    (data_dir / "ledger.key").unlink()
    Signer.create(data_dir / "ledger.key", origin)
