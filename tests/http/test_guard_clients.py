"""The guard's record by way of the SDK and the command line, from a person's word to its use."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import exceptions, project, spool
from tallystick.cli.main import main
from tallystick.client.client import Client
from tallystick.errors import ForbiddenError, NotFoundError
from tests.http.door import Door
from tests.http.test_guard import COMMAND, decision, name_of

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def opened(open_door: Callable[[], Door]) -> Door:
    return open_door()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agents' side of this user, and the pins of the client."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TALLY_RUN_ID", raising=False)
    return tmp_path / ".tally"


@pytest.fixture
def person(opened: Door, home: Path) -> Iterator[Client]:
    """The SDK, with the administrator's token."""
    with Client(opened.url, opened.token("admin"), session="conversation-1") as client:
        yield client


@pytest.fixture
def tally(
    opened: Door,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tally:
    """The command line, as the administrator; code, out, err."""
    for name in ("SERVER_URL", "AUTH_TOKEN", "CHAT_SESSION_ID", "TALLY_CONFIG", "TALLY_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLY_SERVER_URL", opened.url)
    monkeypatch.setenv("TALLY_TOKEN", opened.token("admin"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_the_sdk_reports_what_a_guard_did_and_reads_it_again(person: Client) -> None:
    answer = person.send_decisions([decision("one"), decision("two", action="denied"), {}])
    assert (answer.accepted, answer.already, len(answer.refused)) == (2, 0, 1)
    assert [one.id for one in person.decisions(session="conversation-1")] == [
        name_of("two"), name_of("one"),
    ]  # fmt: skip
    assert [one.action for one in person.decisions(action="denied", limit=5)] == ["denied"]
    assert person.decision(name_of("one")).command == COMMAND
    with pytest.raises(NotFoundError):
        person.decision("dec_ffffffffffff")


def test_the_sdk_grants_exceptions_and_accepts_rules_for_people_only(
    opened: Door, person: Client
) -> None:
    granted = person.grant_exception(COMMAND, expires_seconds=60)
    assert [one.id for one in person.exceptions(limit=5)] == [granted.id]
    accepted = person.accept_policy("/p", "mode = 'deny'\n")
    assert [one.sha256 for one in person.project_policies()] == [accepted.sha256]
    with Client(opened.url, opened.token("agent"), session="conversation-1") as agent:
        with pytest.raises(ForbiddenError):
            agent.grant_exception(COMMAND)
        with pytest.raises(ForbiddenError):
            agent.accept_policy("/p", "")


def test_rules_that_were_accepted_at_a_terminal_are_in_force_and_in_the_ledger(
    opened: Door, tally: Tally, home: Path, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    (root / ".tally").mkdir(parents=True)
    (root / ".tally" / "policy.toml").write_text('mode = "warn"\n')
    code, out, _err = tally("policy", "accept", str(root), "--yes", "--json")
    view = json.loads(out)
    assert (code, view["root"], view["mode"]) == (0, str(root), "warn")
    rules = project.load_accepted(str(root), str(home))
    assert (rules.sha256, rules.mode, rules.seq) == (view["sha256"], "warn", view["seq"])
    one = decision("under rules", project=str(root), policy=rules.sha256)
    opened.post("/guard/decisions", {"decisions": [one]})
    assert opened.get(f"/guard/decisions/{name_of('under rules')}")["violations"] == []


def test_a_granted_exception_passes_once_and_its_use_is_reported_by_the_next_command(
    opened: Door, tally: Tally, home: Path
) -> None:
    assert tally("policy", "accept", "--help")[0] == 0
    code, out, err = tally("guard", "allow", COMMAND, "--json")
    granted = json.loads(out)
    assert (code, "warning" in err) == (0, False)

    def used() -> str | None:
        return exceptions.use(
            COMMAND,
            session="conversation-1",
            call=None,
            decision=name_of("use"),
            now=int(granted["granted_at"] * 1000),
            tally_home=str(home),
            known_ledgers=str(home / "known_ledgers"),
        )

    assert (used(), used()) == (granted["id"], None)
    fields: dict[str, Any] = {
        "action": "excepted",
        "exception": granted["id"],
        "at": int(granted["granted_at"] * 1000),
    }
    spool.write(str(home), decision("use", **fields))
    assert tally("policy", "show")[0] == 0
    assert spool.pending(str(home)) == []
    (seen,) = opened.get("/guard/exceptions")
    assert (seen["status"], seen["used_by"]) == ("used", name_of("use"))
    assert opened.get(f"/guard/decisions/{name_of('use')}")["violations"] == []
    assert opened.problems() == []
