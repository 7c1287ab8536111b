"""The brief of a session: what an agent needs to go on after its context was compacted."""

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.wire.brief_views import BriefView


class BriefCalls(Calls):
    """What a session did, and what it has to do."""

    def brief(self, session: str | None = None) -> BriefView:
        """What `session` tried, what failed and why, what runs and waits, and what to call next.

        `text` of the answer is all of it in at most 2,000 characters. The default is the session of
        this client. Raises `NotFoundError` (session_not_found) for one that never created anything.
        """
        path = path_of("sessions", session or self.session, "brief")
        return view(BriefView, self._caller.get(path))
