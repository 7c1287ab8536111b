"""Alerts, budgets, events and the machine by way of the SDK and the command line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.main import main
from tallystick.client.client import Client
from tallystick.domain.capacity import Capacity
from tallystick.errors import ForbiddenError, NotFoundError
from tests.http.door import Door
from tests.http.executing import executing
from tests.http.test_cluster import devices

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def opened(open_door: Callable[[], Door]) -> Door:
    return open_door()


@pytest.fixture
def person(opened: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The SDK, with the administrator's token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with Client(opened.url, opened.token("admin"), session="conversation-1") as client:
        yield client


@pytest.fixture
def tally(
    opened: Door,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tally:
    """The command line, as the administrator; code, out, err."""
    for name in ("SERVER_URL", "AUTH_TOKEN", "CHAT_SESSION_ID", "TALLY_CONFIG", "TALLY_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TALLY_SERVER_URL", opened.url)
    monkeypatch.setenv("TALLY_CHAT_SESSION_ID", "conversation-1")

    def run(*arguments: str, token: str = "admin") -> tuple[int, str, str]:
        monkeypatch.setenv("TALLY_TOKEN", opened.token(token))
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_the_sdk_raises_an_alert_waits_for_it_and_reads_the_answer(
    opened: Door, person: Client
) -> None:
    run, _ = executing(opened, opened.sweep())
    choices: list[Any] = ["continue", {"label": "give up", "action": "stop"}]
    alert = person.raise_alert(run, "loss is NaN", choices, severity="critical")
    assert [one.action for one in alert.options] == ["continue", "stop"]
    assert [one.id for one in person.alerts(status="pending", run=run)] == [alert.id]
    assert person.wait_alert(alert.id, run=run, timeout_seconds=0).status == "pending"
    answer = person.respond_alert(alert.id, "give up", note="enough")
    assert (answer.alert.action, answer.alert.note) == ("stop", "enough")
    assert person.wait_alert(alert.id).response == "give up"
    assert list(person.alerts(status="pending", run=run)) == []


def test_the_sdk_hears_of_events_once(opened: Door, person: Client) -> None:
    run = opened.run(opened.sweep())["id"]
    person.stop_run(run)
    heard = person.session_events()
    assert heard[0].run_id == run
    assert person.resolve_events([one.id for one in heard]) == len(heard)
    assert person.session_events() == []


def test_the_sdk_sets_budgets_and_leaves_alone_what_is_not_named(
    opened: Door, person: Client
) -> None:
    sweep = opened.sweep()
    person.set_budget(sweep, runs=5, gpu_hours=2.5)
    changed = person.set_budget(sweep, runs=None, action="stop")
    assert (changed.runs.limit, changed.gpu_hours.limit, changed.action) == (None, 2.5, "stop")
    assert [one.scope for one in person.budgets()] == [sweep]
    assert person.budget("session:conversation-1").runs.limit is None
    with pytest.raises(NotFoundError):
        person.budget("nobody")
    with (
        Client(opened.url, opened.token("agent"), session="s") as agent,
        pytest.raises(ForbiddenError) as caught,
    ):
        agent.set_budget(sweep, runs=6)
    assert caught.value.code == "people_only"


def test_the_sdk_describes_drains_and_undrains_the_machine(opened: Door, person: Client) -> None:
    opened.backend.room = Capacity(slots=2, devices=devices(2))
    assert person.set_cluster(type="slurm", gpu_count=1)["cluster"]["type"] == "slurm"
    assert person.system_health().capacity.gpus == 1
    assert person.drain("disk")["draining"]["reason"] == "disk"
    health = person.system_health()
    assert health.draining is not None
    assert health.draining.reason == "disk"
    assert person.undrain()["draining"] is None
    assert person.cluster()["cluster"]["gpu_count"] == 1


def test_the_command_line_lists_and_answers_alerts(opened: Door, tally: Tally) -> None:
    run = opened.run(opened.sweep())["id"]
    assert "nobody is asked for" in tally("alert", "list")[2]
    body = {"message": "loss is NaN", "choices": ["continue", "stop"]}
    alert = opened.post(f"/runs/{run}/alerts", body)["alert_id"]
    code, out, _ = tally("alert", "list")
    assert code == 0
    assert alert in out
    assert "continue | stop" in out
    code, _, err = tally("alert", "respond", alert, "perhaps")
    assert (code, "choice_unknown" in err) == (1, True)
    code, out, _ = tally("alert", "respond", alert, "stop", "--note", "seen enough")
    assert (code, out) == (0, "Alert answered; the run is being stopped: stop\n")
    assert tally("alert", "list")[1] == ""
    assert alert in tally("alert", "list", "--all")[1]
    (found,) = json.loads(tally("alert", "list", "--all", "--json")[1])
    assert (found["action"], found["note"]) == ("stop", "seen enough")


def test_the_command_line_sets_and_lists_budgets(opened: Door, tally: Tally) -> None:
    sweep = opened.sweep()
    assert "no budgets" in tally("budget", "list")[2]
    code, out, _ = tally("budget", "set", sweep, "--runs", "3", "--gpu-hours", "1.5")
    assert code == 0
    assert "0 of 3" in out
    opened.run(sweep)
    assert "1 of 3" in tally("budget", "list")[1]
    tally("budget", "set", sweep, "--runs", "none")
    (budget,) = json.loads(tally("budget", "list", "--json")[1])
    assert (budget["runs"]["limit"], budget["gpu_hours"]["limit"]) == (None, 1.5)
    assert tally("budget", "set", sweep)[0] == 2
    for wrong in (("--runs", "1.5"), ("--gpu-hours", "much"), ("--wall-hours", "nan")):
        code, _, err = tally("budget", "set", sweep, *wrong)
        assert (code, "budget_invalid" in err) == (2, True)
    code, _, err = tally("budget", "set", sweep, "--runs", "1", token="agent")
    assert (code, "people_only" in err) == (1, True)


def test_the_command_line_shows_sets_and_drains_the_machine(opened: Door, tally: Tally) -> None:
    opened.backend.room = Capacity(slots=4, devices=devices(3, held=1))
    executing(opened, opened.sweep())
    code, out, _ = tally("cluster", "show")
    assert code == 0
    for said in (
        "local_gpu (detected)",
        "1 running, 0 queued",
        "eve",
        "conversation-1",
        "GiB free",
    ):
        assert said in out
    code, out, _ = tally("cluster", "set", "--gpus", "1", "--notes", "the others are Ada's")
    assert (code, "the others are Ada's" in out) == (0, True)
    assert "[gpu_count_above]" in tally("cluster", "set", "--gpus", "9")[2]
    assert "new driver" in tally("cluster", "drain", "--reason", "new driver")[1]
    assert "drained" in tally("cluster", "show")[1]
    assert json.loads(tally("cluster", "show", "--json")[1])["health"]["free"] == 0
    assert "drained" not in tally("cluster", "undrain")[1]
    code, _, err = tally("cluster", "drain", token="agent")
    assert (code, "people_only" in err) == (1, True)


@pytest.mark.parametrize("noun", ["alert", "budget", "cluster"])
def test_every_verb_shows_examples(tally: Tally, noun: str) -> None:
    verbs = {"alert": ("list", "respond"), "budget": ("list", "set")}
    for verb in verbs.get(noun, ("show", "set", "drain", "undrain")):
        code, out, _ = tally(noun, verb, "--help")
        assert code == 0
        assert f"tally {noun} {verb}" in out.partition("Examples:")[2]
