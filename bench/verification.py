"""How fast is a ledger verified?

A stranger's `verify.py` over an export of a million entries, and `tally ledger verify` over a data
directory, which also checks the tables. Beside the bare SHA-256 of the same bytes: every leaf and
every inner node, nothing parsed.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Row
from bench.workbench import Collected, Workbench, alone
from tallystick.clock import SystemClock
from tallystick.db.open import open_database
from tallystick.ledger import tables
from tallystick.ledger.canonical import JSON
from tallystick.ledger.export import write_export
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Draft, Ledger
from tallystick.ledger.tiles import entry_count

TITLE = "Verification"
ENTRIES = 1_000_000
GROUP = 2000


def answer(bench: Workbench) -> list[Row]:
    """Entries a second by each verifier, and by bare hashing."""
    seen = Collected()
    entries = ENTRIES // 20 if bench.quick else ENTRIES
    export = bench.kept / f"export-{entries}"
    if not (export / "checkpoint").exists():
        bench.say(f"{TITLE}: writing {entries:,} entries")
        _write(bench.directory / f"ledger-{time.monotonic_ns()}", export, entries)
    stored = bench.stored(bench.runs)
    leaves = _leaves(export)
    for repeat in range(1 if entries == ENTRIES else bench.repeats):
        bench.say(f"{TITLE}: repeat {repeat + 1}")
        with bench.timed() as section:
            taken = _hash_all(leaves)
        seen.add(section.foreign, hashed=len(leaves) / taken)
        with bench.timed() as section:
            taken = _run(sys.executable, "-I", str(export / "verify.py"), str(export))
        seen.add(section.foreign, export=entries / taken, export_seconds=taken)
        with bench.timed() as section:
            own = ["-m", "tallystick", "ledger", "verify", "--data-dir", str(stored / "data")]
            taken = _run(sys.executable, *own)
        seen.add(section.foreign, own=_count(stored / "data") / taken)
    return _rows(bench, seen, entries, _count(stored / "data"))


def _rows(bench: Workbench, seen: Collected, entries: int, own: int) -> list[Row]:
    hashed = seen.figure("hashed", "entries/s")
    return [
        Row(
            what=f"verify.py over an export of {entries:,} entries",
            figure=seen.figure("export", "entries/s"),
            floor="bare SHA-256 of leaves and nodes",
            floor_figure=hashed,
        ),
        Row(what="the same, whole time", figure=seen.figure("export_seconds", "s")),
        Row(
            what=f"tally ledger verify, {own:,} entries of {bench.runs:,} runs and their tables",
            figure=seen.figure("own", "entries/s"),
            floor="bare SHA-256 of leaves and nodes",
            floor_figure=hashed,
        ),
    ]


def _write(scratch: Path, export: Path, entries: int) -> None:
    """A ledger of entries like those of runs, exported; the tables are not needed for that."""
    scratch.mkdir()
    database = open_database(f"sqlite:///{scratch / 'tally.db'}")
    database.create(tables.metadata, append_only=[tables.entries])
    ledger = Ledger(Signer.create(scratch / "ledger.key", "tally.local/0123456789abcdef"))
    clock = SystemClock()
    while ledger.size < entries:
        drafts = [
            _draft(clock, ledger.size + number)
            for number in range(min(GROUP, entries - ledger.size))
        ]
        with database.write() as tx:
            appended = ledger.append(tx, drafts, [])
        ledger.adopt(appended)
    with database.read() as tx:
        write_export(tx, export, ledger.vkey)
    database.close()


def _draft(clock: SystemClock, number: int) -> Draft:
    """As long as the registration of a run."""
    text: JSON = {"c": hashlib.sha256(str(number).encode()).hexdigest(), "n": 40}
    return Draft(
        ts=clock.now(),
        type="run.registered",
        stream=clock.new_id("run"),
        actor_token="tok_0123456789ab",  # noqa: S106 - a name
        actor_role="agent",
        session="chat-bench",
        data={"name": text, "command": text, "workdir": text, "sweep": "swp_0123456789ab"},
    )


def _leaves(export: Path) -> list[bytes]:
    """The bytes of every entry."""
    found: list[bytes] = []
    for path in sorted((export / "tile" / "entries").rglob("*")):
        if path.is_file():
            content, at = path.read_bytes(), 0
            while at < len(content):
                size = int.from_bytes(content[at : at + 2], "big")
                found.append(content[at + 2 : at + 2 + size])
                at += 2 + size
    return found


def _hash_all(leaves: list[bytes]) -> float:
    """Seconds for the hash of every leaf and every inner node."""
    sha256 = hashlib.sha256
    began = time.perf_counter()
    level = [sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        odd = [level[-1]] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\1" + left + right).digest() for left, right in pairs] + odd
    return time.perf_counter() - began


def _count(data_dir: Path) -> int:
    """How many entries a data directory holds."""
    database = open_database(f"sqlite:///{data_dir / 'tally.db'}")
    try:
        with database.read() as tx:
            return entry_count(tx)
    finally:
        database.close()


def _run(*command: str) -> float:
    """Seconds of a verifier that must be content."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    return time.perf_counter() - began


if __name__ == "__main__":
    alone(TITLE, answer)
