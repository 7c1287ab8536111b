"""Lists in pages: how many, and where the next page begins."""

from collections.abc import Callable
from typing import Final, TypeVar

from tallystick.api.queries import Query
from tallystick.errors import InvalidError

T = TypeVar("T")


def page_size(most: int, default: int) -> Query:
    """The parameter that bounds a list."""
    return Query(
        name="limit",
        kind=int,
        default=default,
        minimum=1,
        maximum=most,
        description="At most this many.",
    )


CURSOR: Final = Query(
    name="cursor",
    pattern="^[0-9]{0,18}$",
    description="Ask for pages: empty for the first, then `next_cursor` of the page before. "
    "The answer is then an object with `items` and `next_cursor`.",
)
"""The parameter of lists that come in pages."""


def position_of(cursor: str | None) -> int | None:
    """The ledger position in a cursor; raises `InvalidError` for one that was never given out."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidError(
            f"cursor: expected next_cursor of an earlier page, or nothing; found {cursor[:40]!r}",
            code="cursor_invalid",
        )
    return int(cursor)


def page_of(items: list[T], limit: int, seq: Callable[[T], int]) -> tuple[list[T], str | None]:
    """The first `limit` of `limit + 1` items, and the cursor of the next page, if any."""
    if len(items) <= limit:
        return items, None
    return items[:limit], str(seq(items[limit - 1]))
