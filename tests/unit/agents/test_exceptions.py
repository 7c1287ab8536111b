"""One-shot exceptions: signed by a ledger that this user knows, for one command, used up once."""

import hashlib
import json
from pathlib import Path

import pytest

from tallystick.agents import exceptions
from tallystick.ledger.keys import Signer
from tests.unit.agents.guarded import NOW, SESSION, TRAIN, Guarded, specific

EXC = "exc_0123456789ab"
SIGNER = Signer("tally.local/0123456789abcdef", b"k" * 32)
OTHER = Signer("tally.local/0123456789abcdef", b"o" * 32)


def signed(
    command: str = TRAIN,
    *,
    session: str = "*",
    expires: int = NOW + 1,
    signer: Signer = SIGNER,
    exc: str = EXC,
) -> str:
    digest = hashlib.sha256(command.encode()).hexdigest()
    return signer.sign(f"tallystick.exception/v1\n{exc}\n{digest}\n{session}\n{expires}\n")


@pytest.fixture
def guarded(guarded: Guarded) -> Guarded:
    """A project whose user has met one ledger."""
    pins = guarded.home / "known_ledgers"
    pins.mkdir()
    (pins / "other.json").write_text("{")
    (pins / "tally.local%2F0123.json").write_text(json.dumps({"vkey": SIGNER.vkey}))
    return guarded


def passes(guarded: Guarded, command: str = TRAIN, **fields: str) -> bool:
    return "updatedInput" not in specific(guarded.typed(command, **fields))


def test_an_exception_lets_one_call_pass_and_is_recorded(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert passes(guarded)
    (record,) = guarded.recorded()
    assert (record["action"], record["exception"]) == ("excepted", EXC)
    assert not passes(guarded, tool_use_id="toolu_02B"), "it was used up"


def test_a_second_hook_of_the_same_call_lets_it_pass_too(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert passes(guarded)
    assert passes(guarded)
    assert not passes(guarded, tool_use_id="toolu_02B")


def test_without_an_id_of_the_call_it_counts_for_the_first_one_alone(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert passes(guarded, tool_use_id="", prompt_id="p")
    assert not passes(guarded, tool_use_id="", prompt_id="p")


def test_a_copy_of_a_used_note_is_worth_nothing(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert passes(guarded)
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert not passes(guarded, tool_use_id="toolu_02B")


def test_another_exception_for_the_same_command_counts_again(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert passes(guarded)
    exceptions.keep(str(guarded.home), TRAIN, signed(exc="exc_ba9876543210"))
    assert passes(guarded, tool_use_id="toolu_02B")


@pytest.mark.parametrize(
    "note",
    [
        signed(expires=NOW),
        signed("python other.py"),
        signed(session="another-session"),
        signed(signer=OTHER),
        signed().replace(EXC, "exc_ffffffffffff"),
        signed().replace("exception/v1", "exception/v2"),
        SIGNER.sign(f"tallystick.exception/v2\n{EXC}\nx\n*\n1\n"),
        SIGNER.sign("tally.local/0123456789abcdef\n5\nAAAA\n"),
        signed().partition("\n\n")[0],
        "",
        "\u2014 no note",
    ],
)
def test_what_is_expired_foreign_or_forged_does_not_count(guarded: Guarded, note: str) -> None:
    exceptions.keep(str(guarded.home), TRAIN, note)
    assert not passes(guarded)
    assert guarded.recorded()[0]["exception"] is None


def test_it_counts_for_the_session_that_it_names(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed(session=SESSION))
    assert not passes(guarded, session_id="another", tool_use_id="toolu_02B")
    assert passes(guarded)


def test_one_byte_more_is_another_command(guarded: Guarded) -> None:
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert not passes(guarded, f"{TRAIN} ")


def test_no_ledger_was_ever_met_here(guarded: Guarded) -> None:
    for pin in (guarded.home / "known_ledgers").iterdir():
        pin.unlink()
    (guarded.home / "known_ledgers").rmdir()
    exceptions.keep(str(guarded.home), TRAIN, signed())
    assert not passes(guarded)


def test_what_cannot_be_used_up_does_not_count(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_names: object) -> None:
        raise PermissionError(13, "Permission denied")

    exceptions.keep(str(guarded.home), TRAIN, signed())
    monkeypatch.setattr("os.symlink", refusing)
    assert not passes(guarded)


def test_a_link_to_a_good_note_is_not_followed(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "note").write_text(signed())
    path = Path(exceptions.note_path(str(guarded.home), TRAIN))
    path.parent.mkdir()
    path.symlink_to(tmp_path / "note")
    assert not passes(guarded)


def test_warn_mode_uses_nothing_up(guarded: Guarded) -> None:
    guarded.accept('mode = "warn"')
    exceptions.keep(str(guarded.home), TRAIN, signed())
    guarded.typed(TRAIN)
    guarded.accept('mode = "convert"')
    assert passes(guarded, tool_use_id="toolu_02B")


def test_whoever_grants_one_can_see_whether_the_hook_will_take_it(guarded: Guarded) -> None:
    pins = str(guarded.home / "known_ledgers")
    assert exceptions.is_signed(signed(), pins)
    assert not exceptions.is_signed(signed(signer=OTHER), pins)
    assert not exceptions.is_signed(signed(), "/no/such/directory")


def test_the_lines_are_those_that_the_ledger_signs() -> None:
    from tallystick.domain import guard

    assert exceptions.FIRST_LINE == guard.EXCEPTION_LINE
    assert exceptions.ANY_SESSION == guard.ANY_SESSION
