"""What a history of entries means, told a second time, without any rule of the product.

Reads raw entries (dictionaries) in order, the slow and obvious way, and refuses what must never
stand in a ledger. The tables are compared with it, because a fold and a rebuild that share one
mistake agree with each other.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

PEOPLE = {"administrator", "researcher"}
WORDS = {"succeeded": "finished", "cancelled": "stopped"}


@dataclass
class NaiveRun:
    """One run, as an auditor with pencil and paper would note it."""

    session: str
    sweep: str | None
    command: str
    created: int
    queued: bool = False
    attempt: str | None = None
    started: bool = False
    stopping: bool = False
    archived: bool = False
    end: dict[str, Any] | None = None
    numbers: list[int] = field(default_factory=list)
    tokens: tuple[str, str] | None = None

    @property
    def status(self) -> str:
        if self.end is not None:
            return WORDS.get(self.end["outcome"], "failed")
        if self.attempt is not None:
            return "running" if self.started else "launching"
        return "queued" if self.queued else "ready"


@dataclass
class Naive:
    """Everything that the entries say."""

    runs: dict[str, NaiveRun] = field(default_factory=dict)
    sweeps: dict[str, str] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    violations: Counter[str] = field(default_factory=Counter)
    requests: dict[str, tuple[str, int]] = field(default_factory=dict)
    live_tokens: set[str] = field(default_factory=set)
    dead_tokens: set[str] = field(default_factory=set)
    policy: dict[str, str] = field(
        default_factory=lambda: {"session": "enforce", "sweep": "enforce"}
    )

    def read(self, entry: Any) -> None:
        """One entry; asserts that it may follow what was read before."""
        kind, data, stream = entry.type, entry.data, entry.stream
        if entry.session is not None and kind != "session.opened":
            assert entry.session in self.opened, entry
        if kind == "session.opened":
            assert entry.session not in self.opened, entry
            assert not entry.session.startswith(("$", "<", "{", "%")), entry
            self.opened.add(entry.session)
        elif kind == "policy.set":
            assert entry.actor_role in PEOPLE, entry
            assert {**self.policy, **data} != self.policy, entry
            self.policy = dict(data)
        elif kind == "sweep.created":
            assert stream not in self.sweeps, entry
            self.sweeps[stream] = entry.session
            self._note_request(entry)
        elif kind == "sweep.attributed":
            assert self.sweeps[stream] == "unattributed" != data["session"], entry
            self.sweeps[stream] = data["session"]
        elif kind == "run.registered":
            assert stream not in self.runs, entry
            assert data.get("sweep") in {*self.sweeps, None}, entry
            self.runs[stream] = NaiveRun(
                entry.session, data.get("sweep"), data["command"]["c"], entry.seq
            )
            self._note_request(entry)
        elif stream.startswith("run_"):
            self._read_run(self.runs[stream], entry)

    def _note_request(self, entry: Any) -> None:
        if entry.data.get("violations"):
            self.violations[entry.session] += 1
        else:
            assert entry.session != "unattributed", entry
        mark = entry.data.get("request")
        if mark is not None:
            assert mark["k"] not in self.requests, entry
            self.requests[mark["k"]] = (entry.stream, entry.seq)

    def _read_run(self, run: NaiveRun, entry: Any) -> None:
        """A later entry of a run."""
        kind, data = entry.type, entry.data
        if kind != "output.sealed" and not kind.endswith("archived"):
            assert run.end is None, entry
        if run.attempt is not None and kind != "run.ended":
            assert data.get("attempt", run.attempt) == run.attempt, entry
        if "n" in data:
            assert data["n"] > max(run.numbers, default=0), entry
            run.numbers.append(data["n"])
        if kind == "run.edited":
            assert run.attempt is None, entry
            if "command" in data:
                assert data["old_command"]["c"] == run.command, entry
                run.command = data["command"]["c"]
        elif kind == "run.queued":
            assert not run.queued, entry
            assert not run.archived, entry
            run.queued = True
        elif kind == "attempt.assigned":
            assert run.queued, entry
            assert run.attempt is None, entry
            run.attempt = data["attempt"]
            run.tokens = (data["run_token"]["token"], data["supervisor_token"]["token"])
            self.live_tokens.update(run.tokens)
        elif kind == "run.started":
            assert not run.started, entry
            assert run.attempt is not None, entry
            run.started = True
        elif kind == "run.stop_requested":
            assert not run.stopping, entry
            run.stopping = True
        elif kind in {"run.archived", "run.unarchived"}:
            assert run.archived != (kind == "run.archived"), entry
            assert run.end is not None or not run.queued, entry
            run.archived = kind == "run.archived"
        elif kind == "run.ended":
            self._read_end(run, entry)

    def _read_end(self, run: NaiveRun, entry: Any) -> None:
        """The last word; it must fit the status that wait told."""
        data = run.end = dict(entry.data)
        outcome, exit_code = data["outcome"], data.get("exit_code")
        if outcome == "succeeded":
            assert exit_code == 0, entry
            assert "signal" not in data, entry
        if outcome == "lost":
            assert exit_code is None, entry
            assert not run.stopping, entry
        if run.stopping and "n" not in data:  # by the kernel's word, or nobody's
            assert outcome == "cancelled", entry
        if run.attempt is None:
            assert (outcome, data["reason_code"]) == ("cancelled", "cancelled_before_start"), entry
        if run.tokens is not None:
            self.live_tokens.discard(run.tokens[0])
            self.dead_tokens.add(run.tokens[0])

    def tallies(self) -> tuple[Counter[Any], dict[str, Counter[Any]], dict[str, Counter[Any]]]:
        """Runs by status: those not archived, by sweep, by session."""
        shown: Counter[Any] = Counter()
        by_sweep: dict[str, Counter[Any]] = defaultdict(Counter)
        by_session: dict[str, Counter[Any]] = defaultdict(Counter)
        for run in self.runs.values():
            shown[run.status] += not run.archived
            by_session[run.session][run.status] += 1
            if run.sweep is not None:
                by_sweep[run.sweep][run.status] += 1
        return +shown, by_sweep, by_session
