"""`Client`: every call of the SDK, grouped by noun in the files beside this one.

It holds no state of the server's: each call asks. Safe to share between threads; refusals arrive as
the classes of `tallystick.errors` that the server raised.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from tallystick.client.access import AccessCalls
from tallystick.client.caller import Caller
from tallystick.client.config import Discovery, process_environment
from tallystick.client.ledger import LedgerCalls
from tallystick.client.output import OutputCalls
from tallystick.client.runs import RunCalls
from tallystick.client.sweeps import SweepCalls
from tallystick.client.transport import HttpTransport, Transport
from tallystick.clock import Clock, SystemClock


class Client(SweepCalls, RunCalls, OutputCalls, LedgerCalls, AccessCalls):
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
    ) -> None:
        """Every argument may be left out; `client/config.py` says what is used instead.

        Nothing is sent yet: a server that does not answer raises `UnavailableError` at the first
        call, and says how to start one.
        """
        self._discovery = Discovery(
            environment=process_environment(),
            url=url,
            token=token,
            session=session,
            directory=data_dir,
        )
        self._clock = clock or SystemClock()
        self._http = HttpTransport(self._discovery.server_url, clock=self._clock)
        self._caller = Caller(transport or self._http, self._discovery.access_token, self._clock)

    @property
    def url(self) -> str:
        """Address of the server; raises `UnavailableError` when none is known."""
        return self._discovery.server_url()

    def close(self) -> None:
        """Close idle connections; the client stays usable."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
