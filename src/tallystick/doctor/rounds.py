"""All checks in their order; a check that cannot look says so, and holds up no other."""

from typing import Final

from tallystick.clock import Clock
from tallystick.config import Settings
from tallystick.doctor import files, gpus, host, ledger, storage
from tallystick.doctor.files import Check
from tallystick.doctor.finding import Finding, fail
from tallystick.doctor.place import Place

_OF_THE_HOST: Final[tuple[Check, ...]] = (
    storage.free_space,
    storage.file_system,
    host.port,
    host.kernel,
    host.limits,
    host.programs,
    gpus.gpus,
)
_OF_THE_DIRECTORY: Final[tuple[Check, ...]] = (
    host.server,
    files.permissions,
    files.ledger_key,
    files.tokens,
    storage.database,
    files.scratch,
)


def examine(settings: Settings, clock: Clock) -> list[Finding]:
    """Every finding about a data directory and its host; writes nothing, takes about a second.

    Of a directory that no server has used yet, only the host is looked at.
    """
    place = Place(settings=settings, now_ms=clock.now())
    found = [_looked(files.directory, place)]
    if place.data_dir.is_dir() and any(place.data_dir.iterdir()):
        found += [_looked(check, place) for check in _OF_THE_DIRECTORY]
        found += ledger.examine(place)
    return found + [_looked(check, place) for check in _OF_THE_HOST]


def _looked(check: Check, place: Place) -> Finding:
    """What a check says, or why it could not look."""
    try:
        return check(place)
    except OSError as error:
        name = check.__name__.replace("_", " ")
        return fail(name, f"cannot be looked at: {error}", "run this as the server's own user")
