"""A client knows the ledger that it speaks to, and says so with both notes when it is another."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import Client
from tallystick.client.known import KnownLedgers, Pin
from tallystick.errors import ForbiddenError, UnavailableError, VerificationError
from tallystick.testing.clock import ManualClock
from tests.unit.client.fake_log import ORIGIN, RUN, FakeLog, Presenting

URL = "http://127.0.0.1:1234"


class Seat:
    """One user's home, and the clients that start in it."""

    def __init__(self, directory: Path) -> None:
        self.known = KnownLedgers(directory)
        self.clock = ManualClock()
        self.warnings: list[str] = []

    def client(self, transport: Presenting, url: str = URL) -> Client:
        return Client(
            url,
            "token",
            "session",
            transport=transport,
            clock=self.clock,
            warn=self.warnings.append,
        )

    def pin(self, origin: str = ORIGIN) -> Pin:
        found = self.known.get(origin)
        assert found is not None
        return found


@pytest.fixture
def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seat:
    monkeypatch.setenv("TALLY_KNOWN_LEDGERS", str(tmp_path / "known"))
    return Seat(tmp_path / "known")


def create(client: Client) -> str:
    return client.create_run("n", "true", sweep="swp_0123456789ab").id


def test_a_ledger_that_is_met_for_the_first_time_is_pinned(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=3))
    create(seat.client(transport))
    assert (seat.pin().size, seat.pin().vkey) == (5, transport.log.signer.vkey)
    assert seat.pin().urls == (URL,)
    assert seat.warnings == []


def test_a_later_client_demands_a_proof_from_what_was_pinned_and_pins_on(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=3))
    create(seat.client(transport))
    transport.asked.clear()
    create(seat.client(transport))
    assert [request.target for request in transport.asked] == [
        "/runs",
        "/ledger/consistency?old=5&new=7",
    ]
    assert seat.pin().size == 7


def test_many_creates_make_one_comparison_a_second_and_the_last_when_closed(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=3))
    client = seat.client(transport)
    for number in range(100):
        create(client)
        if number % 50 == 49:
            seat.clock.advance(1000)
    assert transport.paths.count("/runs") == 100
    assert len(transport.asked) - 100 <= 1 + 2
    assert seat.pin().size < transport.log.size
    client.close()
    assert seat.pin().size == transport.log.size
    count = len(transport.asked)
    client.close()
    assert len(transport.asked) == count


FORKS: dict[str, Callable[[FakeLog], FakeLog]] = {
    "shorter": lambda log: log.forked(3, 5),
    "a restored backup": lambda log: log.forked(4, 4),
    "of the same size": lambda log: log.forked(3, 18),
    "longer": lambda log: log.forked(9, 40),
    "longer by one": lambda log: log.forked(19, 19),
    "altogether another": lambda log: log.forked(0, 30),
}


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
def test_another_history_under_the_same_key_is_told_with_both_notes(
    seat: Seat, fork: Callable[[FakeLog], FakeLog]
) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    trusted = transport.log.note()
    transport.log = fork(transport.log)
    client = seat.client(transport)
    assert create(client) == RUN, "a request that was accepted is answered"
    presented = transport.log.note()
    with pytest.raises(VerificationError) as caught:
        client.close()
    assert caught.value.code == "ledger_forked"
    assert trusted in caught.value.detail
    assert presented in caught.value.detail
    assert caught.value.facts["trusted"] == trusted
    assert caught.value.next_actions == (f"tally ledger forget {ORIGIN}",)
    assert seat.pin().checkpoint == trusted
    evidence = seat.known.path(ORIGIN).with_suffix(".forked").read_text()
    assert trusted in evidence
    assert presented in evidence


def test_after_a_contradiction_nothing_more_is_sent(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    transport.log = transport.log.forked(3, 30)
    client = seat.client(transport)
    create(client)
    assert isinstance(client.contradiction, VerificationError)
    sent = transport.paths.count("/runs")
    for _ in range(2):
        with pytest.raises(VerificationError) as caught:
            create(client)
        assert (caught.value.hint or "").startswith("nothing was sent")
    assert transport.paths.count("/runs") == sent
    assert client.run(RUN).id == RUN, "reading goes on"


def test_a_checkpoint_that_contradicts_is_raised_at_once_where_nothing_was_created(
    seat: Seat,
) -> None:
    transport = Presenting(FakeLog(size=18))
    seat.client(transport).checkpoint()
    transport.log = transport.log.forked(3, 30)
    with pytest.raises(VerificationError, match="is not the ledger that was seen before"):
        seat.client(transport).checkpoint()
    with pytest.raises(VerificationError):
        seat.client(transport).proof(2)


def test_another_key_under_the_same_name_is_a_contradiction(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    seat.client(transport).checkpoint()
    transport.log = FakeLog(size=30, seed=2)
    with pytest.raises(VerificationError, match="not signed by the key that is trusted here"):
        seat.client(transport).checkpoint()


@pytest.mark.parametrize(
    "hashes",
    [[], ["AAAA"], "none", [1], ["A" * 43 + "="] * 4, None],
    ids=["none", "short", "text", "number", "zeros", "null"],
)
def test_a_server_that_makes_a_proof_up_has_proven_nothing(seat: Seat, hashes: Any) -> None:
    transport = Presenting(FakeLog(size=18))
    seat.client(transport).checkpoint()
    transport.log.grow(9)
    transport.lie = lambda path, _query: (
        {"hashes": hashes} if path == "/ledger/consistency" else None
    )
    with pytest.raises(VerificationError) as caught:
        seat.client(transport).checkpoint()
    assert caught.value.code == "ledger_forked"
    assert seat.pin().size == 18


def test_a_proof_with_one_wrong_bit_has_proven_nothing(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    seat.client(transport).checkpoint()
    transport.log.grow(9)

    def flipped(path: str, query: dict[str, str]) -> Any:
        if path != "/ledger/consistency":
            return None
        honest = transport.log.answer(path, query)
        swap = {"A": "B"}.get(honest["hashes"][0][0], "A")
        return {"hashes": [swap + honest["hashes"][0][1:], *honest["hashes"][1:]]}

    transport.lie = flipped
    with pytest.raises(VerificationError):
        seat.client(transport).checkpoint()


@pytest.mark.parametrize(
    "note",
    ["", "c", f"{ORIGIN}\n18\nAAAA\n", "\ud800\n1\n", f"{ORIGIN}\nmany\n\n\n— x y\n"],
)
def test_a_checkpoint_that_is_none_is_no_traceback_and_no_pin(seat: Seat, note: str) -> None:
    transport = Presenting(FakeLog(size=18))
    receipt = {"seq": 1, "leaf_hash": "00" * 32, "checkpoint": note}
    transport.lie = lambda path, _query: (
        {**transport.created(path), "receipt": receipt} if path == "/runs" else None
    )
    client = seat.client(transport)
    assert client.contradiction is None
    create(client)
    assert list(seat.known.directory.glob("*.json")) == []
    assert seat.warnings or client.contradiction


def test_an_older_checkpoint_of_the_same_ledger_is_no_contradiction(seat: Seat) -> None:
    """Another process may have pinned a newer one between the answer and the comparison."""
    transport = Presenting(FakeLog(size=18))
    old = transport.log.note(11)
    seat.client(transport).checkpoint()
    transport.lie = lambda path, _query: old.encode() if path == "/ledger/checkpoint" else None
    for url in (URL, "http://127.0.0.1:9"):
        seat.client(transport, url).checkpoint()
        assert (seat.pin().size, seat.pin().urls[-1]) == (18, url)


def test_a_pin_that_another_process_moved_meanwhile_is_never_rolled_back(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=5))
    seat.client(transport).checkpoint()
    transport.log.grow(5)
    between = transport.log.note()
    transport.log.grow(20)
    other = Presenting(transport.log)

    def overtaken(path: str, _query: dict[str, str]) -> Any:
        if path == "/ledger/checkpoint":
            return between.encode()
        if path == "/ledger/consistency" and not other.asked:
            seat.client(other).checkpoint()
        return None

    transport.lie = overtaken
    seat.client(transport).checkpoint()
    assert seat.pin().size == 30


def test_two_histories_shown_to_two_clients_at_once_are_seen(seat: Seat) -> None:
    """Both continue what was pinned; the second to come compares with what the first pinned."""
    log = FakeLog(size=5)
    seat.client(Presenting(log)).checkpoint()
    one, other = Presenting(log.forked(5, 9)), Presenting(log.forked(5, 15, "a third"))

    def meanwhile(path: str, _query: dict[str, str]) -> Any:
        if path == "/ledger/consistency" and not other.asked:
            seat.client(other).checkpoint()

    one.lie = meanwhile
    with pytest.raises(VerificationError):
        seat.client(one).checkpoint()


def test_another_ledger_at_a_known_address_is_a_warning_once(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    transport.log = FakeLog("tally.local/ffeeddccbbaa9988", seed=3, size=2)
    for _ in range(3):
        with seat.client(transport) as client:
            create(client)
    [warning] = seat.warnings
    assert URL in warning
    assert ORIGIN in warning
    assert "tally.local/ffeeddccbbaa9988" in warning
    assert seat.pin().size == 20
    with seat.client(Presenting(FakeLog(size=20))) as client:
        create(client)
    assert len(seat.warnings) == 1, "going back and forth between two known ones is ordinary"


def test_one_ledger_at_many_addresses_is_one_ledger(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    for port in range(20):
        create(seat.client(transport, f"http://127.0.0.1:{1 + port}"))
    assert seat.warnings == []
    assert seat.pin().urls[-1] == "http://127.0.0.1:20"
    assert len(seat.pin().urls) == 8


def test_a_pin_that_cannot_be_read_stops_nothing_and_is_left_as_it_is(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    seat.known.path(ORIGIN).write_text('{"v": 1, "vk')
    client = seat.client(transport)
    for _ in range(3):
        create(client)
        seat.clock.advance(2000)
    client.close()
    [warning] = seat.warnings
    assert str(seat.known.path(ORIGIN)) in warning
    assert seat.known.path(ORIGIN).read_text() == '{"v": 1, "vk'


def test_a_home_that_cannot_be_written_is_said_once_and_still_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    directory = tmp_path / "file" / "known"  # not even root can make a directory there
    monkeypatch.setenv("TALLY_KNOWN_LEDGERS", str(directory))
    seat = Seat(directory)
    transport = Presenting(FakeLog(size=18))
    client = seat.client(transport)
    for _ in range(3):
        create(client)
        seat.clock.advance(2000)
    client.close()
    [warning] = seat.warnings
    assert "TALLY_KNOWN_LEDGERS" in warning
    transport.log = transport.log.forked(3, 40)
    create(client)
    with pytest.raises(VerificationError):
        client.close()


def test_a_token_that_may_not_read_the_ledger_creates_all_the_same(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))

    def forbidden(path: str, _query: dict[str, str]) -> Any:
        if path.startswith("/ledger"):
            raise ForbiddenError("not you", code="role_forbidden")

    transport.lie = forbidden
    with seat.client(transport) as client:
        assert create(client) == RUN
        seat.clock.advance(2000)
        assert create(client) == RUN
    assert len(seat.warnings) == 1


def test_a_server_that_goes_away_before_the_comparison_is_compared_later(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=18))

    def away(path: str, _query: dict[str, str]) -> Any:
        if path.startswith("/ledger"):
            raise UnavailableError("away")

    transport.lie = away
    client = seat.client(transport)
    create(client)
    transport.lie = lambda _path, _query: None
    client.verify()
    assert seat.pin().size == 20


def test_warnings_stand_on_standard_error_unless_somebody_listens(
    seat: Seat, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    seat.known.path(ORIGIN).write_text("")
    create(Client(URL, "token", "session", transport=transport, clock=seat.clock))
    assert "cannot be read" in capsys.readouterr().err


def test_an_error_inside_the_block_is_not_hidden_by_what_is_found_on_the_way_out(
    seat: Seat,
) -> None:
    transport = Presenting(FakeLog(size=18))
    create(seat.client(transport))
    transport.log = transport.log.forked(3, 30)
    with pytest.raises(LookupError), seat.client(transport) as client:
        [create(client) for _ in range(1)][1]


def test_threads_share_one_client(seat: Seat) -> None:
    transport = Presenting(FakeLog(size=3))
    guard = threading.Lock()

    def one_by_one(path: str, query: dict[str, str]) -> Any:
        with guard:
            return transport.created(path) if path == "/runs" else transport.log.answer(path, query)

    transport.lie = one_by_one
    client = seat.client(transport)
    threads = [
        threading.Thread(target=lambda: [create(client) for _ in range(10)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert seat.pin().size == transport.log.size == 3 + 2 * 80


def test_what_is_pinned_is_readable_by_people_and_by_nobody_else(seat: Seat) -> None:
    create(seat.client(Presenting(FakeLog(size=3))))
    path = seat.known.path(ORIGIN)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    document = json.loads(path.read_text())
    assert document["origin"] == ORIGIN
    assert document["checkpoint"].startswith(ORIGIN)
