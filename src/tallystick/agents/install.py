"""`tally init`: what it would change in a project, the doing of it, and the undoing.

A plan is made first and shown; doing it writes exactly what the plan says. Of every file the bytes
before are kept, and what was done is recorded before the first file changes, so an init that was
killed halfway is finished, or undone, by the next call. Where a file cannot be changed with
certainty (comments in JSON, broken TOML, a link that leads out of the project) it is left as it is
and named with the text to put there by hand.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.agents import manifest as record_of
from tallystick.agents.found import NAMES
from tallystick.agents.manifest import Manifest, Record
from tallystick.agents.merging import Block, Piece, Whole
from tallystick.agents.pieces import HOOK_FILES, IGNORED, LOCAL, Program, machine_pieces, pieces_for
from tallystick.errors import InvalidError, Refusal

MOST_BYTES: Final = 4 * 1024 * 1024
"""No settings file is larger; what is, is left alone."""
_NEW_FILE: Final = 0o644
_NEW_FOLDER: Final = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would happen to one file."""

    path: str
    """Below the project, as agents know it."""
    target: Path
    """The file itself, where `path` is a link inside the project."""
    before: bytes | None
    after: bytes | None
    """None: there is no file then."""
    original: bytes | None
    """What an undoing puts back; None: no file."""

    @property
    def action(self) -> str:
        """`create`, `change` or `delete`."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A file that must be changed by hand, and why."""

    path: str
    why: str
    paste: str
    """What to put there; empty in an undoing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that would be done, in order."""

    root: Path
    agents: tuple[str, ...]
    changes: tuple[Change, ...]
    troubles: tuple[Trouble, ...]
    manifest: Manifest
    """What is recorded afterwards."""


def plan(root: Path, agents: Iterable[str], program: Program) -> Plan:
    """What setting up these agents would change; those that were set up before stay.

    Reads, writes nothing. `root` is absolute and resolved. Raises `InvalidError` where the record
    of an earlier init cannot be read.
    """
    known = record_of.load(root)
    chosen = tuple(name for name in NAMES if name in {*agents, *known.agents})
    pieces = pieces_for(chosen, program, ignored=_to_ignore(root, chosen, program, known))
    changes, troubles, seen = list[Change](), list[Trouble](), set[Path]()
    for path, piece in pieces.items():
        try:
            target = _target(root, path)
            change = None if target in seen else _wanted(path, target, piece, known, root=root)
        except Refusal as refusal:
            troubles.append(Trouble(path=path, why=refusal.detail, paste=piece.pasted()))
            continue
        seen.add(target)  # one file may go by two names, as a link
        changes += [] if change is None else [change]
    changes += _outdated(root, pieces, known)
    return Plan(
        root=root,
        agents=chosen,
        changes=tuple(changes),
        troubles=tuple(troubles),
        manifest=_recorded(root, known, chosen, changes),
    )


def plan_removal(root: Path, program: Program) -> Plan:
    """What taking everything out again would change.

    A file that is as it was written becomes what it was before, byte for byte. In one that was
    edited since, only what is recognisably ours is taken out; a file of ours that was edited stays,
    and is named.
    """
    known = record_of.load(root)
    pieces = pieces_for(NAMES, program, ignored=("anything",))
    changes, troubles = list[Change](), list[Trouble]()
    left = dict[str, Record]()
    for path in (*pieces, *(path for path in known.files if path not in pieces)):
        record = known.files.get(path)
        try:
            change = _unwanted(root, path, pieces.get(path), record)
        except Refusal as refusal:
            troubles.append(Trouble(path=path, why=refusal.detail, paste=""))
            if record is not None and record.original is not None:
                left[path] = record
            continue
        if change is not None and all(change.target != other.target for other in changes):
            changes.append(change)
    return Plan(
        root=root,
        agents=(),
        changes=tuple(changes),
        troubles=tuple(troubles),
        manifest=Manifest(files=left, folders=known.folders),
    )


def apply(wanted: Plan) -> None:
    """Do what a plan says; raises OSError, and `InvalidError` when a file has changed meanwhile."""
    for change in wanted.changes:
        if _read(change.target) != change.before:
            raise InvalidError(
                f"{change.path}: expected it as it was when the changes were shown; found it "
                "changed",
                code="file_changed",
                next_actions=("tally init",),
            )
    if not wanted.changes:
        return
    _make_folder(wanted.root, ".tally")
    durable.make_directory(wanted.root / LOCAL)
    for change in wanted.changes:
        if change.original is not None:
            record_of.keep_original(wanted.root, change.original)
    record_of.save(wanted.root, wanted.manifest)
    for change in wanted.changes:
        _write(wanted.root, change)


def undo(wanted: Plan) -> None:
    """Do what a removal's plan says, then forget it; raises OSError and `InvalidError`."""
    for change in wanted.changes:
        if _read(change.target) != change.before:
            raise InvalidError(
                f"{change.path}: expected it as it was when the changes were shown; found it "
                "changed",
                code="file_changed",
                next_actions=("tally init --remove",),
            )
    for change in wanted.changes:
        _write(wanted.root, change)
    made = wanted.manifest.folders
    if wanted.manifest.files:
        record_of.save(wanted.root, wanted.manifest)
    else:
        _forget(wanted.root)
    above = {folder for change in wanted.changes for folder in _folders_of(change.path)}
    for folder in sorted(set(made) | (above if not made else set()), key=len, reverse=True):
        if (wanted.root / folder).resolve().is_relative_to(wanted.root):
            _drop_empty(wanted.root / folder)


def is_recorded(root: Path) -> bool:
    """Whether something was set up here that was not undone."""
    return (root / record_of.FILE).exists()


def is_in_git(root: Path) -> bool:
    """Whether a project is in a git repository."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def _to_ignore(root: Path, agents: Iterable[str], program: Program, known: Manifest) -> list[str]:
    """Files with this machine's paths that git must not take: those that we make ourselves.

    One that was there before is somebody's, and may be shared on purpose; the local settings of
    Claude Code never are.
    """
    if not is_in_git(root):
        return []
    try:
        lines = set((root / IGNORED).read_text().splitlines())
    except (OSError, ValueError):
        lines = set()
    nobody = Record(written="", original="")
    return [
        path
        for path in machine_pieces(agents, program)
        if path == HOOK_FILES["claude"]
        or not (root / path).exists()
        or known.files.get(path, nobody).original is None
        or f"/{path}" in lines
    ]


def _wanted(path: str, target: Path, piece: Piece, known: Manifest, *, root: Path) -> Change | None:
    """What one file needs; None when it has it."""
    current = _read(target)
    if piece.holds(current):
        return None
    base = _base(root, piece, current, known.files.get(path))
    after = piece.onto(base)
    return Change(path=path, target=target, before=current, after=after, original=base)


def _base(root: Path, piece: Piece, current: bytes | None, record: Record | None) -> bytes | None:
    """A file as it was without us, with what people changed in it since."""
    if current is None:
        return None
    if record is not None and record_of.digest_of(current) == record.written:
        return None if record.original is None else record_of.original(root, record.original)
    return piece.without(current)


def _unwanted(root: Path, path: str, piece: Piece | None, record: Record | None) -> Change | None:
    """How one file becomes what it was; None when there is nothing of ours in it.

    Raises `InvalidError` where only a person can tell.
    """
    target = _target(root, path)
    current = _read(target)
    if current is None:
        return None
    digest = record_of.digest_of(current)
    if record is not None and digest == record.written:
        before = None if record.original is None else record_of.original(root, record.original)
        return Change(path=path, target=target, before=current, after=before, original=None)
    if record is not None and digest == record.original:
        return None
    after = current if piece is None else piece.without(current)
    if after == current:
        if record is not None and not isinstance(piece, Block) and _is_ours_alone(piece):
            raise InvalidError("it was edited since it was written; it stays", code="edited_since")
        return None
    if after is None and record is not None and record.original is not None:
        after = b"" if isinstance(piece, Block) else b"{}\n"
    return Change(path=path, target=target, before=current, after=after, original=None)


def _is_ours_alone(piece: Piece | None) -> bool:
    return piece is None or isinstance(piece, Whole)


def _outdated(root: Path, pieces: dict[str, Piece], known: Manifest) -> Iterator[Change]:
    """Files that an earlier version wrote and this one does not; only those nobody edited."""
    for path, record in known.files.items():
        if path in pieces:
            continue
        target = _target(root, path)
        current = _read(target)
        if current is None or record_of.digest_of(current) != record.written:
            continue
        before = None if record.original is None else record_of.original(root, record.original)
        yield Change(path=path, target=target, before=current, after=before, original=before)


def _recorded(
    root: Path, known: Manifest, agents: tuple[str, ...], changes: Iterable[Change]
) -> Manifest:
    """The record after the changes."""
    files, folders = dict(known.files), dict.fromkeys(known.folders)
    for change in changes:
        if change.after is None or change.after == change.original:
            files.pop(change.path, None)
            continue
        kept = None if change.original is None else record_of.digest_of(change.original)
        files[change.path] = Record(written=record_of.digest_of(change.after), original=kept)
        folders |= dict.fromkeys(
            folder for folder in _folders_of(change.path) if not (root / folder).exists()
        )
    if ".tally" not in folders and not (root / ".tally").exists():
        folders[".tally"] = None
    return replace(known, agents=agents, files=files, folders=tuple(folders))


def _folders_of(path: str) -> list[str]:
    """The folders of a path below the project, the outer ones first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _target(root: Path, path: str) -> Path:
    """The file behind a path; raises `InvalidError` where a link leads out of the project."""
    target = (root / path).resolve()
    if not target.is_relative_to(root):
        raise InvalidError(
            f"expected a file in the project; found a link to {target}", code="link_outside_project"
        )
    return target


def _read(target: Path) -> bytes | None:
    """A file's bytes, None where there is none; raises `InvalidError` where it is no file."""
    try:
        state = target.stat()
        if not stat.S_ISREG(state.st_mode) or state.st_size > MOST_BYTES:
            raise InvalidError(
                "expected a small regular file; found otherwise", code="settings_not_a_file"
            )
        return target.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidError(
            f"expected a readable file; found {error}", code="settings_not_a_file"
        ) from error


def _write(root: Path, change: Change) -> None:
    """Bring one file to its state after the change; its mode stays."""
    if change.after is None:
        change.target.unlink(missing_ok=True)
        return
    for folder in _folders_of(change.path):
        _make_folder(root, folder)
    if change.before is None:
        durable.write(change.target, change.after, mode=_NEW_FILE)
        return
    mode = stat.S_IMODE(change.target.stat().st_mode)
    durable.write(change.target, change.after, mode=mode)
    change.target.chmod(mode)  # the umask has no say about a file that exists


def _make_folder(root: Path, folder: str) -> None:
    if not (root / folder).is_dir():
        durable.make_directory(root / folder, mode=_NEW_FOLDER)


def _forget(root: Path) -> None:
    """Take the record and the kept originals away."""
    originals = root / record_of.ORIGINALS
    if originals.is_dir():
        for kept in originals.iterdir():
            kept.unlink()
    _drop_empty(originals)
    (root / record_of.FILE).unlink(missing_ok=True)
    _drop_empty(root / LOCAL)


def _drop_empty(folder: Path) -> None:
    """Take a folder away unless something is in it, or it is none."""
    if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
