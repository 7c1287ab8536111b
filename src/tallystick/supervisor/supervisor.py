"""One attempt from its bundle to its end.

    lock -> journal still empty? -> a child that waits -> supervisor_started, which names it
    -> stop asked? -> where it comes from -> let the child execute -> command_started
    -> wait for processes -> command_exited -> end what is left over -> final seals -> ended
    -> deliver -> exit

Invariants: at most one execution per run directory, for ever; the exit status is what wait said
(P3.5); `ended` is written when wait says that no child is left, which, for a subreaper, means no
descendant (P3.6). Waits for signals, never polls. Interprets nothing the command prints.
"""

import fcntl
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType

from tallystick import durable, proc
from tallystick.errors import InvalidError
from tallystick.supervisor import capture, process
from tallystick.supervisor.courier import Courier
from tallystick.supervisor.journal import Journal
from tallystick.supervisor.limits import Limits
from tallystick.supervisor.provenance import GitFacts, git_facts
from tallystick.supervisor.relay import Relay
from tallystick.supervisor.sampler import Sampler
from tallystick.supervisor.seals import Seal
from tallystick.supervisor.tree import STOP_SIGNALS, WATCHED, Tree
from tallystick.wire import codec
from tallystick.wire import journal as wire_journal
from tallystick.wire.bundle import (
    BUNDLE_FILE,
    COMMAND_ARGUMENT_BYTES,
    COMMAND_FILE,
    JOURNAL_FILE,
    LOCK_FILE,
    METRICS_FILE,
    OUTPUT_FILE,
    STOP_FILE,
    SYSTEM_FILE,
    Bundle,
)
from tallystick.wire.observation import (
    CommandRefused,
    CommandStarted,
    Described,
    Ended,
    SupervisorStarted,
)

CRASH_FILE = "supervisor.log"
LOCK_SECONDS = 2.0
"""How long a lock that is held is tried again: a probe holds it for microseconds."""
DETAIL_CHARACTERS = 500
ALREADY_STARTED = 3
"""Exit status of a supervisor that found its attempt started before, or under way."""
REFUSED = 127
"""Exit status when the command could not be executed: the shell's own number for it."""


def supervise(directory: Path, *, token: str) -> int:
    """Carry out the attempt in `directory`; returns the exit status that engines are to see."""
    directory = directory.resolve()
    sys.excepthook = partial(_crashed, directory)
    threading.excepthook = partial(_crashed_beside, directory)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)  # before anybody can learn our pid
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(PermissionError):  # a batch system's script leads its group already
        os.setsid()
    lock = claim(directory)
    if lock is None:
        return ALREADY_STARTED
    try:
        journal = Journal(directory, key=token)
        # The command can remove the journal; the output, made after it, is a second mark.
        if journal.has_begun or os.path.lexists(directory / OUTPUT_FILE):
            return ALREADY_STARTED
        return _Attempt(directory, journal=journal).carry_out(token)
    finally:
        os.close(lock)


def claim(directory: Path) -> int | None:
    """Take the lock of the run directory, held until the process ends; None when it is taken.

    Observers probe by taking a shared lock for a moment, which an exclusive one cannot tell from
    a supervisor; so a held lock is tried again for 2 s unless the journal shows that somebody has
    started already. The descriptor is closed by exec: until then a child of ours keeps the lock
    alive, too, so there is no moment in which a command has begun and nothing shows it.
    """
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wire_journal.has_begun(directory / JOURNAL_FILE) or time.monotonic() > until:
                os.close(lock)
                return None
            time.sleep(0.005)
        else:
            return lock


def _crashed(
    directory: Path,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    """Leave the traceback of a fault of ours in the run directory; there is no terminal."""
    with suppress(OSError), open(capture.create(directory / CRASH_FILE), "w") as log:  # noqa: PTH123
        traceback.print_exception(kind, error, trace, file=log)


def _crashed_beside(directory: Path, fault: threading.ExceptHookArgs) -> None:
    """The same for the courier: supervision goes on, and the journal still holds everything."""
    if fault.exc_value is not None:
        _crashed(directory, fault.exc_type, fault.exc_value, fault.exc_traceback)


class _Attempt:
    """The one attempt of this process."""

    def __init__(self, directory: Path, *, journal: Journal) -> None:
        self._directory = directory
        self._journal = journal

    def carry_out(self, token: str) -> int:
        """Everything after the lock; returns the exit status."""
        process.become_subreaper()
        pid = os.getpid()
        bundle, waiting, fault = self._prepare()
        started = self._journal.note(
            partial(
                SupervisorStarted,
                pid=pid,
                start_ticks=proc.start_ticks(pid) or 0,
                boot_id=proc.boot_id(),
                command_pid=waiting.pid if waiting else 0,
                command_start_ticks=waiting.start_ticks if waiting else 0,
            )
        )
        if not started:
            raise OSError("the journal cannot be written; nothing was executed")
        if bundle is None:
            self._refuse("exec_failed", fault)
            return REFUSED
        return self._execute(bundle, waiting, token=token, fault=fault)

    def _prepare(self) -> tuple[Bundle | None, process.Waiting | None, str]:
        """The bundle, and the child that will become its command; or what is in the way."""
        try:
            content = (self._directory / BUNDLE_FILE).read_bytes()
            bundle = codec.from_json(Bundle, json.loads(content), where=BUNDLE_FILE)
        except (OSError, ValueError, InvalidError) as error:
            return None, None, f"{BUNDLE_FILE}: {error}"
        try:
            waiting = process.Waiting(
                self._argv(bundle.command),
                environment=bundle.environment | self._own_environment(bundle),
                workdir=bundle.workdir,
                output=self._directory / OUTPUT_FILE,
            )
        except OSError as error:
            return bundle, None, f"no process to execute it: {error}"
        return bundle, waiting, ""

    def _execute(
        self, bundle: Bundle, waiting: process.Waiting | None, *, token: str, fault: str
    ) -> int:
        """Start the command unless a stop came first; then see it through and deliver."""
        tree = None
        if waiting is None:
            self._refuse("exec_failed", fault)
        else:
            tree = self._start(bundle, waiting)
        seals = [
            Seal(self._directory / OUTPUT_FILE, stream="output", journal=self._journal),
            Seal(self._directory / METRICS_FILE, stream="metrics", journal=self._journal),
        ]
        courier = Courier(
            journal=self._journal,
            seals=seals,
            metrics=self._directory / METRICS_FILE,
            output=self._directory / OUTPUT_FILE,
        )
        courier.serve(_relay(bundle, token))
        if tree is None:
            status = REFUSED
        else:
            sampler = Sampler(self._directory / SYSTEM_FILE, every_seconds=bundle.sample_seconds)
            sampler.start()
            status = tree.see_through(courier.wake)
            sampler.finish()
            for seal in seals:
                seal.finish()
            self._journal.note(tree.ended())
        self._settle(bundle)
        courier.finish()
        return status

    def _start(self, bundle: Bundle, waiting: process.Waiting) -> Tree | None:
        """Execute the command; None when it did not come to that, which the journal then says."""
        try:
            for name in (OUTPUT_FILE, METRICS_FILE):
                os.close(capture.create(self._directory / name))
        except OSError as error:
            waiting.abandon()
            self._refuse("exec_failed", str(error))
            return None
        facts = GitFacts()
        if not self._stop_asked():
            facts = git_facts(
                Path(bundle.workdir),
                environment=bundle.environment,
                scratch=self._directory,
                with_tree=bundle.record_tree,
            )
        if self._stop_asked():  # again: git may have taken seconds
            waiting.abandon()
            asked = (self._directory / STOP_FILE).exists()
            self._journal.note(partial(Ended, cause="stop" if asked else "terminated"))
            return None
        limits = Limits(
            name=bundle.attempt,
            timeout_seconds=bundle.timeout_seconds,
            memory_bytes=bundle.memory_bytes,
        )
        limits.confine(waiting.pid)
        try:
            waiting.release()
        except process.SpawnError as error:
            limits.release()
            self._refuse(error.code, error.detail)
            return None
        limits.start()
        self._note_start(waiting, facts, bundle, limit_missing=limits.missing)
        return Tree(
            waiting.pid,
            directory=self._directory,
            bundle=bundle,
            journal=self._journal,
            limits=limits,
        )

    def _note_start(
        self,
        command: process.Waiting,
        facts: GitFacts,
        bundle: Bundle,
        *,
        limit_missing: str | None,
    ) -> None:
        """What was executed and where it came from, then what else is known of the place."""
        self._journal.note(
            partial(
                CommandStarted,
                pid=command.pid,
                start_ticks=command.start_ticks,
                git_head=facts.git_head,
                git_branch=facts.git_branch,
                git_tree=facts.git_tree,
                git_missing=facts.git_missing,
            )
        )
        path, version = capture.interpreter(bundle.environment)
        self._journal.note(
            partial(
                Described,
                interpreter=path,
                interpreter_version=version,
                host=os.uname().nodename,
                limit_missing=limit_missing,
            )
        )

    def _stop_asked(self) -> bool:
        """Whether stop.json is there, or a signal to stop waits.

        The server writes stop.json, then reads the journal for whom to signal; we wrote the
        journal, then look here: one of the two sees the other.
        """
        if (self._directory / STOP_FILE).exists():
            return True
        return bool(signal.sigpending() & STOP_SIGNALS)

    def _argv(self, command: str) -> list[str]:
        """`bash -c` as far as one argument reaches, a file beyond."""
        if len(command.encode("utf-8", "surrogateescape")) <= COMMAND_ARGUMENT_BYTES:
            return ["bash", "-c", command]
        return ["bash", str(self._directory / COMMAND_FILE)]

    def _own_environment(self, bundle: Bundle) -> dict[str, str]:
        """What the command finds beside its own environment."""
        return {
            "TALLY_RUN_DIR": str(self._directory),
            "TALLY_ATTEMPT_ID": bundle.attempt,
            "TALLY_METRICS": str(self._directory / METRICS_FILE),
            "PWD": bundle.workdir,
        }

    def _refuse(self, code: process.RefusalCode, detail: str) -> None:
        """The command could not be executed, so this is the end."""
        detail = detail[:DETAIL_CHARACTERS]
        self._journal.note(
            partial(CommandRefused, code=code, detail=detail),
            partial(Ended, cause="refused", code=code, detail=detail),
        )

    def _settle(self, bundle: Bundle) -> None:
        """Wait until the disk took every record, or the run directory is gone.

        Then the command and its environment, secrets in them, have served: they are not kept.
        """
        while not self._journal.flush():
            if not self._directory.is_dir():
                return
            time.sleep(1.0)
        spent = replace(bundle, command="", environment={})
        with suppress(OSError):
            durable.write(self._directory / BUNDLE_FILE, codec.dumps(spent))
        with suppress(OSError):
            (self._directory / COMMAND_FILE).unlink(missing_ok=True)


def _relay(bundle: Bundle, token: str) -> Relay | None:
    """How the server is told; None for a bundle that names no server."""
    if not bundle.server_file:
        return None
    return Relay(attempt=bundle.attempt, server_file=Path(bundle.server_file), token=token)
