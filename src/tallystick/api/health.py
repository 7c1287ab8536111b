"""What system-health tells: one count of runs, one of devices, and who has how much of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tallystick.api.draining import drain_view
from tallystick.db.database import Transaction
from tallystick.domain.capacity import Capacity, Device
from tallystick.domain.shares import limited, share
from tallystick.domain.status import Tally
from tallystick.projections import activity, totals
from tallystick.projections.activity import Activity
from tallystick.wire.signal_views import (
    CapacityView,
    DeviceView,
    DrainView,
    ShareView,
    SystemHealth,
)

MOST_SHARES: Final = 100
"""Sessions whose shares are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that the answer is made from, of one moment."""

    tally: Tally
    active: Sequence[Activity]
    queued: Mapping[str, int]
    """Runs in the queue, by session."""
    draining: DrainView | None
    handed_out: int | None
    """At most so many devices, a person said."""


def standing(tx: Transaction) -> Standing:
    """What the tables say."""
    cluster = totals.cluster(tx)
    return Standing(
        tally=totals.get(tx),
        active=activity.active(tx),
        queued=activity.queued_by_session(tx, limit=MOST_SHARES),
        draining=drain_view(tx, cluster),
        handed_out=cluster.gpu_count,
    )


def health_view(now: Standing, room: Capacity) -> SystemHealth:
    """The truth under the names that agents read."""
    tally = now.tally
    usable = limited(room, slots=None, gpu_count=now.handed_out)
    devices = _devices(room.devices, now.active, usable)
    states = [device.state for device in devices]
    return SystemHealth(
        running=tally.active,
        queued=tally.waiting,
        completed=tally.finished,
        failed=tally.failed,
        total=tally.total,
        max_concurrent=room.slots,
        launching=tally.launching,
        ready=tally.ready,
        waiting_in_queue=tally.queued,
        stopped=tally.stopped,
        free=0 if now.draining is not None else max(0, room.slots - tally.active),
        capacity=CapacityView(
            slots=room.slots,
            cpus=room.cpus,
            memory_mb=room.memory_mb,
            gpus=len(usable.devices),
        ),
        devices=devices,
        free_devices=states.count("free"),
        leased_devices=states.count("leased"),
        held_devices=states.count("held"),
        queue_depth=sum(now.queued.values()) if len(now.queued) < MOST_SHARES else tally.queued,
        sessions=_shares(now, usable),
        draining=now.draining,
    )


def with_place(view: SystemHealth, *, ledger_size: int, data_dir: Path) -> SystemHealth:
    """The same with how long the ledger is and how much disk is left."""
    try:
        disk = os.statvfs(data_dir)
        free = disk.f_bavail * disk.f_frsize
    except OSError:
        free = None
    return replace(view, ledger_size=ledger_size, disk_free_bytes=free)


def _devices(
    found: Sequence[Device], active: Sequence[Activity], usable: Capacity
) -> list[DeviceView]:
    """Every device with whoever has it; a lease counts even where a stranger has come since."""
    leases = {device: one for one in active for device in one.gpus}
    handed_out = {device.id for device in usable.devices}
    shown = []
    for device in found:
        lease = leases.get(device.id)
        state = "held" if device.held_by else "free"
        if device.id not in handed_out:
            state = "withheld"
        if lease is not None:
            state = "leased"
        shown.append(
            DeviceView(
                id=device.id,
                index=device.index,
                name=device.name,
                memory_mb=device.memory_mb,
                state=state,
                run_id=None if lease is None else lease.run,
                attempt_id=None if lease is None else lease.attempt,
                held_by=device.held_by,
            )
        )
    return shown


def _shares(now: Standing, usable: Capacity) -> list[ShareView]:
    """What each session has of the machine, the one with most of it first."""
    running: dict[str, int] = {}
    leased: dict[str, int] = {}
    for one in now.active:
        running[one.session] = running.get(one.session, 0) + 1
        leased[one.session] = leased.get(one.session, 0) + len(one.gpus)
    shares = [
        ShareView(
            session_id=session,
            running=running.get(session, 0),
            queued=now.queued.get(session, 0),
            devices=leased.get(session, 0),
            share=round(share(running.get(session, 0), leased.get(session, 0), usable), 4),
        )
        for session in {**running, **dict(now.queued)}
    ]
    shares.sort(key=lambda one: (-one.share, -one.queued, one.session_id))
    return shares[:MOST_SHARES]
