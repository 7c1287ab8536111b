"""The command line against a scripted server: what is asked, what is said, how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import __version__
from tallystick.cli.main import main
from tallystick.errors import PolicyError
from tallystick.wire import problem
from tests.unit.client.scripted_server import (
    Answer,
    ScriptedServer,
    Seen,
    as_json,
    free_port,
    serving,
)

RUN: dict[str, Any] = {
    "id": "run_0123456789ab",
    "name": "python train.py",
    "command": "python train.py",
    "workdir": "/w",
    "status": "queued",
    "sweep_id": "swp_0123456789ab",
    "created_at": 1.0,
    "seq": 5,
    "changed_seq": 5,
}
SWEEP: dict[str, Any] = {
    "id": "swp_0123456789ab",
    "name": "scratch",
    "status": "draft",
    "created_at": 1.0,
    "seq": 3,
}

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Tally:
    """Runs the command line in this process, away from any real server; code, out, err."""
    for name in ("SERVER_URL", "AUTH_TOKEN", "CHAT_SESSION_ID", "TALLY_TOKEN", "TALLY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALLY_CHAT_SESSION_ID", "conversation-1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, server: ScriptedServer | None = None) -> tuple[int, str, str]:
        url = server.url if server else f"http://127.0.0.1:{free_port()}"
        monkeypatch.setenv("TALLY_SERVER_URL", url)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return run


def registering(seen: Seen) -> Answer:
    """A server that creates sweeps and runs."""
    return as_json(SWEEP if seen.target == "/sweeps/wild" else RUN)


def test_the_version_is_printed(tally: Tally) -> None:
    assert tally("--version") == (0, f"tallystick {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "nothing"],
        ["nothing"],
        ["run", "show"],
        ["run", "list", "--limit", "x"],
        ["exec"],
        ["run", "create", "--param", "lr", "--", "true"],
        ["exec", "--env", "NOT_SET_ANYWHERE", "--", "true"],
        ["policy", "set"],
        ["ledger", "verify", "--data-dir", "d", "export"],
        ["ledger", "check", "no-such-file"],
    ],
)
def test_a_wrong_call_exits_2(tally: Tally, arguments: list[str]) -> None:
    code, _out, err = tally(*arguments)
    assert code == 2
    assert "error" in err.lower()


@pytest.mark.parametrize(
    "noun", ["up", "demo", "exec", "run", "sweep", "session", "token", "policy", "ledger", "server"]
)
def test_every_noun_has_help(tally: Tally, noun: str) -> None:
    code, out, _err = tally(noun, "--help")
    assert code == 0
    assert out.startswith(f"Usage: tally {noun}")


def test_a_server_that_does_not_answer_exits_3_and_says_how_to_start_one(tally: Tally) -> None:
    code, out, err = tally("run", "list")
    assert (code, out) == (3, "")
    assert "tally up" in err
    assert "Traceback" not in err


def test_a_refusal_exits_1_and_teaches(tally: Tally) -> None:
    error = PolicyError("sweep_id is required", code="sweep_required", next_actions=("POST /x",))
    answer = as_json(problem.document(error), status=422)
    with serving(lambda _seen: answer) as server:
        code, out, err = tally("run", "create", "--sweep", "x", "--", "true", server=server)
        assert (code, out) == (1, "")
        assert err.splitlines()[0] == "error: sweep_id is required  [sweep_required]"
        assert "  next: POST /x" in err.splitlines()


def test_a_refusal_is_a_document_with_json(tally: Tally) -> None:
    with serving(lambda _seen: as_json({"detail": "no", "code": "c"}, status=404)) as server:
        code, out, _err = tally("run", "show", "run_0", "--json", server=server)
        assert code == 1
        assert json.loads(out)["code"] == "c"


def test_json_among_the_words_of_the_command_is_the_commands(tally: Tally) -> None:
    with serving(lambda _seen: as_json({"detail": "no"}, status=404)) as server:
        _code, out, err = tally("exec", "--", "tool", "--json", server=server)
        assert out == ""
        assert err.startswith("error: no")


def test_a_run_is_created_as_it_was_typed(tally: Tally, tmp_path: Path) -> None:
    with serving(registering) as server:
        code, out, _err = tally(
            "run", "create", "--sweep", "swp_0123456789ab", "--param", "lr=1e-2", "--env", "A=b",
            "--no-start", "--", "python", "train.py", "--note", "a b",
            server=server,
        )  # fmt: skip
    assert (code, out) == (0, "run_0123456789ab\n")
    [seen] = server.seen
    body = json.loads(seen.body)
    assert (seen.method, seen.target) == ("POST", "/runs")
    assert body["command"] == "python train.py --note 'a b'"
    assert body["name"] == "python train.py --note 'a b'"
    assert body["workdir"] == str(tmp_path)
    assert body["params"] == {"lr": 0.01}
    assert body["env"]["A"] == "b"
    assert "PATH" in body["env"]
    assert body["auto_start"] is False
    assert body["chat_session_id"] == "conversation-1"


def test_without_a_sweep_the_sessions_own_scratch_sweep_is_used(tally: Tally) -> None:
    with serving(registering) as server:
        tally("run", "create", "--", "true", server=server)
        tally("run", "create", "--", "true", server=server)
        tally("run", "create", "--session", "another", "--", "true", server=server)
    sweeps = [seen for seen in server.seen if seen.target == "/sweeps/wild"]
    keys = [seen.headers["idempotency-key"] for seen in sweeps]
    assert keys[0] == keys[1] != keys[2]
    assert sweeps[0].body == sweeps[1].body
    runs = [json.loads(seen.body) for seen in server.seen if seen.target == "/runs"]
    assert {run["sweep_id"] for run in runs} == {"swp_0123456789ab"}


def test_without_a_separator_the_words_are_the_commands_too(tally: Tally) -> None:
    with serving(registering) as server:
        tally("run", "create", "python", "train.py", "--lr", "1", "--json", server=server)
    assert json.loads(server.seen[-1].body)["command"] == "python train.py --lr 1 --json"


def test_warnings_are_said_beside_the_answer(tally: Tally) -> None:
    warned = {**RUN, "warnings": [{"code": "session_placeholder", "detail": "quote it"}]}
    with serving(lambda _seen: as_json(warned)) as server:
        code, out, err = tally("run", "create", "--sweep", "s", "--", "true", server=server)
    assert (code, out) == (0, "run_0123456789ab\n")
    assert "warning: quote it  [session_placeholder]" in err


def test_a_list_is_asked_for_page_by_page_and_shown_as_a_table(tally: Tally) -> None:
    def pages(seen: Seen) -> Answer:
        if "cursor=9" in seen.target:
            return as_json({"items": [{**RUN, "id": "run_bbbbbbbbbbbb"}], "next_cursor": None})
        return as_json({"items": [{**RUN, "status": "failed"}], "next_cursor": "9"})

    with serving(pages) as server:
        code, out, _err = tally("run", "list", server=server)
        assert code == 0
        lines = out.splitlines()
        assert lines[0].split()[:3] == ["ID", "NAME", "STATUS"]
        assert [line.split()[0] for line in lines[1:]] == ["run_0123456789ab", "run_bbbbbbbbbbbb"]
        _code, out, _err = tally("run", "list", "--json", server=server)
        assert [run["id"] for run in json.loads(out)] == ["run_0123456789ab", "run_bbbbbbbbbbbb"]


@pytest.mark.parametrize(("outcome", "code"), [("succeeded", 0), ("failed", 1), ("lost", 1)])
def test_waiting_tells_by_its_exit_code_whether_all_succeeded(
    tally: Tally, outcome: str, code: int
) -> None:
    status = "finished" if outcome == "succeeded" else "failed"
    ended = {**RUN, "status": status, "outcome": outcome}
    with serving(lambda _seen: as_json(ended)) as server:
        assert tally("run", "wait", RUN["id"], server=server)[0] == code


def test_waiting_gives_up_when_the_time_is_up(tally: Tally) -> None:
    with serving(lambda _seen: as_json(RUN)) as server:
        assert tally("run", "wait", "--timeout", "0", RUN["id"], server=server)[0] == 1
        assert len(server.seen) == 1


def test_settings_are_shown_with_where_they_came_from(
    tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_PORT", "4242")
    monkeypatch.setenv("TALLY_ADMIN_TOKEN", "t" * 40)
    code, out, _err = tally("server", "config", "--origin", "--json")
    assert code == 0
    settings = {row["key"]: row for row in json.loads(out)}
    assert (settings["server.port"]["value"], settings["server.port"]["source"]) == (
        "4242",
        "TALLY_PORT",
    )
    assert "t" * 40 not in out


def test_a_missing_ledger_is_said(tally: Tally, tmp_path: Path) -> None:
    code, _out, err = tally("ledger", "verify", "--data-dir", str(tmp_path / "none"))
    assert code == 1
    assert "there is no ledger at" in err
    assert not (tmp_path / "none").exists()
