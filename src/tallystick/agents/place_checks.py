"""Checks of what the agents' side needs around it: rules, server, clock, spool, disk."""

import http.client
import json
import shlex
import shutil
import tomllib
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from tallystick.agents import policy_file, project
from tallystick.agents import spool as spooled
from tallystick.agents.conversing import Conversation
from tallystick.agents.digest import sha256_hex
from tallystick.agents.merging import command_of, is_our_server
from tallystick.agents.pieces import POLICY, SERVER, SERVER_FILES
from tallystick.agents.visit import Visit
from tallystick.client.config import Discovery
from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.errors import InvalidError, TallystickError

ASK_SECONDS: Final = 3.0
CLOCK_MS: Final = 5_000
"""Two clocks further apart than this make times of runs hard to read; HTTP tells whole seconds."""
STUCK_MS: Final = 3_600_000
"""A decision that waits longer than this was not carried by the calls that came since."""
LITTLE_BYTES: Final = 1 << 30
TOO_LITTLE_BYTES: Final = 100 << 20
_UP: Final = "tally up, or TALLY_SERVER_URL where another one is meant"
_MCP_VERSION: Final = "2025-11-25"


def policy(visit: Visit) -> Finding:
    """The rules in force are those that the project asks for."""
    name, root = "policy", str(visit.root)
    try:
        accepted = project.load_accepted(root, str(visit.tally_home))
    except ValueError as error:
        return fail(name, f"the accepted rules cannot be read: {error}", "tally policy accept")
    try:
        text = (visit.root / POLICY).read_bytes()
        asked = policy_file.parse(text)
    except FileNotFoundError:
        return warn(name, f"{POLICY} is missing; {_in_force(accepted)}", "tally init")
    except InvalidError as error:
        return fail(name, f"{error.detail}; {_in_force(accepted)}", f"mend {POLICY}")
    if accepted.sha256 is None and not any(asked.values()):
        return ok(name, "asks for nothing beyond the defaults, which are in force")
    if accepted.sha256 != sha256_hex(text):
        return warn(
            name, f"{POLICY} is not what was accepted; {_in_force(accepted)}", "tally policy accept"
        )
    if accepted.mode == project.OFF:
        return warn(name, "accepted: mode off, nothing is looked at", f"edit {POLICY}")
    return ok(name, f"accepted: mode {accepted.mode or 'by agent'}")


def mcp(visit: Visit) -> Finding:
    """Every MCP entry that is ours starts a server that lists its tools."""
    files = [SERVER_FILES[name] for name in visit.agents if name in SERVER_FILES]
    commands = {tuple(server_words(visit.root / file)): file for file in files}
    commands.pop((), None)
    if not commands:
        return warn("mcp", "no agent has our server among its MCP servers", "tally init")
    count = 0
    for words, file in commands.items():
        with Conversation(words, cwd=visit.root, environment=visit.environment) as conversation:
            hello = {"name": "tally-doctor", "version": "1"}
            conversation.ask(
                "initialize",
                {"protocolVersion": _MCP_VERSION, "capabilities": {}, "clientInfo": hello},
            )
            conversation.tell("notifications/initialized")
            count = len(conversation.ask("tools/list").get("tools") or ())
        if not count:
            return fail("mcp", f"{shlex.join(words)} ({file}) lists no tools", "tally init")
    return ok("mcp", f"starts, {count} tools")


def server_words(file: Path) -> list[str]:
    """The command of our MCP server in a settings file; empty where it is not, or somebody's."""
    try:
        text = file.read_text()
        document: Any = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
        holders = (document.get(key, {}) for key in ("mcpServers", "mcp_servers", "mcp"))
        entry = next((holder[SERVER] for holder in holders if SERVER in holder), None)
    except (OSError, ValueError, AttributeError, TypeError):
        return []
    return command_of(entry) if is_our_server(entry) else []


def server(visit: Visit) -> Finding:
    """The server that a converted command would talk to answers."""
    try:
        url = Discovery(environment=visit.environment).server_url()
        status, _ = _head(urlsplit(url))
    except TallystickError as error:
        return fail("server", error.detail, error.next_actions[0] if error.next_actions else _UP)
    except (OSError, http.client.HTTPException) as error:
        return fail("server", f"{url} does not answer: {error}", _UP)
    if status != http.client.OK:
        return fail("server", f"{url} answers {status}", "tally server doctor")
    return ok("server", f"{url} answers")


def clock(visit: Visit) -> Finding:
    """This machine's clock and the server's agree."""
    try:
        url = Discovery(environment=visit.environment).server_url()
        _, date = _head(urlsplit(url))
        theirs = parsedate_to_datetime(date or "").timestamp() * 1000
    except TallystickError as error:
        return warn("clock", f"not compared: {error.detail}", "tally up")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return warn("clock", f"not compared: {error}", _UP)
    apart = abs(visit.clock.now() - theirs)
    if apart > CLOCK_MS:
        return warn(
            "clock", f"{apart / 1000:.0f} s from the server's", "timedatectl set-ntp true, on both"
        )
    return ok("clock", "agrees with the server's")


def spool(visit: Visit) -> Finding:
    """Decisions of the guard find their way to the ledger."""
    name, home = "spool", str(visit.tally_home)
    directory = Path(spooled.directory_of(home))
    files = sorted(directory.glob(f"dec_*{spooled.SUFFIX}")) if directory.is_dir() else []
    if not files:
        return ok(name, "empty")
    records = [spooled.read(home, file.name.removesuffix(spooled.SUFFIX)) for file in files]
    if broken := [file for file, record in zip(files, records, strict=True) if record is None]:
        return warn(name, f"{broken[0]} holds no decision", f"look into it, then rm {broken[0]}")
    oldest = min(int(record["at"]) for record in records if record is not None)
    age = visit.clock.now() - oldest
    if age > STUCK_MS:
        return warn(
            name,
            f"{len(files)} decisions wait, the oldest for {age // 60_000} min",
            "tally queue (any command that reaches the server sends them)",
        )
    return ok(name, f"{len(files)} wait for the next command that reaches the server")


def disk(visit: Visit) -> Finding:
    """Room for records and spools."""
    places = {visit.root, visit.tally_home if visit.tally_home.is_dir() else visit.root}
    free, place = min((shutil.disk_usage(place).free, place) for place in places)
    said = f"{free / (1 << 30):.1f} GiB free on {place}"
    if free < TOO_LITTLE_BYTES:
        return fail("disk", said, f"df -h {place}")
    return warn("disk", said, f"df -h {place}") if free < LITTLE_BYTES else ok("disk", said)


def _in_force(accepted: project.Accepted) -> str:
    return "the defaults are in force" if accepted.sha256 is None else "the accepted one rules"


def _head(url: SplitResult) -> tuple[int, str | None]:
    """Status and Date of the health page; raises OSError and HTTPException."""
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", f"{url.path}/health")
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Date")
    finally:
        connection.close()
