"""Which directories the guard looks after, and which of a project's wishes count."""

from pathlib import Path

import pytest

from tallystick.agents import policy_file, project
from tallystick.errors import InvalidError

TEXT = b"""# what this project would like
mode = "deny"
allow = ["python tools/sync.py", "make plots"]
experiment = ["frobnicate"]
utility_scripts = ["scripts/plot_*.py"]
tests_are_runs = true
"""


def test_the_nearest_directory_upwards_is_the_project(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    (inner / "src").mkdir(parents=True)
    (tmp_path / "outer" / ".tally").mkdir()
    assert project.find_root(str(inner / "src")) == str(tmp_path / "outer")
    (inner / ".tally").mkdir()
    assert project.find_root(str(inner / "src")) == str(inner)


def test_a_file_of_that_name_makes_no_project(tmp_path: Path) -> None:
    (tmp_path / ".tally").write_text("")
    assert project.find_root(str(tmp_path)) is None


@pytest.mark.parametrize("cwd", ["", "relative", ".", "/no/such/directory", "/", "/\ud800"])
def test_where_nothing_is_there_is_no_project(cwd: str) -> None:
    assert project.find_root(cwd) is None


def test_a_directory_that_was_deleted_meanwhile_still_has_its_project(tmp_path: Path) -> None:
    (tmp_path / ".tally").mkdir()
    assert project.find_root(str(tmp_path / "gone" / "deep")) == str(tmp_path)


def test_what_was_accepted_comes_back(tmp_path: Path) -> None:
    written = policy_file.write_accepted("/w", str(tmp_path), TEXT, accepted_at=5, seq=41)
    found = project.load_accepted("/w", str(tmp_path))
    for each in (written, found):
        assert (each.mode, each.seq, each.accepted_at) == ("deny", 41, 5)
        assert each.rules() == {
            "allow": ("python tools/sync.py", "make plots"),
            "experiment": ("frobnicate",),
            "utility_scripts": ("scripts/plot_*.py",),
            "tests_are_runs": True,
        }
    assert found.name == found.sha256
    assert Path(project.accepted_path("/w", str(tmp_path))).stat().st_mode & 0o077 == 0


def test_nothing_was_accepted_for_another_directory(tmp_path: Path) -> None:
    policy_file.write_accepted("/w", str(tmp_path), TEXT, accepted_at=5, seq=None)
    found = project.load_accepted("/w/other", str(tmp_path))
    assert (found.mode, found.name, found.sha256) == (None, "default", None)
    assert not any(found.rules().values())


@pytest.mark.parametrize(
    ("mode", "can_rewrite", "expected"),
    [
        (None, True, "convert"),
        (None, False, "deny"),
        ("convert", False, "deny"),
        ("deny", True, "deny"),
        ("warn", False, "warn"),
        ("off", True, "off"),
    ],
)
def test_the_mode_is_what_was_accepted_as_far_as_the_agent_can(
    mode: str | None, can_rewrite: bool, expected: str
) -> None:
    accepted = project.Accepted("/w", {"root": "/w", "mode": mode, "rules": {}})
    assert project.mode_for(accepted, can_rewrite=can_rewrite) == expected


def test_an_empty_policy_is_one() -> None:
    found = policy_file.parse(b"")
    assert found == {
        "mode": None, "allow": [], "experiment": [], "utility_scripts": [],
        "tests_are_runs": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'allow = []\nalow = ["x"]\n', ("line 2", "expected one of mode, allow", "'alow'")),
        (b"[guard]\nmode = 1", ("line 1", "'guard'")),
        (b'\n\nmode = "strict"', ("line 3", "convert, deny, warn, off", "'strict'")),
        (b"mode = 5", ("line 1", "found 5")),
        (b'allow = "python"', ("line 1", "expected a list", "'python'")),
        (b"allow = [1]", ("expected texts", "found 1")),
        (b'allow = [" "]', ("expected texts",)),
        (b'tests_are_runs = "yes"', ("expected true or false", "'yes'")),
        (b"mode = ", ("expected TOML", "Invalid value")),
        (b"\xff", ("UTF-8",)),
        (b"# " + b"x" * project.MOST_POLICY_BYTES, ("at most 65536 bytes",)),
        (b"allow = [" + b'"a",' * 1001 + b"]", ("at most 1000",)),
    ],
)
def test_a_policy_that_says_something_else_is_refused_with_the_line(
    text: bytes, words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidError) as caught:
        policy_file.parse(text)
    assert caught.value.code == "policy_invalid"
    assert caught.value.hint is not None
    assert all(word in str(caught.value.detail) for word in words), caught.value.detail
