"""What every question gets: how thorough to be, where peers are, a place for files, quiet."""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine, servers
from bench.figures import Figure, Row, table
from bench.load import generator

PEERS = Path(__file__).resolve().parent.parent / "build" / "bench"
"""Where `python -m bench peers` makes virtual environments, one for each peer."""

Question = Callable[["Workbench"], list[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """The settings of one run of measurements."""

    directory: Path
    """For files of this run; removed at its end."""
    kept: Path
    """For what takes long to make: ledgers with many runs, an export of a million entries."""
    quick: bool = False
    repeats: int = 3
    seconds: float = 4.0
    """Of one load."""
    runs: int = 100_000
    """What "many stored runs" means."""
    patience_seconds: float = 20.0
    """How long to wait for a quiet moment before each section."""
    fastapi: str | None = None
    """A Python that has FastAPI, uvicorn, uvloop and httptools."""
    mlflow: str | None = None
    """A Python that has MLflow."""
    trackio: str | None = None
    """A Python that has trackio."""

    @contextlib.contextmanager
    def timed(self) -> Iterator[machine.Section]:
        """A section that begins when others are quiet, and notes what they use."""
        machine.await_quiet(patience_seconds=self.patience_seconds)
        with machine.section() as seen:
            yield seen

    def stored(self, count: int) -> Path:
        """A new directory whose `data` holds `count` runs."""
        return servers.seeded(count, kept=self.kept, scratch=self.directory)

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        sys.stderr.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")


class Collected:
    """Values of several quantities over the repeats, on their way to figures."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._values: dict[str, list[float]] = {}
        self._foreign: dict[str, float] = {}

    def add(self, foreign: float, **values: float) -> None:
        """One repeat of some quantities."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
            self._foreign[name] = max(self._foreign.get(name, 0.0), foreign)

    def has(self, name: str) -> bool:
        """Whether it was measured at all."""
        return name in self._values

    def figure(self, name: str, unit: str) -> Figure:
        """All repeats of one quantity."""
        return Figure(tuple(self._values[name]), unit, self._foreign[name])


def options(description: str) -> argparse.ArgumentParser:
    """What every program here understands."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="one short repeat, 10,000 runs")
    parser.add_argument("--repeats", type=int, help="of every section [default: 3]")
    parser.add_argument("--seconds", type=float, help="of every load, whole ones [default: 4]")
    parser.add_argument("--runs", type=int, help='what "many runs" means [default: 100,000]')
    parser.add_argument("--patience", type=float, help="seconds to wait for quiet [default: 20]")
    parser.add_argument("--fastapi", metavar="PYTHON", help="a Python that has FastAPI")
    parser.add_argument("--mlflow", metavar="PYTHON", help="a Python that has MLflow")
    parser.add_argument("--trackio", metavar="PYTHON", help="a Python that has trackio")
    parser.add_argument(
        "--directory", type=Path, help="keeps ledgers with many runs for the next time"
    )
    return parser


@contextlib.contextmanager
def workbench(given: argparse.Namespace) -> Iterator[Workbench]:
    """A workbench as the options want it."""
    quick = bool(given.quick)
    if given.directory:
        given.directory.mkdir(parents=True, exist_ok=True)
    machine.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and files are cleared away
    with tempfile.TemporaryDirectory(
        prefix="tally-bench-", dir=given.directory, ignore_cleanup_errors=True
    ) as scratch:
        directory = Path(scratch).absolute()
        yield Workbench(
            directory=directory,
            kept=(given.directory or directory).absolute(),
            quick=quick,
            repeats=given.repeats or (1 if quick else 3),
            seconds=given.seconds or (2.0 if quick else 4.0),
            runs=given.runs or (10_000 if quick else 100_000),
            patience_seconds=(2.0 if quick else 20.0) if given.patience is None else given.patience,
            fastapi=_python_with("fastapi", given.fastapi),
            mlflow=_python_with("mlflow", given.mlflow),
            trackio=_python_with("trackio", given.trackio),
        )


def _python_with(module: str, given: str | None) -> str | None:
    """The Python named by an option, the one made by `python -m bench peers`, or this one."""
    made = PEERS / module / "bin" / "python"
    program = f"import sys; from importlib.util import find_spec as f; sys.exit(not f({module!r}))"
    for python in [given] if given else [str(made), sys.executable]:
        if Path(python).exists():
            # Elsewhere than here, where a module of ours may have the same name.
            found = subprocess.run([python, "-c", program], check=False, cwd="/")
            if found.returncode == 0:
                return python
    if given:
        raise SystemExit(f"{given} has no {module}")
    return None


def alone(title: str, question: Question, arguments: Sequence[str] | None = None) -> None:
    """Answer one question from the command line."""
    given = options(title).parse_args(arguments)
    with workbench(given) as bench:
        rows = question(bench)
    lines = [*machine.facts(), f"load by {generator()}"]
    sys.stdout.write("\n".join([f"## {title}", "", *lines, "", table(rows)]))
