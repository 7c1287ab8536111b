"""Facts about a repository are exact, and asking for them changes nothing in it."""

import os
import stat
import subprocess
import textwrap
from pathlib import Path

import pytest

from tallystick.supervisor import provenance
from tallystick.supervisor.provenance import GitFacts, git_facts

ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent"}


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "gc.auto=0"]
    done = subprocess.run(
        ["git", *names, *words], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def facts(workdir: Path, scratch: Path, **more: str) -> GitFacts:
    return git_facts(workdir, environment={**ENVIRONMENT, **more}, scratch=scratch, with_tree=True)


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
        # Git renews the time of an object that it is about to write and finds there already.
        moment = 0 if "objects" in path.parts and path.is_file() else info.st_mtime_ns
        found[str(path)] = (moment, info.st_mode, content)
    return found


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A commit, a change, a deletion, an untracked and an ignored file."""
    folder = tmp_path / "repo with blank"
    (folder / "src").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "trunk/x")
    (folder / ".gitignore").write_text("*.log\ndata/\n")
    (folder / "src" / "train.py").write_text("print(1)\n")
    (folder / "gone.py").write_text("pass\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    (folder / "src" / "train.py").write_text("print(2)\n")
    (folder / "new file").write_text("untracked\n")
    (folder / "out.log").write_text("ignored\n")
    (folder / "gone.py").unlink()
    return folder


def expected_tree(repository: Path, tmp_path: Path) -> str:
    """What git itself says after adding everything, in a copy."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(repository), str(copy)], check=True)
    git(copy, "add", "-A")
    return git(copy, "write-tree")


def test_head_branch_and_exact_tree(repository: Path, scratch: Path, tmp_path: Path) -> None:
    found = facts(repository / "src", scratch)
    assert found == GitFacts(
        git_head=git(repository, "rev-parse", "HEAD"),
        git_branch="trunk/x",
        git_tree=expected_tree(repository, tmp_path),
    )


def test_nothing_in_the_repository_changes(repository: Path, scratch: Path) -> None:
    status = git(repository, "--no-optional-locks", "status", "--porcelain")
    before = listing(repository)
    assert facts(repository, scratch).git_tree
    assert listing(repository) == before
    assert git(repository, "--no-optional-locks", "status", "--porcelain") == status
    assert list(scratch.iterdir()) == []


def test_one_changed_byte_is_another_tree_and_an_ignored_one_is_not(
    repository: Path, scratch: Path
) -> None:
    first = facts(repository, scratch).git_tree
    (repository / "out.log").write_text("other")
    assert facts(repository, scratch).git_tree == first
    (repository / "new file").write_text("Untracked\n")
    assert facts(repository, scratch).git_tree != first


def test_a_repository_without_a_commit_still_has_a_tree(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "a").write_text("a")
    found = facts(folder, scratch)
    assert (found.git_head, found.git_branch, found.git_missing) == (None, "trunk", None)
    assert found.git_tree == expected_tree(folder, tmp_path)


def test_a_detached_head_has_no_branch(repository: Path, scratch: Path) -> None:
    git(repository, "checkout", "-q", "--detach", "-f")
    found = facts(repository, scratch)
    assert found.git_branch is None
    assert found.git_head == git(repository, "rev-parse", "HEAD")


def test_a_linked_worktree_is_told_as_itself(
    repository: Path, scratch: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    (tmp_path / "linked" / "only here").write_text("x")
    found = facts(tmp_path / "linked", scratch)
    assert found.git_branch == "side"
    assert found.git_tree == expected_tree_of_linked(tmp_path / "linked", scratch)


def expected_tree_of_linked(folder: Path, scratch: Path) -> str:
    git(folder, "add", "-A")
    return git(folder, "write-tree")


def test_git_variables_of_the_command_mislead_nobody(
    repository: Path, scratch: Path, tmp_path: Path
) -> None:
    right = facts(repository, scratch)
    misled = facts(
        repository, scratch, GIT_DIR=str(tmp_path), GIT_INDEX_FILE="/x", GIT_WORK_TREE="/"
    )
    assert misled == right


def test_outside_a_repository_no_process_is_started(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    (tmp_path / "plain").mkdir()
    assert facts(tmp_path / "plain", scratch) == GitFacts()
    assert facts(tmp_path / "missing", scratch) == GitFacts()


def test_without_git_the_reason_is_told(repository: Path, scratch: Path) -> None:
    found = facts(repository, scratch, PATH="/nonexistent")
    assert found == GitFacts(git_missing="git is not on the PATH of the run")


def test_a_broken_repository_is_told_in_gits_words(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "broken" / ".git").mkdir(parents=True)
    found = facts(tmp_path / "broken", scratch)
    assert found.git_tree is None
    assert "not a git repository" in (found.git_missing or "")


def test_a_git_that_hangs_is_ended_and_head_is_kept(
    repository: Path, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "LIMIT_SECONDS", 1.0)
    slow = tmp_path / "bin"
    slow.mkdir()
    script = f"""#!/bin/sh
    case "$*" in
      *"add --all"*) sleep 60 ;;
      *) PATH={os.defpath} exec git "$@" ;;
    esac
    """
    (slow / "git").write_text(textwrap.dedent(script))
    (slow / "git").chmod(0o755)
    found = facts(repository, scratch, PATH=f"{slow}:{os.defpath}")
    assert found.git_head == git(repository, "rev-parse", "HEAD")
    assert found.git_tree is None
    assert "no answer within" in (found.git_missing or "")
    assert list(scratch.iterdir()) == []


def test_filters_that_would_store_objects_in_the_repository_are_not_run(
    repository: Path, scratch: Path
) -> None:
    (repository / ".gitattributes").write_text("*.bin filter=lfs\n")
    (repository / "weights.bin").write_bytes(b"\0" * 100)
    git(repository, "config", "filter.lfs.clean", "touch .git/was-here; cat")
    git(repository, "config", "filter.lfs.required", "true")
    assert facts(repository, scratch).git_tree
    assert not (repository / ".git" / "was-here").exists()


def test_without_the_tree_head_and_branch_remain(repository: Path, scratch: Path) -> None:
    found = git_facts(repository, environment=ENVIRONMENT, scratch=scratch, with_tree=False)
    assert found.git_head
    assert found.git_branch == "trunk/x"
    assert found.git_tree is None
    assert found.git_missing is None


def test_data_that_nobody_told_git_to_ignore_is_not_copied(
    repository: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "UNTRACKED_BYTES", 1024 * 1024)
    with (repository / "dataset.bin").open("wb") as data:
        data.truncate(1024 * 1024 + 1)
    found = facts(repository, scratch)
    assert found.git_head
    assert found.git_tree is None
    assert "untracked files exceed 1 MiB" in (found.git_missing or "")
    (repository / ".gitignore").write_text("*.log\ndata/\n*.bin\n")
    assert facts(repository, scratch).git_tree


def test_a_branch_whose_name_is_no_text_can_still_be_recorded(
    repository: Path, scratch: Path
) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    git(repository, "checkout", "-q", "-b", name)
    assert facts(repository, scratch).git_branch == "caf?"


def test_a_path_that_is_none_is_outside_every_repository(scratch: Path) -> None:
    assert facts(Path("/a\0b"), scratch) == GitFacts()
