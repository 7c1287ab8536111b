"""The bundle: what the launcher leaves in an attempt's run directory for the supervisor.

The names of the files in a run directory are written here once, for both sides.
"""

from dataclasses import dataclass, field

BUNDLE_FILE = "bundle.json"
LOCK_FILE = "lock"
JOURNAL_FILE = "journal.jsonl"
OUTPUT_FILE = "output.log"
METRICS_FILE = "metrics.jsonl"
SYSTEM_FILE = "system.jsonl"
COMMAND_FILE = "command.sh"
STOP_FILE = "stop.json"

COMMAND_ARGUMENT_BYTES = 131_071
"""Linux refuses a single argument of 128 KiB or more (MAX_ARG_STRLEN, its NUL included)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One attempt, ready to be executed; bundle.json, mode 0600."""

    run: str
    attempt: str
    command: str
    """Exact text for `bash -c`; larger than COMMAND_ARGUMENT_BYTES it stands in command.sh too."""
    workdir: str
    """Absolute path; the attempt is refused when it is not a directory."""
    environment: dict[str, str] = field(default_factory=dict)
    """The whole environment of the command; nothing is inherited."""
    server_file: str = ""
    """Path of the server's server.json, read again at every delivery (its port may change)."""
    grace_seconds: float = 10.0
    """Between TERM and KILL."""
    leftover_seconds: float = 2.0
    """Between TERM and KILL for processes that outlive the command."""
    record_tree: bool = True
    """Whether the exact working tree is recorded when workdir lies in a git repository."""
    timeout_seconds: float | None = None
    """From the start of the command until the run is ended as timed out; None: no limit."""
    sample_seconds: float = 0.0
    """How often what the processes use is sampled into system.jsonl; 0: never."""
    memory_bytes: int | None = None
    """The most memory that all processes of the run may hold together; None: no limit. Enforced
    where the host lets the supervisor make a cgroup; where not, the journal says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """stop.json: written by the server, followed by SIGTERM to the supervisor."""

    grace_seconds: float
    reason: str = "stop requested"
