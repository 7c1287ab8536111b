"""`tally init` as a plan: what it changes in a project, once however often, and the undoing."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.agents import install, manifest
from tallystick.agents.found import NAMES, look
from tallystick.agents.merging import hooks_in
from tallystick.agents.pieces import HOOK_FILES, SERVER_FILES, Program, pieces_for, skill_files
from tallystick.errors import InvalidError

PROGRAM = Program(
    hook=("/opt/t/bin/python", "-I", "/opt/t/bin/tally", "hook"),
    server=("/opt/t/bin/tally", "mcp"),
)
MOVED = Program(
    hook=("/new/bin/python", "-I", "/new/bin/tally", "hook"), server=("/new/bin/tally", "mcp")
)
Tree = dict[str, tuple[int, bytes | str | None]]


def tree(root: Path) -> Tree:
    """Everything below a directory: modes, and bytes, or where a link leads."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content: bytes | str | None = None
        if path.is_symlink():
            content = os.fspath(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[path.relative_to(root).as_posix()] = (mode, content)
    return found


def set_up(root: Path, *agents: str, program: Program = PROGRAM) -> install.Plan:
    wanted = install.plan(root, agents or NAMES, program)
    install.apply(wanted)
    return wanted


def take_out(root: Path) -> install.Plan:
    wanted = install.plan_removal(root, PROGRAM)
    install.undo(wanted)
    return wanted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A git repository with settings, notes and an ignore file of somebody's."""
    project = tmp_path / "project"
    for folder in (".git", ".claude", ".codex", ".gemini"):
        (project / folder).mkdir(parents=True)
    (project / "AGENTS.md").write_text("# Notes\n\nNo final line end")
    (project / ".gitignore").write_text("*.pyc\n")
    (project / ".claude/settings.local.json").write_text('{"permissions": {"allow": ["Read"]}}')
    (project / ".claude/settings.local.json").chmod(0o664)
    (project / ".codex/config.toml").write_text('model = "m"\n')
    (project / ".gemini/settings.json").write_text(
        '{\n\t"hooks": {\n\t\t"BeforeTool": [{"hooks": [{"command": "x"}]}]\n\t}\n}\n'
    )
    return project


@pytest.mark.parametrize("agents", [NAMES, *((name,) for name in NAMES)])
def test_taking_out_leaves_every_byte_mode_and_folder_as_it_was(
    root: Path, agents: tuple[str, ...]
) -> None:
    before = tree(root)
    set_up(root, *agents)
    assert tree(root) != before
    assert take_out(root).troubles == ()
    assert tree(root) == before


def test_doing_it_twice_changes_nothing(root: Path) -> None:
    set_up(root)
    before = tree(root)
    again = set_up(root)
    assert again.changes == ()
    assert tree(root) == before


def test_an_agent_that_was_set_up_before_stays_when_another_is_added(root: Path) -> None:
    set_up(root, "claude")
    before = tree(root)
    set_up(root, "codex")
    assert json.loads((root / manifest.FILE).read_text())["agents"] == ["claude", "codex"]
    assert (root / ".codex/hooks.json").exists()
    assert before.keys() <= tree(root).keys()


def test_a_moved_installation_is_followed_and_still_undone_to_the_byte(root: Path) -> None:
    before = tree(root)
    set_up(root)
    set_up(root, program=MOVED)
    for name in ("claude", "codex", "gemini", "copilot", "cursor"):
        document = json.loads((root / HOOK_FILES[name]).read_text())
        assert "/opt/t" not in json.dumps(list(hooks_in(document)))
        assert "/new/bin/tally" in json.dumps(list(hooks_in(document)))
    assert "/opt/t" not in (root / HOOK_FILES["opencode"]).read_text()
    take_out(root)
    assert tree(root) == before


def test_what_a_person_edited_since_stays_when_ours_is_taken_out(root: Path) -> None:
    set_up(root)
    file = root / ".claude/settings.local.json"
    document = json.loads(file.read_text())
    document["model"] = "other"
    document["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "bell"}]})
    file.write_text(json.dumps(document))
    with (root / "AGENTS.md").open("a") as notes:
        notes.write("\n## Later\n")
    take_out(root)
    assert json.loads(file.read_text()) == {
        "permissions": {"allow": ["Read"]},
        "model": "other",
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "bell"}]}]},
    }
    assert (root / "AGENTS.md").read_text() == "# Notes\n\nNo final line end\n\n## Later\n"


def test_files_of_ours_that_a_person_edited_stay_and_are_named(root: Path) -> None:
    set_up(root)
    policy, skill = (
        root / ".tally/policy.toml",
        root / ".agents/skills/tallystick-protocol/SKILL.md",
    )
    policy.write_text('mode = "deny"\n')
    skill.write_text("mine now\n")
    wanted = take_out(root)
    assert [trouble.path for trouble in wanted.troubles] == [
        ".tally/policy.toml",
        ".agents/skills/tallystick-protocol/SKILL.md",
    ]
    assert policy.read_text() == 'mode = "deny"\n'
    assert skill.read_text() == "mine now\n"
    assert not (root / ".tally/local").exists()
    assert not (root / ".claude/skills").exists()


def test_a_policy_that_is_there_is_left_to_its_people(root: Path) -> None:
    (root / ".tally").mkdir()
    (root / ".tally/policy.toml").write_text('mode = "warn"\n')
    set_up(root)
    assert (root / ".tally/policy.toml").read_text() == 'mode = "warn"\n'


def test_without_the_record_what_is_recognised_is_taken_out(root: Path) -> None:
    before = tree(root)
    set_up(root)
    (root / manifest.FILE).unlink()
    for kept in (root / manifest.ORIGINALS).iterdir():
        kept.unlink()
    (root / manifest.ORIGINALS).rmdir()
    take_out(root)
    after = tree(root)
    assert after.keys() == before.keys()
    assert json.loads((root / ".gemini/settings.json").read_text()) == {
        "hooks": {"BeforeTool": [{"hooks": [{"command": "x"}]}]}
    }
    assert (root / ".gitignore").read_text() == "*.pyc\n"


def test_an_interrupted_init_is_finished_by_the_next_and_undone_to_the_byte(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(root)
    written = iter(range(100))

    def full(*arguments: Any) -> None:
        if next(written) == 12:
            raise OSError(28, "No space left on device")
        write(*arguments)

    write = install._write
    monkeypatch.setattr(install, "_write", full)
    with pytest.raises(OSError, match="No space"):
        set_up(root)
    monkeypatch.undo()
    half = tree(root)
    take_out(root)
    assert tree(root) == before
    assert half != before
    set_up(root)
    take_out(root)
    assert tree(root) == before


def test_an_interrupted_init_that_is_done_again_is_undone_to_the_byte(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(root)
    written = iter(range(100))
    write = install._write
    monkeypatch.setattr(
        install, "_write", lambda *given: write(*given) if next(written) < 20 else None
    )
    set_up(root)
    monkeypatch.undo()
    set_up(root)
    take_out(root)
    assert tree(root) == before


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".claude/settings.local.json", '{"a": 1} // why'),
        (".claude/settings.local.json", '{"hooks": {"PreToolUse": "none"}}'),
        (".codex/config.toml", "model = "),
        (".codex/config.toml", "mcp_servers = {}\n"),
        ("AGENTS.md", "<!-- tallystick:begin -->\n"),
        (".mcp.json", "\xff"),
    ],
)
def test_what_cannot_be_merged_with_is_named_with_the_text_to_paste(
    root: Path, path: str, content: str
) -> None:
    (root / path).write_bytes(content.encode("latin-1"))
    wanted = install.plan(root, NAMES, PROGRAM)
    assert [trouble.path for trouble in wanted.troubles] == [path]
    assert "tally" in wanted.troubles[0].paste
    assert path not in [change.path for change in wanted.changes]
    install.apply(wanted)
    assert (root / path).read_bytes() == content.encode("latin-1")


def test_a_link_out_of_the_project_is_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "shared.md"
    outside.write_text("everybody's")
    (root / "CLAUDE.md").symlink_to(outside)
    (root / ".cursor").symlink_to(tmp_path)
    wanted = set_up(root)
    assert {trouble.path for trouble in wanted.troubles} == {
        "CLAUDE.md",
        HOOK_FILES["cursor"],
        SERVER_FILES["cursor"],
    }
    assert outside.read_text() == "everybody's"
    assert not (tmp_path / "hooks.json").exists()


def test_notes_that_are_links_to_each_other_get_one_block(root: Path) -> None:
    (root / "CLAUDE.md").symlink_to("AGENTS.md")
    before = tree(root)
    set_up(root)
    assert (root / "CLAUDE.md").is_symlink()
    assert (root / "AGENTS.md").read_text().count("tallystick:begin") == 1
    again = install.plan(root, NAMES, PROGRAM)
    assert again.changes == ()
    take_out(root)
    assert tree(root) == before


def test_a_file_that_changed_after_it_was_shown_is_not_written(root: Path) -> None:
    wanted = install.plan(root, NAMES, PROGRAM)
    (root / "AGENTS.md").write_text("another\n")
    with pytest.raises(InvalidError, match="changed"):
        install.apply(wanted)
    assert not (root / ".tally").exists()


def test_the_mode_of_a_file_stays(root: Path) -> None:
    set_up(root)
    assert (root / ".claude/settings.local.json").stat().st_mode & 0o777 == 0o664


def test_files_with_paths_of_this_machine_are_kept_out_of_git(root: Path) -> None:
    (root / ".cursor").mkdir()
    (root / ".cursor/hooks.json").write_text('{"version": 1, "hooks": {}}')
    set_up(root)
    ignored = (root / ".gitignore").read_text().splitlines()
    assert ignored[0] == "*.pyc"
    assert "/.claude/settings.local.json" in ignored
    assert "/.codex/hooks.json" in ignored
    assert "/.cursor/hooks.json" not in ignored, "somebody's own, and shared perhaps"
    assert "/AGENTS.md" not in ignored


def test_without_git_nothing_is_ignored(tmp_path: Path) -> None:
    set_up(tmp_path)
    assert not (tmp_path / ".gitignore").exists()


def test_skills_are_real_copies_of_the_served_text(root: Path) -> None:
    set_up(root)
    for folder in (".agents/skills", ".claude/skills"):
        copy = root / folder / "tallystick-protocol"
        found = {
            path.relative_to(copy).as_posix(): path.read_text()
            for path in copy.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        assert found == dict(skill_files())


def test_a_page_that_a_newer_version_has_no_more_is_taken_away(root: Path) -> None:
    set_up(root)
    old = root / ".agents/skills/tallystick-protocol/references/old.md"
    old.write_text("old\n")
    known = manifest.load(root)
    record = manifest.Record(written=manifest.digest_of(b"old\n"), original=None)
    path = old.relative_to(root).as_posix()
    manifest.save(
        root,
        manifest.Manifest(
            agents=known.agents, files={**known.files, path: record}, folders=known.folders
        ),
    )
    set_up(root)
    assert not old.exists()
    assert path not in manifest.load(root).files


@pytest.mark.parametrize("name", NAMES)
def test_every_agent_gets_the_guard_by_absolute_path(name: str) -> None:
    piece = pieces_for([name], PROGRAM)[HOOK_FILES[name]]
    text = piece.pasted()
    assert "/opt/t/bin/python" in text
    assert "hook" in text
    if name != "opencode":
        assert list(hooks_in(json.loads(text)))


def test_claude_code_is_told_to_block_when_the_guard_fails() -> None:
    text = pieces_for(["claude"], PROGRAM)[HOOK_FILES["claude"]].pasted()
    groups = json.loads(text)["hooks"]["PreToolUse"]
    shell = next(group for group in groups if group["matcher"] == "Bash|PowerShell|Monitor")
    assert shell["hooks"][0]["onFailure"] == "block"
    assert shell["hooks"][0]["timeout"] == 10


def test_agents_are_found_by_folders_here_at_home_and_programs(tmp_path: Path) -> None:
    project, home, programs = (tmp_path / name for name in ("project", "home", "bin"))
    for folder in (project / ".cursor", home / ".codex", programs):
        folder.mkdir(parents=True)
    (programs / "opencode").write_text("#!/bin/sh\n")
    (programs / "opencode").chmod(0o755)
    found = {
        one.agent.name: one.signs for one in look(project, home=home, path=os.fspath(programs))
    }
    assert found == {
        "codex": ("~/.codex",),
        "opencode": (os.fspath(programs / "opencode"),),
        "cursor": (".cursor",),
    }
    assert look(tmp_path / "bin", home=None, path=None) == ()


def test_a_record_that_cannot_be_read_is_not_ignored(root: Path) -> None:
    set_up(root)
    (root / manifest.FILE).write_text("{}")
    with pytest.raises(InvalidError, match="expected what `tally init` wrote"):
        install.plan(root, NAMES, PROGRAM)


def test_a_record_of_files_that_are_gone_is_forgotten(root: Path) -> None:
    before = tree(root)
    set_up(root, "copilot")
    for path in manifest.load(root).files:
        if path not in before:
            (root / path).unlink()
    take_out(root)
    assert tree(root) == before


def test_a_record_that_leads_out_of_the_project_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    set_up(root, "copilot")
    known = manifest.load(root)
    outside = manifest.Record(written=manifest.digest_of(b"x"), original=None)
    manifest.save(
        root,
        manifest.Manifest(
            agents=known.agents,
            files={**known.files, "../file": outside},
            folders=(*known.folders, "../empty"),
        ),
    )
    assert [trouble.path for trouble in take_out(root).troubles] == ["../file"]
    assert (tmp_path / "file").exists()
    assert (tmp_path / "empty").exists()


HOOKS = st.sampled_from(
    [
        {"hooks": [{"type": "command", "command": "theirs"}]},
        {"matcher": "Bash", "hooks": []},
        {"command": "a b"},
    ]
)
TEXTS = st.text(alphabet="ab# \n\r<>-", max_size=12)
JSONS = st.fixed_dictionaries(
    {},
    optional={
        "hooks": st.dictionaries(
            st.sampled_from(["PreToolUse", "Stop", "BeforeTool"]), st.lists(HOOKS, max_size=2)
        ),
        "mcpServers": st.dictionaries(
            st.sampled_from(["tally", "other"]), st.just({"url": "http://127.0.0.1/mcp"})
        ),
        "version": st.integers(0, 2),
        "other": st.recursive(
            st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)
        ),
    },
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A place in memory: each example writes some thirty files durably."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as directory:
        yield Path(directory)


@settings(max_examples=25, deadline=None)
@given(
    files=st.fixed_dictionaries(
        {},
        optional={
            path: st.tuples(JSONS, st.sampled_from([None, 1, "\t"]), TEXTS.filter(str.isspace))
            for path in (".claude/settings.local.json", ".gemini/settings.json", ".mcp.json")
        },
    ),
    notes=st.none() | TEXTS,
)
def test_for_any_settings_init_then_remove_gives_the_original_bytes(
    scratch: Path, files: dict[str, tuple[Any, Any, str]], notes: str | None
) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        root = Path(directory)
        for path, (document, indent, end) in files.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes((json.dumps(document, indent=indent) + end).encode())
        if notes is not None:
            (root / "AGENTS.md").write_bytes(notes.encode())
        before = tree(root)
        assert set_up(root, "claude", "gemini").troubles == ()
        once = tree(root)
        assert set_up(root, "claude", "gemini").changes == ()
        assert tree(root) == once
        take_out(root)
        assert tree(root) == before
