"""The brief of a session by way of HTTP, the SDK and the command line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.cli.main import main
from tallystick.client.client import Client
from tallystick.errors import NotFoundError
from tests.http.door import Door

Tally = Callable[..., tuple[int, str, str]]

SESSION = "a conversation/1"


@pytest.fixture
def agent(
    open_door: Callable[[], Door], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """The SDK with an agent's token, in a session that made a sweep and a run."""
    door = open_door()
    for name in ("SERVER_URL", "AUTH_TOKEN", "CHAT_SESSION_ID", "TALLY_CONFIG", "TALLY_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TALLY_SERVER_URL", door.url)
    monkeypatch.setenv("TALLY_TOKEN", door.token("agent"))
    monkeypatch.setenv("TALLY_CHAT_SESSION_ID", SESSION)
    with Client(session=SESSION) as client:
        sweep = client.create_sweep("rates", goal="find the best rate").id
        client.create_run("first", "true", sweep=sweep)
        yield client


@pytest.fixture
def tally(agent: Client, capsys: pytest.CaptureFixture[str]) -> Tally:
    """The command line; code, out, err."""
    del agent  # it has set the environment

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_the_sdk_asks_for_its_own_session_or_another(agent: Client) -> None:
    told = agent.brief()
    assert (told.session_id, told.sweep_count, told.runs.ready) == (SESSION, 1, 1)
    assert [sweep.goal for sweep in told.sweeps] == ["find the best rate"]
    assert agent.brief(SESSION).text == told.text
    with pytest.raises(NotFoundError, match="Session not found: another"):
        agent.brief("another")


def test_the_command_prints_the_text_or_json(agent: Client, tally: Tally) -> None:
    text = agent.brief().text
    code, out, _ = tally("brief")
    assert (code, out) == (0, text + "\n")
    assert "start what was not started: POST /sweeps/" in out
    code, out, _ = tally("brief", "--session", SESSION, "--json")
    assert (code, json.loads(out)["text"]) == (0, text)
    code, _, err = tally("brief", "--session", "another")
    assert code == 0, "who begins a conversation asks before anything is registered"
    assert "Session another has not registered anything yet" in err
