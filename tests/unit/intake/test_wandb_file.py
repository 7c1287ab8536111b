"""wandb's log piece by piece, and damaged ones; the real client is driven in tests/clients."""

import json
import struct
import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.intake.wandb_file import BLOCK, read


def sized(number: int, content: bytes) -> bytes:
    head = _varint(number << 3 | 2)
    return head + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def history(row: dict[str, Any]) -> bytes:
    items = [
        sized(1, sized(2, name.encode()) + sized(16, json.dumps(value).encode()))
        for name, value in row.items()
    ]
    return sized(2, b"".join(items))


def framed(records: list[bytes]) -> bytes:
    """LevelDB's framing: blocks of 32 KiB, records cut where a block ends."""
    content = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, first = record, True
        while True:
            left = BLOCK - len(content) % BLOCK
            if left < 7:
                content += b"\0" * left
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            content += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind)
            content += piece
            first = False
            if not rest:
                break
    return bytes(content)


ROWS = [{"_step": step, "loss": step / 7, "pad": "x" * (step * 37 % 9_000)} for step in range(40)]
FILE = framed([history(row) for row in ROWS])


@settings(deadline=None)
@given(st.integers(3_000, 50_000))
def test_a_file_read_in_pieces_is_the_same_file(size: int) -> None:
    values: list[float] = []
    at = end = 0
    while end < len(FILE):
        end += size
        batch = read(FILE[at:end], position=at)
        at += batch.used
        assert batch.unread == 0
        if "loss" in batch.columns:
            values += batch.columns["loss"].values
    assert values == [row["loss"] for row in ROWS]


def test_bare_nan_is_a_number_and_a_second_run_is_set_apart() -> None:
    content = framed([history({"_step": 3, "odd": float("nan"), "_timestamp": 1.5})])
    batch = read(content, position=0, prefix="second/")
    column = batch.columns["second/odd"]
    assert (column.steps, str(column.values[0]), column.times) == ([3], "nan", [1_500])


def test_a_damaged_record_is_counted_and_the_next_is_read() -> None:
    content = bytearray(framed([history({"a": 1}), history({"a": 2})]))
    content[15] ^= 1
    batch = read(bytes(content), position=0)
    assert (batch.unread, batch.columns["a"].values) == (1, [2])


def test_another_file_is_no_log() -> None:
    batch = read(b"something else", position=0)
    assert (batch.used, batch.unread) == (14, 1)


@given(st.binary(max_size=300), st.integers(0, 70_000))
def test_noise_is_never_a_fault(content: bytes, position: int) -> None:
    read(content, position=position)
    read(b":W&B\xe1\xbe\x00" + content, position=0)
    read(framed([content]), position=0)
