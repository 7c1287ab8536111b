"""Every end has its name, and every attempt its own record and output, by a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, running_server

OUT_OF_MEMORY = "echo 'RuntimeError: CUDA out of memory. Tried to allocate 2 GiB'; exit 1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("outcomes")
    settings = {"TALLY_EXECUTION_POLL_SECONDS": "0.5", "TALLY_EXECUTION_GRACE_SECONDS": "1"}
    with running_server(directory, environment=settings) as running:
        yield running


def ended(server: ServerProcess, command: str, **asked: Any) -> dict[str, Any]:
    run = server.run(server.sweep(), command, **asked)
    found: dict[str, Any] = server.ended(run["id"])
    return found


def test_a_run_over_its_time_is_timed_out(server: ServerProcess) -> None:
    run = ended(server, "echo at work; exec sleep 600", timeout_seconds=0.5)
    assert (run["status"], run["outcome"], run["reason_code"]) == (
        "failed", "timed_out", "timed_out",
    )  # fmt: skip
    assert run["reason"].endswith("at work")
    assert run["attempts"] == 1


def test_a_real_cuda_out_of_memory_fails_once_and_is_not_retried_as_a_failure(
    server: ServerProcess,
) -> None:
    run = ended(server, OUT_OF_MEMORY, retries=5, retry_delay_seconds=0)
    assert (run["outcome"], run["reason_code"]) == ("out_of_memory", "cuda_out_of_memory")
    assert run["attempts"] == 1


def test_out_of_memory_is_retried_only_as_often_as_was_asked(server: ServerProcess) -> None:
    run = ended(server, OUT_OF_MEMORY, retries=1, retry_on=["out_of_memory"], retry_delay_seconds=0)
    assert (run["outcome"], run["attempts"]) == ("out_of_memory", 2)


def test_each_attempt_has_its_own_output_and_record(server: ServerProcess) -> None:
    command = 'echo "this is $TALLY_ATTEMPT_ID"; [ -e done ] || { touch done; exit 3; }'
    run = ended(server, command, retries=1, retry_delay_seconds=0)
    second, first = server.get(f"/runs/{run['id']}/attempts")
    assert (first["number"], first["outcome"], first["exit_code"]) == (1, "failed", 3)
    assert (second["number"], second["outcome"], second["exit_code"]) == (2, "succeeded", 0)
    for attempt in (first, second):
        for key in (attempt["id"], attempt["number"]):
            page = server.get(f"/runs/{run['id']}/logs?offset=0&attempt={key}")
            assert page["content"] == f"this is {attempt['id']}\n"
            assert page["total_size"] == attempt["output_bytes"]
    newest = server.get(f"/runs/{run['id']}/logs?offset=0")
    assert newest["content"] == f"this is {second['id']}\n"
    assert first["reason"].startswith("exit code 3")
