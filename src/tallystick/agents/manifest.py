"""What `tally init` has written, so that it can be undone exactly: `.tally/local/installed.json`.

It stands there before the first file is changed, and with it the bytes that each file had before,
under `.tally/local/originals/`, named by their digest. The folder is this clone's own: git ignores
it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick import durable
from tallystick.agents.pieces import LOCAL
from tallystick.errors import InvalidError

FILE: Final = f"{LOCAL}/installed.json"
ORIGINALS: Final = f"{LOCAL}/originals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was done to one file."""

    written: str
    """SHA-256 of the bytes that were written, 64 hex digits."""
    original: str | None
    """SHA-256 of the bytes before; None where there was no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that was done to a project."""

    agents: tuple[str, ...] = ()
    files: Mapping[str, Record] = field(default_factory=dict)
    """By path below the project."""
    folders: tuple[str, ...] = ()
    """Folders that were made, the outer ones first."""


def load(root: Path) -> Manifest:
    """What is recorded of a project; an empty one where nothing is. Raises `InvalidError`."""
    path = root / FILE
    try:
        document = json.loads(path.read_bytes())
        return _parsed(document)
    except (FileNotFoundError, NotADirectoryError):
        return Manifest()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidError(
            f"{path}: expected what `tally init` wrote there; found {error!r}",
            code="manifest_unreadable",
            hint=f"look into it; without it (mv {FILE} {FILE}.broken) --remove takes out what it "
            "recognises, and restores nothing",
        ) from error


def save(root: Path, manifest: Manifest) -> None:
    """Replace the record of a project; raises OSError."""
    document = {
        "v": 1,
        "agents": list(manifest.agents),
        "files": {
            path: {"written": record.written, "original": record.original}
            for path, record in sorted(manifest.files.items())
        },
        "folders": list(manifest.folders),
    }
    content = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    durable.write(root / FILE, content.encode())


def keep_original(root: Path, content: bytes) -> str:
    """Keep the bytes that a file has now; their digest. Raises OSError."""
    digest = digest_of(content)
    path = root / ORIGINALS / digest
    if not path.exists():
        durable.make_directory(path.parent)
        durable.write(path, content)
    return digest


def original(root: Path, digest: str) -> bytes:
    """Bytes that were kept; raises `InvalidError` when they are gone or changed."""
    path = root / ORIGINALS / digest
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidError(f"{path}: {error.strerror}", code="original_missing") from error
    if digest_of(content) != digest:
        raise InvalidError(f"{path} was changed", code="original_missing")
    return content


def digest_of(content: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def _parsed(document: Any) -> Manifest:
    files = {
        str(path): Record(written=record["written"], original=record["original"])
        for path, record in document["files"].items()
    }
    return Manifest(
        agents=tuple(map(str, document["agents"])),
        files=files,
        folders=tuple(map(str, document["folders"])),
    )
