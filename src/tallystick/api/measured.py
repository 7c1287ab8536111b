"""How far the index of a run's metrics holds what was acknowledged, and the wait for the rest."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tallystick.api.services import Services
from tallystick.store.index import Source, opened
from tallystick.store.series import Extent, Series

PATIENCE_SECONDS: Final = 10.0
"""An answer about metrics waits so long for the index: far longer than it needs."""

FLOOD_BYTES: Final = 16 * 1024 * 1024
FLOOD_PATIENCE_SECONDS: Final = 2.0
"""It waits no longer than this when more than `FLOOD_BYTES` are not indexed yet."""

SHORT_PATIENCE_SECONDS: Final = 3.0
"""An answer about something else, which also tells last values."""

MOST_LAST: Final = 1_000
"""Last values told of a run."""


@dataclass(frozen=True, slots=True)
class State:
    """The streams of a run, and how far its index holds them; names the content of both."""

    run: str
    extents: tuple[Extent, ...]
    sources: tuple[Source, ...]

    @property
    def order(self) -> list[str]:
        """Names of the streams, in order."""
        return [extent.name for extent in self.extents]

    @property
    def read_bytes(self) -> int:
        """What the index was made from."""
        return sum(source.position for source in self.sources)

    @property
    def total_bytes(self) -> int:
        """What there is."""
        return sum(extent.size for extent in self.extents)


async def state_of(services: Services, run: str, *, patience_seconds: float) -> State:
    """The state after what was there before the call was indexed, or the patience is over."""
    state = await services.work(_state, services.data.series, run)
    behind = state.total_bytes - state.read_bytes
    if behind > 0:
        if behind > FLOOD_BYTES:
            patience_seconds = min(patience_seconds, FLOOD_PATIENCE_SECONDS)
        waiter = asyncio.wrap_future(services.data.indexer.catch_up(run))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiter), patience_seconds)
        state = await services.work(_state, services.data.series, run)
    return state


def _state(series: Series, run: str) -> State:
    extents = series.extents(run)
    with opened(series.directory(run), [extent.name for extent in extents]) as index:
        return State(run, extents, tuple(index.sources()) if index is not None else ())


def last_values(series: Series, state: State) -> dict[str, Any]:
    """Last values of a run, and what it said of itself, as fields of its view."""
    with opened(series.directory(state.run), state.order) as index:
        if index is None:
            return {}
        return {
            "metrics": index.latest(limit=MOST_LAST),
            "summary": index.notes("summary"),
            "logged_params": index.notes("param"),
            "logged_tags": index.notes("tag"),
            "claims": index.notes("claim"),
        }
