"""The launcher process: preloaded once, forks one supervisor for each request.

Reads JSON lines {"attempt", "directory", "token"} from a socket and answers each with
{"attempt", "pid", "start_ticks"} or {"attempt", "error"}. It may die at any time: supervisors
live in sessions of their own and hold their locks themselves. It keeps no state, and writes down
nothing; a token passes through its memory only.
"""

import gc
import json
import os
import signal
import socket
from dataclasses import dataclass, field

from tallystick.proc import start_ticks

REQUEST_BYTES = 65_536
"""Far above a path and a token; a longer line is a broken peer, and ends the launcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One supervisor to start."""

    attempt: str
    directory: str
    token: str = field(repr=False)


def serve(descriptor: int) -> Request | None:
    """Fork for every request on the socket `descriptor`.

    Returns the request in each forked child, which has to become the supervisor, and None in the
    launcher itself once the other end is closed.
    """
    channel = _take(descriptor)
    # Children are reaped by the kernel: a launcher that waits for nothing can forget nothing.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # pages of the preloaded modules stay shared with every supervisor
    with channel, channel.makefile("rb") as lines:
        while raw := lines.readline(REQUEST_BYTES):
            try:
                request = Request(**json.loads(raw))
            except (ValueError, TypeError):
                return None  # not our peer: closing makes it start another launcher
            answer = _fork(request)
            if answer is None:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # before the child forks anything
                return request
            try:
                channel.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return None
    return None


def _fork(request: Request) -> dict[str, object] | None:
    """The answer in the launcher, None in the child."""
    try:
        pid = os.fork()
    except OSError as error:
        return {"attempt": request.attempt, "error": str(error)}
    if pid == 0:
        return None
    return {"attempt": request.attempt, "pid": pid, "start_ticks": start_ticks(pid) or 0}


def _take(descriptor: int) -> socket.socket:
    """The socket on a close-on-exec descriptor of its own, with /dev/null in its old place."""
    channel = socket.socket(fileno=os.dup(descriptor))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)
    return channel
