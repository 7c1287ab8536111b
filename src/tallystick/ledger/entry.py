"""What is appended and what is read: drafts, entries and payloads, and the bytes between them.

The envelope is `{v, seq, ts, type, stream, actor{token, role}, session, data}` in JCS. orjson
writes the bytes, many times faster than the definition in canonical.py and, under its schema, equal
to it byte for byte (the tests prove it). What an entry means is not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tallystick.errors import CorruptLedgerError, InvalidError
from tallystick.ledger.canonical import JSON, LARGEST_INTEGER, check_plain, check_text
from tallystick.ledger.merkle import leaf_hash

ENVELOPE_VERSION: Final = 1
MAX_DATA_BYTES: Final = 4096  # ids, numbers, digests, commitments: whatever is longer is a payload
MAX_ENTRY_BYTES: Final = 65_535  # entry bundles give the length in 16 bits (C2SP tlog-tiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry to be: everything but its place. `ts` is in milliseconds since the Unix epoch."""

    ts: int
    type: str
    stream: str
    actor_token: str
    actor_role: str
    session: str | None
    data: Mapping[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry in its place; `raw` is the bytes that were hashed, all else is parsed from them."""

    seq: int
    ts: int
    type: str
    stream: str
    actor_token: str
    actor_role: str
    session: str | None
    data: Mapping[str, Any]
    leaf_hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A text beside the ledger: `c` is the hex SHA-256 of `salt` and `bytes` together (P6.6)."""

    c: str
    salt: bytes
    bytes: bytes


def place(seq: int, draft: Draft) -> Entry:
    """The entry that `draft` becomes at position `seq`.

    Raises `InvalidError`: `entry_invalid` names the path of a value that has no canonical form,
    `entry_too_large` the size of data beyond `MAX_DATA_BYTES`.
    """
    data = _encode_data(draft)
    raw = _encode_envelope(seq, draft, data)
    return Entry(
        seq=seq,
        ts=draft.ts,
        type=draft.type,
        stream=draft.stream,
        actor_token=draft.actor_token,
        actor_role=draft.actor_role,
        session=draft.session,
        data=orjson.loads(data),  # so that a fresh entry equals the same entry read back later
        leaf_hash=leaf_hash(raw),
        raw=raw,
    )


def parse(seq: int, raw: bytes, leaf: bytes) -> Entry:
    """The entry in stored bytes; `CorruptLedgerError` names `seq` when they are not an entry."""
    try:
        document = orjson.loads(raw)
        return Entry(
            seq=document["seq"],
            ts=document["ts"],
            type=document["type"],
            stream=document["stream"],
            actor_token=document["actor"]["token"],
            actor_role=document["actor"]["role"],
            session=document["session"],
            data=document["data"],
            leaf_hash=leaf,
            raw=raw,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptLedgerError(
            f"entry {seq}: expected a JSON envelope; found bytes that are none",
            seq=seq,
            hint="Keep a copy of the database as it is, and restore the newest backup.",
        ) from error


def _encode_data(draft: Draft) -> bytes:
    plain = draft.data if type(draft.data) is dict else dict(draft.data)
    check_plain(plain, "data")
    data = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    _require_size("data", len(data), MAX_DATA_BYTES)
    return data


def _encode_envelope(seq: int, draft: Draft, data: bytes) -> bytes:
    for name in ("type", "stream", "actor_token", "actor_role"):
        _check_label(getattr(draft, name), name)
    if draft.session is not None:
        _check_label(draft.session, "session")
    if type(draft.ts) is not int or not 0 <= draft.ts <= LARGEST_INTEGER:
        raise InvalidError(
            f"ts: expected milliseconds since the epoch; found {draft.ts!r}", code="entry_invalid"
        )
    raw = orjson.dumps(
        {
            "actor": {"role": draft.actor_role, "token": draft.actor_token},
            "data": orjson.Fragment(data),
            "seq": seq,
            "session": draft.session,
            "stream": draft.stream,
            "ts": draft.ts,
            "type": draft.type,
            "v": ENVELOPE_VERSION,
        }  # the keys stand in sorted order
    )
    _require_size("the whole entry", len(raw), MAX_ENTRY_BYTES)
    return raw


def _check_label(value: Any, where: str) -> None:
    if type(value) is not str or not value.isascii():
        check_text(value, where)
    if not value or "\x00" in value:  # a column of a database holds no NUL
        raise InvalidError(
            f"{where}: expected text that is not empty and has no NUL; found {value!r}",
            code="entry_invalid",
        )


def _require_size(what: str, found_bytes: int, limit_bytes: int) -> None:
    if found_bytes > limit_bytes:
        raise InvalidError(
            f"{what}: expected at most {limit_bytes} bytes; found {found_bytes}",
            code="entry_too_large",
            hint="Put long text into a payload, and its commitment into the entry.",
            limit_bytes=limit_bytes,
            found_bytes=found_bytes,
        )
