"""A program of its own that tells one message to one Apprise channel, and ends.

`python -m tallystick.control.speaker` reads a JSON object from standard input: `url`, `title`,
`body`. So the server never loads Apprise and its plugins, a plugin that hangs is ended like any
process, and an address with its secrets stands in no argument list and no environment. Nothing is
printed; the exit status says what became of it.
"""

import json
import logging
import sys
from typing import Final

import apprise

DELIVERED: Final = 0
FAILED: Final = 3
NOT_UNDERSTOOD: Final = 4
"""Apprise knows no such address."""


def main(text: str) -> int:
    """Tell it; the exit status."""
    logging.disable(logging.CRITICAL)  # what a plugin logs may hold parts of an address
    document = json.loads(text)
    channel = apprise.Apprise()
    if not channel.add(document["url"]):
        return NOT_UNDERSTOOD
    told = channel.notify(
        title=document["title"], body=document["body"], body_format=apprise.NotifyFormat.TEXT
    )
    return DELIVERED if told else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
