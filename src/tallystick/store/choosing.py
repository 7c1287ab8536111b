"""Which store files of runs go to."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tallystick.errors import InvalidError
from tallystick.store.blobs import Blobs, FileBlobs

SCHEMES: Final = ("s3://", "gs://", "az://", "abfss://")


def blobs_at(url: str | None, folder: Path) -> Blobs:
    """The store that the setting names, else the folder.

    Raises `InvalidError` for a URL that names none, and where the extra for it is not installed.
    """
    if url is None:
        return FileBlobs(folder)
    if not url.startswith(SCHEMES):
        raise InvalidError(
            f"artifacts.store: expected a URL that begins with {', '.join(SCHEMES)}; "
            f"found {url[:60]!r}",
            code="setting_invalid",
            hint="leave it out to keep files in the data directory",
        )
    if find_spec("obstore") is None:
        raise InvalidError(
            "artifacts.store: object storage is reached through obstore, which is not installed",
            code="extra_missing",
            hint="pip install 'tallystick[objects]'",
        )
    from tallystick.store.object_blobs import ObjectBlobs  # noqa: PLC0415 - needs the extra

    return ObjectBlobs(url, scratch=folder)
