"""The output of a command: the file it writes to, the last lines of it, and the interpreter.

The file is handed to the command itself; nothing sits in the middle, so neither the supervisor's
death nor its slowness can stop a run or lose a byte.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tallystick import durable

TAIL_BYTES = 500
TAIL_LINES = 5
LAST_BYTES = 16_384
LAST_LINES = 40
"""A traceback and what a distributed launcher adds to it; what stood before was survived."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+[.\w]*)", re.MULTILINE)


def create(path: Path) -> int:
    """Open a file of the run for appending, mode 0600; the descriptor closes on exec."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def tail(path: Path) -> str:
    """The last lines of a log: at most 5 of them and 500 bytes, without control characters."""
    lines = last_lines(path, limit_bytes=8 * TAIL_BYTES)  # escape sequences and blank lines fall
    kept = "\n".join(lines[-TAIL_LINES:]).encode()[-TAIL_BYTES:]
    return kept.decode(errors="ignore")  # the cut may have split a character


def last_lines(path: Path, *, limit_bytes: int = LAST_BYTES) -> list[str]:
    """The last 40 lines that are not blank, without control characters; fewer where long."""
    try:
        with open(durable.open_regular(path), "rb") as log:  # noqa: PTH123 - a descriptor
            end = log.seek(0, os.SEEK_END)
            log.seek(max(0, end - limit_bytes))
            content = log.read(limit_bytes)
    except OSError:
        return []
    text = _ESCAPES.sub("", content.decode(errors="replace")).replace("\r", "\n")
    return [line for line in _CONTROLS.sub("", text).split("\n") if line.strip()][-LAST_LINES:]


def printable(text: str) -> str:
    """Text that JSON can carry: bytes of a path that were no UTF-8 are replaced."""
    return text.encode("utf-8", "replace").decode()


def interpreter(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Absolute path, links resolved, and version of the `python` that the command's PATH finds.

    Nothing is executed for it: the version is what the installation says about itself, the first
    two numbers where it says no more, and None where it says nothing.
    """
    for name in ("python", "python3"):
        for folder in environment.get("PATH", os.defpath).split(":"):
            found = Path(folder or ".") / name
            if found.is_absolute() and os.access(found, os.X_OK) and found.is_file():
                return printable(str(found.resolve())), _version(found)
    return None, None


def _version(found: Path) -> str | None:
    """From pyvenv.cfg, from a conda installation's record, or from the program's own name."""
    prefix = found.parent.parent
    try:
        if match := _VERSION.search((prefix / "pyvenv.cfg").read_text(errors="replace")):
            return match[1]
    except OSError:
        pass
    real = found.resolve()
    for record in sorted((real.parent.parent / "conda-meta").glob("python-[0-9]*.json")):
        return record.name.split("-")[1]
    match = re.search(r"(\d+\.\d+)$", real.name)
    return match[1] if match else None
