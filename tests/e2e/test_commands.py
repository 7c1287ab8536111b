"""Every odd command ends with the right status and a reason."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually


@pytest.fixture(scope="module")
def sweep(server: ServerProcess) -> str:
    return server.sweep()


@pytest.mark.parametrize(
    ("command", "status", "exit_code"),
    [
        ("true", "finished", 0),
        ("exit 3", "failed", 3),
        ("echo 'unterminated", "failed", 2),
        ("echo fine # a trailing comment", "finished", 0),
        ("true #" + "x" * 200_000, "finished", 0),
        ("no_such_program_anywhere --x", "failed", 127),
        ("cat <<'END'\n$HOME \"quoted\"\nEND", "finished", 0),
        ("head -c 1000000 /dev/urandom", "finished", 0),
        (f"{sys.executable} -c \"print('x' * 50_000_000, end='')\"", "finished", 0),
        ("(exit 137)", "failed", 137),
    ],
    ids=[
        "true",
        "exit code",
        "open quote",
        "comment",
        "200 KB",
        "not found",
        "here-doc",
        "binary",
        "50 MB without newline",
        "137",
    ],
)
def test_each_command_ends_with_its_true_status(
    server: ServerProcess, sweep: str, command: str, status: str, exit_code: int
) -> None:
    run = server.run(sweep, command)
    done = server.ended(run["id"])
    assert (done["status"], done["exit_code"], done["signal"]) == (status, exit_code, None)
    assert (done["reason"] is None) == (status == "finished")


def test_a_signal_is_told_apart_from_an_exit_code(server: ServerProcess, sweep: str) -> None:
    run = server.run(sweep, "kill -9 $$")
    done = server.ended(run["id"])
    assert (done["status"], done["exit_code"], done["signal"]) == ("failed", None, 9)


def test_a_failure_says_its_last_words(server: ServerProcess, sweep: str) -> None:
    run = server.run(sweep, "echo out of cheese >&2; exit 7")
    done = server.ended(run["id"])
    assert "exit code 7" in done["reason"]
    assert "out of cheese" in done["reason"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"command": ""}, "text_empty"),
        ({"command": "true", "workdir": "/no/such/place"}, "workdir_missing"),
        ({"command": "true", "workdir": "relative/path"}, "workdir_relative"),
    ],
)
def test_what_cannot_run_is_refused_with_the_next_call(
    server: ServerProcess, sweep: str, fields: dict[str, Any], code: str
) -> None:
    body = {"name": "x", "sweep_id": sweep, "chat_session_id": "chat-1", **fields}
    answer = server.call("POST", "/runs", body)
    assert answer.status == 422
    assert answer.body["code"] == code
    assert answer.body["detail"]


def test_a_directory_that_vanished_before_the_start_fails_and_runs_nowhere_else(
    server: ServerProcess, sweep: str
) -> None:
    place = server.workspace / "with space"
    place.mkdir()
    run = server.run(sweep, "touch ran-elsewhere", workdir=str(place), auto_start=False)
    place.rmdir()
    server.post(f"/runs/{run['id']}/start", {})
    done = server.ended(run["id"])
    assert (done["status"], done["reason_code"]) == ("failed", "workdir_missing")
    assert str(place) in done["reason"]
    assert not list(server.workspace.rglob("ran-elsewhere"))


def test_output_is_paged_byte_exactly(server: ServerProcess, sweep: str) -> None:
    text = "".join(f"{i} größer ☂ 🚀\r\n" for i in range(3000))
    (server.workspace / "text").write_text(text, newline="")
    run = server.run(sweep, "cat text")
    server.ended(run["id"])
    raw = server.get(f"/runs/{run['id']}/logs?offset=0&limit=100&format=raw")
    assert raw == text.encode()[:100]
    offset, pages = 0, []
    while True:
        page = server.get(f"/runs/{run['id']}/logs?offset={offset}&limit=1001")
        pages.append(page["content"])
        offset = page["next_offset"]
        if not page["has_more_after"]:
            break
    assert "".join(pages) == text
    assert page["total_size"] == len(text.encode())


def test_a_run_gets_its_own_environment_and_none_of_the_servers_secrets(
    server: ServerProcess, sweep: str
) -> None:
    run = server.run(sweep, "env -0", env={"MY_SETTING": "a b", "WANDB_API_KEY": "s3cr3t-value-1"})
    server.ended(run["id"])
    raw = server.get(f"/runs/{run['id']}/logs?offset=0&limit=102400&format=raw")
    seen = dict(item.split("=", 1) for item in raw.decode().split("\0") if "=" in item)
    assert seen["MY_SETTING"] == "a b"
    assert seen["WANDB_API_KEY"] == "s3cr3t-value-1"
    assert seen["TALLY_RUN_ID"] == run["id"]
    assert seen["TALLY_TOKEN"] not in {server.token("admin"), server.token("agent")}
    for secret in (server.token("admin"), server.token("agent")):
        assert secret not in raw.decode()
    shown = server.get(f"/runs/{run['id']}")["env"]
    assert shown["MY_SETTING"] == "a b"
    assert "s3cr3t-value-1" not in json.dumps(shown)
    database = b"".join(p.read_bytes() for p in server.data_dir.glob("tally.db*"))
    assert b"s3cr3t-value-1" not in database
    # the run's own token opens this run and nothing else
    own = seen["TALLY_TOKEN"]
    other = server.run(sweep, "true", auto_start=False)
    for method, path in [("GET", "/runs"), ("POST", f"/runs/{other['id']}/stop")]:
        assert server.call(method, path, {} if method == "POST" else None, token=own).status in {
            401,
            403,
        }


def test_metrics_written_to_the_file_arrive_exactly(server: ServerProcess, sweep: str) -> None:
    program = (
        "import json, os\n"
        "with open(os.environ['TALLY_METRICS'], 'a') as f:\n"
        "    for i in range(100):\n"
        "        f.write(json.dumps({'step': i, 'loss': 1.4 + i, 'acc': float('nan')}) + '\\n')\n"
    )
    run = server.run(sweep, f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}")
    server.ended(run["id"])

    def arrived() -> Any:
        series = server.get(f"/runs/{run['id']}/metrics").get("metricSeries", {})
        return series if len(series.get("loss", [])) == 100 else None

    series = eventually(arrived)
    assert [point["value"] for point in series["loss"]] == [1.4 + i for i in range(100)]
    assert {point["value"] for point in series["acc"]} == {"NaN"}


def test_git_facts_are_recorded_and_the_repository_is_left_alone(
    server: ServerProcess, sweep: str, tmp_path: Path
) -> None:
    import subprocess

    repository = server.workspace / "repo"
    repository.mkdir()

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
            cwd=repository,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git("init", "-q", "-b", "trunk")
    (repository / "train.py").write_text("print(1)\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (repository / "train.py").write_text("print(2)\n")
    (repository / "new.py").write_text("print(3)\n")
    before = git("status", "--porcelain")
    run = server.run(sweep, "true", workdir=str(repository))
    done = server.ended(run["id"])
    assert done["git"]["head"] == git("rev-parse", "HEAD")
    assert done["git"]["branch"] == "trunk"
    assert git("status", "--porcelain") == before
    git("add", "-A")
    assert done["git"]["tree"] == git("write-tree")
