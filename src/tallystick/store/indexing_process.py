"""The process that indexes, seen from the server: started when it is first needed, and again when
it has died. What it was working on is not lost: every piece of an index is one transaction.
"""

import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tallystick.store.indexing import Indexed, Job

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0


class IndexingProcess:
    """One process for all runs; for one thread at a time."""

    def __init__(self, runs_dir: Path) -> None:
        """Nothing is started yet."""
        self._runs_dir = runs_dir
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    def ask(self, job: Job) -> Indexed:
        """Have one job carried out; an answer with an error when the process died of it."""
        try:
            return self._ask(job)
        except (OSError, ValueError) as error:
            status = self._end()
            _log.warning("the process that indexes metrics ended with %s: %s", status, error)
            error_text = f"the process ended with {status}"
            return Indexed(job.run, job.final, caught_up=False, error=error_text)

    def close(self) -> None:
        """End the process; may be repeated."""
        if self._process is not None:
            self._end()

    def _ask(self, job: Job) -> Indexed:
        process = self._process
        if process is None:
            process = self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "tallystick.store.indexing", str(self._runs_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the server, which ends this one
            )
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise ValueError("it closed its output")
        return Indexed(**json.loads(answer))

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            return process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
