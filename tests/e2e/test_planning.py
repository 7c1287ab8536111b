"""What an agent asks before and after it works: convert, the plan gate, and the brief."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.testing.server import ServerProcess

PLAN = """\
# Plan

1. `tally sweep create "rates" --goal "which one converges"`
2. Then:

```bash
for lr in 0.1 0.01; do
  python3 train.py --lr $lr
done
```
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("import torch\nloss = torch.ones(1)\nloss.backward()\n")
    return tmp_path


def tally(
    project: Path, *words: str, stdin: str = "", **more: str
) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TALLY_")}
    return subprocess.run(
        [sys.executable, "-m", "tallystick", *words],
        cwd=project, env=environment | more, input=stdin,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_command_is_converted_without_a_server(project: Path) -> None:
    loop = "for lr in 0.1 0.01; do python3 train.py --lr $lr; done"
    done = tally(project, "convert", "--json", loop, TALLY_URL="http://127.0.0.1:9")
    made = json.loads(done.stdout)
    assert (done.returncode, made["verdict"]) == (0, "experiment")
    runs = [call["body"] for call in made["calls"] if call["path"] == "/runs"]
    assert [run["command"] for run in runs] == [
        "python3 train.py --lr 0.1",
        "python3 train.py --lr 0.01",
    ]


def test_what_a_conversion_prints_can_be_pasted(project: Path, server: ServerProcess) -> None:
    """Its curl lines, with the variables that they name."""
    shown = tally(project, "convert", "-", stdin="python3 -c 'import train' && echo \"it's\"\n")
    script = shown.stdout[shown.stdout.index("curl") :]
    sweep = server.sweep("pasted")
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=project,
        env={
            **os.environ,
            "SERVER_URL": server.url,
            "AUTH_TOKEN": server.token(),
            "CHAT_SESSION_ID": "pasted",
            "SWEEP_ID": sweep,
        },
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = server.get("/runs?chat_session_id=pasted")
    assert run["command"] == "python3 -c 'import train' && echo \"it's\""


def test_a_plan_is_refused_line_by_line_until_it_registers_its_runs(project: Path) -> None:
    (project / "PLAN.md").write_text(PLAN)
    done = tally(project, "plan", "check", "PLAN.md")
    assert done.returncode == 1
    assert "PLAN.md:7: P104" in done.stdout
    assert "→ tally run create" in done.stdout
    better = PLAN.replace("  python3 train.py", "  tally exec -- python3 train.py")
    (project / "PLAN.md").write_text(better)
    after = tally(project, "plan", "check", "--json", "PLAN.md")
    assert (after.returncode, json.loads(after.stdout)["compliant"]) == (0, True), after.stdout


def test_a_plan_comes_from_stdin_and_its_absence_is_said(project: Path) -> None:
    tasks = json.dumps({"todos": [{"content": "Train the model with 3 seeds"}]})
    done = tally(project, "plan", "check", "-", stdin=tasks)
    assert (done.returncode, "P103" in done.stdout) == (1, True)
    absent = tally(project, "plan", "check", "nowhere.md")
    assert absent.returncode == 2
    assert "nowhere.md" in absent.stderr


def test_a_session_that_has_done_nothing_has_an_empty_brief(
    project: Path, server: ServerProcess
) -> None:
    """It is called at the start of conversations, where an error would only confuse."""
    around = {"TALLY_DATA_DIR": str(server.data_dir), "CHAT_SESSION_ID": "fresh"}
    before = tally(project, "brief", **around)
    assert (before.returncode, before.stdout) == (0, "")
    assert "Session fresh has not registered anything yet" in before.stderr
    run = server.run(server.sweep("fresh"), "exit 3", chat_session_id="fresh")
    server.ended(run["id"])
    after = tally(project, "brief", **around)
    assert (after.returncode, "exit code 3" in after.stdout) == (0, True), after
