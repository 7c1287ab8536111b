"""Says to supervisors and clients that a server is there, as a real one does; for stand-ins."""

import fcntl
import json
import os
from pathlib import Path


class Announcement:
    """server.json and the held server.lock beside it, until `withdraw`."""

    def __init__(self, server_file: Path, url: str) -> None:
        """Both are there afterwards; an older server.json is replaced at once."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock: int | None = os.open(server_file.with_name("server.lock"), flags, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        scratch = server_file.with_suffix(".new")
        scratch.write_text(json.dumps({"url": url, "pid": os.getpid()}))
        scratch.replace(server_file)

    def withdraw(self) -> None:
        """Free the lock as the server's death does; server.json stays. May be repeated."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
