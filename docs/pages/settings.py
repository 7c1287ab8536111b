# ruff: noqa: INP001 - a part of docs/generate.py
"""docs/reference/settings.md: every key, its variable, its default, its meaning."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

from docs.pages.markdown import MADE, code, notes, prose, table
from tallystick import config
from tallystick.client import config as client_config

INTRO = """\
Sources in order: a flag of `tally up`, the environment, `tally.toml` in the current directory (or
the file that `TALLY_CONFIG` names), the default. An unknown key is an error. `tally server config
--origin` prints every value and where it came from; secrets print as stars.
"""

CLIENT = """\
## Variables of the client

What the command line and the Python client read; none of them is a setting of the server. Of
several in one row the first that is set counts.
"""

EXAMPLE = """\
## An example

```toml
[server]
port = 8787
data_dir = "~/tally"

[execution]
max_concurrent = 4
```
"""

IN_WORDS = {
    "server.data_dir": "`~/.local/share/tallystick`, below `XDG_DATA_HOME` where that is set",
    "server.workspace": "the current directory",
    "database.url": "`tally.db` in the data directory",
    "auth.admin_token": "made up, kept in `admin.token`",
    "execution.max_concurrent": "cores, or GPUs where there are more",
}
"""Defaults that depend on the machine."""


def page() -> str:
    """The page."""
    _, origins = config.load({}, environment={}, config_file=Path("/dev/null"))
    defaults = {origin.key: origin.value.lower() for origin in origins} | IN_WORDS
    parts = ["# Settings\n", MADE, INTRO]
    shapes = get_type_hints(config.Settings)
    for section in dataclasses.fields(config.Settings):
        shape = shapes[section.name]
        rows = []
        for field in dataclasses.fields(shape):
            key = f"{section.name}.{field.name}"
            meaning = notes(shape).get(field.name, "")
            rows.append(
                (code(field.name), code(config.variable_of(key)), defaults[key] or "none", meaning)
            )
        parts += [f"## `[{section.name}]`\n", prose(shape.__doc__) + "\n"]
        parts.append(table(("Key", "Variable", "Default", "Meaning"), rows) + "\n")
    return "\n".join(
        [*parts, CLIENT, table(("Variables", "Meaning"), _variables()) + "\n", EXAMPLE]
    )


def _variables() -> Iterator[tuple[str, str]]:
    for names, meaning in (
        (
            client_config.URL_VARIABLES,
            "The server's address; else `server.json` in the data directory is read.",
        ),
        (client_config.TOKEN_VARIABLES, "The token; else a token file of the data directory."),
        (
            client_config.SESSION_VARIABLES,
            "The conversation, as agents set it. Whoever has one gets the agents' token file.",
        ),
        (
            (client_config.KNOWN_LEDGERS_VARIABLE,),
            f"Where newest checkpoints are pinned; else `{client_config.KNOWN_LEDGERS}`.",
        ),
    ):
        yield ", ".join(map(code, names)), meaning
