"""How long from submitting a run until the first instruction of its command?

The command writes down the time as its first act: a Python without site packages, and a shell.
Beside task-spooler and a bare Popen.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import seeding, servers
from bench.figures import Row, at_most, percentile
from bench.load import Connection, parsed
from bench.servers import Started
from bench.spooler import Spooler
from bench.workbench import Collected, Workbench, alone

TITLE = "From submit to the first instruction"
PATIENCE_SECONDS = 30.0
FORMS = ("python -I -S", "sh")

Submit = Callable[[Sequence[str]], None]


def answer(bench: Workbench) -> list[Row]:
    """A row for each form of command and each thing it is compared with."""
    seen = Collected()
    count = 5 if bench.quick else 15
    with ExitStack() as stack:
        directory = bench.stored(0)
        server = stack.enter_context(servers.tallystick(directory, "--max-concurrent", "2"))
        connection = stack.enter_context(server.connect())
        ways: dict[str, Submit] = {"tally": _by_tallystick(server, connection)}
        if Spooler.found():
            ways["tsp"] = stack.enter_context(Spooler(bench.directory)).submit
        ways["popen"] = _by_popen
        for submit in ways.values():
            _launch(submit, FORMS[0], directory)  # starts what starts once
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            for form in FORMS:
                for name, submit in ways.items():
                    with bench.timed() as section:
                        spent = [_launch(submit, form, directory) for _ in range(count)]
                    key = f"{name}_{form}"
                    seen.add(section.foreign, **{key: percentile(spent, 0.5)})
    return [row for form in FORMS for row in _rows(seen, form, spooler="tsp" in ways)]


def _rows(seen: Collected, form: str, *, spooler: bool) -> list[Row]:
    what = f"submit to first instruction of {form}, p50"
    figure = seen.figure(f"tally_{form}", "ms")
    return [
        Row(
            what=what,
            figure=figure,
            floor="task-spooler",
            floor_figure=seen.figure(f"tsp_{form}", "ms") if spooler else None,
            target=at_most(3),
            note="" if spooler else "task-spooler is not installed",
        ),
        Row(
            what=what,
            figure=figure,
            floor="bare Popen",
            floor_figure=seen.figure(f"popen_{form}", "ms"),
        ),
    ]


def _by_popen(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


def _by_tallystick(server: Started, connection: Connection) -> Submit:
    """Submitting one run over HTTP, and waiting until it has ended and the slot is free."""
    sweep = servers.create_sweep(server)

    def submit(command: Sequence[str]) -> None:
        body = {
            "name": "a trial",
            "command": shlex.join(command),
            "sweep_id": sweep,
            "chat_session_id": seeding.SESSION,
            "auto_start": True,
        }
        answer = connection.request("POST", "/runs", json.dumps(body).encode(), server.headers)
        path = f"/runs/{parsed(answer)['id']}?wait=10"
        while True:
            run = parsed(connection.request("GET", path, headers=server.headers))
            if run["status"] in {"finished", "failed", "stopped"}:
                return

    return submit


def _launch(submit: Submit, form: str, directory: Path) -> float:
    """Milliseconds from just before submitting to the command's own first look at the clock."""
    told = directory / f"told-{time.monotonic_ns()}"
    if form == "sh":
        command = ["sh", "-c", f"date +%s%N > {told}"]
    else:
        program = f"import time; now = time.time_ns(); open({str(told)!r}, 'w').write(str(now))"
        command = [sys.executable, "-I", "-S", "-c", program]
    began = time.time_ns()
    submit(command)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (told.exists() and told.stat().st_size):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{form}: nothing was executed within {PATIENCE_SECONDS} s")
        time.sleep(0.001)
    time.sleep(0.005)
    return (int(told.read_text()) - began) / 1e6


if __name__ == "__main__":
    alone(TITLE, answer)
