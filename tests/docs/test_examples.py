"""The examples of the documents work as they are printed, against a real server.

A block is executed when the line above it reads `<!-- run -->`. The blocks of one document run one
after another in one shell, in an empty directory that holds a `train.py`, and see what a reader's
shell would hold: SERVER_URL, AUTH_TOKEN, CHAT_SESSION_ID, and the server's data directory.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.testing.server import ServerProcess, running_server

REPOSITORY = Path(__file__).resolve().parents[2]
MARKED = re.compile(r"<!-- run -->\n+```(bash|python)\n(.*?)```", re.DOTALL)
DOCUMENTS = (
    "README.md",
    "docs/tutorial/first-sweep.md",
    "docs/howto/verify-offline.md",
    "docs/howto/tokens.md",
    "docs/howto/backup.md",
    "docs/howto/notifications.md",
    "docs/howto/budgets-and-drain.md",
    "docs/howto/convert-and-plan.md",
)

TRAIN = """\
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
with open(os.environ["TALLY_METRICS"], "a") as rows:
    for step in range(3):
        loss = 1 / (1 + step * options.lr)
        rows.write(json.dumps({"step": step, "loss": loss}) + "\\n")
        print(f"step {step} loss {loss:.3f}")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("examples")) as running:
        yield running


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_work(document: str, server: ServerProcess, tmp_path: Path) -> None:
    blocks = MARKED.findall((REPOSITORY / document).read_text())
    assert blocks, "no block is marked to be run"
    (tmp_path / "train.py").write_text(TRAIN)
    script = "set -euo pipefail\n" + "\n".join(in_shell(*block) for block in blocks)
    done = subprocess.run(
        ("bash", "-c", script),
        cwd=tmp_path,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n--- printed\n{done.stdout}\n{done.stderr}"


def in_shell(language: str, block: str) -> str:
    """A block as the shell takes it."""
    return block if language == "bash" else f"python - <<'END_OF_BLOCK'\n{block}END_OF_BLOCK"


def environment(server: ServerProcess) -> dict[str, str]:
    """A reader's shell, beside a server that runs."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TALLY_DATA_DIR": str(server.data_dir),
        "SERVER_URL": server.url,
        "AUTH_TOKEN": server.token("admin"),
        "CHAT_SESSION_ID": "5f0c7b1e-2f6a-4a53-9d0e-7d1f3f3c0a11",
    }


def test_only_listed_documents_have_marked_blocks() -> None:
    files = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    marked = {
        str(file.relative_to(REPOSITORY)) for file in files if MARKED.search(file.read_text())
    }
    assert marked == set(DOCUMENTS)
