"""Wakes other processes over PostgreSQL: NOTIFY to tell them, a listening thread to be told.

Signals are hints. One that is lost, with a connection or before the first `listen`, costs its
hearer no more than its own time-out; nothing here ever fails a caller.
"""

import threading
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tallystick.db.database import Bell

CHANNEL: Final = "tallystick_wake"
POLL_SECONDS: Final = 1.0
"""How often the listener looks whether to stop, should the signal that ends it be lost."""

START_SECONDS: Final = 2.0
"""How long the first `listen` waits until signals are really heard."""


class PostgresSignal:
    """Sends and hears wake-ups on connections of its own, in autocommit."""

    def __init__(self, engine: Engine, bell: Bell) -> None:
        """`engine` is in autocommit and pools nothing; `bell` is rung for what others send."""
        self._engine = engine
        self._bell = bell
        self._lock = threading.Lock()
        self._sender: Connection | None = None  # guarded by _lock
        self._listener: threading.Thread | None = None  # guarded by _lock
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._self_mark = ""  # backend pid of our listener: what we send is not news to us

    def send(self) -> None:
        """Tell all listeners but our own."""
        with self._lock:
            if not self._stop.is_set():
                self._notify()

    def listen(self) -> None:
        """Start to hear others; the first call takes as long as a connection does."""
        if self._ready.is_set():
            return
        with self._lock:
            if self._listener is None and not self._stop.is_set():
                self._listener = threading.Thread(
                    target=self._run, name="tallystick-listen", daemon=True
                )
                self._listener.start()
        self._ready.wait(START_SECONDS)

    def close(self) -> None:
        """End the thread and its connections."""
        with self._lock:
            self._stop.set()
            if self._listener is not None:
                self._notify()  # so that it looks up at once
            if self._sender is not None:
                self._sender.close()
                self._sender = None
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.join(POLL_SECONDS * 3)

    def _notify(self) -> None:
        try:
            if self._sender is None or self._sender.invalidated:
                self._sender = self._engine.connect()
            self._sender.exec_driver_sql(f"NOTIFY {CHANNEL}, '{self._self_mark}'")
        except DBAPIError:
            # A hint may be lost; the next one gets a new connection.
            if self._sender is not None:
                self._sender.close()
                self._sender = None

    def _run(self) -> None:
        driver: Any = self._engine.dialect.dbapi
        while not self._stop.is_set():
            with suppress(DBAPIError, driver.Error):
                self._hear()
            # The connection was lost, or never came to be.
            self._stop.wait(POLL_SECONDS)

    def _hear(self) -> None:
        with self._engine.connect() as connection:
            raw: Any = connection.connection.driver_connection  # psycopg.Connection
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            self._self_mark = str(raw.info.backend_pid)
            if self._ready.is_set():
                self._bell.ring()  # we were deaf for a while
            self._ready.set()
            while not self._stop.is_set():
                for notice in raw.notifies(timeout=POLL_SECONDS):
                    if notice.payload != self._self_mark:
                        self._bell.ring()
                    if self._stop.is_set():
                        break
