"""A receipt, or a proof file, is shown to hold or is refused; nothing is taken on faith unsaid."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import Client
from tallystick.client.receipts import Claim, claim_of, claim_of_proof
from tallystick.errors import InvalidError, NotFoundError, VerificationError
from tallystick.ledger.proof_file import ProofFile
from tallystick.testing.clock import ManualClock
from tests.unit.client.fake_log import RUN, FakeLog, Presenting


@pytest.fixture
def transport() -> Presenting:
    return Presenting(FakeLog(size=12))


@pytest.fixture
def client(transport: Presenting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("TALLY_KNOWN_LEDGERS", str(tmp_path / "known"))
    return Client("http://127.0.0.1:1", "t", "s", transport=transport, clock=ManualClock())


def receipt(transport: Presenting, seq: int, size: int, **changed: Any) -> Claim:
    return claim_of(json.dumps({**transport.log.receipt(seq, size), **changed}))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: {"id": RUN, "receipt": inner, "warnings": []},
        lambda inner: [{"id": RUN, "receipt": inner}],
    ],
    ids=["a receipt", "an answer", "a list of one"],
)
def test_a_receipt_is_found_in_what_people_keep(
    transport: Presenting, wrap: Callable[[Any], Any]
) -> None:
    claim = claim_of(json.dumps(wrap(transport.log.receipt(4, 9))))
    assert (claim.seq, claim.checkpoint) == (4, transport.log.note(9))


@pytest.mark.parametrize(
    "text",
    [
        *["", "nothing", "[]", "null", "7", "[1, 2]", "[" * 100_000, '{"receipt": null}', "{}"],
        '{"seq": -1, "leaf_hash": "x", "checkpoint": ""}',
        '{"seq": true, "leaf_hash": "x", "checkpoint": ""}',
        json.dumps({"seq": 1, "leaf_hash": "AB" * 32, "checkpoint": "c"}),
        json.dumps({"seq": 1, "leaf_hash": "00" * 32, "checkpoint": 5}),
    ],
)
def test_what_is_no_receipt_is_said(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        claim_of(text)
    assert caught.value.code == "receipt_malformed"
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(("seq", "size"), [(0, 1), (0, 12), (4, 9), (11, 12), (7, 8)])
def test_a_receipt_that_holds_is_shown_to(
    client: Client, transport: Presenting, seq: int, size: int
) -> None:
    shown = client.check_receipt(receipt(transport, seq, size))
    assert (shown.seq, shown.size, shown.present_size, shown.inclusion) == (seq, size, 12, True)
    assert shown.key_from == "server"
    assert client.check_receipt(receipt(transport, seq, size)).key_from == "pinned"
    given = client.check_receipt(receipt(transport, seq, size), vkey=transport.log.signer.vkey)
    assert given.key_from == "given"


def test_the_receipt_of_a_view_can_be_checked_as_it_is(client: Client) -> None:
    run = client.create_run("n", "true", sweep="swp_0123456789ab")
    assert run.receipt is not None
    assert client.check_receipt(run.receipt).seq == run.receipt.seq == 12


def test_a_receipt_of_another_entry_does_not_hold(client: Client, transport: Presenting) -> None:
    other = transport.log.receipt(5)["leaf_hash"]
    with pytest.raises(VerificationError) as caught:
        client.check_receipt(receipt(transport, 4, 9, leaf_hash=other))
    assert caught.value.code == "receipt_unproven"
    assert transport.log.note(9) in caught.value.detail
    assert transport.log.note() in caught.value.detail


def test_a_receipt_from_beyond_its_checkpoint_does_not_hold(
    client: Client, transport: Presenting
) -> None:
    with pytest.raises(VerificationError, match="cannot be under a checkpoint of 9"):
        client.check_receipt(receipt(transport, 10, 9))


def test_a_receipt_whose_signature_was_touched_does_not_hold(
    client: Client, transport: Presenting
) -> None:
    note = transport.log.note(9).replace("\n9\n", "\n10\n")
    with pytest.raises(VerificationError, match="does not hold"):
        client.check_receipt(receipt(transport, 4, 9, checkpoint=note))


@pytest.mark.parametrize("at", [0, 3, 8])
@pytest.mark.parametrize("size", [8, 9, 12, 30])
def test_a_ledger_that_does_not_continue_the_receipt_is_told_with_both_notes(
    client: Client, transport: Presenting, at: int, size: int
) -> None:
    kept = receipt(transport, 4, 9)
    transport.log = transport.log.forked(at, size)
    with pytest.raises(VerificationError) as caught:
        client.check_receipt(kept)
    assert caught.value.code == "ledger_forked"
    assert kept.checkpoint in caught.value.detail
    assert transport.log.note() in caught.value.detail


def test_another_ledger_at_the_address_is_said(client: Client, transport: Presenting) -> None:
    kept, key = receipt(transport, 4, 9), transport.log.signer.vkey
    transport.log = FakeLog("tally.local/other", size=40)
    with pytest.raises(VerificationError, match="presents another one"):
        client.check_receipt(kept, vkey=key)


@pytest.mark.parametrize("spoil", ["hashes", "leaf_hash", "missing"])
def test_a_server_that_makes_inclusion_up_has_shown_nothing(
    client: Client, transport: Presenting, spoil: str
) -> None:
    def lie(path: str, query: dict[str, str]) -> Any:
        if not path.startswith("/ledger/proof"):
            return None
        if spoil == "missing":
            raise NotFoundError("no such entry")
        honest = transport.log.answer(path, query)
        wrong = transport.log.answer("/ledger/proof/5", query)
        return honest if spoil == "leaf_hash" else {**honest, "hashes": wrong["hashes"]}

    transport.lie = lie
    changed = {"leaf_hash": "00" * 32} if spoil == "leaf_hash" else {}
    with pytest.raises(VerificationError) as caught:
        client.check_receipt(receipt(transport, 4, 9, **changed))
    assert caught.value.code == "receipt_unproven"


def test_without_the_server_the_signature_is_checked_and_the_rest_left_open(
    client: Client, transport: Presenting
) -> None:
    shown = client.check_offline(receipt(transport, 4, 9), vkey=transport.log.signer.vkey)
    assert (shown.inclusion, shown.present_size, shown.key_from) == (False, None, "given")
    assert transport.asked == []


def test_without_the_server_and_without_a_key_nothing_can_be_checked(
    client: Client, transport: Presenting
) -> None:
    with pytest.raises(InvalidError) as caught:
        client.check_offline(receipt(transport, 4, 9))
    assert caught.value.code == "vkey_missing"


def test_without_the_server_two_roots_of_one_size_are_seen(
    client: Client, transport: Presenting
) -> None:
    client.checkpoint()
    other = transport.log.forked(3, 12)
    with pytest.raises(VerificationError) as caught:
        client.check_offline(claim_of(json.dumps(other.receipt(2))))
    assert caught.value.code == "ledger_forked"


def test_a_proof_of_a_run_holds_without_the_server(client: Client, transport: Presenting) -> None:
    file = client.prove_run(RUN)
    assert (file.index, file.extra) == (11, transport.log.entries[11])
    claim = claim_of(file.text())
    assert claim == claim_of_proof(file)
    transport.asked.clear()
    shown = client.check_offline(claim)
    assert (shown.inclusion, shown.entry) == (True, transport.log.entries[11].decode())
    assert transport.asked == []
    assert client.check_receipt(claim).present_size == 12


def test_any_entry_of_a_run_can_be_proven_and_no_other(
    client: Client, transport: Presenting
) -> None:
    assert client.prove_run(RUN, entry=3).extra == transport.log.entries[3]
    with pytest.raises(InvalidError) as caught:
        client.prove_run(RUN, entry=99)
    assert caught.value.code == "entry_of_another"
    with pytest.raises(NotFoundError):
        client.prove_entry(99)


def test_a_server_whose_entry_is_not_the_proven_one_gets_no_file(
    client: Client, transport: Presenting
) -> None:
    def lie(path: str, query: dict[str, str]) -> Any:
        if path != "/ledger/entries":
            return None
        page = transport.log.answer(path, query)
        page["entries"][-1]["data"] = {"mark": "forged"}
        return page

    transport.lie = lie
    with pytest.raises(VerificationError):
        client.prove_run(RUN)


SPOILED: dict[str, Callable[[ProofFile, FakeLog], ProofFile]] = {
    "another entry": lambda file, log: ProofFile(
        index=file.index, hashes=file.hashes, checkpoint=file.checkpoint, extra=log.entries[2]
    ),
    "another place": lambda file, _log: ProofFile(
        index=file.index - 1, hashes=file.hashes, checkpoint=file.checkpoint, extra=file.extra
    ),
    "beyond the end": lambda file, _log: ProofFile(
        index=12, hashes=file.hashes, checkpoint=file.checkpoint, extra=file.extra
    ),
    "a hash less": lambda file, _log: ProofFile(
        index=file.index, hashes=file.hashes[:-1], checkpoint=file.checkpoint, extra=file.extra
    ),
    "a hash more": lambda file, _log: ProofFile(
        index=file.index,
        hashes=(*file.hashes, bytes(32)),
        checkpoint=file.checkpoint,
        extra=file.extra,
    ),
    "another checkpoint": lambda file, log: ProofFile(
        index=file.index, hashes=file.hashes, checkpoint=log.note(11), extra=file.extra
    ),
    "an unsigned checkpoint": lambda file, _log: ProofFile(
        index=file.index,
        hashes=file.hashes,
        checkpoint=file.checkpoint.replace("\n12\n", "\n13\n"),
        extra=file.extra,
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_proof_file_that_was_touched_does_not_hold(
    client: Client, transport: Presenting, spoil: Callable[[ProofFile, FakeLog], ProofFile]
) -> None:
    file = spoil(client.prove_run(RUN), transport.log)
    with pytest.raises(VerificationError):
        client.check_offline(claim_of(file.text()))
    with pytest.raises(VerificationError):
        client.check_receipt(claim_of(file.text()))


@pytest.mark.parametrize("first", range(2))
def test_every_byte_of_a_proof_file_counts(client: Client, first: int) -> None:
    """Every 13th stands for all of them: each costs a signature."""
    text = client.prove_run(RUN).text()
    key = client.vkey()
    for at in range(first, len(text), 13):
        other = "b" if text[at] != "b" else "c"
        with pytest.raises((VerificationError, InvalidError)):
            client.check_offline(claim_of(text[:at] + other + text[at + 1 :]), vkey=key)


def test_a_proof_without_its_entry_needs_the_entrys_bytes(
    client: Client, transport: Presenting
) -> None:
    whole = client.prove_run(RUN)
    bare = claim_of(
        ProofFile(index=whole.index, hashes=whole.hashes, checkpoint=whole.checkpoint).text()
    )
    with pytest.raises(InvalidError) as caught:
        client.check_offline(bare)
    assert caught.value.code == "entry_missing"
    assert client.check_offline(bare.with_entry(transport.log.entries[11])).inclusion
    with pytest.raises(VerificationError):
        client.check_offline(bare.with_entry(transport.log.entries[10]))


def test_a_receipt_and_the_bytes_of_another_entry_do_not_go_together(
    transport: Presenting,
) -> None:
    claim = receipt(transport, 4, 9)
    assert claim.with_entry(transport.log.entries[4]).entry == transport.log.entries[4]
    with pytest.raises(VerificationError) as caught:
        claim.with_entry(transport.log.entries[5])
    assert caught.value.code == "entry_differs"
