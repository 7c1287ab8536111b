"""Which reader understands which raw stream, by the suffix of its file."""

from collections.abc import Mapping
from typing import Final, Protocol

from tallystick.intake import mlflow, rows
from tallystick.intake.batch import Batch


class Reader(Protocol):
    """Reads the next piece of a stream; never raises on noise."""

    def __call__(self, content: bytes, *, rows: int, final: bool) -> Batch:
        """What `content` holds; `rows` were read before, and `final` says that nothing follows."""
        ...


READERS: Final[Mapping[str, Reader]] = {".jsonl": rows.read, ".mlflow": mlflow.read}
