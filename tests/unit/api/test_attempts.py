import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tallystick.control.credentials import Mint
from tallystick.control.data_dir import MINT_FILE
from tallystick.domain.commands import ReportDescribed
from tallystick.domain.ids import AttemptId, Role
from tallystick.errors import UnavailableError
from tallystick.testing.backend import FakeBackend
from tests.unit.api.in_process import Api, build_api


class Attempt:
    """A launched attempt, and its supervisor's token."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.run = api.register(command="sleep 600", auto_start=True)["id"]
        self.id = api.launched(self.run)
        key = (api.server.settings.server.data_dir / MINT_FILE).read_bytes()
        self.token = Mint(key).secret(AttemptId(self.id), Role.SUPERVISOR)

    def report(self, *observations: dict[str, Any]) -> Any:
        return self.api.call(
            "POST",
            f"/attempts/{self.id}/observations",
            json={"observations": list(observations)},
            token=self.token,
        )

    def relay(self, chunk: bytes, offset: int) -> int:
        answer = self.api.call(
            "POST",
            f"/attempts/{self.id}/metrics?offset={offset}",
            content=chunk,
            token=self.token,
            headers={"content-type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text
        return int(answer.json()["offset"])


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """Nobody supervises it but the test itself."""
    api = build_api(tmp_path, backend=FakeBackend())
    yield Attempt(api)
    api.close()


STARTED = {"kind": "command_started", "n": 2, "at": 1_700_000_000_000, "pid": 1, "start_ticks": 1}
SEALED = {
    "kind": "output_sealed", "n": 3, "at": 1, "stream": "output", "bytes": 0, "sha256": "0" * 64,
}  # fmt: skip


def test_observations_become_facts_once(attempt: Attempt) -> None:
    for _ in range(2):
        answer = attempt.report(STARTED, SEALED)
        assert (answer.status_code, answer.json()) == (200, {"acknowledged": 3})
    assert attempt.api.get(f"/runs/{attempt.run}")["status"] == "running"
    entries = attempt.api.get(f"/ledger/entries?stream={attempt.run}")["entries"]
    kinds = [entry["type"] for entry in entries]
    assert kinds.count("run.started") == 1
    assert kinds.count("output.sealed") == 1


@pytest.mark.parametrize(
    "observation",
    [
        {"kind": "banana", "n": 1, "at": 1},
        {"n": 1},
        {**STARTED, "extra": 1},
        {**STARTED, "n": "2"},
        {**STARTED, "n": 0},
        {**STARTED, "pid": None},
    ],
)
def test_an_observation_that_is_none_is_refused(
    attempt: Attempt, observation: dict[str, Any]
) -> None:
    assert attempt.report(observation).status_code == 422
    assert attempt.report({**SEALED, "n": 5}, {**SEALED, "n": 4}).status_code == 422


def test_relayed_metrics_are_the_jobs_own_bytes(attempt: Attempt) -> None:
    source = b'{"step":1,"loss":NaN}\n{"step":2,"loss":0.25}\n'
    assert attempt.relay(source[:22], 0) == 22
    assert attempt.relay(source[:22], 0) == 22
    assert attempt.relay(source[30:], 30) == 22
    assert attempt.relay(source[22:], 22) == len(source)
    found = attempt.api.get(f"/runs/{attempt.run}/metrics")["metricSeries"]["loss"]
    assert found == [{"step": 1, "value": "NaN"}, {"step": 2, "value": 0.25}]


def test_an_offset_must_be_given(attempt: Attempt) -> None:
    answer = attempt.api.call("POST", f"/attempts/{attempt.id}/metrics", token=attempt.token)
    assert answer.json()["code"] == "parameter_missing"


class Passing:
    """The writer, which cannot commit one kind of command just now."""

    broken = None

    def __init__(self, handler: Any, kind: type) -> None:
        self.handler, self.kind = handler, kind

    def submit(self, command: Any, **more: Any) -> Any:
        if isinstance(command, self.kind):
            failed: Future[Any] = Future()
            failed.set_exception(UnavailableError("the database is locked"))
            return failed
        return self.handler.submit(command, **more)


def test_an_observation_whose_commit_failed_is_taken_when_it_comes_again(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, described = attempt.api, {"kind": "described", "n": 3, "at": 1, "host": "here"}
    seen = (STARTED, described, {**SEALED, "n": 4})
    services, handler = api.server.app.services, api.server.handler
    with monkeypatch.context() as patch:
        failing = dataclasses.replace(services, handler=Passing(handler, ReportDescribed))
        patch.setattr(api.server.app, "services", failing)
        answer = attempt.report(*seen)
        assert (answer.status_code, answer.json()) == (200, {"acknowledged": 2})
        assert attempt.report(*seen[1:]).status_code == 503
    assert attempt.report(*seen[1:]).json() == {"acknowledged": 4}
    entries = api.get(f"/ledger/entries?stream={attempt.run}")["entries"]
    kinds = [entry["type"] for entry in entries]
    kinds.remove("attempt.submitted")  # the launcher's own entry comes when it comes
    assert kinds[-3:] == ["run.started", "attempt.described", "output.sealed"]
