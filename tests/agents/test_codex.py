"""The real Codex CLI, with a model that only asks for commands: every experiment becomes a run."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tallystick.testing.server import eventually
from tests.agents.conftest import Project, program
from tests.agents.scripted_model import scripted_model

COMMANDS = (
    "ls",
    "python train.py --lr 0.1 --seed 1",
    "bash run_grid.sh",
    "for lr in 0.3 0.4; do python train.py --lr $lr --seed 2; done",
    "nohup python train.py --lr 0.5 --seed 3 > train.log 2>&1 &",
    "torchrun --nproc_per_node 1 train.py --lr 0.6 --seed 4",
    "git commit --allow-empty -m 'python train.py --lr 9 was wrong'; echo status $?",
    "python train.py --lr bad; echo after",
)
CLIENT = {"name": "tests", "version": "0"}
REGISTERED = 7
"""One each for the script, the grid in a file, the background, the launcher and the mistake; two
for the loop."""


def test_whatever_codex_starts_is_a_registered_run_of_its_conversation(project: Project) -> None:
    codex = program("codex", ".bin/codex")
    project.tally("init", "--agent", "codex", "--yes")
    assert (project.directory / ".codex" / "hooks.json").is_file()
    with scripted_model(COMMANDS) as model:
        home = codex_home(project, model.url)
        trust_hooks(codex, project, home)
        ended = project.start(
            [codex, "exec", "--dangerously-bypass-approvals-and-sandbox", "train something"],
            {"CODEX_HOME": str(home)},
        )
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"session id: (\S+)", ended.stderr)
    assert found, ended.stderr
    session = found[1]

    def registered() -> list[dict[str, Any]] | None:
        runs = project.server.get(f"/runs?chat_session_id={session}&limit=100")
        over = all(run["status"] in {"finished", "failed"} for run in runs)
        return runs if over else None

    runs = eventually(registered)
    assert len(runs) == REGISTERED, "\n".join(model.outputs)
    assert {run["workdir"] for run in runs} == {str(project.directory)}
    assert all(any(tag.startswith("origin=dec_") for tag in run["tags"]) for run in runs)
    texts = model.outputs
    assert "train.py" in texts[0]
    assert "registered as run_" in texts[1]
    assert texts[2].count("registered as run_") == 2
    assert [f'"lr": {rate}' in texts[3] for rate in ("0.3", "0.4")] == [True, True]
    assert "registered as" in (project.directory / "train.log").read_text()
    assert '"lr": 0.6' in texts[5]
    assert "status 0" in texts[6]
    assert "invalid float value" in texts[7]
    assert "after" in texts[7]
    commands = {str(run["command"]) for run in runs}
    assert COMMANDS[1] in commands
    assert COMMANDS[2] in commands
    assert COMMANDS[7] in commands
    decisions = project.server.get(f"/guard/decisions?chat_session_id={session}&limit=100")
    items = decisions if isinstance(decisions, list) else decisions["items"]
    assert sum(item["action"] == "converted" for item in items) == len(COMMANDS) - 2
    project.tally("ledger", "verify")


def codex_home(project: Project, url: str) -> Path:
    """Codex's own settings: the model that listens here, and trust in the project."""
    home = project.home / ".codex"
    home.mkdir()
    trusted = json.dumps(str(project.directory))
    (home / "config.toml").write_text(
        f'model = "scripted"\nmodel_provider = "loopback"\n\n'
        f'[model_providers.loopback]\nname = "loopback"\nbase_url = "{url}"\n'
        f'wire_api = "responses"\n\n[projects.{trusted}]\ntrust_level = "trusted"\n'
    )
    return home


def trust_hooks(codex: str, project: Project, home: Path) -> None:
    """What Codex writes when a person approves its hooks under /hooks; without it none is run."""
    assert {hook["trustStatus"] for hook in hooks_of(codex, project, home)} == {"untrusted"}
    with (home / "config.toml").open("a") as config:
        for hook in hooks_of(codex, project, home):
            key, digest = json.dumps(hook["key"]), json.dumps(hook["currentHash"])
            config.write(f"\n[hooks.state.{key}]\ntrusted_hash = {digest}\n")
    assert {hook["trustStatus"] for hook in hooks_of(codex, project, home)} == {"trusted"}


def hooks_of(codex: str, project: Project, home: Path) -> list[dict[str, Any]]:
    """The hooks that Codex finds in the project, as it lists them itself."""
    calls: tuple[dict[str, Any], ...] = (
        {"id": 1, "method": "initialize", "params": {"clientInfo": CLIENT}},
        {"method": "initialized"},
        {"id": 2, "method": "hooks/list", "params": {"cwds": [str(project.directory)]}},
    )
    with subprocess.Popen(
        [codex, "app-server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**project.environment, "CODEX_HOME": str(home)},
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("".join(json.dumps(call) + "\n" for call in calls))
        server.stdin.flush()
        answers = (json.loads(line) for line in server.stdout)
        found = next(answer["result"] for answer in answers if answer.get("id") == 2)
        server.terminate()
    hooks: list[dict[str, Any]] = found["data"][0]["hooks"]
    return hooks
