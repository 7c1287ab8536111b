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
from typing import Literal, NoReturn, cast

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


class Waiting:
    """A child of ours that becomes the command once it is told to, and never without.

    It exists, and can be written down, before anything is executed. It waits at a pipe whose other
    end nobody has but us: when we die, that ends, and so does the child. Its own end is a KILL, as
    no exit status of it may be taken for the command's. Forked while this process has one thread.
    """

    def __init__(
        self, argv: Sequence[str], *, environment: Mapping[str, str], workdir: str, output: Path
    ) -> None:
        """Fork; `output` has to be there by `release`. Raises OSError where that is not possible.

        The command will have a session of its own, stdin from /dev/null, stdout and stderr
        appended to `output`, every signal at its default, and a raised OOM score.
        """
        gate, self._gate = os.pipe()
        self._heard, said = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self._gate)
            os.close(self._heard)
            raise
        else:
            if self.pid == 0:
                try:
                    os.close(self._gate)
                    _stand_ready()  # while the parent writes down who we are
                    if os.read(gate, 1):
                        _become(argv, environment, workdir, output)
                except SpawnError as error:
                    os.write(said, f"{error.code} {error}".encode("utf-8", "surrogateescape"))
                finally:
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os.close(gate)
            os.close(said)
        self.start_ticks = proc.start_ticks(self.pid) or 0

    def release(self) -> None:
        """Return once the new program runs; raises `SpawnError` when nothing was executed."""
        try:
            os.write(self._gate, b"!")
        except BrokenPipeError as error:
            self.abandon()
            raise SpawnError("exec_failed", "the process that was to execute it is gone") from error
        os.close(self._gate)
        with open(self._heard, "rb") as heard:  # noqa: PTH123 - a descriptor
            code, _, detail = heard.read().decode("utf-8", "replace").partition(" ")
        if code:
            os.waitpid(self.pid, 0)
            raise SpawnError(cast("RefusalCode", code), detail)

    def abandon(self) -> None:
        """Nothing is to be executed: returns when the child is gone."""
        os.close(self._gate)
        os.close(self._heard)
        os.waitpid(self.pid, 0)


def _stand_ready() -> None:
    """In the child: all of its own that need not wait; signals stay blocked until `_become`."""
    os.setsid()
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", 0) as adjust:  # noqa: PTH123
        adjust.write(OOM_SCORE)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # what is ignored stays so in a new program


def _become(
    argv: Sequence[str], environment: Mapping[str, str], workdir: str, output: Path
) -> NoReturn:
    """In the child: take the place of the command and execute it; raises `SpawnError`."""
    if not workdir.startswith("/"):  # it would mean some place relative to ours
        raise SpawnError("workdir_missing", f"{workdir}: not an absolute path")
    try:
        os.chdir(_bytes(workdir))
    except (OSError, ValueError) as error:
        raise SpawnError("workdir_missing", f"{workdir}: {_reason(error)}") from error
    try:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SpawnError("exec_failed", str(error)) from error
    for target, source in enumerate((null, log, log)):
        os.dup2(source, target)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _execute([_bytes(word) for word in argv], environment)


def _execute(argv: list[bytes], environment: Mapping[str, str]) -> NoReturn:
    """Execute the first match on the PATH of `environment`, as a shell would look it up."""
    variables = {_bytes(key): _bytes(value) for key, value in environment.items()}
    reason = "not found on the PATH of the run"
    for folder in variables.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
        program = os.path.join(folder, argv[0])  # noqa: PTH118 - bytes
        try:
            os.execve(program, argv, variables)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            reason = _reason(error)  # a later match will do, as in a shell
        except (OSError, ValueError) as error:
            reason = _reason(error)
            break
    raise SpawnError("exec_failed", f"{argv[0].decode(errors='replace')}: {reason}")


def _reason(error: OSError | ValueError) -> str:
    """The words of an error, without path and number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _bytes(text: str) -> bytes:
    """UTF-8 whatever the locale of the supervisor; undecodable bytes come back as they were."""
    return text.encode("utf-8", "surrogateescape")
