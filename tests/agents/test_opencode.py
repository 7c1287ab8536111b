"""The real OpenCode, with a model that only asks for commands: every experiment becomes a run."""

import json
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
)
REGISTERED = 6


def test_whatever_opencode_starts_is_a_registered_run_of_its_conversation(
    project: Project,
) -> None:
    opencode = program(
        "opencode",
        "opencode-linux-x64-baseline/bin/opencode",
        "opencode-linux-x64/bin/opencode",
        "opencode-linux-arm64/bin/opencode",
    )
    with scripted_model(COMMANDS) as model:
        (project.directory / "opencode.json").write_text(json.dumps(settings(model.url)))
        project.tally("init", "--agent", "opencode", "--yes")
        home = project.home
        ended = project.start(
            [opencode, "run", "train something"],
            {
                "XDG_CONFIG_HOME": str(home / "config"),
                "XDG_DATA_HOME": str(home / "data"),
                "XDG_CACHE_HOME": str(home / "cache"),
                "XDG_STATE_HOME": str(home / "state"),
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
            },
        )
    assert ended.returncode == 0, ended.stderr

    def registered() -> list[dict[str, Any]] | None:
        runs = project.server.get("/runs?limit=100")
        over = all(run["status"] in {"finished", "failed"} for run in runs)
        return runs if over else None

    runs = eventually(registered)
    assert len(runs) == REGISTERED, "\n".join(model.outputs)
    sessions = {str(run["chat_session_id"]) for run in runs}
    assert len(sessions) == 1
    assert sessions.pop().startswith("ses_")
    assert all(any(tag.startswith("origin=dec_") for tag in run["tags"]) for run in runs)
    texts = model.outputs
    assert "registered as run_" in texts[1]
    assert texts[2].count("registered as run_") == 2
    assert "registered as" in (project.directory / "train.log").read_text()
    assert '"lr": 0.6' in texts[5]


def settings(url: str) -> dict[str, object]:
    """A provider on loopback; commands need no approval, for nobody is there to give it."""
    model = {"name": "scripted", "tool_call": True, "limit": {"context": 100_000, "output": 4_000}}
    return {
        "model": "loopback/scripted",
        "small_model": "loopback/scripted",
        "autoupdate": False,
        "share": "disabled",
        "permission": {"bash": "allow"},
        "provider": {
            "loopback": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "loopback",
                "options": {"baseURL": url, "apiKey": "none"},
                "models": {"scripted": model},
            }
        },
    }
