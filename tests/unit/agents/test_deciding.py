"""What the guard decides, what it leaves for the ledger, and that it never fails open."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import deciding, hook, spool
from tallystick.agents.surroundings import Surroundings
from tallystick.shell import classify, parse
from tallystick.shell.verdicts import Judgement, Verdict
from tests.unit.agents.guarded import NOW, SESSION, TRAIN, Guarded, document, specific


def test_outside_of_a_project_nothing_is_said_or_recorded(guarded: Guarded, tmp_path: Path) -> None:
    answer = guarded.typed(TRAIN, cwd=str(tmp_path))
    assert (answer.status, answer.out, answer.err) == (0, b"", "")
    assert guarded.recorded() == []


def test_a_project_is_found_from_a_directory_below_it(guarded: Guarded) -> None:
    below = guarded.root / "a" / "b"
    below.mkdir(parents=True)
    assert "updatedInput" in specific(guarded.typed(TRAIN, cwd=str(below)))


def test_the_users_own_directory_makes_no_project_of_the_home(guarded: Guarded) -> None:
    home = guarded.home.parent
    assert guarded.typed(TRAIN, cwd=str(home)).out == b""
    (guarded.home / "policy.toml").write_text("")
    assert "updatedInput" in specific(guarded.typed(TRAIN, cwd=str(home)))


def test_a_conversion_is_recorded_with_all_that_led_to_it(guarded: Guarded) -> None:
    guarded.accept('mode = "convert"')
    guarded.typed(TRAIN)
    (record,) = guarded.recorded()
    assert record.pop("detail")
    assert len(record.pop("policy")) == 64
    assert record.pop("parser") == parse.version()
    assert record == {
        "id": deciding.decision_id(SESSION, "toolu_01A", TRAIN),
        "at": NOW,
        "agent": "claude",
        "session": SESSION,
        "call": "toolu_01A",
        "project": str(guarded.root),
        "cwd": str(guarded.root),
        "command": TRAIN,
        "verdict": "unknown",
        "reason": "python_script",
        "action": "converted",
        "mode": "convert",
        "exception": None,
    }


def test_a_utility_is_never_recorded(guarded: Guarded) -> None:
    assert guarded.typed("git commit -m 'python train.py'").out == b""
    assert guarded.recorded() == []


def test_what_is_off_is_not_recorded(guarded: Guarded) -> None:
    guarded.accept('mode = "off"')
    assert guarded.typed(TRAIN).out == b""
    assert guarded.recorded() == []


def test_two_hooks_for_one_call_make_one_decision_and_the_same_command(guarded: Guarded) -> None:
    first, second = guarded.typed(TRAIN), guarded.typed(TRAIN)
    assert first.out == second.out
    assert len(guarded.recorded()) == 1


def test_the_same_command_in_another_call_is_another_decision(guarded: Guarded) -> None:
    guarded.typed(TRAIN)
    guarded.typed(TRAIN, tool_use_id="toolu_02B")
    assert len(guarded.recorded()) == 2


def test_a_call_without_an_id_is_told_apart_by_its_turn(guarded: Guarded) -> None:
    payload = guarded.claude(TRAIN, prompt_id="p1")
    del payload["tool_use_id"]
    guarded.asked(payload)
    guarded.asked({**payload, "prompt_id": "p2"})
    assert [record["call"] for record in guarded.recorded()] == [None, None]


def test_the_session_comes_from_the_environment_where_the_payload_has_none(
    guarded: Guarded,
) -> None:
    payload = {"cwd": str(guarded.root), "tool_input": {"command": TRAIN}}
    answer = guarded.asked(payload, CODEX_THREAD_ID="thread-1")
    assert answer.status == 0
    assert guarded.recorded()[0]["session"] == "thread-1"


def test_the_mode_of_a_file_that_nobody_accepted_does_not_count(guarded: Guarded) -> None:
    (guarded.root / ".tally" / "policy.toml").write_text('mode = "off"\nallow = ["python"]\n')
    assert "updatedInput" in specific(guarded.typed(TRAIN))


def test_accepted_rules_count_until_others_are_accepted(guarded: Guarded) -> None:
    guarded.accept('allow = ["python train.py"]')
    (guarded.root / ".tally" / "policy.toml").write_text('mode = "deny"\n')
    assert guarded.typed(TRAIN).out == b""


def test_a_projects_own_experiments_are_found_without_a_built_in_trigger(
    guarded: Guarded,
) -> None:
    assert guarded.typed("frobnicate --all").out == b""
    guarded.accept('experiment = ["frobnicate"]')
    assert "updatedInput" in specific(guarded.typed("frobnicate --all"))


def test_damaged_rules_fall_back_to_the_defaults(guarded: Guarded) -> None:
    guarded.accept('mode = "off"')
    (file,) = (guarded.home / "policies").iterdir()
    for content in (b"", b"[]", b'{"root": 5}', b"\xff", b'{"rules": 3}', b'{"mode": "maybe"}'):
        file.write_bytes(content)
        assert "updatedInput" in specific(guarded.typed(TRAIN)), content


def test_rules_of_another_project_do_not_count_here(guarded: Guarded) -> None:
    guarded.accept('mode = "off"')
    (file,) = (guarded.home / "policies").iterdir()
    file.write_text(file.read_text().replace(str(guarded.root), "/elsewhere"))
    assert "updatedInput" in specific(guarded.typed(TRAIN))


@pytest.mark.parametrize("reason", sorted(deciding.OPAQUE))
def test_what_cannot_be_inspected_is_explained_and_not_converted(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    found = Judgement(Verdict.UNKNOWN, reason, "nested too deep", (0, 6), TRAIN[:6])
    monkeypatch.setattr(classify, "judge", lambda *_args, **_options: found)
    answer = specific(guarded.typed(TRAIN))
    assert answer["permissionDecision"] == "deny"
    assert "nested too deep" in answer["permissionDecisionReason"]


@pytest.mark.parametrize("command", ["python train.py \ud800", "python train.py \0 x"])
def test_a_command_that_no_shell_could_be_given_is_refused(guarded: Guarded, command: str) -> None:
    answer = guarded.typed(command)
    reason = specific(answer)["permissionDecisionReason"]
    answer.out.decode()
    assert "tally guard allow" in reason
    record = guarded.recorded()[0]
    assert record["action"] == "denied"
    record["command"].encode()
    assert "\0" not in record["command"]


def test_a_command_too_long_to_print_is_refused_with_the_form_alone(guarded: Guarded) -> None:
    guarded.accept('mode = "deny"')
    reason = specific(guarded.typed(f"python train.py {'x' * 20_000}"))["permissionDecisionReason"]
    assert len(reason) < 10_000, "agents put longer texts aside"
    assert "tally exec -- COMMAND" in reason


def test_quotes_newlines_and_expansions_reach_the_run_as_they_are(guarded: Guarded) -> None:
    command = "cd 'a b' &&\n python train.py --x \"$HOME\" 'it''s' `date` > log.txt 2>&1"
    converted = specific(guarded.typed(command))["updatedInput"]["command"]
    assert shlex.split(converted)[-1] == command


@pytest.mark.parametrize("spoiled", ["a file", "no permission", "full"])
def test_a_decision_that_cannot_be_kept_is_answered_all_the_same_and_says_so(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    guarded.accept('mode = "deny"')
    if spoiled == "a file":
        (guarded.home / "spool").write_text("in the way")
    elif spoiled == "full":
        monkeypatch.setattr(spool, "MOST_FILES", 0)
    else:
        monkeypatch.setattr("os.rename", _refusing)
    answer = specific(guarded.typed(TRAIN))
    assert answer["permissionDecision"] == "deny"
    assert "could not be kept for the record" in answer["permissionDecisionReason"]


def _refusing(*_names: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_unexpected_error_refuses_and_is_recorded(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "judge", _failing)
    answer = guarded.typed(TRAIN)
    assert (answer.status, answer.out) == (2, b"")
    assert "ZeroDivisionError" in answer.err
    assert [record["action"] for record in guarded.recorded()] == ["failed"]


def _failing(*_args: object, **_options: object) -> None:
    raise ZeroDivisionError("by the test")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":', b"\0"]
)
def test_what_is_no_payload_is_refused_in_a_project_and_passes_elsewhere(
    guarded: Guarded, tmp_path: Path, content: bytes
) -> None:
    answer = guarded.asked(content)
    assert (answer.status, answer.out) == (2, b"")
    assert "tally doctor" in answer.err
    elsewhere = Surroundings(guarded.variables, str(tmp_path))
    assert hook.run(content, elsewhere).status == 0


def test_a_payload_that_is_too_large_is_refused(guarded: Guarded) -> None:
    answer = guarded.asked(b" " * (hook.MOST_INPUT_BYTES + 1))
    assert answer.status == 2
    assert "8388608" in answer.err


def test_an_error_outside_of_every_project_blocks_nobody(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hook, "decide", _failing)
    assert guarded.typed(TRAIN, cwd=str(tmp_path)).status == 0
    assert guarded.typed(TRAIN).status == 2


def test_inside_a_registered_run_not_even_nonsense_is_looked_at(guarded: Guarded) -> None:
    assert guarded.asked(b"{", TALLY_RUN_ID="run_0123456789ab").status == 0


@pytest.mark.parametrize(
    "tool_input", [None, [], "python train.py", {"command": None}, {"command": 5}, {"cmd": []}]
)
def test_a_tool_without_a_command_passes_unless_it_is_one(
    guarded: Guarded, tool_input: Any
) -> None:
    answer = guarded.typed("", tool_input=tool_input)
    if tool_input == "python train.py":  # arguments that are no JSON stand for the command
        assert "updatedInput" in specific(answer)
    else:
        assert document(answer) is None


def test_a_relative_or_strange_directory_is_taken_for_the_hooks_own(guarded: Guarded) -> None:
    for cwd in ("", "relative/path", "/no\0pe", 5, None, ["/"]):
        assert "updatedInput" in specific(guarded.typed(TRAIN, cwd=cwd)), cwd


def test_a_tools_own_directory_decides_over_the_sessions(guarded: Guarded, tmp_path: Path) -> None:
    payload = guarded.claude(TRAIN, cwd=str(tmp_path))
    payload["tool_input"]["workdir"] = "project"
    assert "updatedInput" in specific(guarded.asked(payload))


def test_the_record_is_what_the_ledger_takes(guarded: Guarded) -> None:
    """The shape of POST /guard/decisions, for texts of every kind."""
    from tallystick.wire.guard_requests import SpooledDecision

    guarded.accept('mode = "deny"')
    guarded.typed("python train.py \0 \ud800", session_id="s" * 500, tool_use_id="ü" * 300)
    (record,) = guarded.recorded()
    SpooledDecision(**record)
    assert record["call"] == "_" * 200
    assert record["session"] is None
    json.dumps(record, ensure_ascii=False).encode()
