"""What was kept of a run's files: one JSON object a line, `path`, `bytes`, `sha256` and whence.

A line with `left_out` names a file that was not kept, and why. The last line of a path counts.
"""

from typing import Final

from tallystick.intake import rows
from tallystick.intake.batch import Batch

_FACTS: Final = ("bytes", "sha256", "attempt", "origin", "at", "mtime_ns")


def read(content: bytes, *, final: bool) -> Batch:
    """The lines of a piece that begins with a line."""
    batch = Batch(used=rows.whole(content, final=final))
    for line in content[: batch.used].split(b"\n"):
        row = rows.parse(line) if line.strip() else {}
        if row is None:
            batch.unread += 1
        elif isinstance(row.get("path"), str) and isinstance(row.get("sha256"), str):
            batch.rows += 1
            batch.notes["artifact", row["path"]] = {key: row.get(key) for key in _FACTS}
            batch.notes["left_out", row["path"]] = None
        elif isinstance(row.get("left_out"), str):
            batch.rows += 1
            batch.notes["left_out", row["left_out"]] = row.get("why")
    return batch
