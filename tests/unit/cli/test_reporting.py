"""What the guard spooled reaches the ledger with the next command, and no command fails for it."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import spool
from tallystick.cli import reporting
from tallystick.cli.main import main
from tests.unit.client.scripted_server import (
    DROP,
    Answer,
    ScriptedServer,
    Seen,
    as_json,
    free_port,
    serving,
)

PATH = "/guard/decisions"
POLICY = {"session": "enforce", "sweep": "enforce"}

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the agents' side."""
    directory = tmp_path / "tally"
    monkeypatch.setenv("TALLY_HOME", str(directory))
    monkeypatch.delenv("TALLY_RUN_ID", raising=False)
    return directory


@pytest.fixture
def tally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Tally:
    """`tally policy show`, against a scripted server; code, out, err."""
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALLY_TOKEN", "t")

    def run(server: ScriptedServer | None = None) -> tuple[int, str, str]:
        url = server.url if server else f"http://127.0.0.1:{free_port()}"
        monkeypatch.setenv("TALLY_SERVER_URL", url)
        with pytest.raises(SystemExit) as caught:
            main(["policy", "show", "--json"])
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.out, captured.err

    return run


def spooled(home: Path, number: int, **fields: Any) -> str:
    """One decision, older the smaller its number."""
    name = f"dec_{number:012x}"
    spool.write(str(home), {"id": name, "command": "python t.py", **fields})
    os.utime(home / "spool" / f"{name}.json", (number, number))
    return name


def waiting(home: Path) -> list[str]:
    return [record["id"] for record in spool.pending(str(home))]


def sent_to(server: ScriptedServer) -> list[list[Any]]:
    """The decisions of every call that carried some."""
    bodies = [seen.body for seen in server.seen if seen.target == PATH]
    return [json.loads(body)["decisions"] for body in bodies]


def answering(*refused: dict[str, str]) -> Callable[[Seen], Answer]:
    def script(seen: Seen) -> Answer:
        if seen.target != PATH:
            return as_json(POLICY)
        count = len(json.loads(seen.body)["decisions"])
        document = {"accepted": count - len(refused), "already": 0, "refused": list(refused)}
        return as_json(document)

    return script


def test_a_command_carries_what_waits_and_says_nothing_of_it(home: Path, tally: Tally) -> None:
    names = [spooled(home, number) for number in (2, 1)]
    with serving(answering()) as server:
        code, out, err = tally(server)
        assert (code, json.loads(out)["session"], err) == (0, "enforce", "")
        ((first, second),) = sent_to(server)
        assert [first["id"], second["id"]] == [names[1], names[0]], "the oldest goes first"
    assert waiting(home) == []


def test_nothing_is_asked_when_nothing_waits(home: Path, tally: Tally) -> None:
    with serving(answering()) as server:
        assert tally(server)[0] == 0
        (home / "spool").mkdir(parents=True)
        assert tally(server)[0] == 0
        assert sent_to(server) == []


def test_without_a_server_the_command_fails_as_ever_and_everything_waits(
    home: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = spooled(home, 1)
    monkeypatch.setattr(spool, "pending", lambda *_, **__: pytest.fail("nobody answered"))
    code, _out, _err = tally()
    monkeypatch.undo()
    assert (code, waiting(home)) == (3, [name])


@pytest.mark.parametrize(
    "answer",
    [
        DROP,
        as_json({"detail": "no such path"}, status=404),
        as_json({"detail": "not for auditors", "code": "role_forbidden"}, status=403),
        as_json({"detail": "busy", "code": "overloaded"}, status=503),
        as_json([]),
        Answer(body=b"<html>"),
    ],
)
def test_a_report_that_fails_fails_no_command_and_loses_nothing(
    home: Path, tally: Tally, answer: Answer
) -> None:
    name = spooled(home, 1)
    with serving(lambda seen: answer if seen.target == PATH else as_json(POLICY)) as server:
        assert (*tally(server)[::2],) == (0, "")
        assert len(sent_to(server)) >= 1
    assert waiting(home) == [name]


def test_a_server_that_has_stopped_answering_is_left_after_a_moment(
    home: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = spooled(home, 1)
    monkeypatch.setattr(reporting, "PATIENCE_SECONDS", 0.05)
    over = threading.Event()

    def script(seen: Seen) -> Answer:
        if seen.target == PATH:
            over.wait(30)
        return as_json(POLICY)

    with serving(script) as server:
        began = time.monotonic()
        assert tally(server)[0] == 0
        assert time.monotonic() - began < 2.5
        assert len(sent_to(server)) == 1, "it is asked once"
        over.set()
    assert waiting(home) == [name]


def test_one_call_carries_a_hundred_and_no_more_bytes_than_a_server_takes(
    home: Path, tally: Tally
) -> None:
    for number in range(1, 104):
        spooled(home, number)
    large = spooled(home, 200, command="x" * 400_000)
    larger = spooled(home, 201, command="y" * 900_000)
    with serving(answering()) as server:
        for _ in range(4):
            assert tally(server)[0] == 0
        assert [len(decisions) for decisions in sent_to(server)] == [100, 4, 1]
        assert sent_to(server)[1][3]["id"] == large
        assert sent_to(server)[2][0]["id"] == larger
    assert waiting(home) == []


def test_a_decision_of_another_session_waits_behind_the_others_for_its_own_token(
    home: Path, tally: Tally
) -> None:
    theirs, ours = spooled(home, 1), spooled(home, 2)
    refused = {"id": theirs, "code": "session_mismatch", "detail": "of another"}
    with serving(answering(refused)) as server:
        assert (*tally(server)[::2],) == (0, "")
    assert waiting(home) == [theirs]
    newer = spooled(home, 3)
    assert waiting(home) == [newer, theirs]
    assert ours not in waiting(home)


def test_a_decision_that_no_ledger_takes_is_dropped_with_a_word(home: Path, tally: Tally) -> None:
    name = spooled(home, 1)
    refused = {"id": name, "code": "decision_invalid", "detail": "agent: expected a word"}
    with serving(answering(refused)) as server:
        code, out, err = tally(server)
    assert (code, json.loads(out)["sweep"]) == (0, "enforce")
    assert err == (
        f"warning: a decision of the guard was refused and is dropped: {name}: agent: expected a "
        "word  [decision_invalid]\n"
    )
    assert waiting(home) == []


def test_half_a_character_in_a_command_holds_up_nothing(home: Path, tally: Tally) -> None:
    spooled(home, 1, command="echo \ud800")
    with serving(answering()) as server:
        assert tally(server)[0] == 0
        assert sent_to(server)[0][0]["command"] == "echo ?"
    assert waiting(home) == []


def test_a_job_reports_nothing(home: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    name = spooled(home, 1)
    monkeypatch.setenv("TALLY_RUN_ID", "run_0123456789ab")
    with serving(answering()) as server:
        assert tally(server)[0] == 0
        assert sent_to(server) == []
    assert waiting(home) == [name]


def test_whoever_interrupts_a_command_is_not_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Met:
        answered = True

    spooled(home, 1)
    monkeypatch.setattr(spool, "pending", lambda *_, **__: pytest.fail("it was kept"))

    def command() -> None:
        with ExitStack() as context:
            context.callback(reporting.report, Met())  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command()
