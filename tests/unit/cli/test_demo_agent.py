"""The agent of the demo keeps the protocol: one configuration is one run, told in full."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.demo import _example
from tallystick.cli.demo_agent import Agent, Place, Result, Trial, grid, mean_of_seeds
from tallystick.errors import ConflictError, TallystickError
from tests.unit.client.scripted_server import Answer, Seen, as_json, serving

PLACE = Place(workspace=Path("/w s"), python="python", path="/venv/bin:/bin")


def result(trial: Trial, score: float | None) -> Result:
    return Result(trial=trial, run={"id": trial.name}, val_accuracy=score, val_loss=None)


def test_the_grid_is_twelve_different_trials() -> None:
    trials = grid()
    assert len({trial.name for trial in trials}) == len(trials) == 12
    assert len({trial.command(Path("/w"), "python") for trial in trials}) == 12


def test_a_command_fixes_script_seed_log_and_output() -> None:
    trial = Trial(lr="0.1", batch_size="32", seed="1")
    words = shlex.split(trial.command(PLACE.workspace, PLACE.python))
    assert words[:5] == ["cd", "/w s", "&&", "python", "train_mnist_mlp.py"]
    flags = dict(zip(words[5::2], words[6::2], strict=True))
    assert flags == {
        "--lr": "0.1",
        "--batch-size": "32",
        "--seed": "1",
        "--device": "cpu",
        "--log-dir": f"exp/logs/{trial.name}",
        "--out-dir": f"exp/outputs/{trial.name}",
    }


def test_a_run_is_registered_with_session_sweep_and_token() -> None:
    def play(seen: Seen) -> Answer:
        return as_json({"id": "swp_1" if seen.target == "/sweeps/wild" else "run_1"})

    with serving(play) as server:
        agent = Agent(url=server.url, token="agent-token")
        agent.create_sweep()
        agent.create_run(grid()[0], PLACE)
    assert agent.trials == {"run_1": grid()[0]}
    assert all(seen.headers["x-auth-token"] == "agent-token" for seen in server.seen)
    assert b'"chat_session_id": "demo-agent-conversation"' in server.seen[0].body
    assert b'"sweep_id": "swp_1"' in server.seen[1].body
    assert b'"auto_start": true' in server.seen[1].body


def test_a_refusal_reaches_the_person_whole() -> None:
    document = {"detail": "too late", "code": "run_started", "hint": "h"}
    answers = [as_json(document, status=409), Answer(status=502, body=b"gateway")]
    with serving(lambda _seen: answers.pop(0)) as server:
        agent = Agent(url=server.url, token="t")
        with pytest.raises(ConflictError, match="too late"):
            agent.call("GET", "/runs")
        with pytest.raises(TallystickError, match="gateway"):
            agent.call("GET", "/runs")


def test_results_are_sorted_by_what_was_measured_best_first() -> None:
    runs = [{"id": f"run_{n}", "status": "finished"} for n in range(3)]
    better_before = [{"step": 1, "value": 0.99}, {"step": 2, "value": 0.5}]
    series: dict[str, Any] = {
        "/runs/run_0/metrics": {"val_accuracy": better_before},
        "/runs/run_1/metrics": {"val_accuracy": [{"step": 1, "value": 0.9}]},
        "/runs/run_2/metrics": {},
    }

    def play(seen: Seen) -> Answer:
        return as_json({"metricSeries": series[seen.target]} if seen.target in series else runs)

    with serving(play) as server:
        agent = Agent(url=server.url, token="t", sweep="swp_1")
        agent.trials = {f"run_{n}": grid()[n] for n in range(3)}
        found = agent.results()
    assert [(r.run["id"], r.val_accuracy) for r in found] == [
        ("run_1", 0.9),
        ("run_0", 0.5),
        ("run_2", None),
    ]


def test_the_mean_is_over_seeds_of_one_configuration_and_needs_all_of_them() -> None:
    one, two = (Trial(lr="1", batch_size="8", seed=seed) for seed in "12")
    other = Trial(lr="2", batch_size="8", seed="1")
    results = [result(one, 0.5), result(two, 1.0), result(other, 0.0)]
    assert mean_of_seeds(results[0], results) == 0.75
    assert mean_of_seeds(results[2], results) == 0.0
    assert mean_of_seeds(results[0], [results[0], result(two, None)]) is None


def test_the_example_is_found() -> None:
    assert (_example() / "train_mnist_mlp.py").is_file()
