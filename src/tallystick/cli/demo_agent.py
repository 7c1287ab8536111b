"""The agent of `tally demo`: a grid, a URL, a token, plain HTTP with urllib; no SDK.

It shows what the protocol asks of any agent: one sweep, one run for each configuration, the queue
left to start them, and answers read instead of guessed.
"""

import json
import shlex
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from tallystick.errors import UnavailableError
from tallystick.wire.problem import error_of

SWEEP_NAME = "mnist-mlp-cpu-grid"
GOAL = "one-layer MLP grid search on MNIST CPU"
SESSION = "demo-agent-conversation"
SCRIPT = "train_mnist_mlp.py"
LEARNING_RATES = ("0.01", "0.1", "0.5")
BATCH_SIZES = ("32", "128")
SEEDS = ("1", "2")
RUN_ENDS = frozenset({"finished", "failed", "stopped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One point of the grid."""

    lr: str
    batch_size: str
    seed: str

    @property
    def name(self) -> str:
        """What people see."""
        return f"mnist-mlp-lr{self.lr}-bs{self.batch_size}-seed{self.seed}"

    def command(self, workspace: Path, python: str) -> str:
        """The shell line of the published protocol: fixed script, seed, log and output paths."""
        return (
            f"cd {shlex.quote(str(workspace))} && {python} {SCRIPT} "
            f"--lr {self.lr} --batch-size {self.batch_size} --seed {self.seed} --device cpu "
            f"--log-dir exp/logs/{self.name} --out-dir exp/outputs/{self.name}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run came to; measurements are absent when it wrote none."""

    trial: Trial
    run: dict[str, Any]
    val_accuracy: float | None
    val_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the trials run, and with which interpreter."""

    workspace: Path
    python: str
    """Word that starts Python, found on `path`."""
    path: str
    """PATH of the trials."""


@dataclass(slots=True, kw_only=True)
class Agent:
    """Somebody who has an address, a token and the id of a conversation; nothing else."""

    url: str
    token: str
    sweep: str = ""
    trials: dict[str, Trial] = field(default_factory=dict)
    """By run id, in the order of registration."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One HTTP call; raises what the server refused, or `UnavailableError`."""
        request = urllib.request.Request(  # noqa: S310 - the address is the demo's own server
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Auth-Token": self.token, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise error_of(error.code, _problem(error.read())) from error
        except OSError as error:
            raise UnavailableError(f"the demo's server does not answer: {error}") from error

    def create_sweep(self) -> None:
        """The container for all runs of the grid."""
        body = {"name": SWEEP_NAME, "goal": GOAL, "chat_session_id": SESSION}
        self.sweep = str(self.call("POST", "/sweeps/wild", body)["id"])

    def create_run(self, trial: Trial, place: Place) -> None:
        """One configuration is one run; the queue starts it when there is room."""
        body = {
            "name": trial.name,
            "command": trial.command(place.workspace, place.python),
            "workdir": str(place.workspace),
            "sweep_id": self.sweep,
            "chat_session_id": SESSION,
            "auto_start": True,
            "env": {"PATH": place.path},
            "params": {
                "lr": float(trial.lr),
                "batch_size": int(trial.batch_size),
                "seed": int(trial.seed),
            },
        }
        self.trials[str(self.call("POST", "/runs", body)["id"])] = trial

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the grid as they are now, in the order of registration."""
        listed = self.call("GET", f"/runs?sweep_id={self.sweep}&limit={len(self.trials) or 1}")
        known = {run["id"]: run for run in listed}
        return [known[run_id] for run_id in self.trials if run_id in known]

    def results(self) -> list[Result]:
        """Runs with the last values that they measured, best validation accuracy first."""
        found = [self._result(run) for run in self.runs()]
        return sorted(found, key=lambda result: -(result.val_accuracy or 0.0))

    def stop_all(self) -> None:
        """Stop what has not ended; stopping twice is harmless."""
        for run in self.runs():
            if run["status"] not in RUN_ENDS:
                self.call("POST", f"/runs/{run['id']}/stop")

    def _result(self, run: dict[str, Any]) -> Result:
        """One run with its measurements."""
        series = self.call("GET", f"/runs/{run['id']}/metrics").get("metricSeries", {})
        last = {name: points[-1]["value"] for name, points in series.items() if points}
        return Result(
            trial=self.trials[run["id"]],
            run=run,
            val_accuracy=_finite(last.get("val_accuracy")),
            val_loss=_finite(last.get("val_loss")),
        )


def grid() -> list[Trial]:
    """Every configuration, declared up front."""
    return [
        Trial(lr=lr, batch_size=batch_size, seed=seed)
        for lr, batch_size, seed in product(LEARNING_RATES, BATCH_SIZES, SEEDS)
    ]


def mean_of_seeds(result: Result, results: list[Result]) -> float | None:
    """Mean validation accuracy over the seeds of one configuration; absent when one has none."""
    alike = [
        other.val_accuracy
        for other in results
        if (other.trial.lr, other.trial.batch_size) == (result.trial.lr, result.trial.batch_size)
    ]
    known = [score for score in alike if score is not None]
    return sum(known) / len(known) if known and len(known) == len(alike) else None


def _finite(value: Any) -> float | None:
    """A measured number; a text such as NaN stands for one that cannot be compared."""
    return float(value) if isinstance(value, int | float) else None


def _problem(content: bytes) -> dict[str, Any]:
    """The error document of a refusal, as far as it is one."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"detail": content.decode(errors="replace")}
