"""Processes as the supervisor sees them: its clock, its descendants, and the start of a command.

Every process of a run is a descendant of its supervisor, however it detached itself, because the
supervisor is a child subreaper: the kernel hands it every orphan. Nothing here keeps state.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tallystick import proc

PR_SET_CHILD_SUBREAPER = 36
OOM_SCORE = b"500"
"""Raising needs no right; out of memory, the kernel takes the command before its supervisor."""

RefusalCode = Literal["workdir_missing", "exec_failed"]


class SpawnError(Exception):
    """The command was not executed: `code` and `detail` as in command_refused."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(detail)
        self.code: RefusalCode = code
        self.detail = detail


def now_ms() -> int:
    """Milliseconds since the Unix epoch, by this host's clock."""
    return time.time_ns() // 1_000_000


def become_subreaper() -> None:
    """Adopt every orphan among the descendants; raises OSError where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants() -> list[int]:
    """Pids of every living descendant of this process; zombies are left out.

    One look is a snapshot that a forking tree can outrun; whoever must be sure looks until wait
    says that no child is left.
    """
    own = os.getpid()
    listed = Path(f"/proc/self/task/{own}/children").exists()  # needs CONFIG_PROC_CHILDREN
    found = _walk(own) if listed else _scan(own)
    return [pid for pid in found if (fields := proc.stat_fields(pid)) and fields[0] not in b"ZX"]


def _walk(root: int) -> list[int]:
    """Follow /proc/PID/task/TID/children: the cost depends on the tree, not on the host."""
    found: list[int] = []
    todo = [root]
    while todo:
        parent = todo.pop()
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - names only
                children = _children(parent, thread)
                found += children
                todo += children
    return found


def _children(pid: int, thread: str) -> list[int]:
    """Children of one thread; none when it has just gone."""
    try:
        content = Path(f"/proc/{pid}/task/{thread}/children").read_bytes()
    except OSError:
        return []
    return [int(word) for word in content.split()]


def _scan(root: int) -> list[int]:
    """Follow the parent of every process of the host."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only
        if name.isdigit() and (fields := proc.stat_fields(int(name))):
            below.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        children = below.get(todo.pop(), [])
        found += children
        todo += children
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> set[int]:
    """Send to each of our descendants; returns those that were reached.

    Safe by pid: a descendant's pid cannot be given to a stranger before we have waited for it.
    """
    reached = set()
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)
            reached.add(pid)
    return reached


def spawn(argv: Sequence[str], *, environment: Mapping[str, str], workdir: str, output: int) -> int:
    """Execute `argv` in `workdir` and return its pid once the new program runs.

    The child has a session of its own, stdin from /dev/null, stdout and stderr on `output`, every
    signal at its default. Raises `SpawnError` when it could not be executed; then nothing was.
    """
    if not workdir.startswith("/"):  # it would mean some place relative to ours
        raise SpawnError("workdir_missing", f"{workdir}: not an absolute path")
    try:
        os.chdir(_bytes(workdir))  # inherited; so a directory that cannot be entered is told apart
    except (OSError, ValueError) as error:
        raise SpawnError("workdir_missing", f"{workdir}: {_reason(error)}") from error
    try:
        pid = _execute(
            [_bytes(word) for word in argv],
            {_bytes(key): _bytes(value) for key, value in environment.items()},
            output,
        )
    finally:
        os.chdir("/")  # keep no file system busy
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "wb", 0) as adjust:  # noqa: PTH123
        adjust.write(OOM_SCORE)
    return pid


def _execute(argv: list[bytes], environment: dict[bytes, bytes], output: int) -> int:
    """Spawn the first match on the PATH of `environment`, as a shell would look it up.

    posix_spawn rather than fork: no page of ours is copied, and no lock of ours can be inherited.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    files = [
        (os.POSIX_SPAWN_DUP2, source, target)
        for target, source in enumerate((null, output, output))
    ]
    reason = "not found on the PATH of the run"
    try:
        for folder in environment.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
            program = os.path.join(folder, argv[0])  # noqa: PTH118 - bytes
            if not os.path.exists(program):  # noqa: PTH110 - far cheaper than a failing spawn
                continue
            try:
                return os.posix_spawn(
                    program,
                    argv,
                    environment,
                    file_actions=files,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
                )
            except PermissionError as error:
                reason = _reason(error)  # a later match will do, as in a shell
            except (OSError, ValueError) as error:
                reason = _reason(error)
                break
    finally:
        os.close(null)
    raise SpawnError("exec_failed", f"{argv[0].decode(errors='replace')}: {reason}")


def _reason(error: OSError | ValueError) -> str:
    """The words of an error, without path and number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _bytes(text: str) -> bytes:
    """UTF-8 whatever the locale of the supervisor; undecodable bytes come back as they were."""
    return text.encode("utf-8", "surrogateescape")
