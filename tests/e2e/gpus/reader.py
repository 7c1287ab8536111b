"""A local backend in a process of its own, which meets whatever library its environment names.

    python -m tests.e2e.gpus.reader FOLDER CHOICE

Reads one call a line, as JSON, and answers each with a line: `look`, `advance` and the seconds,
`submit` and a command with the devices of its lease, `end`, `log`.
"""

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tallystick.execution.backend import Exited, Gone, Handle, Recorded
from tallystick.execution.devices import Devices
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import Rig, wait_for

FINAL = (Exited, Gone, Recorded)


class Reader:
    """Answers calls."""

    def __init__(self, folder: Path, choice: str | None) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.backend = LocalBackend(gpus=choice)
        self.backend._devices = Devices(choice, whose=self.backend._owner, seconds=lambda: self.now)
        self.rig = Rig(self.backend, folder)
        self.handles: list[Handle] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("tallystick").addHandler(handler)

    def answer(self, call: str, argument: Any) -> Any:
        match call:
            case "look":
                room = asdict(self.backend.capacity())
                return {**room, "loaded": "pynvml" in sys.modules}
            case "advance":
                self.now += argument
                return None
            case "submit":
                command, leased = argument
                environment = {**self.rig.environment, **leased}
                self.handles.append(self.rig.submit(command, environment=environment))
                self.rig.started(self.handles[-1])
                return [self.handles[-1].attempt, self.rig.output(self.handles[-1]).split()]
            case "end":
                handle = self.handles.pop()
                self.backend.cancel(handle, grace_seconds=0)
                wait_for(lambda: isinstance(self.rig.see(handle), FINAL), what="the end")
                self.backend.observe([])
                return None
            case "log":
                lines, self.lines[:] = list(self.lines), []
                return lines
            case _:
                raise ValueError(call)


def main(folder: str, choice: str = "") -> None:
    reader = Reader(Path(folder), choice or None)
    for line in sys.stdin:
        call, argument = json.loads(line)
        print(json.dumps(reader.answer(call, argument)), flush=True)
    while reader.handles:
        reader.answer("end", None)
    reader.backend.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
