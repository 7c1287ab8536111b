"""`tally policy accept`: a person reads the rules of a project, and from then on they count."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import project
from tallystick.cli import output
from tallystick.cli.main import main
from tests.unit.client.scripted_server import Answer, ScriptedServer, Seen, as_json, serving

RULES = 'mode = "deny"\nallow = ["make plots"]\n'

Tally = Callable[..., tuple[int, str, str]]


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def accepting(seen: Seen) -> Answer:
    """A server that accepts whatever it is told."""
    body = json.loads(seen.body)
    return as_json(
        {
            "id": "prj_0123456789ab",
            "root": body["root"],
            "sha256": digest_of(body["text"]),
            "mode": "deny",
            "text": body["text"],
            "accepted_at": 1_700_000_000.5,
            "accepted_by": "administrator",
            "seq": 41,
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with rules."""
    directory = tmp_path / "project"
    (directory / ".tally").mkdir(parents=True)
    (directory / "deep" / "er").mkdir(parents=True)
    (directory / ".tally" / "policy.toml").write_text(RULES)
    return directory


@pytest.fixture
def tally(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Tally:
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALLY_TOKEN", "t")
    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: str, server: ScriptedServer | None = None, typed: str | None = None
    ) -> tuple[int, str, str]:
        monkeypatch.setenv("TALLY_SERVER_URL", server.url if server else "http://127.0.0.1:9")
        monkeypatch.setattr("sys.stdin", io.StringIO(typed or ""))
        monkeypatch.setattr(output, "is_terminal", lambda: typed is not None)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.out, captured.err

    return run


def in_force(tmp_path: Path, root: Path) -> project.Accepted:
    return project.load_accepted(str(root), str(tmp_path / "home"))


def test_accepted_rules_count_from_then_on(tally: Tally, root: Path, tmp_path: Path) -> None:
    with serving(accepting) as server:
        code, out, err = tally(
            "policy", "accept", str(root / "deep" / "er"), server=server, typed="y\n"
        )
    assert (code, out) == (0, f"accepted for {root}: entry 41\n")
    assert '  allow = ["make plots"]' in err.splitlines(), "they are shown before they count"
    assert json.loads(server.seen[0].body) == {"root": str(root), "text": RULES}
    rules = in_force(tmp_path, root)
    assert (rules.sha256, rules.mode, rules.allow) == (digest_of(RULES), "deny", ("make plots",))
    assert (rules.accepted_at, rules.seq) == (1_700_000_000_500, 41)


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_without_a_yes_nothing_changes(
    tally: Tally, root: Path, tmp_path: Path, typed: str
) -> None:
    with serving(accepting) as server:
        code, out, _err = tally("policy", "accept", str(root), server=server, typed=typed)
        assert (code, out, server.seen) == (1, "", [])
    assert in_force(tmp_path, root).sha256 is None


def test_silence_is_no_yes(tally: Tally, root: Path) -> None:
    with serving(accepting) as server:
        code, _out, err = tally("policy", "accept", str(root), server=server)
        assert (code, server.seen) == (2, [])
    assert "answer_needed" in err


def test_with_yes_nobody_is_asked_and_json_is_the_whole_answer(tally: Tally, root: Path) -> None:
    with serving(accepting) as server:
        code, out, _err = tally("policy", "accept", str(root), "--yes", "--json", server=server)
    assert (code, json.loads(out)["sha256"]) == (0, digest_of(RULES))


def test_rules_that_a_server_refuses_do_not_count(tally: Tally, root: Path, tmp_path: Path) -> None:
    refusal = as_json({"detail": "by people", "code": "people_only"}, status=403)
    with serving(lambda _seen: refusal) as server:
        code, _out, err = tally("policy", "accept", str(root), "--yes", server=server)
    assert code == 1
    assert "people_only" in err
    assert in_force(tmp_path, root).sha256 is None


def test_a_server_that_accepted_something_else_is_not_believed(
    tally: Tally, root: Path, tmp_path: Path
) -> None:
    def other(seen: Seen) -> Answer:
        document: Any = json.loads(accepting(seen).body)
        return as_json({**document, "sha256": "0" * 64})

    with serving(other) as server:
        code, _out, err = tally("policy", "accept", str(root), "--yes", server=server)
    assert (code, "policy_mismatch" in err) == (output.UNVERIFIED, True)
    assert in_force(tmp_path, root).sha256 is None


def test_rules_that_the_guard_could_not_follow_are_not_sent(tally: Tally, root: Path) -> None:
    (root / ".tally" / "policy.toml").write_text('modes = "deny"\n')
    code, _out, err = tally("policy", "accept", str(root), "--yes")
    assert code == 1
    assert "'modes'" in err


@pytest.mark.parametrize("missing", ["project", "rules"])
def test_what_is_missing_is_said(tally: Tally, root: Path, missing: str) -> None:
    (root / ".tally" / "policy.toml").unlink()
    if missing == "project":
        (root / ".tally").rmdir()
    code, _out, err = tally("policy", "accept", str(root), "--yes")
    assert (code, "project_missing" in err or "policy_missing" in err) == (1, True)


def test_projects_are_listed(tally: Tally, root: Path) -> None:
    def script(seen: Seen) -> Answer:
        one = accepting(
            Seen(
                method="",
                target="",
                headers={},
                connection=0,
                body=json.dumps({"root": "/p", "text": RULES}).encode(),
            )
        )
        assert seen.target.startswith("/policy/projects?")
        return as_json({"items": [json.loads(one.body)], "next_cursor": None})

    with serving(script) as server:
        code, out, _err = tally("policy", "projects", server=server)
    assert code == 0
    assert out.splitlines()[0].split() == ["PROJECT", "MODE", "SHA256", "ACCEPTED", "BY", "ENTRY"]
    assert out.splitlines()[1].split()[:3] == ["/p", "deny", digest_of(RULES)[:12]]
