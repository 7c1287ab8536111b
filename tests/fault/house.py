"""A whole server inside the test's process, so that a fault can be put into any part of it.

Real HTTP on loopback, real supervisors; and the oracle that every fault test ends with.
"""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.db.open import open_database
from tallystick.execution.backend import Backend
from tallystick.ledger import verify
from tallystick.ledger.checkpoint import Checkpoint, Note
from tallystick.ledger.export import write_export
from tallystick.ledger.ledger import Ledger
from tallystick.projections.audit import verify_database
from tallystick.server import Server, build
from tallystick.testing.server import ServerProcess


@contextmanager
def house(
    directory: Path, *, backend: Backend | None = None, max_concurrent: int = 8
) -> Iterator[ServerProcess]:
    """Its `url` answers until the block ends; its runs are left alone."""
    workspace = directory / "workspace"
    workspace.mkdir(exist_ok=True)
    execution = ExecutionSettings(
        max_concurrent=max_concurrent,
        grace_seconds=1.0,
        record_tree=False,
        poll_seconds=0.2,
        breaker_failures=0,  # runs that fail again and again are what these tests are about
    )
    settings = Settings(
        server=ServerSettings(data_dir=directory / "data", workspace=workspace),
        execution=execution,
    )
    server = build(settings, backend=backend)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        server.start()
        server.feed.attach(loop, position=server.ledger.size - 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        door = _answering(server)
        serving = asyncio.run_coroutine_threadsafe(door.serve(sockets=[listener]), loop)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.announce(url)
        yield ServerProcess(directory / "data", workspace, url=url)
        loop.call_soon_threadsafe(server.feed.close)
        door.should_exit = True
        serving.result(30)
    finally:
        listener.close()
        server.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _answering(server: Server) -> uvicorn.Server:
    """uvicorn without signals, which belong to the main thread."""
    config = uvicorn.Config(server.app, lifespan="off", log_level="critical")
    return uvicorn.Server(config)


def check_ledger(data_dir: Path) -> int:
    """Verify everything from outside: an export by the strangers' verifier, every row of every
    table; returns how many entries there are.
    """
    database = open_database(f"sqlite:///{data_dir / 'tally.db'}")
    try:
        with tempfile.TemporaryDirectory() as scratch, database.read() as tx:
            note = Ledger.checkpoint(tx)
            assert note is not None
            size = Checkpoint.parse(Note.parse(note).text).size
            vkey = str(Ledger.read(tx, limit=1)[0].data["vkey"])
            write_export(tx, Path(scratch) / "export", vkey)
            assert verify.verify_export(Path(scratch) / "export", vkey).size == size
        report = verify_database(database, vkey=vkey)
        assert report.ok, report.problems
        assert report.entries == size
        return size
    finally:
        database.close()
