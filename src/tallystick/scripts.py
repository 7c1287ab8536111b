"""What a script on this machine holds: read to see what it would start, never executed.

Imported by the hook before every command of an agent: nothing but what the interpreter has loaded.
"""

import os
import stat

MOST_BYTES = 262_144
"""How much of a script is read; as much as the judgement looks at (`shell.verdicts`)."""


def read_script(path: str) -> bytes | None:
    """The first `MOST_BYTES` of a plain file; None for what is absent, unreadable, something else.

    May block on a slow disk, never on a pipe or a terminal.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(descriptor, MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    """At most `most` bytes of a file; a short read is continued."""
    parts, left = [], most
    while left > 0:
        part = os.read(descriptor, left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
