"""Where a command came from: commit, branch and the exact working tree, as git object ids.

The tree is written through a temporary copy of the index into a temporary object directory that
borrows the repository's objects, so nothing in the repository changes (git may renew the time of
an object that it would write and finds there, as it always does). All of it is bounded by
10 seconds; what cannot be told is absent, with the reason. No process is started outside a
repository. Untracked files are part of the tree, ignored ones are not.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tallystick.supervisor.capture import printable

LIMIT_SECONDS = 10.0
UNTRACKED_BYTES = 512 * 1024 * 1024
"""More is not hashed: every byte of it is written to the run directory for a moment."""
SCRATCH_DIRECTORY = "git-facts"
REASON_CHARACTERS = 200
_SETTINGS = (
    # No helper program of the repository's configuration is started, no shared file is written.
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.hooksPath=/dev/null",
    # Large-file filters would store objects in the repository: changed files count as they are.
    "filter.lfs.clean=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    # The objects are thrown away: neither made small nor made durable.
    "core.compression=0",
    "core.fsync=none",
    "advice.addEmbeddedRepo=false",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """Fields of command_started; all None outside a repository."""

    git_head: str | None = None
    git_branch: str | None = None
    git_tree: str | None = None
    git_missing: str | None = None


class _GitError(Exception):
    """Git could not tell; the message is the reason."""


def git_facts(
    workdir: Path, *, environment: Mapping[str, str], scratch: Path, with_tree: bool
) -> GitFacts:
    """Facts about the repository that `workdir` lies in.

    `environment` is the command's own (PATH, HOME; git's variables in it are left out), `scratch`
    an existing directory for temporary files.
    """
    if not _inside_repository(workdir):
        return GitFacts()
    git = _Git(environment, deadline=time.monotonic() + LIMIT_SECONDS)
    head = branch = None
    try:
        top = git.ask(["rev-parse", "--show-toplevel"], cwd=workdir)
        head, branch = _head(git, Path(top))
        tree = _tree(git, top=Path(top), scratch=scratch) if with_tree else None
    except _GitError as error:
        reason = printable(str(error))[:REASON_CHARACTERS]
        return GitFacts(git_head=head, git_branch=branch, git_missing=reason)
    return GitFacts(git_head=head, git_branch=branch, git_tree=tree)


def _inside_repository(workdir: Path) -> bool:
    """Whether the directory or one above it holds `.git` (a directory, or a worktree's file)."""
    try:
        real = workdir.resolve()
        return any((folder / ".git").exists() for folder in (real, *real.parents))
    except (OSError, ValueError, RuntimeError):  # not to be entered, no path at all, a loop
        return False


def _head(git: "_Git", top: Path) -> tuple[str | None, str | None]:
    """Commit and branch; either may be absent: no commit yet, or a detached head."""
    answer = git.ask(["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"], cwd=top, ok=(0, 128))
    words = answer.split("\n")
    if len(words) == 2 and words[0] != "HEAD":
        branch = words[1].removeprefix("refs/heads/")
        return words[0], printable(branch) if branch != words[1] else None
    unborn = git.ask(["symbolic-ref", "--quiet", "--short", "HEAD"], cwd=top, ok=(0, 1, 128))
    return None, printable(unborn) or None


def _tree(git: "_Git", *, top: Path, scratch: Path) -> str:
    """Object id of the working tree as it is now."""
    places = git.ask(["rev-parse", "--git-path", "index", "--git-path", "objects"], cwd=top).split(
        "\n"
    )
    index, objects = (top / place for place in places)  # relative ones are relative to top
    _bound_untracked(git, top)
    folder = scratch / SCRATCH_DIRECTORY
    shutil.rmtree(folder, ignore_errors=True)
    try:
        (folder / "objects" / "info").mkdir(parents=True, mode=0o700)
        (folder / "objects" / "info" / "alternates").write_text(f"{objects}\n")
        if index.exists():
            # Its stat data saves reading every file; its time tells git which of them not to trust,
            # being changed in the same instant.
            shutil.copy2(index, folder / "index")
        own = {
            "GIT_INDEX_FILE": str(folder / "index"),
            "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
        }
        git.ask(["add", "--all"], cwd=top, more=own)
        return git.ask(["write-tree", "--missing-ok"], cwd=top, more=own)
    except OSError as error:
        raise _GitError(f"no temporary index: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bound_untracked(git: "_Git", top: Path) -> None:
    """Refuse to copy data sets that nobody told git to ignore."""
    listed = git.ask(["ls-files", "--others", "--exclude-standard", "-z"], cwd=top)
    total = 0
    for name in listed.split("\0"):
        with suppress(OSError):
            total += (top / name).lstat().st_size
        if total > UNTRACKED_BYTES:
            raise _GitError(
                f"untracked files exceed {UNTRACKED_BYTES >> 20} MiB; ignore data in .gitignore"
            )


class _Git:
    """Runs git with a clean environment until a common deadline."""

    def __init__(self, environment: Mapping[str, str], *, deadline: float) -> None:
        self._environment = {
            key: value for key, value in environment.items() if not key.startswith("GIT_")
        } | {
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "LC_ALL": "C",
        }
        self._deadline = deadline
        self._program = shutil.which("git", path=environment.get("PATH", os.defpath))

    def ask(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        ok: Sequence[int] = (0,),
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Standard output without the last newline; raises `_GitError` with git's own words."""
        if self._program is None:
            raise _GitError("git is not on the PATH of the run")
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        try:
            process = subprocess.Popen(
                [self._program, *settings, *arguments],
                cwd=cwd,
                env=self._environment | dict(more or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise _GitError(f"git cannot be started: {error}") from error
        output, complaint = self._finish(process)
        if process.returncode not in ok:
            lines = complaint.decode(errors="replace").strip().splitlines()
            raise _GitError(f"git {arguments[0]}: {lines[-1] if lines else process.returncode}")
        return os.fsdecode(output).removesuffix("\n")

    def _finish(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Wait until the deadline; then end git and every program it started."""
        try:
            return process.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise _GitError(f"no answer within {LIMIT_SECONDS:.0f} s") from None
