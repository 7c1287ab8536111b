"""Where, as whom, in which session: arguments first, then variables, then the data directory."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.client.config import Discovery, base_url, is_loopback, shell_session
from tallystick.errors import InvalidError, UnavailableError
from tallystick.proc import pid_namespace


def data_directory(path: Path, url: str = "http://127.0.0.1:4711") -> Path:
    path.mkdir(exist_ok=True)
    (path / "server.json").write_text(json.dumps({"url": url, "pid": os.getpid()}))
    (path / "admin.token").write_text("admin-secret\n")
    (path / "agent.token").write_text("agent-secret\n")
    return path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A data directory that a server of ours holds."""
    data_directory(tmp_path)
    descriptor = os.open(tmp_path / "server.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield tmp_path
    os.close(descriptor)


def found(directory: Path, **variables: str) -> Discovery:
    return Discovery(environment={"TALLY_DATA_DIR": str(directory), **variables})


def test_an_argument_wins_over_variables_and_files(tmp_path: Path) -> None:
    discovery = Discovery(
        environment={"TALLY_SERVER_URL": "http://other:1", "TALLY_TOKEN": "other"},
        url="http://named:2/",
        token="mine",
        session="here",
    )
    assert discovery.server_url() == "http://named:2"
    assert discovery.access_token() == "mine"
    assert discovery.chat_session() == "here"


@pytest.mark.parametrize("name", ["TALLY_SERVER_URL", "SERVER_URL"])
def test_a_variable_names_the_server(tmp_path: Path, name: str) -> None:
    assert found(data_directory(tmp_path), **{name: "localhost:99"}).server_url() == (
        "http://localhost:99"
    )


def test_the_protocols_own_variables_give_way_to_ours(tmp_path: Path) -> None:
    discovery = found(
        tmp_path,
        TALLY_SERVER_URL="http://a:1",
        SERVER_URL="http://b:2",
        TALLY_TOKEN="ours",
        AUTH_TOKEN="theirs",
        TALLY_CHAT_SESSION_ID="s-ours",
        CHAT_SESSION_ID="s-theirs",
    )
    assert discovery.server_url() == "http://a:1"
    assert discovery.access_token() == "ours"
    assert discovery.chat_session() == "s-ours"


def test_server_json_is_read_again_because_a_restarted_server_moves(tmp_path: Path) -> None:
    discovery = found(data_directory(tmp_path))
    assert discovery.server_url() == "http://127.0.0.1:4711"
    data_directory(tmp_path, "http://127.0.0.1:4712")
    assert discovery.server_url() == "http://127.0.0.1:4712"


def test_without_a_server_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        found(tmp_path / "nothing").server_url()
    assert caught.value.code == "server_not_running"
    assert caught.value.next_actions == ("tally up",)
    assert "TALLY_SERVER_URL" in str(caught.value.hint)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": ""}', "\x00"])
def test_a_torn_server_file_is_unavailable_not_a_traceback(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    with pytest.raises((UnavailableError, InvalidError)):
        found(tmp_path).server_url()


def test_the_data_directory_of_tally_toml_is_the_clients_too(tmp_path: Path) -> None:
    directory = data_directory(tmp_path / "kept")
    config = tmp_path / "tally.toml"
    config.write_text(f'[server]\ndata_dir = "{directory}"\n')
    assert Discovery(environment={"TALLY_CONFIG": str(config)}).server_url() == (
        "http://127.0.0.1:4711"
    )


def test_people_send_the_administrators_token_and_agents_the_agents(served: Path) -> None:
    assert found(served).access_token() == "admin-secret"
    for name in (
        "TALLY_CHAT_SESSION_ID",
        "CHAT_SESSION_ID",
        "CLAUDE_CODE_SESSION_ID",
        "CODEX_THREAD_ID",
        "GEMINI_SESSION_ID",
    ):
        discovery = found(served, **{name: "conversation-1"})
        assert discovery.access_token() == "agent-secret", name
        assert discovery.chat_session() == "conversation-1", name


def test_an_empty_session_variable_makes_nobody_an_agent(served: Path) -> None:
    discovery = found(served, CHAT_SESSION_ID="  ")
    assert not discovery.is_agent()
    assert discovery.access_token() == "admin-secret"


def test_a_token_file_of_this_machine_never_leaves_it(tmp_path: Path) -> None:
    data_directory(tmp_path)
    assert found(tmp_path, TALLY_SERVER_URL="http://127.0.0.1:1").access_token() == "admin-secret"
    assert found(tmp_path, TALLY_SERVER_URL="https://elsewhere:1").access_token() is None


def refused(directory: Path) -> None:
    with pytest.raises(UnavailableError, match="no server runs on this data directory") as caught:
        found(directory).access_token()
    assert caught.value.next_actions == ("tally up",)


def test_a_token_file_is_not_sent_to_whoever_took_the_port_of_a_dead_server(served: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid in (gone.pid, None, "1"):
        (served / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": pid}))
        refused(served)
        assert found(served, TALLY_TOKEN="mine").access_token() == "mine"
        named = found(served, TALLY_SERVER_URL="http://127.0.0.1:1")
        assert named.access_token() == "admin-secret"


def test_in_a_sandbox_with_processes_of_its_own_the_lock_says_that_the_server_lives(
    served: Path,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    said = {"url": "http://127.0.0.1:1", "pid": gone.pid, "pid_namespace": "pid:[1]"}
    (served / "server.json").write_text(json.dumps(said))
    assert found(served).access_token() == "admin-secret"
    (served / "server.json").write_text(json.dumps({**said, "pid_namespace": pid_namespace()}))
    refused(served)


def test_a_token_file_is_not_sent_when_nobody_holds_the_data_directory(tmp_path: Path) -> None:
    refused(data_directory(tmp_path))
    (tmp_path / "server.lock").touch()
    refused(tmp_path)


def test_a_token_file_is_not_sent_to_a_process_of_another_user(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.client.config._owner_of", lambda _pid: 4_000_000)
    refused(served)


def test_a_named_directory_wins_over_the_variables_that_name_a_server(tmp_path: Path) -> None:
    discovery = Discovery(
        environment={"TALLY_SERVER_URL": "http://other:1"}, directory=data_directory(tmp_path)
    )
    assert discovery.server_url() == "http://127.0.0.1:4711"


@pytest.mark.parametrize("text", ["", "ftp://x", "http://", "http://h:99999", "http://h:x"])
def test_a_url_that_cannot_be_one_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidError, match=r"expected something like http://127\.0\.0\.1:8787"):
        base_url(text)


def test_loopback_is_known_by_name_and_by_number() -> None:
    assert all(map(is_loopback, ("http://localhost", "http://127.8.9.1:2", "http://[::1]:3")))
    assert not any(map(is_loopback, ("http://10.0.0.1", "http://example.org", "http://0.0.0.0")))


def test_a_shell_has_one_session_and_its_id_is_usable() -> None:
    session = shell_session()
    assert session == shell_session()
    assert session.startswith("shell:")
    assert len(session) <= 128
    assert session.isprintable()
