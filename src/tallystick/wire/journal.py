"""The journal file: one observation a line, appended and fsynced before anything is told.

A line is `{"mac":"<64 hex digits>","record":{…}}`. The MAC is HMAC-SHA256 over the attempt's id, a
newline and the record's bytes, keyed by the supervisor's token: the command can write to the file,
and has no such key. Readers skip what does not hold (forged, copied, torn) and take the records
1, 2, 3 … as far as they go without a gap.
"""

import hashlib
import hmac
import json
import os
from pathlib import Path

from tallystick import durable
from tallystick.errors import InvalidError
from tallystick.wire import codec
from tallystick.wire.observation import Observation, read

LIMIT_BYTES = 64 * 1024 * 1024
"""A reader takes no more: above any supervisor's own writing, whatever else was appended."""
_BEFORE, _BETWEEN, _AFTER = b'{"mac":"', b'","record":', b"}"
_MAC_DIGITS = 64


def line(observation: Observation, *, attempt: str, key: str) -> bytes:
    """The bytes of one record, newline included; `key` is empty for a supervisor without token."""
    record = codec.dumps(observation)
    return _BEFORE + _mac(record, attempt, key) + _BETWEEN + record + _AFTER + b"\n"


def parse(content: bytes, *, attempt: str, key: str) -> tuple[Observation, ...]:
    """The records that a supervisor of this attempt wrote, numbered 1, 2, 3 …, up to a gap."""
    records: list[Observation] = []
    for raw in content.split(b"\n")[:-1]:
        record = _read_line(raw, attempt, key)
        if record is not None and record.n == len(records) + 1:
            records.append(record)
    return tuple(records)


def load(path: Path, *, attempt: str, key: str) -> tuple[Observation, ...]:
    """The journal at `path`; empty when there is none that can be read."""
    return parse(read_bytes(path), attempt=attempt, key=key)


def has_begun(path: Path) -> bool:
    """Whether anything whole was ever written, by whomever: then nothing may be executed again."""
    return b"\n" in read_bytes(path)


def read_bytes(path: Path, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The first bytes of the file, without checking any; empty when there is no such file."""
    try:
        descriptor = durable.open_regular(path)
    except OSError:
        return b""
    try:
        with open(descriptor, "rb", 0) as file:  # noqa: PTH123 - a descriptor
            return _read_up_to(file.fileno(), limit_bytes)
    except OSError:
        return b""


def _read_up_to(descriptor: int, limit_bytes: int) -> bytes:
    """At most so many bytes from the beginning."""
    pieces: list[bytes] = []
    left = limit_bytes
    while left > 0 and (piece := os.read(descriptor, min(left, 1024 * 1024))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _read_line(raw: bytes, attempt: str, key: str) -> Observation | None:
    """One line without its newline; None when it is not a record of this attempt's supervisor."""
    start = len(_BEFORE) + _MAC_DIGITS
    record = raw[start + len(_BETWEEN) : -len(_AFTER)]
    mac = raw[len(_BEFORE) : start]
    if raw != _BEFORE + mac + _BETWEEN + record + _AFTER:
        return None
    if not hmac.compare_digest(mac, _mac(record, attempt, key)):
        return None
    try:
        return read(json.loads(record))
    except (ValueError, InvalidError):
        return None


def _mac(record: bytes, attempt: str, key: str) -> bytes:
    """The MAC in hex digits."""
    message = attempt.encode("utf-8", "surrogateescape") + b"\n" + record
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest().encode()
