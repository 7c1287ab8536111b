"""All questions, or those that are named, as one page of tables.

    python -m bench                       all of them
    python -m bench creates lists         some of them
    python -m bench all --write docs/explanation/performance.md
    python -m bench peers                 make the virtual environments of the peers

With --write the tables replace what stands between the two marks of that file.
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from bench import (
    appends,
    creates,
    footprint,
    health,
    hook,
    launches,
    lists,
    machine,
    metrics,
    sweeps,
    trivial,
    verification,
    waiters,
)
from bench.figures import Row, table
from bench.load import generator
from bench.spooler import Spooler
from bench.workbench import PEERS, Workbench, options, workbench

QUESTIONS: Mapping[str, ModuleType] = {
    "creates": creates,
    "lists": lists,
    "sweeps": sweeps,
    "launches": launches,
    "trivial": trivial,
    "footprint": footprint,
    "waiters": waiters,
    "health": health,
    "hook": hook,
    "verification": verification,
    "appends": appends,
    "metrics": metrics,
}
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "fastapi": ("fastapi", "uvicorn", "uvloop", "httptools"),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}


def main() -> int:
    """Answer the questions, print the page, and write it where it was asked for."""
    parser = options(__doc__ or "")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between marks")
    given = parser.parse_args()
    if given.questions == ["peers"]:
        return _make_peers()
    wanted = [name for name in given.questions if name != "all"] or list(QUESTIONS)
    if unknown := [name for name in wanted if name not in QUESTIONS]:
        parser.error(f"no such question: {', '.join(unknown)}")
    began = time.monotonic()
    with workbench(given) as bench:
        tables = [_section(bench, QUESTIONS[name]) for name in wanted]
        about = _about(bench, (time.monotonic() - began) / 60)
    page = "\n".join([about, *tables])
    sys.stdout.write(page)
    if given.write:
        write_page(given.write, page)
    return 0


def _section(bench: Workbench, question: ModuleType) -> str:
    """One question's table; a question that fails says so and leaves the others alone."""
    try:
        rows: list[Row] = question.answer(bench)
    except Exception as error:  # noqa: BLE001 - hours of measuring are not lost to one of them
        traceback.print_exc()
        first = str(error).partition("\n")[0]
        return f"### {question.TITLE}\n\nNot measured: {type(error).__name__}: {first}\n"
    return f"### {question.TITLE}\n\n{table(rows)}"


def _about(bench: Workbench, minutes: float) -> str:
    """When, where and how."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [
        f"Measured {day} in {minutes:.0f} minutes: median [min..max] of {bench.repeats} repeats.",
        *machine.facts(),
        f"Load by {generator()}; task-spooler {'found' if Spooler.found() else 'not installed'}.",
        f"FastAPI {_version(bench.fastapi, 'fastapi')}; MLflow {_version(bench.mlflow, 'mlflow')}.",
        "*foreign*: cores that other programs used meanwhile, at worst.",
    ]
    return "".join(f"{line}\n\n" for line in lines).rstrip("\n") + "\n"


def _version(python: str | None, package: str) -> str:
    if python is None:
        return "not installed"
    program = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [python, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def write_page(path: Path, page: str) -> None:
    """Replace what stands between the marks."""
    text = path.read_text()
    head, found, rest = text.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"{path}: expected the marks {BEGIN} and {END}")
    path.write_text(f"{head}{BEGIN}\n\n{page}\n{END}{tail}")


def _make_peers() -> int:
    """A virtual environment for each peer; whatever is there already is left as it is."""
    for name, packages in PACKAGES.items():
        directory = PEERS / name
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        pip = [str(directory / "bin" / "python"), "-m", "pip", "--quiet", "install"]
        subprocess.run([*pip, *packages], check=True)
        sys.stdout.write(f"{directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
