# ruff: noqa: INP001 - a part of docs/generate.py
"""docs/reference/events.md: every type of entry and what its data holds."""

from typing import get_type_hints

from docs.pages.markdown import MADE, field_rows, prose, table
from tallystick.domain import events
from tallystick.domain.codec import EVENT_TYPES
from tallystick.domain.events import MintedToken
from tallystick.domain.ids import RequestMark, Text

INTRO = """\
An entry is `{v, seq, ts, type, stream, actor{token, role}, session, data}`
([ledger format](../spec/ledger-format.md)); below stands what `data` holds for each type. A field
that is null, or that has its empty default, is left out. A `Text` is a commitment
`{"c": …, "n": …}`; its words stand beside the ledger. Times are milliseconds since the Unix epoch.
What a released type means never changes: whatever must change gets another `v`.
"""


def page() -> str:
    """The page."""
    rows = [
        (f"[`{name}`](#{name.replace('.', '')})", prose(shape.__doc__))
        for name, shape in EVENT_TYPES.items()
    ]
    parts = [
        "# Events: the types of entries\n",
        MADE,
        INTRO,
        table(("Type", "Meaning"), rows) + "\n",
    ]
    for name, shape in EVENT_TYPES.items():
        fields = list(field_rows(shape, hints=get_type_hints(shape, vars(events))))
        shown = table(("Field", "Type", "Meaning"), fields) if fields else "No fields."
        parts += [f"## `{name}`\n", prose(shape.__doc__) + "\n", shown + "\n"]
    parts.append("# Parts of events\n")
    for part in (Text, RequestMark, MintedToken):
        fields = list(field_rows(part, hints=get_type_hints(part, vars(events))))
        shown = table(("Field", "Type", "Meaning"), fields)
        parts += [f"## {part.__name__}\n", prose(part.__doc__) + "\n", shown + "\n"]
    return "\n".join(parts)
