"""What lint says of a command stands in the answer to whoever makes something of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.api import scripts
from tallystick.api.scripts import KEPT, KEPT_SECONDS, NotReadYet, Scripts
from tests.unit.api.in_process import SESSION, Api, build_api

SCRIPT = "import random\nprint(random.random())\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    opened = build_api(tmp_path_factory.mktemp("server"))
    (opened.workdir / "draw.py").write_text(SCRIPT)
    yield opened
    opened.close()


def said(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["name"]) for one in answer["warnings"] if one["name"]]


def test_a_run_is_told_what_its_command_will_cost_later(api: Api) -> None:
    run = api.register(command="python draw.py")
    assert ("R101", "no-seed") in said(run)
    warning = next(one for one in run["warnings"] if one["code"] == "R101")
    assert "draw.py" in warning["detail"]
    assert "seed" in warning["hint"]
    assert run["status"] == "ready", "it refuses nothing"


def test_the_file_is_the_one_in_the_directory_of_the_run(api: Api, tmp_path: Path) -> None:
    assert ("R102", "script-missing") not in said(api.register(command="python draw.py"))
    elsewhere = api.register(command="python draw.py", workdir=str(tmp_path))
    assert ("R102", "script-missing") in said(elsewhere)


def test_a_parameter_of_the_run_is_known_to_lint(api: Api) -> None:
    seeded = api.register(command="python draw.py", params={"seed": 3})
    assert ("R101", "no-seed") not in said(seeded)


def test_a_long_command_is_told_the_same(api: Api) -> None:
    run = api.register(command="python draw.py --note " + "x" * 2_000)
    assert ("R101", "no-seed") in said(run)


@pytest.mark.parametrize("path", ["/runs", "/sweeps/{sweep}/runs", "/runs/{run}/rerun"])
def test_every_call_that_makes_a_run_of_a_new_command_says_it(api: Api, path: str) -> None:
    old = api.register()
    sweep = old["sweep_id"]
    body = {
        "name": "r",
        "command": "python draw.py",
        "sweep_id": sweep,
        "chat_session_id": SESSION,
    }
    made = api.post(path.format(sweep=sweep, run=old["id"]), body)
    assert ("R101", "no-seed") in said(made)


def test_a_script_that_was_read_for_one_run_is_at_hand_for_the_next(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "KEPT_SECONDS", 1_000.0)
    (api.workdir / "again.py").write_text(SCRIPT)
    api.register(command="python again.py")

    async def known() -> bytes | None:
        return api.server.app.services.scripts.known(str(api.workdir / "again.py"))

    assert api.run(known()) == SCRIPT.encode()


def test_a_rerun_of_the_same_command_says_nothing_again(api: Api) -> None:
    old = api.register(command="python draw.py")
    assert said(api.post(f"/runs/{old['id']}/rerun", {})) == []


@pytest.mark.parametrize("path", ["/sweeps", "/sweeps/preview"])
def test_a_sweep_is_told_once_for_the_command_of_all_its_runs(api: Api, path: str) -> None:
    body: dict[str, Any] = {
        "name": "s",
        "base_command": "python draw.py",
        "parameters": {"lr": [1, 2]},
        "chat_session_id": SESSION,
        "status": "draft",
    }
    assert said(api.post(path, body)).count(("R101", "no-seed")) == 1
    assert ("R101", "no-seed") not in said(api.post(path, {**body, "seeds": 2}))
    listed = {**body, "parameters": {}, "points": [{"seed": 1}, {"seed": 2}]}
    assert ("R101", "no-seed") not in said(api.post(path, listed))


def test_a_script_is_read_again_after_a_second_and_not_before(tmp_path: Path) -> None:
    now = 5.0
    lately = Scripts(lambda: now)
    path = str(tmp_path / "t.py")
    with pytest.raises(NotReadYet):
        lately.known(path)
    lately.keep({path: None, "/other": b"x"})
    assert (lately.known(path), lately.known("/other")) == (None, b"x")
    now += KEPT_SECONDS
    with pytest.raises(NotReadYet):
        lately.known(path)


def test_no_more_scripts_are_kept_than_there_is_room_for() -> None:
    lately = Scripts(lambda: 5.0)
    lately.keep({str(number): b"" for number in range(KEPT + 1)})
    with pytest.raises(NotReadYet):
        lately.known("0")
    assert lately.known(str(KEPT)) == b""
