"""The secrets of runs: cut out of every recorded text, kept in each run's own 0600 file.

Those of a plan's command are kept once, for its sweep.

Written before the command that mentions them is committed, read when the run is launched. Losing
one makes its run fail at launch, with that reason; it is never guessed.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tallystick import durable
from tallystick.domain.ids import RunId, SweepId
from tallystick.domain.run import Run
from tallystick.errors import InvalidError, UnavailableError

SECRETS_FILE = "secrets.json"


class Vault:
    """One file a run, below the directory of all runs."""

    def __init__(self, runs_dir: Path) -> None:
        """Nothing is read or made yet."""
        self._runs_dir = runs_dir

    def keep(self, owner: RunId | SweepId, secrets: Mapping[str, str]) -> None:
        """Add secrets to the file of a run or a sweep; durable when it returns.

        Raises `UnavailableError` when that fails.
        """
        if not secrets:
            return
        merged = {**self.load(owner), **secrets}
        directory = self._runs_dir / owner
        try:
            durable.make_directory(directory)
            durable.write(directory / SECRETS_FILE, json.dumps(merged).encode())
        except OSError as error:
            raise _failed("stored", error) from error

    def of(self, run: Run) -> dict[str, str]:
        """The secrets of a run's texts: its own, and those of the plan that it comes from."""
        shared = self.load(run.sweep) if run.sweep and run.point is not None else {}
        return {**shared, **self.load(run.id)}

    def load(self, owner: RunId | SweepId) -> dict[str, str]:
        """The secrets of a run or a sweep; empty when it has none.

        Raises `UnavailableError` when they cannot be read, `InvalidError` when they are damaged.
        """
        try:
            document = json.loads((self._runs_dir / owner / SECRETS_FILE).read_bytes())
            return {str(key): str(value) for key, value in document.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _failed("read", error) from error
        except (AttributeError, ValueError) as error:
            raise InvalidError(
                f"the secrets of {owner} are damaged", code="secrets_unreadable"
            ) from error


def _failed(what: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the run's secrets could not be {what}: {error.strerror}",
        code="storage_failed",
        hint="check free space and permissions of the data directory",
    )
