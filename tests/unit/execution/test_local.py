"""What a host may be asked before anything runs, and its stated limit."""

import sys
from pathlib import Path

import pytest

from tallystick.errors import InvalidError, UnavailableError
from tallystick.execution.backend import Gone, Handle, NotStarted, Submission, Supervised
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import handle_of, wait_for


def test_a_setting_that_names_no_devices_is_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidError) as caught:
        LocalBackend(gpus="first")
    assert caught.value.code == "setting_invalid"


def test_elsewhere_than_on_linux_the_limit_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UnavailableError) as caught:
        backend.submit(Submission(attempt="att_1", directory=tmp_path, supervisor_token="t"))
    assert caught.value.code == "linux_required"
    backend.close()


def test_without_a_launcher_it_is_unavailable_for_now(tmp_path: Path) -> None:
    backend = LocalBackend(python="/nonexistent/python")
    backend.watch(lambda: None)
    with pytest.raises(UnavailableError) as caught:
        backend.submit(Submission(attempt="att_1", directory=tmp_path, supervisor_token="t"))
    assert caught.value.code == "launcher_unavailable"
    backend.close()


def test_a_directory_that_never_was_is_not_started_and_may_be_cancelled(tmp_path: Path) -> None:
    backend = LocalBackend()
    handle = Handle(attempt="att_1", directory=tmp_path / "none", native="", journal_key="t")
    assert backend.observe([handle]) == {"att_1": NotStarted()}
    backend.cancel(handle, grace_seconds=1)
    assert not (tmp_path / "none").exists()
    backend.close()


def test_a_supervisor_that_cannot_begin_leaves_the_attempt_not_started(tmp_path: Path) -> None:
    """Its directory is gone: nothing was executed, and nothing says otherwise."""
    backend = LocalBackend()
    submission = Submission(attempt="att_1", directory=tmp_path / "none", supervisor_token="t")
    backend.submit(submission)
    handle = handle_of(submission, "")
    wait_for(lambda: isinstance(backend.observe([handle])["att_1"], NotStarted), what="not started")
    backend.close()


def test_supervisors_that_never_begin_are_not_launched_for_ever(tmp_path: Path) -> None:
    backend = LocalBackend()
    submission = Submission(attempt="att_1", directory=tmp_path / "none", supervisor_token="t")
    handle = handle_of(submission, "")
    launches = 0
    while True:
        backend.submit(submission)
        launches += 1
        wait_for(
            lambda: not isinstance(backend.observe([handle])["att_1"], Supervised), what="its death"
        )
        seen = backend.observe([handle])["att_1"]
        if seen != NotStarted():
            break
        assert launches < 10
    assert seen == Gone(reason="supervisor could not start")
    assert backend.observe([handle])["att_1"] == seen  # an end is final
    assert launches == 5
    backend.close()


def test_what_the_ledger_says_was_submitted_is_never_not_started(tmp_path: Path) -> None:
    """Whether it never began, or its journal was removed, nobody can tell any more."""
    backend = LocalBackend()
    submission = Submission(attempt="att_1", directory=tmp_path / "none", supervisor_token="t")
    handle = handle_of(submission, backend.submit(submission))
    wait_for(
        lambda: not isinstance(backend.observe([handle])["att_1"], Supervised), what="its death"
    )
    restarted = LocalBackend()
    for one in (backend, restarted):
        assert one.observe([handle])["att_1"] == Gone(reason="supervisor killed")
        one.close()
    elsewhere = handle_of(submission, "local:1:1:00000000-0000-0000-0000-000000000000")
    other = LocalBackend()
    assert other.observe([elsewhere])["att_1"] == Gone(reason="host rebooted")
    other.close()
