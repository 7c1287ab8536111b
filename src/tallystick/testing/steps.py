"""Counts what a process does to files and sockets, and lets one of these steps go wrong.

For every step there are the two faults that a caller must survive, failed and not applied, failed
but applied, and the death of the process just before it. Steps are taken where Python code meets
the system: functions of `os`, `flock`, methods of sockets. Pipes are none, and reading is none but
for sockets: what comes back from there is the word of another program. Stdlib only, so that a
supervisor can be started under it.
"""

import errno
import fcntl
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Final

CHILD_STEPS: Final = 1000
"""A forked process goes on counting from here, so that its steps can be told from its parent's."""

_BY_PATH: Final = ("mkdir", "rename", "replace", "unlink", "rmdir", "chmod")
_BY_DESCRIPTOR: Final = ("write", "pwrite", "fsync", "fdatasync", "ftruncate")
_OF_SOCKETS: Final = ("connect", "sendall", "recv_into")


class Form(Enum):
    """What becomes of the chosen step."""

    NONE = "none"
    NOT_APPLIED = "not-applied"
    """It fails, and nothing of it was done."""
    APPLIED = "applied"
    """It is done, and reported as failed."""
    KILLED = "killed"
    """The process is killed before it."""


class Steps:
    """The steps of this process from `install` on."""

    def __init__(
        self, form: Form = Form.NONE, number: int = 0, *, note: Path | None = None
    ) -> None:
        """Step `number`, from 1, takes `form`; `note` is written when it has come to that.

        Once the note is there nothing goes wrong any more, in no process that shares it.
        """
        self._form = form
        self._number = number
        self._note = note
        self._guard = threading.RLock()
        self._inside = threading.local()
        self.names: list[str] = []
        """What was done, in order."""

    def install(self) -> None:
        """Count from now on, for the life of the process."""
        for name in _BY_PATH:
            self._wrap(os, name, _path_of)
        for name in _BY_DESCRIPTOR:
            self._wrap(os, name, _regular_file)
        self._wrap(os, "open", _written_path)
        self._wrap(fcntl, "flock", _regular_file)
        for name in _OF_SOCKETS:
            self._wrap(socket.socket, name, lambda *_: "server")
        os.register_at_fork(after_in_child=self._forked)

    def reached(self, name: str) -> Form:
        """Count a step that is none of the functions above; what is to become of it."""
        with self._guard:
            self.names.append(name)
            if len(self.names) != self._number or self._form is Form.NONE:
                return Form.NONE
            if self._note is not None and self._note.exists():
                return Form.NONE
            self._inside.busy = True
            if self._note is not None:
                self._note.write_text(name)
            self._inside.busy = False
        if self._form is Form.KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._form

    def _wrap(self, owner: Any, name: str, subject: Callable[..., str | None]) -> None:
        """Put a counting function in the place of `owner.name`."""
        real = getattr(owner, name)

        def step(*arguments: Any, **more: Any) -> Any:
            about = None
            if not getattr(self._inside, "busy", False):
                about = subject(*arguments)
            if about is None:
                return real(*arguments, **more)
            form = self.reached(f"{name} {about}")
            if form is Form.NOT_APPLIED:
                raise _error(name)
            done = real(*arguments, **more)
            if form is Form.APPLIED:
                if name == "open":
                    os.close(done)
                raise _error(name)
            return done

        setattr(owner, name, step)

    def _forked(self) -> None:
        """In a child: its own numbers."""
        self._guard = threading.RLock()
        self.names = ["before the fork"] * CHILD_STEPS


def _error(name: str) -> OSError:
    number = errno.ECONNRESET if name in _OF_SOCKETS else errno.EIO
    return OSError(number, f"the test made it fail: {os.strerror(number)}")


def _path_of(path: Any, *_: Any, **__: Any) -> str | None:
    """The last name of a path; None for a place that is not on a disk."""
    text = os.fsdecode(path)
    return None if text.startswith(("/proc/", "/dev/")) else os.path.basename(text)  # noqa: PTH119


def _written_path(path: Any, flags: int, *_: Any) -> str | None:
    """The name of a file that is opened for writing."""
    return _path_of(path) if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else None


def _regular_file(descriptor: Any, *_: Any) -> str | None:
    """The name of a file or directory by its descriptor; None for pipes and the like."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return None
    return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115, PTH119
