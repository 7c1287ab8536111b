"""What the command line says about a ledger: receipts, proof files, pins, and forks."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.main import main
from tallystick.client.transport import Request
from tallystick.errors import TallystickError
from tallystick.wire import problem
from tests.unit.client.fake_log import ORIGIN, RUN, FakeLog, Presenting
from tests.unit.client.scripted_server import Answer, ScriptedServer, Seen, as_json, serving

SWEEP = "swp_0123456789ab"


class Present:
    """A server of a ledger that a test may swap for another, and the command line beside it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.shown = Presenting(FakeLog(size=12))
        self._capsys = capsys

    @property
    def log(self) -> FakeLog:
        return self.shown.log

    def script(self, seen: Seen) -> Answer:
        try:
            response = self.shown.send(Request(method=seen.method, target=seen.target))
        except TallystickError as error:
            document = problem.document(error)
            return as_json(document, status=document["status"])
        return Answer(body=response.body())

    def tally(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = self._capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err


@pytest.fixture
def present(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Present]:
    made = Present(capsys)
    for name in ("SERVER_URL", "AUTH_TOKEN", "TALLY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLY_CHAT_SESSION_ID", "conversation-1")
    monkeypatch.setenv("TALLY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALLY_KNOWN_LEDGERS", str(tmp_path / "known"))
    monkeypatch.setenv("TALLY_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)
    server: ScriptedServer
    with serving(made.script) as server:
        monkeypatch.setenv("TALLY_SERVER_URL", server.url)
        yield made


CREATING: dict[str, tuple[str, ...]] = {
    "run create": ("run", "create", "--sweep", SWEEP, "--", "true"),
    "run rerun": ("run", "rerun", RUN),
    "sweep create": ("sweep", "create", "--name", "n"),
}


@pytest.mark.parametrize("words", CREATING.values(), ids=CREATING)
@pytest.mark.parametrize("as_document", [False, True])
def test_an_accepted_request_is_answered_whole_before_a_fork_is_told(
    present: Present, words: tuple[str, ...], as_document: bool
) -> None:
    assert present.tally("ledger", "show")[0] == 0
    trusted = present.log.note()
    present.shown.log = present.log.forked(4, 30)
    asked = (*words[:2], "--json", *words[2:]) if as_document else words
    code, out, err = present.tally(*asked)
    assert code == 4
    assert RUN in out
    if as_document:
        assert RUN in json.dumps(json.loads(out))
    assert trusted in err
    assert present.log.note() in err
    assert f"tally ledger forget {ORIGIN}" in err


def test_without_a_sweep_a_fork_is_told_before_the_run_is_sent(present: Present) -> None:
    """The scratch sweep is asked for first, and its receipt shows the fork."""
    present.tally("ledger", "show")
    present.shown.log = present.log.forked(4, 30)
    present.shown.asked.clear()
    code, out, err = present.tally("run", "create", "--", "true")
    assert (code, out) == (4, "")
    assert "nothing was sent" in err
    assert "/runs" not in present.shown.paths


def test_forgetting_is_what_it_takes_to_go_on(present: Present) -> None:
    present.tally("ledger", "show")
    present.shown.log = present.log.forked(4, 8)
    assert present.tally("ledger", "show")[0] == 4
    assert present.tally("ledger", "forget", ORIGIN) == (0, "", f"forgotten: {ORIGIN}\n")
    assert present.tally("ledger", "show")[0] == 0
    code, _out, err = present.tally("ledger", "forget", "tally.local/never-seen")
    assert code == 1
    assert "tally ledger known" in err


def test_known_ledgers_are_listed_and_spoiled_ones_said(present: Present, tmp_path: Path) -> None:
    code, out, err = present.tally("ledger", "known")
    assert (code, out) == (0, "")
    assert "no ledger is known" in err
    present.tally("ledger", "show")
    (tmp_path / "known" / "spoiled.json").write_text("{")
    code, out, err = present.tally("ledger", "known")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == [ORIGIN, "12"]
    assert "spoiled.json cannot be read" in err
    _code, out, _err = present.tally("ledger", "known", "--json")
    [row] = json.loads(out)
    assert (row["origin"], row["size"], row["vkey"]) == (ORIGIN, 12, present.log.signer.vkey)


def in_a_file(text: str, _feed: Callable[[str], None]) -> str:
    Path("kept.json").write_text(text)
    return "kept.json"


def on_standard_input(text: str, feed: Callable[[str], None]) -> str:
    feed(text)
    return "-"


def inline(text: str, _feed: Callable[[str], None]) -> str:
    return text


@pytest.mark.parametrize("give", [in_a_file, on_standard_input, inline])
def test_a_receipt_is_checked_wherever_it_is(
    present: Present, monkeypatch: pytest.MonkeyPatch, give: Callable[..., str]
) -> None:
    def feed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    answer = json.dumps(present.shown.created("/runs"))
    present.log.grow(5)
    code, out, err = present.tally("ledger", "check", give(answer, feed))
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "ok: the receipt holds"
    assert f"12 of {ORIGIN}" in out
    assert "the ledger of 19 entries continues it" in out
    assert "the server's own word" in out


def test_a_receipt_that_the_ledger_forgot_exits_4_with_both_notes(present: Present) -> None:
    kept = present.log.receipt(7)
    present.shown.log = present.log.forked(7, 20)
    code, out, err = present.tally("ledger", "check", json.dumps(kept))
    assert (code, out) == (4, "")
    assert kept["checkpoint"] in err
    assert present.log.note() in err
    code, out, _err = present.tally("ledger", "check", "--json", json.dumps(kept))
    assert code == 4
    assert json.loads(out)["code"] == "ledger_forked"
    assert json.loads(out)["trusted"] == kept["checkpoint"]


@pytest.mark.parametrize(
    "argument", ["missing.json", "{}", "{not json", '{"receipt": 3}', "bytes.bin", "."]
)
def test_what_is_no_receipt_is_a_wrong_call(present: Present, argument: str) -> None:
    Path("bytes.bin").write_bytes(b"\xff\xfe")
    code, out, err = present.tally("ledger", "check", argument)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert present.shown.asked == []


def test_offline_what_stays_open_is_said(present: Present) -> None:
    kept = json.dumps(present.log.receipt(7))
    code, _out, err = present.tally("ledger", "check", "--offline", kept)
    assert code == 1
    assert "--vkey" in err
    vkey = present.log.signer.vkey
    code, out, _err = present.tally("ledger", "check", "--offline", "--vkey", vkey, kept)
    assert code == 0
    assert out.splitlines()[0] == "ok, as far as it was checked"
    assert out.count("open: only the server can show it") == 2
    wrong = FakeLog(seed=9).signer.vkey
    assert present.tally("ledger", "check", "--offline", "--vkey", wrong, kept)[0] == 4
    assert present.shown.asked == []


def test_a_run_is_proven_in_a_file_that_verifies_offline(present: Present) -> None:
    code, out, err = present.tally("ledger", "proof", RUN)
    assert (code, out) == (0, f"{RUN}.tlog-proof\n")
    assert "tally ledger check --offline" in err
    text = Path(f"{RUN}.tlog-proof").read_text()
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    vkey = present.log.signer.vkey
    present.shown.asked.clear()
    code, out, _err = present.tally(
        "ledger", "check", "--offline", "--vkey", vkey, f"{RUN}.tlog-proof"
    )
    assert code == 0
    assert present.log.entries[11].decode() in out
    assert present.shown.asked == []
    Path("spoiled").write_text(text.replace("index 11", "index 10"))
    assert present.tally("ledger", "check", "--offline", "--vkey", vkey, "spoiled")[0] == 4


def test_a_proof_can_be_printed_named_and_of_another_entry(present: Present) -> None:
    _code, out, _err = present.tally("ledger", "proof", RUN, "--entry", "3", "--out", "-")
    assert "\nindex 3\n" in out
    assert present.tally("ledger", "proof", "4", "--out", "four")[:2] == (0, "four\n")
    assert "\nindex 4\n" in Path("four").read_text()
    code, out, _err = present.tally("ledger", "proof", RUN, "--out", "five", "--json")
    assert code == 0
    assert json.loads(out) == {"file": "five", "seq": 11, "checkpoint": present.log.note()}
    assert present.tally("ledger", "proof", RUN, "--entry", "99")[0] == 1
    assert present.tally("ledger", "proof", "4", "--entry", "4")[0] == 2


def test_the_proof_of_a_position_is_printed(present: Present) -> None:
    code, out, _err = present.tally("ledger", "proof", "4", "--json")
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    assert (document["seq"], document["size"]) == (4, 12)
    assert present.tally("ledger", "proof", "4")[1].startswith("seq")


def test_the_bytes_of_an_entry_can_come_in_a_file_of_their_own(present: Present) -> None:
    text = present.tally("ledger", "proof", RUN, "--out", "-")[1]
    lines = text.splitlines(keepends=True)
    Path("bare").write_text("".join([lines[0], *lines[2:]]))
    Path("entry").write_bytes(present.log.entries[11])
    Path("other").write_bytes(present.log.entries[10])
    assert present.tally("ledger", "check", "--offline", "bare")[0] == 1
    assert present.tally("ledger", "check", "--offline", "bare", "--entry-file", "entry")[0] == 0
    assert present.tally("ledger", "check", "--offline", "bare", "--entry-file", "other")[0] == 4
