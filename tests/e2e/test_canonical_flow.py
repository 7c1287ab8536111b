"""The published example, pasted into bash, works as printed (P1.3)."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tallystick.testing.server import ServerProcess

HERE = Path(__file__).parent
SESSION = "5f0c7b1e-2f6a-4a53-9d0e-7d1f3f3c0a11"


def blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (HERE / "canonical_flow.md").read_text(), re.DOTALL)


def paste(block: str, server: ServerProcess, workdir: Path, **more: str) -> list[Any]:
    """Run a block as an agent would; the JSON documents that came back."""
    environment = {
        **os.environ,
        "SERVER_URL": server.url,
        "AUTH_TOKEN": server.token("agent"),
        "CHAT_SESSION_ID": SESSION,
        **more,
    }
    printed = subprocess.run(
        ["bash", "-c", block.replace("/path/to/workdir", str(workdir))],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    documents, rest, decoder = [], printed.strip(), json.JSONDecoder()
    while rest:
        document, end = decoder.raw_decode(rest)
        documents.append(document)
        rest = rest[end:].lstrip()
    return documents


def test_the_published_example_works_verbatim(server: ServerProcess) -> None:
    workdir = server.workspace / "project"
    (workdir / "scripts").mkdir(parents=True)
    shutil.copy(
        HERE.parent.parent / "examples/mnist_mlp/train_mnist_mlp.py",
        workdir / "scripts/train_mnist_mlp.py",
    )
    first, second, third = blocks()

    (sweep,) = paste(first, server, workdir)
    assert re.fullmatch(r"swp_[0-9a-f]{12}", sweep["id"])
    assert sweep["chat_session_id"] == "unattributed"
    (warning,) = [w for w in sweep["warnings"] if w["code"] == "session_placeholder"]
    assert "$CHAT_SESSION_ID" in warning["detail"]
    assert '\\"$CHAT_SESSION_ID\\"' in warning["detail"]  # the quoting that works
    assert sweep["violations"] == ["session_placeholder"]
    assert sweep["receipt"]["seq"] >= 0

    (run,) = paste(second, server, workdir, SWEEP_ID=sweep["id"])
    assert run["chat_session_id"] == SESSION
    assert run["status"] in {"queued", "launching", "running"}
    assert run["compliant"] is True

    done = server.ended(run["id"])
    assert (done["status"], done["exit_code"]) == ("finished", 0), done
    assert (workdir / "exp/outputs/result.json").exists()

    listed, seen, health = paste(third, server, workdir, SWEEP_ID=sweep["id"])
    assert [item["id"] for item in listed] == [run["id"]]
    assert seen["status"] == "completed"
    assert seen["progress"]["completed"] == 1
    assert seen["chat_session_id"] == SESSION  # named by its first real run
    assert health["running"] == 0
    assert health["completed"] == 1
    assert health["max_concurrent"] == 4
