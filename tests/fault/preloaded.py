"""Servers forked from a process that has everything imported: a start costs a tenth.

Each is a real process over a data directory of its own, to be killed at any moment.

    python -m tests.fault.preloaded DATA_DIR WORKSPACE READY_FILE

starts one for each line on standard input, and answers with its pid.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.server import build
from tallystick.testing.server import ServerProcess, eventually


@dataclass(slots=True)
class PreloadedServer(ServerProcess):
    """A `ServerProcess` that comes from such a process."""

    nursery: "subprocess.Popen[str] | None" = None
    pid: int = 0
    ready: Path = field(default=Path())

    def start(self) -> None:
        """Have one forked, and wait until requests are answered."""
        nursery = self.nursery
        assert nursery is not None
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        self.ready.unlink(missing_ok=True)
        nursery.stdin.write("start\n")
        nursery.stdin.flush()
        self.pid = int(nursery.stdout.readline())
        eventually(lambda: self.ready.exists() or self._is_gone())
        assert not self._is_gone(), self.log()
        self.url = self.ready.read_text()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        self._signal(signal.SIGTERM)
        return 0

    def _signal(self, number: signal.Signals) -> None:
        if not self._is_gone():
            os.kill(self.pid, number)
            eventually(self._is_gone)

    def _is_gone(self) -> bool:
        return not Path(f"/proc/{self.pid}").exists()


@contextmanager
def preloaded_server(directory: Path) -> Iterator[PreloadedServer]:
    """One that is started; killed at the end of the block, should it still be there."""
    workspace, ready = directory / "workspace", directory / "ready"
    workspace.mkdir()
    command = [sys.executable, "-m", "tests.fault.preloaded"]
    command += [str(directory / "data"), str(workspace), str(ready)]
    with (directory / "data.log").open("ab") as log:
        nursery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    server = PreloadedServer(directory / "data", workspace, nursery=nursery, ready=ready)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        nursery.communicate("", timeout=30)


def serve(data_dir: Path, workspace: Path, ready: Path) -> None:
    """One server, until it is told to end."""
    settings = Settings(
        server=ServerSettings(data_dir=data_dir, workspace=workspace, port=0),
        execution=ExecutionSettings(max_concurrent=4, poll_seconds=0.5, record_tree=False),
    )
    scratch = ready.with_suffix(".new")

    def tell(url: str) -> None:
        scratch.write_text(url)
        scratch.replace(ready)

    build(settings).run(tell)


def main(arguments: list[str]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    places = [Path(argument) for argument in arguments]
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                serve(*places)
            finally:
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
