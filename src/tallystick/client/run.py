"""Inside a job: `tallystick.log` and `tallystick.summary`, which never hold up or break training.

A call appends one line to the metrics file of the attempt, whole, and returns: what it wrote
survives the end of this process in any way, and the supervisor carries it to the server from there,
now or whenever there is a server again. Where the disk refuses or is slow, a thread goes on with
the lines in order, and the call returns at once. Many processes may log; so may a process that was
forked. Outside a run nothing is recorded, which is said once. Nothing here raises.
"""

import json
import os
import shutil
import sys
import threading
import time
from atexit import register
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

METRICS_VARIABLE: Final = "TALLY_METRICS"
"""Set by the supervisor: the metrics file of the attempt."""

OUTPUT_VARIABLE: Final = "TALLY_OUTPUT_DIR"
"""Set by the server: files in this directory are kept when the attempt has ended."""

SLOW_SECONDS: Final = 0.05
"""A write that took longer moves those of the next `SLOW_FOR_SECONDS` to a thread."""

SLOW_FOR_SECONDS: Final = 5.0

MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Held while the disk does not take them; what comes beyond is lost, which is said."""

RETRY_SECONDS: Final = 0.5
EXIT_SECONDS: Final = 5.0
"""How long the end of a process waits for lines that the disk has not taken yet."""

_OUTSIDE: Final = "not inside a run: nothing is recorded. `tally exec` makes a run"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RunLog:
    """Where one process writes what it measures."""

    def __init__(self, path: str | None, output: str | None = None) -> None:
        """`path` is the metrics file of the attempt, `output` the directory whose files are kept;
        None outside a run. Nothing is opened yet.
        """
        self._path = path
        self._output = output
        self._file = -1
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()  # guarded by _lock
        self._waiting_bytes = 0
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()
        self._slow_until = 0.0

    def log(self, metrics: Mapping[str, Any], *, step: float | None = None) -> None:
        """Append one row."""
        try:
            row: dict[str, Any] = {} if step is None else {"_step": _plain(step)}
            row["_timestamp"] = time.time()
            for name, value in metrics.items():
                row[str(name)] = _plain(value)
            self._write(row)
        except Exception as error:  # noqa: BLE001 - logging never breaks training
            self._say("row", f"a row was not recorded: {type(error).__name__}: {error}")

    def summary(self, values: Mapping[str, Any]) -> None:
        """Note final values."""
        try:
            self._write({"_summary": {str(name): _plain(value) for name, value in values.items()}})
        except Exception as error:  # noqa: BLE001 - likewise
            self._say("row", f"a summary was not recorded: {type(error).__name__}: {error}")

    def artifact(self, path: str | os.PathLike[str], *, name: str | None = None) -> str | None:
        """Copy a file, or a directory with all below it, to where files are kept."""
        try:
            if self._output is None:
                self._say("outside", _OUTSIDE)
                return None
            source = os.path.abspath(path)  # noqa: PTH100 - no links resolved
            target = _target(self._output, name or os.path.basename(source))  # noqa: PTH119
            if target == source:
                return target
            _copy(source, target)
        except Exception as error:  # noqa: BLE001 - likewise
            self._say("file", f"{path!s} was not kept: {type(error).__name__}: {error}")
            return None
        return target

    def flush(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Wait until the file holds everything; False when the time was up before."""
        until = time.monotonic() + timeout_seconds
        while self._waiting:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def forked(self) -> None:
        """In the child: its parent's thread is not here, and its parent's lines are not ours."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._thread = None

    def finish(self) -> None:
        """At the end of the process: a last chance for what the disk has not taken."""
        if self._waiting and not self.flush():
            self._say("end", f"{len(self._waiting)} rows could not be written before the end")

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._path is None:
            self._say("outside", _OUTSIDE)
            return
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_text)
        content = line.encode("utf-8", "backslashreplace") + b"\n"
        started = time.monotonic()
        if self._waiting or started < self._slow_until:
            self._queue(content)
            return
        rest = self._append(content)
        ended = time.monotonic()
        if ended - started > SLOW_SECONDS:
            self._slow_until = ended + SLOW_FOR_SECONDS
        if rest:
            self._queue(rest)

    def _append(self, content: bytes) -> bytes:
        """What the disk did not take."""
        try:
            if self._file < 0:
                self._file = os.open(self._path or "", _FLAGS)
            written = os.write(self._file, content)
        except OSError as error:
            self._say("disk", f"{self._path}: {error.strerror}; trying on in the background")
            return content
        return content[written:]

    def _queue(self, content: bytes) -> None:
        with self._lock:
            if self._waiting_bytes + len(content) > MOST_WAITING_BYTES:
                self._lost += 1
            else:
                self._waiting.append(content)
                self._waiting_bytes += len(content)
        if self._lost:
            self._say("lost", "rows are lost: the disk has not taken any for too long")
        with self._lock:
            if self._waiting and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(
                    target=self._drain, name="tallystick-log", daemon=True
                )
                self._thread.start()

    def _drain(self) -> None:
        """Write what waits, in order; ends when nothing does."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                content = self._waiting[0]
            rest = self._append(content)
            with self._lock:
                if not self._waiting:
                    return
                self._waiting_bytes -= len(content) - len(rest)
                if rest:
                    self._waiting[0] = rest
                else:
                    self._waiting.popleft()
            if rest:
                time.sleep(RETRY_SECONDS)

    def _say(self, kind: str, what: str) -> None:
        """Tell the person once, on standard error."""
        if kind not in self._said:
            self._said.add(kind)
            with suppress(Exception):
                sys.stderr.write(f"tallystick: {what}\n")


def _plain(value: Any) -> Any:
    """A value as JSON can carry it; numbers of other libraries by their own conversion."""
    kind = type(value)
    if kind is float or kind is int or kind is str or kind is bool or value is None:
        return value
    item = getattr(value, "item", None)  # one element of an array or a tensor
    if callable(item):
        with suppress(Exception):
            return _plain_number(item())
    return _plain_number(value)


def _plain_number(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | Mapping | list | tuple):
        return value
    if hasattr(value, "__float__"):
        with suppress(Exception):
            return float(value)
    return value


def _text(value: Any) -> Any:
    """Inside a nested value: a number where it is one, else its text."""
    plain = _plain(value)
    return plain if isinstance(plain, int | float) else str(value)


def _target(output: str, name: str) -> str:
    """Where a file is kept under a name; raises ValueError for one that leads elsewhere."""
    parts = name.split("/")
    if not name or name.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{name!r} is no relative path")
    return os.path.join(output, *parts)  # noqa: PTH118


def _copy(source: str, target: str) -> None:
    """A file, whole or not there; a directory file by file."""
    if os.path.isdir(source):  # noqa: PTH112
        for name in sorted(os.listdir(source)):  # noqa: PTH208
            below = os.path.join(source, name)  # noqa: PTH118
            if not os.path.islink(below):  # noqa: PTH114
                _copy(below, os.path.join(target, name))  # noqa: PTH118
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
    scratch = f"{target}.{os.getpid()}.{threading.get_ident()}.tmp"
    try:
        shutil.copyfile(source, scratch)
        os.replace(scratch, target)  # noqa: PTH105
    finally:
        with suppress(OSError):
            os.unlink(scratch)  # noqa: PTH108


@cache
def _of_this_process() -> RunLog:
    """The log of this process, which ends with it and knows when it is forked."""
    log = RunLog(os.environ.get(METRICS_VARIABLE), os.environ.get(OUTPUT_VARIABLE))
    register(log.finish)
    os.register_at_fork(after_in_child=log.forked)
    return log


def log(metrics: Mapping[str, Any], *, step: float | None = None) -> None:
    """Record metrics of this run: names and numbers, exactly as they are.

    `step` is what the points are drawn over; without it the position among the rows stands in.
    NaN and the infinities are kept. Returns at once and raises nothing; outside a run it does
    nothing and says so once.
    """
    _of_this_process().log(metrics, step=step)


def summary(values: Mapping[str, Any]) -> None:
    """Note what this run says of itself at the end, for example its best accuracy; the last one of
    each name counts. Returns at once and raises nothing.
    """
    _of_this_process().summary(values)


def artifact(path: str | os.PathLike[str], *, name: str | None = None) -> str | None:
    """Keep a file of this run, or a directory with all below it, as it is now.

    It is copied to where the run's files lie, and kept by content when the attempt has ended.
    `name` is what the record calls it, by default the last part of `path`. Returns where the copy
    lies; None, and a line on standard error, when there is none. Raises nothing.
    """
    return _of_this_process().artifact(path, name=name)


def flush(timeout_seconds: float = EXIT_SECONDS) -> bool:
    """Wait until everything that was logged is in the file; False when the time was up before.

    Only needed before this process ends itself without Python's own end (`os._exit`), and only
    where the disk is slow or full: lines are written as they are logged.
    """
    return _of_this_process().flush(timeout_seconds)
