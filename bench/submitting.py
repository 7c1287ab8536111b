"""Submits runs from a process of its own, so that what is measured beside it is not its client.

    python -m bench.submitting URL TOKEN SWEEP COUNT

Each is started as soon as there is room; the command is `true`. Answers when all were accepted.
"""

import json
import sys

from bench import seeding
from bench.load import Connection


def submit(url: str, token: str, sweep: str, count: int) -> None:
    """One request after another, over one connection."""
    body = {
        "name": "a trial",
        "command": "true",
        "sweep_id": sweep,
        "chat_session_id": seeding.SESSION,
        "auto_start": True,
    }
    with Connection(url) as connection:
        for _ in range(count):
            connection.request("POST", "/runs", json.dumps(body).encode(), {"X-Auth-Token": token})


if __name__ == "__main__":
    submit(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
