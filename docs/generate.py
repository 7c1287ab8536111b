# ruff: noqa: INP001 - a program beside the pages that it writes
"""Writes the pages of docs/reference that are made from the code, and README's block of help.

    python -m docs.generate

`make docs` calls it; a test fails when a page no longer says what the code says. Each page is one
function from nothing to text, in docs/pages; what a page says stands in the code already.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.pages import commands, errors, events, http, settings

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings.page,
    "reference/events.md": events.page,
    "reference/errors.md": errors.page,
    "reference/cli.md": commands.page,
    "reference/http-api.md": http.page,
}


def main() -> int:
    """Write every page, and say so."""
    for path, page in PAGES.items():
        (DOCS / path).write_text(page())
        sys.stdout.write(f"docs/{path}\n")
    README.write_text(commands.with_help(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
