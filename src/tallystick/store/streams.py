"""Which reader understands which raw stream, by the suffix of its file.

A stream that follows a file of the job is named `<attempt>-<digest>-<prefix>.<suffix>`, where the
prefix, percent-encoded, says which sub-directory the file lies in.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote, unquote

from tallystick.intake import artifacts, mlflow, rows, stdout, tensorboard, wandb_file
from tallystick.intake.batch import Batch
from tallystick.store.index import Source

LONGEST_PREFIX: Final = 120

Reader = Callable[[bytes, Source, bool], Batch]
"""Reads the next piece of a stream: the bytes, how far it was read before, and whether nothing
follows. Never raises on noise."""

READERS: Final[Mapping[str, Reader]] = {
    ".jsonl": lambda content, source, final: rows.read(content, rows=source.rows, final=final),
    ".stdout": lambda content, source, final: stdout.read(
        content, rows_before=source.rows, final=final
    ),
    ".mlflow": lambda content, _source, final: mlflow.read(content, final=final),
    ".artifacts": lambda content, _source, final: artifacts.read(content, final=final),
    ".tfevents": lambda content, source, _final: tensorboard.read(
        content, prefix=prefix_of(source.name)
    ),
    ".wandb": lambda content, source, _final: wandb_file.read(
        content, position=source.position, prefix=prefix_of(source.name)
    ),
}


def following(attempt: str, path: str, *, below: str, suffix: str) -> str:
    """The stream that follows a file of a job, which lies in the sub-directory `below`."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    prefix = quote(below.encode("utf-8", "replace"), safe="")[:LONGEST_PREFIX].rstrip("%")
    return f"{attempt}-{digest}-{prefix}{suffix}"


def prefix_of(name: str) -> str:
    """What the names of a followed file's metrics begin with."""
    below = unquote(PurePosixPath(name).stem.split("-", 2)[-1]) if name.count("-") >= 2 else ""
    return f"{below}/" if below else ""
