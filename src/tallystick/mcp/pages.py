"""The protocol's own text: the help tool, the resources and the prompt. Needs no server.

`tally://protocol` is the skill itself, `tally://protocol/<page>` a page that it refers to;
`tally://runs/{id}` and `tally://sweeps/{id}` are what the server answers about them.
"""

from collections.abc import Mapping
from typing import Final

from tallystick.api.skills import MAIN_FILE, PROTOCOL, load_skills
from tallystick.errors import NotFoundError
from tallystick.mcp.about import call
from tallystick.mcp.answers import HelpPage, Said, cut
from tallystick.mcp.arguments import TallyHelp

SCHEME: Final = "tally://"
FIRST: Final = "protocol"
LONGEST_PAGE_BYTES: Final = 24_000
MOST_LINES: Final = 40


def topics() -> Mapping[str, str]:
    """Every page by its name, the first one first."""
    skill = load_skills()[PROTOCOL]
    pages = {
        path.rpartition("/")[2].removesuffix(".md"): text
        for path, text in sorted(skill.files.items())
        if path != MAIN_FILE and path.endswith(".md")
    }
    return {FIRST: skill.template, **pages}


def tally_help(given: TallyHelp, *, source: str) -> Said:
    """A page, or the lines of all pages with a word; raises `NotFoundError` for neither."""
    known = topics()
    asked = given.topic.strip()
    name = asked.lower().removesuffix(".md").rpartition("/")[2] or FIRST
    text = known.get(name) or _lines_with(known, asked)
    if not text:
        raise NotFoundError(
            f"topic: expected one of {', '.join(known)}, or a word that stands there; found "
            f"{asked[:60]!r}",
            code="topic_not_found",
            hint=f"tally_help(topic={FIRST!r}) is the page to begin with",
            next_actions=("GET /prompt-skills",),
        )
    page = HelpPage(
        session_source=source,
        topic=name if name in known else asked,
        text=cut(text, LONGEST_PAGE_BYTES),
        topics=list(known),
    )
    others = [other for other in known if other != name]
    page.next.append(call("tally_help", topic=others[0] if others else FIRST))
    return Said(answer=page, lines=[text, f"topics: {', '.join(known)}"])


def _lines_with(known: Mapping[str, str], word: str) -> str:
    """The lines of all pages that hold a word, with the page's name before them."""
    wanted = word.lower()
    if len(wanted) < 3:
        return ""
    found = [
        f"{name}: {line.strip()}"
        for name, text in known.items()
        for line in text.splitlines()
        if wanted in line.lower()
    ]
    return "\n".join(found[:MOST_LINES])
