"""Checks of the disk and of the database file on it."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from tallystick.db.reading import SqliteReading, log_bytes
from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.doctor.place import Place
from tallystick.errors import TallystickError

MIB: Final = 1024 * 1024
SCARCE_BYTES: Final = 1024 * MIB
EMPTY_BYTES: Final = 64 * MIB
"""Below it, a write-ahead log and one run's output fill the disk in minutes."""
SCARCE_FILES: Final = 10_000
EMPTY_FILES: Final = 500

LARGE_LOG_BYTES: Final = 256 * MIB
"""A server keeps its log at 64 MiB; a larger one means that something reads for very long."""

QUICK_SECONDS: Final = 1.0

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs"}
    | {"beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "virtiofs"}
)
"""File systems on which SQLite's locks and shared memory cannot be relied on."""

VOLATILE: Final = frozenset({"tmpfs", "ramfs"})


def free_space(place: Place) -> Finding:
    """Room for bytes and for names."""
    name, where = "disk", _existing(place.data_dir)
    found = os.statvfs(where)
    free = found.f_bavail * found.f_frsize
    files = found.f_favail if found.f_files else None
    said = f"{_size(free)} free" + ("" if files is None else f", {files} more files")
    mend = f"du -xsh {place.runs_dir} {where}/* | sort -h   (then remove or move what is large)"
    if free < EMPTY_BYTES or (files is not None and files < EMPTY_FILES):
        return fail(name, f"{said}: writes will be refused soon", mend)
    if free < SCARCE_BYTES or (files is not None and files < SCARCE_FILES):
        return warn(name, said, mend)
    return ok(name, said)


def file_system(place: Place) -> Finding:
    """Of a kind on which a database can be kept."""
    name = "file system"
    kind = _kind(place, _existing(place.data_dir).resolve())
    if kind is None:
        return ok(name, "kind not known")
    if kind in NETWORK:
        return warn(
            name,
            f"{kind} is a network file system: SQLite's log does not work reliably there",
            "tally up --data-dir /a/local/disk, or keep the ledger in PostgreSQL",
        )
    if kind in VOLATILE:
        return warn(
            name, f"{kind} lies in memory: a reboot loses the ledger", "move the directory to disk"
        )
    return ok(name, kind)


def database(place: Place) -> Finding:
    """The file is a whole SQLite database, in the mode that the server uses."""
    name, path = "database", place.database_file
    if path is None:
        return ok(name, "at TALLY_DATABASE_URL, not a file here")
    restore = f"cp BACKUP/{path.name} {path}   (see docs/howto/trouble.md)"
    if not path.exists():
        return fail(name, f"{path} is missing", restore)
    try:
        reading = SqliteReading(path)
        damage = reading.damage(limit_seconds=QUICK_SECONDS)
        is_wal = reading.is_wal()
    except TallystickError as error:
        return fail(
            name, error.detail, restore if error.code == "database_corrupt" else _fuser(path)
        )
    if damage:
        return fail(name, f"{path} is damaged: {damage[0]}", restore)
    said = f"SQLite {sqlite3.sqlite_version}, {_size(path.stat().st_size)}"
    if not is_wal:
        return warn(name, f"{said}, not in WAL mode", "tally up   (switches it)")
    if log_bytes(path) > LARGE_LOG_BYTES:
        return warn(name, f"{said}, and a log of {_size(log_bytes(path))}", _fuser(path))
    if damage is None:
        return ok(name, f"{said}, WAL; too large to check here within {QUICK_SECONDS:.0f} s")
    return ok(name, f"{said}, WAL, whole")


def _kind(place: Place, path: Path) -> str | None:
    """The file system that a path lies on, by the longest mount point above it."""
    try:
        lines = (place.proc / "self" / "mountinfo").read_text().splitlines()
    except OSError:
        return None
    best: tuple[int, str] | None = None
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if right and path.is_relative_to(point) and (best is None or len(point) >= best[0]):
            best = (len(point), right.split()[0])
    return best[1] if best else None


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _fuser(path: Path) -> str:
    return f"fuser -v {path}   (names who holds it)"


def _size(count: int) -> str:
    """Bytes for people."""
    if count < MIB:
        return f"{count // 1024} KiB"
    return f"{count // MIB} MiB" if count < 10_000 * MIB else f"{count // (1024 * MIB)} GiB"
