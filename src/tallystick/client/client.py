"""`Client`: every call of the SDK, grouped by noun in the files beside this one.

It holds no state of the server's: each call asks. Safe to share between threads; refusals arrive as
the classes of `tallystick.errors` that the server raised. It remembers one thing: the newest
checkpoint of each ledger, pinned in the user's home (`guard.py`).
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tallystick.client.access import AccessCalls
from tallystick.client.agents import AgentCalls
from tallystick.client.alerts import AlertCalls
from tallystick.client.brief import BriefCalls
from tallystick.client.caller import Caller
from tallystick.client.config import Discovery, process_environment
from tallystick.client.guard import LedgerGuard
from tallystick.client.known import KnownLedgers
from tallystick.client.ledger import LedgerCalls
from tallystick.client.machine import MachineCalls
from tallystick.client.output import OutputCalls
from tallystick.client.queue import QueueCalls
from tallystick.client.runs import RunCalls
from tallystick.client.sweeps import SweepCalls
from tallystick.client.tables import TableCalls
from tallystick.client.transport import HttpTransport, Transport
from tallystick.clock import Clock, SystemClock
from tallystick.errors import TallystickError, VerificationError


class Client(
    SweepCalls,
    RunCalls,
    TableCalls,
    QueueCalls,
    OutputCalls,
    LedgerCalls,
    AlertCalls,
    MachineCalls,
    AccessCalls,
    AgentCalls,
    BriefCalls,
):
    """A Tallystick server, seen from Python: `Client().create_run(...)`."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        session: str | None = None,
        *,
        data_dir: Path | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        warn: Callable[[str], None] | None = None,
        agent: bool = False,
    ) -> None:
        """Every argument may be left out; `client/config.py` says what is used instead.

        `warn` hears what concerns the ledger and fails no call; standard error by default. `agent`
        says that whoever asks is one, even where no variable of the environment does: each call
        then names its own session, or belongs to the token's.

        Nothing is sent yet: a server that does not answer raises `UnavailableError` at the first
        call, and says how to start one.
        """
        self._discovery = Discovery(
            environment=process_environment(),
            url=url,
            token=token,
            session=session,
            directory=data_dir,
            agent=agent,
        )
        self._clock = clock or SystemClock()
        self._http = HttpTransport(self._discovery.server_url, clock=self._clock)
        self._caller = Caller(transport or self._http, self._discovery.access_token, self._clock)
        self.known = KnownLedgers(self._discovery.known_ledgers())
        self._guard = LedgerGuard(self._caller, self.known, url=self._address, warn=warn or _warn)

    @property
    def url(self) -> str:
        """Address of the server; raises `UnavailableError` when none is known."""
        return self._discovery.server_url()

    @property
    def answered(self) -> bool:
        """Whether a server has answered any call, be it with a refusal."""
        return self._caller.answered

    def verify(self) -> None:
        """Compare the receipts of this client with what was seen of their ledger before, now.

        Raises `VerificationError` (ledger_forked) with both signed notes in its text and facts.
        Creating calls do it by themselves, once a second at most, and raise it before the next one.
        """
        self._guard.settle()

    @property
    def contradiction(self) -> VerificationError | None:
        """What the next creating call would raise, as far as it was found out already."""
        return self._guard.failure

    def close(self) -> None:
        """Close idle connections, after what `verify` does; the client stays usable."""
        try:
            self.verify()
        finally:
            self._http.close()

    def _address(self) -> str | None:
        """Where the server is, if that is known."""
        try:
            return self.url
        except TallystickError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:  # what went wrong inside is not to be hidden by what is found on the way out
            self._http.close()


def _warn(words: str) -> None:
    """Standard error is what is read; a logger would have to be loaded for it."""
    with suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(f"tallystick: {words}\n")
