"""`tally queue`: who waits, in which order, and why."""

from tallystick.cli import options, output


def show(limit: options.Limit = 30, as_json: options.Json = False) -> None:
    """Show the queue in the order in which it starts, and why each run waits."""
    queue = options.client_for().queue(limit=limit)
    if as_json:
        output.emit(queue)
        return
    states = [device.state for device in queue.devices]
    gpus = ", ".join(
        f"{states.count(state)} {state}" for state in ("free", "leased", "held") if state in states
    )
    drained = queue.draining.reason or "yes" if queue.draining is not None else None
    output.facts(
        (
            ("slots", f"{queue.slots_used} of {queue.capacity.slots} used"),
            ("GPUs", gpus or "none"),
            ("queued", f"{queue.queued}, {queue.in_line} of them in line"),
            ("drained", drained),
        )
    )
    output.say()
    now = output.now_seconds()
    output.table(
        (">PLACE", "ID", "NAME", "SESSION", "SWEEP", "QUEUED", "WAITS BECAUSE"),
        (
            (
                "" if run.position is None else str(run.position),
                run.id,
                run.name,
                run.chat_session_id,
                run.sweep_id or "",
                output.ago(run.queued_at, now=now),
                run.pending_reason,
            )
            for run in queue.items
        ),
        empty="nothing waits in the queue",
    )
