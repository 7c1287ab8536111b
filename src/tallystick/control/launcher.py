"""Turns an assigned attempt into a submitted one: a bundle, the backend, the fact.

The intent (`attempt.assigned`) is in the ledger before, the outcome (`attempt.submitted`) after;
what happens between is repeatable, because the backend executes an attempt at most once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.control.credentials import Mint
from tallystick.control.places import OUTPUT, WANDB
from tallystick.control.redaction import missing_marks, restore
from tallystick.control.texts import Texts
from tallystick.control.trackers import mlflow_variables, named_tracker
from tallystick.control.vault import Vault
from tallystick.db.database import Database
from tallystick.domain.commands import RecordLost, RecordSubmission
from tallystick.domain.ids import SYSTEM, AttemptId, Role, RunId
from tallystick.domain.run import Run
from tallystick.errors import CorruptLedgerError, Refusal, UnavailableError
from tallystick.execution.backend import Backend, Handle, Submission
from tallystick.execution.bundle import write_bundle
from tallystick.ledger.ledger import Ledger
from tallystick.projections import attempts
from tallystick.wire.bundle import Bundle

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """What every launch has in common."""

    runs_dir: Path
    server_file: Path
    base_environment: Mapping[str, str]
    """What a command gets before its own variables."""
    grace_seconds: float
    record_tree: bool
    sample_seconds: float = 0.0
    gpus: str | None = None
    """The setting `execution.gpus`: when it names devices, no run sees any but its own."""


class Launcher:
    """Submits attempts; called by the scheduler, and by the reconciler to repeat what was cut."""

    def __init__(
        self,
        database: Database,
        handler: CommandHandler,
        backend: Backend,
        *,
        clock: Clock,
        vault: Vault,
        mint: Mint,
        settings: LaunchSettings,
    ) -> None:
        """Nothing happens before `launch`."""
        self._database = database
        self._handler = handler
        self._backend = backend
        self._clock = clock
        self._vault = vault
        self._mint = mint
        self._settings = settings

    def directory_of(self, run: RunId, attempt: AttemptId) -> Path:
        """The run directory of an attempt."""
        return self._settings.runs_dir / run / attempt

    def journal_key_of(self, attempt: AttemptId) -> str:
        """What the supervisor of an attempt, and nobody else, can write its journal with."""
        return self._mint.secret(attempt, Role.SUPERVISOR)

    def launch(self, run: Run, attempt: AttemptId) -> None:
        """Write the bundle, submit, record; raises `UnavailableError` when the backend cannot now.

        What can never work (the text of the command was erased, say) ends the run as lost.
        """
        directory = self.directory_of(run.id, attempt)
        try:
            write_bundle(directory, self._bundle(run, attempt))
            for name in (OUTPUT, WANDB):
                (directory / name).mkdir(mode=0o700, exist_ok=True)
        except (Refusal, CorruptLedgerError) as error:
            self._give_up(run, attempt, error.detail)
            return
        except OSError as error:
            raise UnavailableError(
                f"the run directory could not be written: {error.strerror}",
                code="storage_failed",
                hint="check free space and permissions of the data directory",
            ) from error
        if run.stop_requested:  # the supervisor will find it, and execute nothing
            handle = Handle(
                attempt=attempt,
                directory=directory,
                native="",
                journal_key=self.journal_key_of(attempt),
            )
            self._backend.cancel(handle, grace_seconds=self._settings.grace_seconds)
        submission = Submission(
            attempt=attempt,
            directory=directory,
            supervisor_token=self.journal_key_of(attempt),
        )
        native = self._backend.submit(submission)
        texts = Texts(self._clock)
        command = RecordSubmission(run=run.id, attempt=attempt, native=texts.add(native))
        self._handler.handle(command, by=SYSTEM, texts=texts)

    def _give_up(self, run: Run, attempt: AttemptId, detail: str) -> None:
        """Nothing was started and nothing ever will be."""
        texts = Texts(self._clock)
        command = RecordLost(
            run=run.id, attempt=attempt, reason_code="launch_failed", reason=texts.add(detail)
        )
        self._handler.handle(command, by=SYSTEM, texts=texts)

    def _bundle(self, run: Run, attempt: AttemptId) -> Bundle:
        """Everything that the supervisor needs to know, secrets put back."""
        wanted = [text for text in (run.command, run.workdir, run.environment) if text is not None]
        with self._database.read() as tx:
            found = Ledger.texts(tx, [text.c for text in wanted])
            assigned = attempts.get(tx, attempt)
        secrets = self._vault.of(run)
        exact = []
        for text in wanted:
            if text.c not in found:
                raise CorruptLedgerError(f"run {run.id}: a text of it is missing or was erased")
            exact.append(found[text.c].decode())
        for mark in (mark for text in exact for mark in missing_marks(text, secrets)):
            raise CorruptLedgerError(f"run {run.id}: the secret behind {mark} is missing")
        environment = json.loads(exact[2]) if run.environment is not None else {}
        own_tracker = named_tracker(environment, exact[0]) is not None
        timeout_ms, memory_mb = run.demands.timeout_ms, run.demands.memory_mb
        return Bundle(
            run=run.id,
            attempt=attempt,
            command=restore(exact[0], secrets),
            workdir=restore(exact[1], secrets),
            environment={
                **self._settings.base_environment,
                "WANDB_DIR": str(self.directory_of(run.id, attempt) / WANDB),
                **{key: restore(value, secrets) for key, value in environment.items()},
                **self._own_variables(run, attempt, own_tracker=own_tracker),
                **self._device_variables(assigned.gpus if assigned else ()),
            },
            server_file=str(self._settings.server_file),
            grace_seconds=self._settings.grace_seconds,
            record_tree=self._settings.record_tree,
            sample_seconds=self._settings.sample_seconds,
            timeout_seconds=None if timeout_ms is None else timeout_ms / 1000,
            memory_bytes=None if memory_mb is None else memory_mb * _MIB,
        )

    def _own_variables(self, run: Run, attempt: AttemptId, *, own_tracker: bool) -> dict[str, str]:
        """What a job may know about itself, with a token that opens this run only."""
        token = self._mint.secret(attempt, Role.RUN)
        own = {
            "PYTHONUNBUFFERED": "1",
            "TALLY_RUN_ID": run.id,
            "TALLY_ATTEMPT_ID": attempt,
            "TALLY_CHAT_SESSION_ID": run.session,
            "TALLY_TOKEN": token,
            "TALLY_OUTPUT_DIR": str(self.directory_of(run.id, attempt) / OUTPUT),
        }
        url = _server_url(self._settings.server_file)
        if url is not None:
            own["TALLY_SERVER_URL"] = url
            if not own_tracker:
                own |= mlflow_variables(run.id, url=url, token=token)
        if run.sweep is not None:
            own["TALLY_SWEEP_ID"] = run.sweep
        return own

    def _device_variables(self, leased: Sequence[str]) -> dict[str, str]:
        """The GPUs that CUDA may see: those of the lease, none without one.

        Indexes count in the order of the PCI bus, as NVML's do: a command that names one means the
        same card as the lease. On a host without GPUs nothing is said, and nothing overruled.
        """
        room = self._backend.capacity().devices
        if not leased and not room and self._settings.gpus in {None, "all"}:
            return {}
        own = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(leased)}
        indexes = {device.id: str(device.index) for device in room}
        if all(device in indexes for device in leased):
            own["TALLY_GPU_INDEXES"] = ",".join(indexes[device] for device in leased)
        return own


def _server_url(server_file: Path) -> str | None:
    """Where the server answers now."""
    try:
        return str(json.loads(server_file.read_bytes())["url"])
    except (OSError, ValueError, KeyError):
        return None
