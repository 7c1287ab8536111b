"""The words that go with every answer about starting something while nothing is started."""

from datetime import UTC, datetime

from tallystick.api.call import Call
from tallystick.api.views import ERASED, load_texts, seconds
from tallystick.db.database import Transaction
from tallystick.domain.cluster import Cluster
from tallystick.wire.signal_views import DrainView
from tallystick.wire.views import Warning as Notice


def drain_view(tx: Transaction, cluster: Cluster) -> DrainView | None:
    """Since when nothing is started, and why; None while runs are started."""
    if not cluster.drained or cluster.drained_at is None:
        return None
    return DrainView(since=seconds(cluster.drained_at), reason=_reason(tx, cluster))


async def warn_of_drain(call: Call, cluster: Cluster) -> None:
    """Add the warning to the answer of a call that queues or starts something.

    Costs nothing while runs are started: `cluster` comes with every accepted command.
    """
    if cluster.drained:
        view = await call.services.read(lambda tx: drain_view(tx, cluster))
        if view is not None:
            call.warnings.append(drain_notice(view))


def drain_notice(view: DrainView) -> Notice:
    """The warning itself."""
    since = datetime.fromtimestamp(view.since, tz=UTC).strftime("%Y-%m-%d %H:%M")
    why = f" ({view.reason})" if view.reason else ""
    return Notice(
        code="draining",
        detail=f"the server is drained since {since} UTC{why}: what is queued waits, and starts "
        "by itself once a person has undrained it; nothing has to be sent again",
    )


def _reason(tx: Transaction, cluster: Cluster) -> str | None:
    reason = cluster.drain_reason
    if reason is None:
        return None
    return load_texts(tx, [reason]).get(reason.c, ERASED if reason.n else "") or None
