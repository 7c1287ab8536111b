"""What the routes are given: the parts of the server, and a pool of threads for reading.

A route never touches a part that is not here. Reads run in the pool, each in one snapshot;
commands go through the handler; nothing blocks the event loop.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from tallystick.api.scripts import Scripts
from tallystick.api.skills import Skills, load_skills
from tallystick.api.workdirs import Workdirs
from tallystick.clock import Clock
from tallystick.config import Settings
from tallystick.control.commands import Accepted
from tallystick.control.data_plane import DataPlane
from tallystick.control.feed import Feed
from tallystick.control.texts import Texts
from tallystick.db.database import Database, Transaction
from tallystick.domain.commands import Command
from tallystick.domain.ids import Actor
from tallystick.errors import TallystickError
from tallystick.execution.backend import Backend
from tallystick.ledger.ledger import Ledger
from tallystick.store.kept import Kept

T = TypeVar("T")

LISTED_BYTES: Final = 16 * 1024 * 1024
"""About ten thousand runs of ordinary length."""

READERS: Final = 8
"""Threads that read: more than cores usually, because they wait for disks."""

UPLOADERS: Final = 4
"""Threads that keep files: a slow sender holds up others that send, and nobody who reads."""


class Handler(Protocol):
    """The one road in, as far as routes need it."""

    @property
    def broken(self) -> TallystickError | None:
        """Why nothing can be written any more."""
        ...

    def submit(
        self, command: Command, *, by: Actor, texts: Texts | None = None
    ) -> "Future[Accepted]":
        """Put a command in line."""
        ...


def loop_time() -> float:
    """Seconds on the event loop's own clock, which only moves forwards."""
    return asyncio.get_running_loop().time()


def _hand_over(future: "Future[Accepted]", answer: "asyncio.Future[Accepted]") -> None:
    """From the writer to whoever waits, if anybody still does."""
    if answer.done():
        return
    error = future.exception()
    if error is None:
        answer.set_result(future.result())
    else:
        answer.set_exception(error)


def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(READERS, thread_name_prefix="tally-reader")


def _parser() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="tally-parser")


def _uploads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(UPLOADERS, thread_name_prefix="tally-upload")


def _workdirs() -> Workdirs:
    return Workdirs(loop_time)


def _scripts() -> Scripts:
    return Scripts(loop_time)


def _listed() -> Kept:
    return Kept(LISTED_BYTES)


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of one server; built by the composition root."""

    version: str
    """Of this program."""
    settings: Settings
    database: Database
    ledger: Ledger
    handler: Handler
    feed: Feed
    clock: Clock
    data: DataPlane
    backend: Backend
    runs_dir: Path
    """Where the runs' directories lie."""
    skills: Skills = field(default_factory=load_skills)
    readers: ThreadPoolExecutor = field(default_factory=_readers)
    parser: ThreadPoolExecutor = field(default_factory=_parser)
    uploads: ThreadPoolExecutor = field(default_factory=_uploads)
    workdirs: Workdirs = field(default_factory=_workdirs)
    scripts: Scripts = field(default_factory=_scripts)
    """What lint has read lately."""
    metrics: Kept = field(default_factory=Kept)
    """Answers made from metrics."""
    listed: Kept = field(default_factory=_listed)
    """Runs as lists show them, each by the entry that moved it last."""

    async def read(self, question: Callable[[Transaction], T]) -> T:
        """Ask the database, in one snapshot, on another thread."""
        return await self.work(self._ask, question)

    async def work(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what may block on another thread."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, function, *arguments)

    async def parse(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what may take seconds on the one thread for such work: no other read waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self.parser, function, *arguments)

    async def submit(self, command: Command, *, by: Actor, texts: Texts | None = None) -> Accepted:
        """Have a command decided and committed; raises its refusal."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()

        def done(future: "Future[Accepted]") -> None:  # on the writer's thread
            with suppress(RuntimeError):  # the loop was closed since: nobody waits there any more
                loop.call_soon_threadsafe(_hand_over, future, answer)

        # A caller that went away cancels `answer`, never what the writer is about to commit.
        self.handler.submit(command, by=by, texts=texts).add_done_callback(done)
        return await answer

    def close(self) -> None:
        """End the pools; may be repeated."""
        self.parser.shutdown(wait=False, cancel_futures=True)
        self.readers.shutdown(wait=False, cancel_futures=True)
        self.uploads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Callable[[Transaction], T]) -> T:
        with self.database.read() as tx:
            return question(tx)
