"""Pins outlive whatever reads them, and a file that is not one is never taken for one."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.client.config import Discovery
from tallystick.client.known import KnownLedgers, Pin
from tallystick.errors import InvalidError
from tests.unit.client.fake_log import ORIGIN, FakeLog


def pin(size: int = 3, origin: str = ORIGIN) -> Pin:
    log = FakeLog(origin, size=size)
    return Pin(vkey=log.signer.vkey, checkpoint=log.note(), urls=("http://a",), pinned_at=7)


@pytest.fixture
def known(tmp_path: Path) -> KnownLedgers:
    return KnownLedgers(tmp_path / "home" / ".tally" / "known_ledgers")


def keep(known: KnownLedgers, kept: Pin) -> None:
    with known.locked():
        known.put(kept)


def test_what_was_pinned_is_found_again(known: KnownLedgers) -> None:
    assert known.get(ORIGIN) is None
    assert known.all() == ([], [])
    keep(known, pin())
    keep(known, pin(5))
    other = pin(2, "tally.local/8899aabbccddeeff")
    keep(known, other)
    assert known.get(ORIGIN) == pin(5)
    assert known.all() == ([pin(5), other], [])
    assert (pin(5).origin, pin(5).size) == (ORIGIN, 5)


def test_looking_makes_nothing(known: KnownLedgers) -> None:
    known.get(ORIGIN)
    known.all()
    known.forget(ORIGIN)
    assert not known.directory.exists()


def test_what_is_forgotten_is_gone_readable_or_not(known: KnownLedgers) -> None:
    keep(known, pin())
    assert known.forget(ORIGIN)
    assert not known.forget(ORIGIN)
    known.path(ORIGIN).write_text("spoiled")
    assert known.forget(ORIGIN)
    assert known.get(ORIGIN) is None


SPOILED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "empty": lambda _document: "",
    "an array": lambda _document: [],
    "without its key": lambda document: {**document, "vkey": None},
    "another's key": lambda document: {**document, "vkey": pin(1, "tally.local/aa").vkey},
    "a key with a wrong id": lambda document: {
        **document,
        "vkey": document["vkey"].replace("+", "+0", 1)[:-1],
    },
    "without a checkpoint": lambda document: {**document, "checkpoint": ""},
    "an empty ledger": lambda document: {**document, "checkpoint": f"{ORIGIN}\n0\nAAAA\n"},
    "a short root": lambda document: {**document, "checkpoint": f"{ORIGIN}\n3\nAAAA\n"},
    "no time": lambda document: {**document, "pinned_at": "soon"},
    "another ledger's": lambda _document: asdict(pin(2, "tally.local/8899aabbccddeeff")),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_file_is_named_with_its_mend(
    known: KnownLedgers, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    keep(known, pin())
    path = known.path(ORIGIN)
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(InvalidError) as caught:
        known.get(ORIGIN)
    assert caught.value.code == "pin_unreadable"
    assert str(path) in caught.value.detail
    assert f"tally ledger forget {ORIGIN}" in (caught.value.hint or "")


def test_the_list_goes_on_after_a_spoiled_file(known: KnownLedgers) -> None:
    keep(known, pin())
    (known.directory / "a.json").write_bytes(b"\xff\x00")
    (known.directory / "b.json").mkdir()
    pins, broken = known.all()
    assert pins == [pin()]
    assert len(broken) == 2


@pytest.mark.parametrize(
    "origin", ["", ".", "..", ".hidden", "a b", "a\nb", "\ud800", "x" * 200, "ü" * 30]
)
def test_an_origin_that_could_name_no_file_is_refused(known: KnownLedgers, origin: str) -> None:
    with pytest.raises(InvalidError) as caught:
        known.get(origin)
    assert caught.value.code == "origin_invalid"


def test_an_origin_stays_inside_the_directory(known: KnownLedgers) -> None:
    assert known.path("a/../../b").parent == known.directory


def test_the_first_evidence_of_a_fork_stays(known: KnownLedgers) -> None:
    keep(known, pin())
    path = known.keep_evidence(pin(), "first\n")
    assert path is not None
    assert known.keep_evidence(pin(), "second\n") == path
    assert path.read_text() == f"{pin().checkpoint}\nfirst\n"
    assert known.all() == ([pin()], [])


def test_addresses_are_remembered_the_latest_last_and_not_too_many() -> None:
    met = pin()
    assert met.met_at(None) == met.met_at("http://a") == met
    for number in range(20):
        met = met.met_at(f"http://{number}")
    assert len(met.urls) == 8
    assert met.met_at("http://15").urls[-2:] == ("http://19", "http://15")
    assert len(met.met_at("http://15").urls) == 8


def raise_by_one(directory: Path, times: int) -> None:
    known = KnownLedgers(directory)
    for _ in range(times):
        with known.locked():
            found = known.get(ORIGIN)
            assert found is not None
            known.put(replace(found, pinned_at=found.pinned_at + 1))


def test_writers_in_several_processes_lose_nothing(known: KnownLedgers) -> None:
    keep(known, replace(pin(), pinned_at=0))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=raise_by_one, args=(known.directory, 20)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = known.get(ORIGIN)
    assert found is not None
    assert found.pinned_at == 80


def test_the_directory_is_in_the_home_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Discovery(environment={}).known_ledgers() == tmp_path / ".tally" / "known_ledgers"
    named = Discovery(environment={"TALLY_KNOWN_LEDGERS": "~/pins"})
    assert named.known_ledgers() == tmp_path / "pins"


def test_without_a_home_there_is_no_directory_and_no_surprise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless(_path: Path) -> Path:
        raise RuntimeError("could not determine home directory")

    monkeypatch.setattr(Path, "expanduser", homeless)
    known = KnownLedgers(Discovery(environment={}).known_ledgers())
    assert known.get(ORIGIN) is None
    with pytest.raises(OSError), known.locked():
        pass
