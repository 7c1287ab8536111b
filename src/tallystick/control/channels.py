"""Desktop, mail and chat: messages for people, by way of Apprise, in a process of their own.

What waits is told together, as one message of a few lines: a person wants to hear that forty runs
failed, not to be told forty times. Apprise is the optional extra `notify`; the program that is
started here, `speaker.py`, imports it, and the server never does.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from tallystick.control.messages import Message
from tallystick.control.webhooks import Verdict
from tallystick.errors import InvalidError

DELIVERED: Final = 0
NOT_UNDERSTOOD: Final = 4
"""Exit statuses of the program; it imports nothing from here, and a test holds them equal."""

TIMEOUT_SECONDS: Final = 30.0
"""For one telling; then the program is ended, and the message is tried again."""

MOST_LINES: Final = 20
"""Messages that are told one by one; the others are counted."""

_PROGRAM: Final = (sys.executable, "-P", "-m", "tallystick.control.speaker")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")


class Channel:
    """One Apprise address."""

    at_once: Final = 1_000
    """Messages of one delivery."""
    rest_ms: Final = 10_000
    """People are told at most so often."""

    def __init__(self, url: str, *, name: str) -> None:
        """Raises `InvalidError` for what can be no address, by `name` and not by its text."""
        scheme = _SCHEME.match(url)
        if scheme is None:
            raise InvalidError(
                f"notify.channels: expected Apprise URLs; {name} is none",
                code="channel_invalid",
                hint="an Apprise URL begins with a scheme and ://, for example ntfy:// or mailto://",
            )
        self.name = f"{name} ({scheme[0]})"
        self.key = hashlib.sha256(f"channel\0{url}".encode()).hexdigest()
        self._url = url

    def deliver(self, messages: Sequence[Message]) -> Verdict:
        """Tell them as one; never raises for what a program or a network does."""
        title, body = digest(messages)
        document = json.dumps({"url": self._url, "title": title, "body": body})
        try:
            ended = subprocess.run(
                _PROGRAM,
                input=document.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(delivered=False, said=f"no end within {TIMEOUT_SECONDS:g} seconds")
        except OSError as error:
            return Verdict(delivered=False, said=f"not started ({type(error).__name__})")
        return Verdict(
            delivered=ended.returncode == DELIVERED,
            gone=ended.returncode == NOT_UNDERSTOOD,
            said="Apprise does not know this address"
            if ended.returncode == NOT_UNDERSTOOD
            else "Apprise could not deliver it",
        )


def require_apprise() -> None:
    """Raises `InvalidError` when the extra is not installed."""
    if find_spec("apprise") is None:
        raise InvalidError(
            "notify.channels needs Apprise, which is not installed",
            code="extra_missing",
            hint="pip install 'tallystick[notify]', or leave notify.channels out",
        )


def digest(messages: Sequence[Message]) -> tuple[str, str]:
    """Title and body for some messages together."""
    if len(messages) == 1:
        (message,) = messages
        return f"Tallystick: {message.title}", message.detail or message.title
    lines = [f"{one.title}: {one.detail}" if one.detail else one.title for one in messages]
    more = len(lines) - MOST_LINES
    if more > 0:
        lines = [*lines[:MOST_LINES], f"and {more} more"]
    return f"Tallystick: {len(messages)} messages", "\n".join(lines)
