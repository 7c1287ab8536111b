"""Fills a data directory with runs through the real command handler, in the server's own process.

    python -m bench.seeding DATA_DIR RUNS

Every run is registered in one of several sweeps and then ended, by two commands like any other; so
the ledger, its tree and all tables are what they would be after as many requests. Nothing is
started: `stop` ends a run that only waits.
"""

import sys
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from tallystick.config import ServerSettings, Settings
from tallystick.control.commands import Accepted
from tallystick.control.texts import Texts
from tallystick.domain.commands import CreateSweep, RegisterRun, StopRun
from tallystick.domain.ids import SYSTEM, RunId, SweepId
from tallystick.server import Server, build

RUNS_PER_SWEEP = 1000
IN_LINE = 256
"""Commands that wait at a time: whole groups for the writer."""
SESSION = "chat-bench"


def seed(data_dir: Path, count: int) -> None:
    """Make a data directory with `count` ended runs."""
    settings = Settings(server=ServerSettings(data_dir=data_dir, workspace=data_dir.parent))
    server = build(settings)
    server.handler.start()
    try:
        server._settle_ledger()  # noqa: SLF001 - as a first start does, without its loops
        waiting: deque[Future[Accepted]] = deque()
        sweep = SweepId("")
        for number in range(count):
            if number % RUNS_PER_SWEEP == 0:
                sweep = new_sweep(server, number // RUNS_PER_SWEEP)
            run = RunId(server.clock.new_id("run"))
            texts = Texts(server.clock)
            registered = RegisterRun(
                run=run,
                name=texts.add(f"trial {number}"),
                command=texts.add(f"python train.py --lr 1e-3 --seed {number}"),
                workdir=texts.add(str(settings.server.workspace)),
                sweep=sweep,
                session=SESSION,
            )
            waiting.append(server.handler.submit(registered, by=SYSTEM, texts=texts))
            waiting.append(server.handler.submit(StopRun(run=run), by=SYSTEM))
            while len(waiting) > IN_LINE:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
    finally:
        server.stop()


def new_sweep(server: Server, number: int) -> SweepId:
    """A sweep made through the handler."""
    texts = Texts(server.clock)
    sweep = SweepId(server.clock.new_id("swp"))
    command = CreateSweep(sweep=sweep, name=texts.add(f"sweep {number}"), session=SESSION)
    server.handler.handle(command, by=SYSTEM, texts=texts)
    return sweep


if __name__ == "__main__":
    seed(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
