"""Shapes of the answers about the files of runs."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    """A file of a run, kept by content."""

    name: str
    """The last part of its path."""
    path: str
    type: str
    """`wandb` or `other`."""
    bytes: int
    sha256: str
    attempt: str
    """Which left or sent it."""
    origin: str
    """`collected` from the attempt's directories, or `sent` by a client."""
    kept_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that was not kept."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactsCollected:
    """POST /runs/{id}/artifacts."""

    files: int
    """Kept by this look."""
    bytes: int
    """Of them together."""
    unchanged: int
    """Kept before, and the same since."""
    left_out: list[LeftOut] = field(default_factory=list)
