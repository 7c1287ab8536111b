"""The journal file: one observation a line, appended and fsynced before anything is told.

Readers stop at the first line that is torn (no newline, or not an observation): a crash can cut
the last append short, and nothing after it was ever acknowledged.
"""

import json
from pathlib import Path

from tallystick.errors import InvalidError
from tallystick.wire import codec
from tallystick.wire.observation import Observation, read


def line(observation: Observation) -> bytes:
    """The bytes of one record, newline included."""
    return codec.dumps(observation) + b"\n"


def parse(content: bytes) -> tuple[Observation, ...]:
    """Every whole record from the beginning, numbered 1, 2, 3 …; a torn tail is left out."""
    records: list[Observation] = []
    for raw in content.split(b"\n")[:-1]:
        try:
            record = read(json.loads(raw))
        except (ValueError, InvalidError):
            break
        if record.n != len(records) + 1:
            break
        records.append(record)
    return tuple(records)


def load(path: Path) -> tuple[Observation, ...]:
    """The journal at `path`; empty when there is none."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return ()
