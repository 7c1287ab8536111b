"""The composition root: builds every part and connects it, starts them in order, stops them again.

`build` makes a server that owns its data directory; `Server.run` answers requests until SIGTERM or
Ctrl-C. Stopping never touches running runs: their supervisors outlive the server.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tallystick import __version__, durable
from tallystick.api import protocols
from tallystick.api.app import create_app
from tallystick.api.services import Services
from tallystick.api.skills import published_texts
from tallystick.clock import Clock, SystemClock
from tallystick.config import Settings, base_environment
from tallystick.control.commands import CommandHandler, Committed
from tallystick.control.credentials import Mint, hash_of, load_key, secret_text
from tallystick.control.data_dir import (
    ADMIN_TOKEN_FILE,
    AGENT_TOKEN_FILE,
    KEY_FILE,
    MINT_FILE,
    RUNS,
    SERVER_FILE,
    SHORTEST_TOKEN,
    load_signer,
    open_tables,
    read_token,
    take,
    unusable,
)
from tallystick.control.data_plane import DataPlane
from tallystick.control.feed import Feed
from tallystick.control.launcher import Launcher, LaunchSettings
from tallystick.control.planner import Planner
from tallystick.control.reconciler import Reconciler
from tallystick.control.scheduler import Scheduler
from tallystick.control.service import Service
from tallystick.control.signals import Signals
from tallystick.control.vault import Vault
from tallystick.control.verified import VerifiedLedger
from tallystick.domain.commands import CreateToken, OpenLedger, PublishProtocol, RevokeToken
from tallystick.domain.ids import SYSTEM, Role, TokenId
from tallystick.errors import ConflictError, InvalidError
from tallystick.execution.backend import Backend
from tallystick.execution.local import LocalBackend
from tallystick.mcp.mounting import Mount
from tallystick.proc import pid_namespace
from tallystick.projections import tokens

_log = logging.getLogger(__name__)

_MOVES_QUEUE = frozenset(
    {
        "run.queued",
        "run.requeued",
        "run.released",
        "run.edited",
        "run.ended",
        "attempt.ended",
        "sweep.started",
        "sweep.resumed",
        "budget.set",
        "cluster.set",
        "cluster.undrained",
    }
)
_MOVES_ATTEMPTS = frozenset({"run.stop_requested"})
_MOVES_SWEEPS = frozenset(
    {
        "sweep.planned",
        "sweep.materialised",
        "sweep.started",
        "sweep.stopped",
        "sweep.resumed",
    }
)

RECONCILE_SPACING_SECONDS = 0.05
"""Every end of a process wakes the reconciler, and most are told by their supervisors anyway."""

GRACEFUL_SECONDS = 2
"""How long open streams may hold up the end."""


class Server:
    """All parts of one server, and the order in which they start and stop."""

    def __init__(self, settings: Settings, *, clock: Clock, backend: Backend | None = None) -> None:
        """Take the data directory, load what it holds, start nothing. Use `build`."""
        data_dir = settings.server.data_dir
        self.settings = settings
        self.clock = clock
        self._lock = take(data_dir)
        self.server_file = data_dir / SERVER_FILE
        self.runs_dir = data_dir / RUNS
        self.database = open_tables(settings)
        self.ledger = VerifiedLedger(load_signer(data_dir / KEY_FILE, self.database, clock))
        self.backend: Backend = backend or LocalBackend(gpus=settings.execution.gpus)
        self.feed = Feed()
        self.vault = Vault(self.runs_dir)
        mint = Mint(load_key(data_dir / MINT_FILE, clock))
        self.handler = CommandHandler(
            self.database, self.ledger, clock, vault=self.vault, on_commit=self._committed
        )
        scheduler, reconciler = self._execution(mint)
        self.data = DataPlane(
            settings, self.database, self.handler, clock=clock, runs_dir=self.runs_dir
        )
        poll = settings.execution.poll_seconds
        self.scheduler = Service("tally-scheduler", scheduler.tick, poll_seconds=poll)
        self.reconciler = Service(
            "tally-reconciler",
            reconciler.tick,
            poll_seconds=poll,
            spacing_seconds=RECONCILE_SPACING_SECONDS,
        )
        self._planning = Planner(self.database, self.handler, clock=clock)
        self.planner = Service("tally-planner", self._planning.tick, poll_seconds=poll)
        self.signals = Signals(
            settings,
            self.database,
            self.handler,
            clock=clock,
            runs_dir=self.runs_dir,
            origin=self.ledger.origin,
        )
        self._services = Services(
            version=__version__,
            database=self.database,
            ledger=self.ledger,
            handler=self.handler,
            feed=self.feed,
            clock=clock,
            settings=settings,
            data=self.data,
            backend=self.backend,
            runs_dir=self.runs_dir,
        )
        self.mcp = Mount(max_body_bytes=settings.server.max_body_bytes)
        self.app = create_app(self._services, (*protocols.ENDPOINTS, *self.mcp.endpoints))
        self.mcp.attach(self.app)

    def _execution(self, mint: Mint) -> tuple[Scheduler, Reconciler]:
        """What starts runs, and what compares them with their record."""
        settings, clock = self.settings, self.clock
        launcher = Launcher(
            self.database,
            self.handler,
            self.backend,
            clock=clock,
            vault=self.vault,
            mint=mint,
            settings=self._launch_settings(),
        )
        scheduler = Scheduler(
            self.database,
            self.handler,
            launcher,
            self.backend,
            clock=clock,
            mint=mint,
            settings=settings.execution,
        )
        reconciler = Reconciler(
            self.database,
            self.handler,
            launcher,
            self.backend,
            clock=clock,
            grace_seconds=settings.execution.grace_seconds,
        )
        return scheduler, reconciler

    def _launch_settings(self) -> LaunchSettings:
        """What every launch of this server has in common."""
        execution = self.settings.execution
        return LaunchSettings(
            runs_dir=self.runs_dir,
            server_file=self.server_file,
            base_environment=base_environment(),
            grace_seconds=execution.grace_seconds,
            record_tree=execution.record_tree,
            sample_seconds=execution.sample_seconds,
            gpus=execution.gpus,
        )

    def start(self) -> None:
        """Write what every start writes, then begin to schedule; needs no event loop."""
        self.handler.start()
        if self.handler.broken is None:
            self._settle_ledger()
            self.backend.watch(self.reconciler.wake)
            for service in (self.reconciler, self.scheduler, self.planner):
                service.start()
            self.data.start()
            self.signals.start()

    def stop(self) -> None:
        """End every part in the reverse order; running runs go on. May be repeated."""
        self.signals.stop()
        self.data.stop()
        self._planning.close()
        for service in (self.planner, self.scheduler, self.reconciler):
            service.stop()
        self._services.close()
        self.handler.close()
        self.backend.close()
        self.database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def run(self, ready: Callable[[str], None] | None = None) -> None:
        """Answer requests until SIGTERM or Ctrl-C; `ready` gets the URL once they are answered."""
        listener = _listen(self.settings)
        host, port = listener.getsockname()[:2]
        url = f"http://{'[' + host + ']' if ':' in host else host}:{port}"
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            lifespan="off",
        )
        gc.collect()
        gc.freeze()  # what was built lives as long as the process: no collection looks at it again
        try:
            _Answering(config, self, url, ready).run(sockets=[listener])
        finally:
            listener.close()
            self.server_file.unlink(missing_ok=True)
            self.stop()

    def announce(self, url: str) -> None:
        """Say where the server answers: for clients, for supervisors, and for whoever asked."""
        token_file = self.settings.server.data_dir / ADMIN_TOKEN_FILE
        document = {
            "url": url,
            "pid": os.getpid(),
            "pid_namespace": pid_namespace(),
            "token_file": str(token_file),
        }
        content = json.dumps(document).encode() + b"\n"
        try:
            durable.write(self.server_file, content)
            if self.settings.server.ready_file is not None:
                durable.write(self.settings.server.ready_file, content)
        except OSError as error:
            raise unusable(self.settings.server.data_dir, error) from error

    def _committed(self, committed: Committed) -> None:
        """From the writer's thread: wake those who wait and those who work."""
        self.feed.committed(committed)
        if committed.types & _MOVES_QUEUE:
            self.scheduler.wake()
        if committed.types & _MOVES_ATTEMPTS:
            self.reconciler.wake()
        if committed.types & _MOVES_SWEEPS:
            self.planner.wake()
        self.data.committed(committed.types)
        self.signals.committed(committed.types)

    def _settle_ledger(self) -> None:
        """The first entry, the standing tokens, the texts of the protocol."""
        if self.ledger.size == 0:
            opening = OpenLedger(origin=self.ledger.origin, vkey=self.ledger.vkey)
            self.handler.handle(opening, by=SYSTEM)
        data_dir = self.settings.server.data_dir
        given = self.settings.auth.admin_token
        self._standing_token(
            data_dir / ADMIN_TOKEN_FILE, Role.ADMINISTRATOR, given.reveal() if given else None
        )
        self._standing_token(data_dir / AGENT_TOKEN_FILE, Role.AGENT, None)
        for text in published_texts():
            command = PublishProtocol(skill=text.id, sha256=text.sha256)
            self.handler.handle(command, by=SYSTEM)

    def _standing_token(self, path: Path, role: Role, given: str | None) -> None:
        """A token in a file of the data directory, known to the ledger by its hash."""
        if given is not None and len(given) < SHORTEST_TOKEN:
            raise InvalidError(
                f"TALLY_ADMIN_TOKEN has {len(given)} characters; at least "
                f"{SHORTEST_TOKEN} are needed",
                code="token_weak",
                hint="python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
            )
        old = read_token(path)
        secret = given or old or secret_text(role, self.clock.token_bytes(32))
        if old is not None and old != secret:
            self._revoke(old)
        with self.database.read() as tx:
            known = tokens.by_hash(tx, hash_of(secret))
        if known is not None and known.revoked_at is not None:
            secret, known = secret_text(role, self.clock.token_bytes(32)), None
        if known is None:
            command = CreateToken(
                token=TokenId(self.clock.new_id("tok")), role=role, sha256=hash_of(secret)
            )
            self.handler.handle(command, by=SYSTEM)
        if old != secret:
            durable.write(path, secret.encode() + b"\n")

    def _revoke(self, secret: str) -> None:
        """Close a token that another one replaces."""
        with self.database.read() as tx:
            known = tokens.by_hash(tx, hash_of(secret))
        if known is not None:
            self.handler.handle(RevokeToken(token=known.id), by=SYSTEM)


class _Answering(uvicorn.Server):
    """uvicorn, told when requests are answered and when they no longer are."""

    def __init__(
        self,
        config: uvicorn.Config,
        server: Server,
        url: str,
        ready: Callable[[str], None] | None,
    ) -> None:
        super().__init__(config)
        self._tally = server
        self._url = url
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the loop, and nothing but the loop: the parts are stopped after.

        uvicorn's own raises the signal again once it is done, which would end the process before
        the ledger and the database are closed.
        """
        previous = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the parts, then listen, then say so."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._tally.start)
        self._tally.feed.attach(loop, position=self._tally.ledger.size - 1)
        await super().startup(sockets=sockets)
        if self.started:
            await loop.run_in_executor(None, self._tally.announce, self._url)
            if self._ready is not None:
                self._ready(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let waiting requests go, then stop listening."""
        self._tally.feed.close()
        await super().shutdown(sockets=sockets)
        await self._tally.mcp.close()


def build(
    settings: Settings, *, clock: Clock | None = None, backend: Backend | None = None
) -> Server:
    """A server over its data directory, not started yet.

    Raises `ConflictError` when another server holds the directory, `CorruptLedgerError` when the
    database is damaged, `InvalidError` for settings that cannot work.
    """
    if settings.server.host not in {"127.0.0.1", "::1", "localhost"}:
        _log.warning(
            "listening beyond loopback on %s; every route needs a token", settings.server.host
        )
    return Server(settings, clock=clock or SystemClock(), backend=backend)


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, bound before anything is promised."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Else the body of an answer waits some 40 ms for its head's receipt.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConflictError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            code="port_in_use",
            hint="give another --port, or --port 0 to have a free one picked",
        ) from error
    listener.set_inheritable(False)
    return listener
