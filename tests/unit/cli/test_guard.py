"""`tally guard`: explains without a server, grants for people, says what is in force and why."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import exceptions, policy_file, spool
from tallystick.cli.main import main
from tallystick.errors import ForbiddenError
from tallystick.ledger.keys import Signer
from tallystick.wire import problem
from tests.unit.client.scripted_server import Answer, ScriptedServer, Seen, as_json, serving

TRAIN = "python train.py --lr 1e-2"
DEC = "dec_0123456789ab"
SIGNER = Signer("tally.local/0123456789abcdef", b"k" * 32)

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the agents' side."""
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("TALLY_HOME", str(directory))
    return directory


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, which is the present directory."""
    directory = tmp_path / "project"
    (directory / ".tally").mkdir(parents=True)
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def tally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> Tally:
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALLY_TOKEN", "t")
    monkeypatch.delenv("TALLY_RUN_ID", raising=False)

    def run(*arguments: str, server: ScriptedServer | None = None) -> tuple[int, str, str]:
        monkeypatch.setenv("TALLY_SERVER_URL", server.url if server else "http://127.0.0.1:9")
        with pytest.raises(SystemExit) as caught:
            main(["guard", *arguments])
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.out, captured.err

    return run


def accept(root: Path, home: Path, text: str) -> None:
    (root / ".tally" / "policy.toml").write_text(text)
    policy_file.write_accepted(str(root), str(home), text.encode(), accepted_at=1, seq=7)


def explained(tally: Tally, *arguments: str) -> dict[str, Any]:
    status, out, _err = tally("explain", *arguments)
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_it_explains_offline_what_was_found_and_where(tally: Tally, root: Path) -> None:
    found = explained(tally, "--json", f"cd src && {TRAIN}")
    start, end = found["span"]
    assert f"cd src && {TRAIN}"[start:end] == found["text"]
    assert found["verdict"] in {"experiment", "unknown"}
    assert (found["mode"], found["policy"], found["project"]) == ("convert", "default", str(root))
    assert list(found)[:3] == ["verdict", "reason", "detail"]


def test_json_may_stand_behind_the_command(tally: Tally, root: Path) -> None:
    assert explained(tally, TRAIN, "--json") == explained(tally, "--json", TRAIN)


def test_words_without_quotes_are_joined(tally: Tally, root: Path) -> None:
    assert explained(tally, "--json", *TRAIN.split())["text"] == TRAIN


def test_a_utility_passes(tally: Tally, root: Path) -> None:
    found = explained(tally, "--json", "git status")
    assert (found["verdict"], found["outcome"]) == ("utility", "it passes")


def test_scripts_are_read_from_here(tally: Tally, root: Path) -> None:
    (root / "grid.sh").write_text("for s in 1 2; do torchrun train.py --seed $s; done\n")
    assert explained(tally, "--json", "bash grid.sh")["verdict"] != "utility"


def test_outside_of_a_project_it_says_that_nothing_would_happen(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = explained(tally, "--json", TRAIN)
    assert found["verdict"] != "utility"
    assert (found["project"], found["mode"]) == (None, None)
    assert "tally init" in found["outcome"]


@pytest.mark.parametrize(
    ("mode", "word"), [("convert", "tally exec"), ("deny", "refused"), ("warn", "noted")]
)
def test_it_says_what_would_happen_in_this_mode(
    tally: Tally, root: Path, home: Path, mode: str, word: str
) -> None:
    accept(root, home, f'mode = "{mode}"')
    assert word in explained(tally, "--json", TRAIN)["outcome"]


def test_people_get_lines(tally: Tally, root: Path) -> None:
    _status, out, _err = tally("explain", TRAIN)
    assert out.splitlines()[0].startswith("verdict")
    assert "outcome" in out


def test_the_status_says_why_this_mode_is_in_force(tally: Tally, root: Path, home: Path) -> None:
    found = json.loads(tally("status", "--json")[1])
    assert (found["mode"], found["policy"], found["waiting"]) == ("convert", "absent", 0)
    (root / ".tally" / "policy.toml").write_text('mode = "off"')
    assert "tally policy accept" in json.loads(tally("status", "--json")[1])["policy"]
    accept(root, home, 'mode = "deny"')
    found = json.loads(tally("status", "--json")[1])
    assert (found["mode"], found["policy"]) == ("deny", "accepted")
    (root / ".tally" / "policy.toml").write_text('mode = "off"')
    found = json.loads(tally("status", "--json")[1])
    assert found["mode"] == "deny"
    assert "changed since it was accepted" in found["policy"]
    (root / ".tally" / "policy.toml").write_text("moed = 1")
    assert "invalid" in json.loads(tally("status", "--json")[1])["policy"]


def test_the_status_outside_of_a_project_points_to_init(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = tally("status")
    assert status == 0
    assert "passes everything" in out
    assert "tally init" in err


def granting(seen: Seen) -> Answer:
    """A server that grants whatever is asked for."""
    body = json.loads(seen.body)
    digest = hashlib.sha256(body["command"].encode()).hexdigest()
    text = f"tallystick.exception/v1\nexc_0123456789ab\n{digest}\n*\n9999999999999\n"
    return as_json(
        {
            "id": "exc_0123456789ab",
            "command": body["command"],
            "command_sha256": digest,
            "session_id": body.get("session"),
            "expires_at": 9_999_999_999.0,
            "granted_at": 1.0,
            "granted_by": "administrator",
            "status": "open",
            "note": SIGNER.sign(text),
            "seq": 9,
        }
    )


def used(home: Path, command: str) -> str | None:
    return exceptions.use(
        command, session="s", call="c", decision=DEC, now=5, tally_home=str(home),
        known_ledgers=str(home / "known_ledgers"),
    )  # fmt: skip


def test_an_exception_for_a_command_is_kept_where_the_hook_looks(
    tally: Tally, home: Path, root: Path
) -> None:
    (home / "known_ledgers").mkdir()
    (home / "known_ledgers" / "l.json").write_text(json.dumps({"vkey": SIGNER.vkey}))
    with serving(granting) as server:
        status, out, err = tally("allow", TRAIN, "--seconds", "60", server=server)
    assert (status, TRAIN in out, "warning" in err) == (0, True, False)
    assert json.loads(server.seen[0].body)["expires_seconds"] == 60
    assert used(home, TRAIN) == "exc_0123456789ab"


def test_a_note_that_the_hook_will_not_take_is_said_to_be_one(
    tally: Tally, home: Path, root: Path
) -> None:
    with serving(granting) as server:
        _status, _out, err = tally("allow", TRAIN, server=server)
    assert "no key that is pinned here" in err


def test_a_decision_in_the_spool_names_its_command_and_its_session(
    tally: Tally, home: Path, root: Path
) -> None:
    spool.write(str(home), {"id": DEC, "command": TRAIN, "session": "conversation-1"})
    with serving(granting) as server:
        tally("allow", DEC, server=server)
    body = json.loads(server.seen[0].body)
    assert (body["command"], body["session"]) == (TRAIN, "conversation-1")


def decision(**fields: Any) -> dict[str, Any]:
    return {
        "id": DEC, "agent": "claude", "session_id": "s", "command": TRAIN, "cwd": "/w",
        "project": "/w", "verdict": "unknown", "reason": "python_script", "detail": "d",
        "action": "denied", "mode": "deny", "policy": "default", "parser": "p", "at": 1.0,
        "recorded_at": 1.0, "recorded_by": "agent", "seq": 4, **fields,
    }  # fmt: skip


def listing(*items: dict[str, Any]) -> Callable[[Seen], Answer]:
    def script(seen: Seen) -> Answer:
        if seen.method == "GET":
            return as_json({"items": list(items), "next_cursor": None})
        return granting(seen)

    return script


def test_a_decision_that_was_sent_is_found_in_the_ledger(
    tally: Tally, home: Path, root: Path
) -> None:
    with serving(listing(decision())) as server:
        status, out, _err = tally("allow", DEC, server=server)
    assert (status, TRAIN in out) == (0, True)


def test_a_decision_that_nobody_knows_is_refused_with_what_to_call(
    tally: Tally, home: Path, root: Path
) -> None:
    with serving(listing()) as server:
        status, _out, err = tally("allow", DEC, server=server)
    assert status == 1
    assert "tally guard list" in err


def test_an_agent_is_refused_and_nothing_is_kept(tally: Tally, home: Path, root: Path) -> None:
    refusal = ForbiddenError("expected a person's token; found an agent's", code="people_only")

    def refusing(_seen: Seen) -> Answer:
        return as_json(problem.document(refusal), status=403)

    with serving(refusing) as server:
        status, _out, err = tally("allow", TRAIN, server=server)
    assert (status, "people_only" in err) == (1, True)
    assert not (home / "exceptions").exists()


def test_an_empty_command_is_refused(tally: Tally, root: Path) -> None:
    status, _out, err = tally("allow", " ")
    assert (status, "command_missing" in err) == (1, True)


def test_the_list_shows_what_was_done(tally: Tally, root: Path) -> None:
    with serving(listing(decision())) as server:
        status, out, _err = tally("list", "--action", "denied", "--session", "s", server=server)
        assert "action=denied" in server.seen[0].target
        assert json.loads(tally("list", "--json", server=server)[1])[0]["id"] == DEC
    assert status == 0
    assert all(word in out for word in (DEC, "claude", "denied", TRAIN))
