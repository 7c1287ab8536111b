"""docs/spec/supervisor-protocol.md says what the code does: its tables are read and tried.

And it says enough: `stranger.py` was written from it alone, and a real server takes its word.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from tallystick.control.credentials import Mint
from tallystick.control.data_dir import MINT_FILE
from tallystick.domain.commands import RecordSupervisorLost
from tallystick.domain.ids import SYSTEM, AttemptId, Role, RunId
from tallystick.execution.local import LocalBackend
from tallystick.testing.backend import FakeBackend
from tallystick.testing.contract.backend import Rig, handle_of, journal_of
from tallystick.testing.server import ServerProcess, eventually
from tallystick.wire.journal import parse
from tallystick.wire.observation import SHAPES, SupervisorStarted
from tests.docs.page import Row, page, rows
from tests.fault.house import check_ledger, house
from tests.unit.api.in_process import Api, build_api

PAGE = page("docs/spec/supervisor-protocol.md")
ORDER = {row["After"]: set(re.findall(r"\w+", row["may come"])) for row in rows(PAGE, "order")}
STRANGER = Path(__file__).with_name("stranger.py")
SAMPLES: Mapping[str, Mapping[str, object]] = {
    "supervisor_started": {"pid": 1, "start_ticks": 1, "boot_id": "b"},
    "command_started": {"pid": 1, "start_ticks": 1},
    "command_refused": {"code": "exec_failed", "detail": "no"},
    "described": {"host": "here"},
    "output_sealed": {"stream": "output", "bytes": 0, "sha256": "0" * 64},
    "command_exited": {"exit_code": 3},
    "ended": {"cause": "exited", "exit_code": 3},
}


def observation(kind: str, n: int) -> dict[str, object]:
    return {"kind": kind, "n": n, "at": 1, **SAMPLES[kind]}


# ---------------------------------------------------------------- the words of the page


def kinds() -> set[str]:
    return {str(shape.__dataclass_fields__["kind"].default) for shape in SHAPES}


def test_the_page_names_every_observation_and_every_member_of_it() -> None:
    assert set(ORDER) == {"start", *kinds()}
    assert {row["Observation"] for row in rows(PAGE, "reactions")} == kinds()
    for shape in SHAPES:
        kind = shape.__dataclass_fields__["kind"].default
        line = re.search(rf"^\| `{kind}` \| (`|[^|]*:).*$", PAGE, re.MULTILINE)
        assert line is not None, kind
        named = set(re.findall(r"`(\w+)`", line[0]))
        members = set(shape.__dataclass_fields__) - {"kind", "n", "at"}
        assert sorted(members - named) == [], kind
        for member in members:
            assert {word for word in words_of(shape, member) if word not in named} == set()


def words_of(shape: Any, member: str) -> set[str]:
    """The fixed words that a member may be."""
    hint = shape.__dataclass_fields__[member].type
    return {word for word in get_args(hint) if isinstance(word, str)}


def test_the_worked_line_is_a_record() -> None:
    (line,) = re.findall(r"^\{\"mac\":\"[0-9a-f]{64}\".*\}$", PAGE, re.MULTILINE)
    (record,) = parse(line.encode() + b"\n", attempt="att_00000000000c", key="secret")
    assert isinstance(record, SupervisorStarted)
    assert parse(line.encode() + b"\n", attempt="att_00000000000c", key="secret!") == ()


# ---------------------------------------------------------------- the order that we keep


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("true", {}),
        ("echo 1 >> $TALLY_METRICS; exit 3", {}),
        ("kill -9 $$", {}),
        ("head -c 9000000 /dev/zero; sleep 0.7; echo more", {}),
        ("true", {"workdir": "/nowhere/at/all"}),
        ("true", {"environment": {"PATH": "/nowhere"}}),
    ],
)
def test_supervisors_keep_to_the_order_of_the_page(
    rig: Rig, command: str, fields: dict[str, object]
) -> None:
    handle = rig.submit(command, **fields)
    rig.ended(handle)
    kept_to_the_order([record.kind for record in journal_of(handle)])


def test_a_stop_before_the_start_keeps_to_it_too(rig: Rig) -> None:
    submission = rig.prepare("true")
    (submission.directory / "stop.json").write_text('{"grace_seconds": 1.0}')
    native = rig.backend.submit(submission)
    handle = handle_of(submission, native)
    assert rig.ended(handle).cause == "stop"
    assert [record.kind for record in journal_of(handle)] == ["supervisor_started", "ended"]
    kept_to_the_order(["supervisor_started", "ended"])


def kept_to_the_order(found: list[str]) -> None:
    for before, after in zip(["start", *found], found, strict=False):
        assert after in ORDER[before], (before, after)
    assert found[-1] == "ended"


# ---------------------------------------------------------------- what the server does


class Reporting:
    """A server whose attempts nobody supervises but the test."""

    def __init__(self, api: Api) -> None:
        self.api = api
        key = (api.server.settings.server.data_dir / MINT_FILE).read_bytes()
        self.mint = Mint(key)

    @contextmanager
    def attempt(self) -> Iterator[tuple[str, str]]:
        """Submitted; it ends with the block, so that its place comes free."""
        run = self.api.register(auto_start=True)["id"]  # in a sweep of its own: no breaker trips
        eventually(lambda: "attempt.submitted" in self.types(run))
        attempt = str(self.api.get(f"/runs/{run}")["attempt"])
        try:
            yield run, attempt
        finally:
            self.report(attempt, observation("ended", 9))

    def report(self, attempt: str, *said: object, token: str | None = "") -> Any:
        secret = self.mint.secret(AttemptId(attempt), Role.SUPERVISOR) if token == "" else token
        path = f"/attempts/{attempt}/observations"
        return self.api.call("POST", path, json={"observations": list(said)}, token=secret)

    def types(self, run: str) -> list[str]:
        found = self.api.get(f"/ledger/entries?stream={run}&limit=100")["entries"]
        return [entry["type"] for entry in found]

    def bring_to(self, state: str, run: str, attempt: str) -> None:
        if state in {"started", "without supervisor"}:
            assert self.report(attempt, observation("command_started", 2)).status_code == 200
        if state == "without supervisor":
            lost = RecordSupervisorLost(run=RunId(run), attempt=AttemptId(attempt))
            self.api.server.handler.handle(lost, by=SYSTEM)
        if state == "ended":
            assert self.report(attempt, observation("ended", 4)).status_code == 200


@pytest.fixture(scope="module")
def reporting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reporting]:
    api = build_api(tmp_path_factory.mktemp("reports"), backend=FakeBackend())
    yield Reporting(api)
    api.close()


def cells() -> list[tuple[str, str, str]]:
    return [
        (row["Observation"], state, row[state])
        for row in rows(PAGE, "reactions")
        for state in ("before the start", "started", "without supervisor", "ended")
    ]


@pytest.mark.parametrize(("kind", "state", "entry"), cells())
def test_the_server_does_what_the_page_says(
    reporting: Reporting, kind: str, state: str, entry: str
) -> None:
    with reporting.attempt() as (run, attempt):
        reporting.bring_to(state, run, attempt)
        before = reporting.types(run)
        answer = reporting.report(attempt, observation(kind, 7))
        assert (answer.status_code, answer.json()) == (200, {"acknowledged": 7})
        after = reporting.types(run)
        assert after[len(before) :] == ([] if entry == "nothing" else [entry])
        assert reporting.report(attempt, observation(kind, 7)).status_code == 200
        assert reporting.types(run) == after  # a repeat


SEALED, STARTED = observation("output_sealed", 5), observation("command_started", 2)
REFUSED: Mapping[str, tuple[object, ...]] = {
    "numbers that fall": (SEALED, STARTED),
    "a number twice": (SEALED, SEALED),
    "a number below 1": (observation("output_sealed", 0),),
    "an unknown kind": ({"kind": "banana", "n": 1, "at": 1},),
    "a member too many": ({**STARTED, "more": 1},),
    "a member of another type": ({**STARTED, "pid": "1"},),
    "a required member missing": ({"kind": "command_started", "n": 2, "at": 1},),
    "no token": (STARTED,),
    "the token of another attempt": (STARTED,),
    "the token of the run": (STARTED,),
    "an agent's token": (STARTED,),
}


@pytest.mark.parametrize("row", rows(PAGE, "refusals"), ids=lambda row: row["Report"])
def test_the_server_refuses_what_the_page_says(reporting: Reporting, row: Row) -> None:
    what = row["Report"]
    with reporting.attempt() as (run, attempt), reporting.attempt() as (_, other):
        tokens = {
            "no token": None,
            "the token of another attempt": reporting.mint.secret(
                AttemptId(other), Role.SUPERVISOR
            ),
            "the token of the run": reporting.mint.secret(AttemptId(attempt), Role.RUN),
            "an agent's token": "agent",
        }
        before = reporting.types(run)
        answer = reporting.report(attempt, *REFUSED[what], token=tokens.get(what, ""))
        assert (str(answer.status_code), answer.json()["code"]) == (row["Status"], row["Code"])
        assert reporting.types(run) == before


def test_every_refusal_of_the_page_is_tried() -> None:
    assert {row["Report"] for row in rows(PAGE, "refusals")} == set(REFUSED)


# ---------------------------------------------------------------- a stranger's supervisor


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server, all of whose supervisors are the stranger's."""
    directory = tmp_path_factory.mktemp("strange")
    script = directory / "python"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -S '{STRANGER}'\n")
    script.chmod(0o700)
    with house(directory, backend=LocalBackend(python=str(script))) as server:
        yield server
    assert check_ledger(server.data_dir) > 0


def test_the_stranger_imports_nothing_of_ours() -> None:
    assert re.findall(r"^(?:from|import) tallystick", STRANGER.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize(
    ("command", "status", "exit_code"),
    [
        ("echo here; exit 0", "finished", 0),
        ('echo \'{"step": 1, "loss": 0.5}\' >> $TALLY_METRICS; exit 7', "failed", 7),
        ("(setsid sleep 600 &) ; exit 5", "failed", 5),
    ],
)
def test_a_server_records_what_a_strangers_supervisor_saw(
    strange: ServerProcess, command: str, status: str, exit_code: int
) -> None:
    run = strange.run(strange.sweep(), command)["id"]
    ended = strange.ended(run)
    assert (ended["status"], ended["exit_code"]) == (status, exit_code)
    entries = strange.get(f"/ledger/entries?stream={run}&limit=100")["entries"]
    types = [entry["type"] for entry in entries]
    assert types[:4] == ["run.registered", "run.queued", "attempt.assigned", "attempt.submitted"]
    assert types.count("run.started") == types.count("run.ended") == 1
    sealed = [entry["data"]["stream"] for entry in entries if entry["type"] == "output.sealed"]
    assert sealed[0] == "output"
    if "TALLY_METRICS" in command:
        assert sealed == ["output", "metrics"]
        found = strange.get(f"/runs/{run}/metrics")["metricSeries"]["loss"]
        assert found == [{"step": 1, "value": 0.5}]
    spent = json.loads((run_directory(strange, run) / "bundle.json").read_bytes())
    assert (spent["command"], spent["environment"]) == ("", {})
    journal = (run_directory(strange, run) / "journal.jsonl").read_bytes().splitlines()
    kept_to_the_order([json.loads(line)["record"]["kind"] for line in journal])


def test_a_strangers_supervisor_can_be_stopped(strange: ServerProcess) -> None:
    run = strange.run(strange.sweep(), "sleep 600")["id"]
    while strange.get(f"/runs/{run}?wait=5")["status"] != "running":
        pass
    strange.post(f"/runs/{run}/stop", {})
    ended = strange.ended(run)
    assert (ended["status"], ended["outcome"], ended["signal"]) == ("stopped", "cancelled", 15)


def run_directory(server: ServerProcess, run: str) -> Path:
    (found,) = [each for each in (server.data_dir / "runs" / run).glob("att_*") if each.is_dir()]
    return found
