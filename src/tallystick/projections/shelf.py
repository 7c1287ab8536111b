"""The states of one kind in memory: loaded by key, moved by entries, written in one statement."""

from collections import OrderedDict
from typing import Generic, TypeVar

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.projections.rows import Shape

S = TypeVar("S")

CAPACITY = 4096
"""States kept of each kind: more than any group touches, and a few megabytes at most."""


class Shelf(Generic[S]):
    """The states of one kind, by id: those read lately, and those changed since the last flush."""

    def __init__(self, shape: Shape[S], capacity: int) -> None:
        """Nothing is loaded yet; `capacity` bounds what is kept between commits."""
        self._shape = shape
        self._capacity = capacity
        self._clean: OrderedDict[str, S] = OrderedDict()
        self._dirty: dict[str, S] = {}

    def get(self, tx: Transaction | None, key: str) -> S | None:
        """A state, from memory or from its row; None when there is none."""
        state = self._dirty.get(key)
        if state is None and (state := self._clean.get(key)) is not None:
            self._clean.move_to_end(key)
        if state is not None or tx is None:
            return state
        table = self._shape.table
        rows = tx.fetch(select(table).where(table.c.id == key))
        if not rows:
            return None
        loaded = self._shape.load(rows[0])
        self._clean[key] = loaded
        return loaded

    def get_or(self, tx: Transaction | None, key: str, default: S) -> S:
        """A state that counts as `default` until an entry moves it."""
        state = self.get(tx, key)
        if state is None:
            state = self._clean[key] = default
        return state

    def put(self, key: str, state: S) -> None:
        """The state after a fact."""
        self._dirty[key] = state

    def flush(self, tx: Transaction) -> None:
        """Write what changed, in one statement."""
        if self._dirty:
            dump = self._shape.dump
            tx.upsert(self._shape.table, [dump(state) for state in self._dirty.values()])

    def settle(self) -> None:
        """The commit succeeded: what was changed is now what is stored."""
        for key, state in self._dirty.items():
            self._clean[key] = state
            self._clean.move_to_end(key)
        self._dirty.clear()
        while len(self._clean) > self._capacity:
            self._clean.popitem(last=False)

    def forget(self) -> None:
        """The commit failed, or another server wrote: trust nothing in memory."""
        self._clean.clear()
        self._dirty.clear()
