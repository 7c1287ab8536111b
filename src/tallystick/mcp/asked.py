"""One tool call on its way: on whose behalf, for which conversation, over which client."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tallystick.client.client import Client
from tallystick.errors import ForbiddenError
from tallystick.mcp.session import Found, Source
from tallystick.wire.views import Warning as Notice

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a tool works with."""

    client: Client
    found: Found
    warnings: list[Notice] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Who named the conversation, as it is told in the answer."""
        return self.found.source.value

    @property
    def tag(self) -> str:
        """The same as a word on the runs of this call."""
        return f"session-source={self.source}"

    def create(self, make: Callable[[str], T]) -> T:
        """Have `make` create something for this conversation, which it is given.

        A token that is bound to a session overrules what nobody chose to send: an agent cannot
        leave out what its own program adds to every request. An argument is held to its word.
        """
        try:
            return make(self.found.id)
        except ForbiddenError as error:
            if error.code != "session_mismatch" or self.found.source is Source.ARGUMENT:
                raise
        self.found = replace(self.found, id="", source=Source.TOKEN)
        return make("")
