"""How long does an agent wait for the hook before each command?

The whole process, from its start until it has ended, beside a Python that does nothing, measured in
turn: without a trigger word in the command, and with one that has to be parsed, judged, converted
and recorded: by its words alone, and by a shell script and the Python file that it runs.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.figures import Figure, Row, at_most
from bench.workbench import Collected, Workbench, alone
from tallystick.agents.entry import hook_argv

TITLE = "The hook before a command"
CALLS = 40
"""Processes of each kind in one repeat; their median counts."""
FLOOR = "python -I -c pass"
COMMANDS = {
    "plain": ("git status && ls -la", "without a trigger word", 2.5),
    "judged": ("cd src && python train.py --lr 1e-2 | tee log.txt", "with one, converted", 5.0),
    "read": ("bash run_grid.sh", "with a script that runs a script, converted", 5.0),
}
GRID = """\
set -euo pipefail
for lr in 0.1 0.01 0.001; do
  python3 src/fit.py --lr "$lr"
done
"""
FIT = """\
import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
options = parser.parse_args()
model = nn.Linear(4, 1)
steps = torch.optim.SGD(model.parameters(), lr=options.lr)
for step in range(100):
    loss = model(torch.randn(32, 4)).pow(2).mean()
    steps.zero_grad()
    loss.backward()
    steps.step()
    print(f"step {step} loss {loss.item():.4f}")
"""


def answer(bench: Workbench) -> list[Row]:
    """One row for each kind of command."""
    root = bench.directory / "project"
    (root / ".tally").mkdir(parents=True, exist_ok=True)
    (root / "src").mkdir(exist_ok=True)
    (root / "run_grid.sh").write_text(GRID)
    (root / "src" / "fit.py").write_text(FIT)
    environment = {**os.environ, "TALLY_HOME": str(bench.directory / "home")}
    environment.pop("TALLY_RUN_ID", None)
    seen = Collected()
    _round(root, environment, 2)  # bytecode, and files in memory
    for repeat in range(bench.repeats):
        bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
        with bench.timed() as section:
            taken = _round(root, environment, CALLS // 4 if bench.quick else CALLS)
        seen.add(section.foreign, **{name: median(values) for name, values in taken.items()})
    floor: Figure = seen.figure("floor", "ms")
    return [
        Row(
            what=f"hook, {words}",
            figure=seen.figure(name, "ms"),
            floor=FLOOR,
            floor_figure=floor,
            target=at_most(bound),
        )
        for name, (_command, words, bound) in COMMANDS.items()
    ]


def _round(root: Path, environment: dict[str, str], calls: int) -> dict[str, list[float]]:
    """Milliseconds of every process, each kind in turn; answers are looked at."""
    taken: dict[str, list[float]] = {"floor": [], **{name: [] for name in COMMANDS}}
    for number in range(calls):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        taken["floor"].append((time.perf_counter() - began) * 1000)
        for name, (command, _words, _bound) in COMMANDS.items():
            content = _payload(root, command, number)
            began = time.perf_counter()
            done = subprocess.run(
                hook_argv(), input=content, capture_output=True, check=True, env=environment
            )
            taken[name].append((time.perf_counter() - began) * 1000)
            assert (b" exec " in done.stdout) == (name != "plain"), done.stdout
    return taken


def _payload(root: Path, command: str, number: int) -> bytes:
    document = {
        "session_id": "bench",
        "transcript_path": "/home/u/.claude/projects/p/bench.jsonl",
        "cwd": str(root),
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": command, "description": "measured"},
        "tool_use_id": f"toolu_{number}",
    }
    return json.dumps(document).encode()


if __name__ == "__main__":
    alone(TITLE, answer)
