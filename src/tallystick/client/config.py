"""Where the client finds its server, its token and its session; the client's only environment read.

Server: argument, TALLY_SERVER_URL, SERVER_URL, else server.json in the data directory, read again
at every new connection because a restarted server may listen elsewhere. The data directory is the
one that `tally up` would use here: the rule stands once, in `tallystick.config`.
A token file of this machine is never sent to a server that is not on this machine, and never to an
address in server.json unless a server holds that directory now: anybody may take a port that a dead
server has left.
"""

import ipaddress
import json
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tallystick import durable, proc
from tallystick.config import load
from tallystick.errors import ForbiddenError, InvalidError, UnavailableError

URL_VARIABLES = ("TALLY_SERVER_URL", "SERVER_URL")
TOKEN_VARIABLES = ("TALLY_TOKEN", "AUTH_TOKEN")
SESSION_VARIABLES = (
    "TALLY_CHAT_SESSION_ID",
    "CHAT_SESSION_ID",
    "CLAUDE_CODE_SESSION_ID",
    "CODEX_THREAD_ID",
    "GEMINI_SESSION_ID",
)
"""What agents set in the shells they start; whoever has one is an agent, others are people."""
KNOWN_LEDGERS_VARIABLE = "TALLY_KNOWN_LEDGERS"
KNOWN_LEDGERS = "~/.tally/known_ledgers"
"""Where the newest checkpoint that was seen of each ledger is pinned."""

SERVER_FILE = "server.json"
LOCK_FILE = "server.lock"
MAX_SESSION_LENGTH = 128
START_HINT = "start one with `tally up`, or name a running one in TALLY_SERVER_URL"


def process_environment() -> Mapping[str, str]:
    """The environment of this process."""
    return os.environ


def first_of(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first variable that is set and not empty."""
    return next((environment[name] for name in names if environment.get(name, "").strip()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Answers where, as whom, and in which session; arguments of the caller go first."""

    environment: Mapping[str, str]
    url: str | None = None
    token: str | None = None
    session: str | None = None
    directory: Path | None = None
    agent: bool = False
    """An agent asks, whatever the environment says: its token is the agents', and no conversation
    is made up for it."""

    def data_dir(self) -> Path:
        """The data directory of this machine's server; raises `InvalidError` for bad settings."""
        if self.directory is not None:
            return self.directory.expanduser().absolute()
        settings, _origins = load(environment=self.environment)
        return settings.server.data_dir

    def named_url(self) -> str | None:
        """The server somebody named, or None when server.json decides."""
        if self.url is not None:
            return base_url(self.url)
        if (
            self.directory is not None
        ):  # whoever names a directory means the server that lives there
            return None
        named = first_of(self.environment, URL_VARIABLES)
        return base_url(named) if named else None

    def server_url(self) -> str:
        """Base URL without a trailing slash; raises `UnavailableError` when no server is known."""
        named = self.named_url()
        if named is not None:
            return named
        path = self.data_dir() / SERVER_FILE
        document = _read_server_file(path)
        try:
            return base_url(str(document["url"]))
        except KeyError as error:
            raise _unreadable(path, error) from error

    def is_agent(self) -> bool:
        """Whether it is said, or an agent's session variable is set."""
        return self.agent or first_of(self.environment, SESSION_VARIABLES) is not None

    def access_token(self) -> str | None:
        """The token to send, None when there is none; raises `ForbiddenError` when unreadable.

        Raises `UnavailableError` when it stands in a file and no server holds the directory.
        """
        given = self.token or first_of(self.environment, TOKEN_VARIABLES)
        if given:
            return given.strip()
        named = self.named_url()
        if named is not None and not is_loopback(named):
            return None
        if named is None:
            check_served(self.data_dir())
        return _token_file(self.data_dir(), "agent.token" if self.is_agent() else "admin.token")

    def known_ledgers(self) -> Path:
        """The directory of pinned checkpoints; one that cannot be, where there is no home."""
        named = first_of(self.environment, (KNOWN_LEDGERS_VARIABLE,))
        try:
            return Path(named or KNOWN_LEDGERS).expanduser().absolute()
        except RuntimeError:  # no home directory can be determined
            return Path("/dev/null/known_ledgers")

    def chat_session(self) -> str:
        """The conversation that creating requests belong to (P1.1); a person's is the shell's.

        Empty for an agent that names it call by call: the server then takes its token's (P1.2).
        """
        if self.agent:
            return self.session or ""
        return self.session or first_of(self.environment, SESSION_VARIABLES) or shell_session()


def base_url(text: str) -> str:
    """A URL without trailing slash, http when no scheme stands; raises `InvalidError`."""
    whole = text.strip()
    if "//" not in whole:
        whole = f"http://{whole}"
    parts = urlsplit(whole)
    try:
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidError(
            f"server URL: expected something like http://127.0.0.1:8787, found {text!r}",
            code="server_url_invalid",
        )
    return whole.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_served(directory: Path) -> None:
    """Raises `UnavailableError` unless the server of server.json lives and holds the directory.

    It must be a process of this user or of root; what holds the lock could open the files here.
    In an agent's sandbox processes have other numbers, and the lock alone has to do.
    """
    document = _read_server_file(directory / SERVER_FILE)
    pid = document.get("pid")
    is_elsewhere = document.get("pid_namespace", "") not in {"", proc.pid_namespace()}
    if not isinstance(pid, int) or not (is_elsewhere or _owner_of(pid) in {os.getuid(), 0}):
        raise _not_served(directory)
    if not _is_held(directory / LOCK_FILE):
        raise _not_served(directory)


def _owner_of(pid: int) -> int | None:
    """The user of a process, None when there is no such process."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _is_held(lock: Path) -> bool:
    """Whether a process holds the lock of a data directory."""
    try:
        return durable.is_locked(lock)
    except OSError:
        return False


def _read_server_file(path: Path) -> dict[str, Any]:
    """What a server has said about itself; raises `UnavailableError` when there is nothing."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UnavailableError(
            f"no Tallystick server is running here: {path} does not exist",
            code="server_not_running",
            hint=START_HINT,
            next_actions=("tally up",),
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it holds no JSON object")
    return document


def _unreadable(path: Path, why: object) -> UnavailableError:
    return UnavailableError(
        f"{path} cannot be read: {why}", code="server_not_running", hint=START_HINT
    )


def _not_served(directory: Path) -> UnavailableError:
    return UnavailableError(
        f"no server runs on this data directory: {directory}",
        code="server_not_running",
        hint=f"{START_HINT} and its token in TALLY_TOKEN",
        next_actions=("tally up",),
    )


def _token_file(directory: Path, name: str) -> str | None:
    """The first line of a token file, None when it is absent."""
    path = directory / name
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ForbiddenError(
            f"{path} cannot be read: {error.strerror}",
            code="token_unreadable",
            hint="run as the user who started the server, or set TALLY_TOKEN",
        ) from error


def shell_session() -> str:
    """`shell:<user>@<host>:<login session>.<its start>`: the same for every command of one shell.

    The start time tells the session from a later one with the same process id.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    leader = os.getsid(0)
    words = f"shell:{user}@{socket.gethostname()}:{leader}"
    return f"{words}.{_start_of(leader)}"[-MAX_SESSION_LENGTH:]


def _start_of(pid: int) -> str:
    """Start of a process in clock ticks since boot, with the boot's own mark in front."""
    boot = _read_line(Path("/proc/sys/kernel/random/boot_id"))[:4]
    stat = _read_line(Path(f"/proc/{pid}/stat"))
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return f"{boot}-{fields[19] if len(fields) > 19 else 0}"


def _read_line(path: Path) -> str:
    """A small file of /proc, empty when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
