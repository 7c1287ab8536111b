"""Event files piece by piece, and damaged ones; real writers are driven in tests/clients."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake.tensorboard import _masked_crc, read


def field(number: int, kind: int, content: bytes) -> bytes:
    return bytes([number << 3 | kind]) + content


def sized(number: int, content: bytes) -> bytes:
    return field(number, 2, bytes([len(content)]) + content)


def event(step: int, tag: bytes, value: float) -> bytes:
    scalar = sized(1, tag) + field(2, 5, struct.pack("<f", value))
    return (
        field(1, 1, struct.pack("<d", 1_700_000_000.5))
        + field(2, 0, bytes([step]))
        + sized(5, sized(1, scalar))
    )


def record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", _masked_crc(length)) + content + b"\0\0\0\0"


FILE = b"".join(record(event(step, b"loss", step / 4)) for step in range(20))


def test_the_checksum_is_the_one_that_record_files_use() -> None:
    plain = 0xE3069283  # CRC-32C of these digits, the check value of its definition
    masked = (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert _masked_crc(b"123456789") == masked


@given(st.integers(1, len(FILE) + 50))
def test_a_file_read_in_pieces_is_the_same_file(size: int) -> None:
    steps: list[float] = []
    values: list[float] = []
    at = end = 0
    while at < len(FILE):
        end += size
        batch = read(FILE[at:end], prefix="")
        at += batch.used
        for column in batch.columns.values():
            steps += column.steps
            values += column.values
            assert set(column.times) == {1_700_000_000_500}
    assert (steps, values) == (list(range(20)), [step / 4 for step in range(20)])


def test_a_sub_directory_stands_before_the_names() -> None:
    assert list(read(record(event(1, b"loss", 0.5)), prefix="test/").columns) == ["test/loss"]


def test_what_is_no_scalar_is_named() -> None:
    histogram = sized(5, sized(1, sized(1, b"weights")))
    assert list(read(record(histogram), prefix="").other) == ["weights"]


@pytest.mark.parametrize("place", [0, 8, 11])
def test_a_damaged_head_ends_the_reading_and_is_counted(place: int) -> None:
    content = bytearray(FILE)
    content[place] ^= 1
    batch = read(bytes(content), prefix="")
    assert (batch.used, batch.unread, batch.columns) == (len(FILE), 1, {})


def test_a_damaged_event_is_counted_and_the_next_is_read() -> None:
    broken = record(b"\xff\xff\xff\xff") + record(event(3, b"loss", 0.5))
    batch = read(broken, prefix="")
    assert (batch.unread, batch.columns["loss"].steps) == (1, [3])


@given(st.binary(max_size=200))
def test_noise_is_never_a_fault(content: bytes) -> None:
    read(content, prefix="")
    read(record(content), prefix="")
