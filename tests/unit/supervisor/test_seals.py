"""A seal covers the first bytes of a stream exactly, and is made when due."""

import hashlib
from pathlib import Path

import pytest

from tallystick.supervisor.journal import Journal
from tallystick.supervisor.seals import SEAL_BYTES, SEAL_SECONDS, Seal
from tallystick.wire.observation import OutputSealed


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, key="")


def seals(journal: Journal) -> list[OutputSealed]:
    return [record for record in journal.durable() if isinstance(record, OutputSealed)]


def test_a_minute_of_growth_is_sealed(tmp_path: Path, journal: Journal) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"a")
    seal = Seal(log, stream="output", journal=journal)
    assert seal.look(100.0) == 100.0 + SEAL_SECONDS
    log.write_bytes(b"ab")
    assert seal.look(130.0) == 160.0
    assert seals(journal) == []
    assert seal.look(160.0) is None
    (made,) = seals(journal)
    assert (made.bytes, made.sha256) == (2, hashlib.sha256(b"ab").hexdigest())
    assert seal.look(900.0) is None
    assert len(seals(journal)) == 1


def test_eight_megabytes_are_sealed_at_once(tmp_path: Path, journal: Journal) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"x" * SEAL_BYTES)
    Seal(log, stream="output", journal=journal).look(0.0)
    assert [made.bytes for made in seals(journal)] == [SEAL_BYTES]


def test_the_end_is_sealed_once_and_for_all(tmp_path: Path, journal: Journal) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"first")
    seal = Seal(log, stream="output", journal=journal)
    seal.look(0.0)
    log.write_bytes(b"first and last")
    seal.finish()
    log.write_bytes(b"first and last and later")
    assert seal.look(999.0) is None
    (made,) = seals(journal)
    assert made.sha256 == hashlib.sha256(b"first and last").hexdigest()


def test_empty_output_is_sealed_and_empty_metrics_are_not(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "log").touch()
    Seal(tmp_path / "log", stream="output", journal=journal).finish()
    Seal(tmp_path / "log", stream="metrics", journal=journal).finish()
    (made,) = seals(journal)
    assert (made.stream, made.bytes, made.sha256) == ("output", 0, hashlib.sha256().hexdigest())


def test_a_file_that_was_cut_short_keeps_its_earlier_seal(tmp_path: Path, journal: Journal) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"evidence")
    seal = Seal(log, stream="output", journal=journal)
    seal.look(0.0)
    log.write_bytes(b"")
    seal.finish()
    (made,) = seals(journal)
    assert (made.bytes, made.sha256) == (8, hashlib.sha256(b"evidence").hexdigest())


def test_a_removed_file_is_no_error(tmp_path: Path, journal: Journal) -> None:
    seal = Seal(tmp_path / "never", stream="metrics", journal=journal)
    assert seal.look(0.0) is None
    seal.finish()
    assert seals(journal) == []
